"""TFX's Transform, with its records written by us.

TFX traces `preprocessing_fn` and writes the transform graph, as ever. Left to it as well, the
records would go through Arrow tables, checksums in Python and zlib: ten times the time of the
graph itself, and memory that grows with the batch. Here every record file is read, sent through
that same graph, record by record, and written, in one Beam call.
"""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

import apache_beam as beam
import tensorflow as tf
import tensorflow_transform as tft
from google.protobuf import json_format
from tfx.components import Transform
from tfx.components.transform import executor
from tfx.components.util import examples_utils
from tfx.dsl.components.base import executor_spec
from tfx.proto import example_gen_pb2, transform_pb2
from tfx.types import artifact_utils

from beam_preprocess.atomic import atomic_path
from beam_preprocess.case import DatasetInfo
from beam_preprocess.config import PreprocessingConfig
from beam_preprocess.memory import keep_freed_memory, release_freed_memory
from beam_preprocess.record_files import RecordWriter, read_records
from beam_preprocess.records import encode_example
from components.artifacts import Artifacts

_RECORDS = "transformed_examples"


def transform_settings(config: PreprocessingConfig, info: DatasetInfo) -> dict[str, Any]:
    """What `preprocessing.preprocessing_fn` has to know: its `custom_config`."""
    return asdict(config) | {
        "channels": len(info.channels),
        "foreground": info.foreground,
        "label_values": info.label_values,
        "label_aliases": info.label_aliases,
        "quantised": info.quantised,
    }


_LOADED: WeakValueDictionary[str, Any] = WeakValueDictionary()
_LOADING = Lock()


def _load_once(graph: str, key: str) -> Any:
    """`_load` for all threads of a process that ask with the same key.

    Beam's `shared.Shared` would keep the graph in memory to the end of the process.
    """
    with _LOADING:
        if (loaded := _LOADED.get(key)) is None:
            loaded = _LOADED[key] = _load(graph)
        return loaded


def _load(graph: str) -> Any:
    """The transform graph in `graph` as a compiled function: serialised raw records -> features."""
    output = tft.TFTransformOutput(graph)
    spec = output.raw_feature_spec()

    @tf.function(input_signature=[tf.TensorSpec([1], tf.string)], autograph=False)
    def transform(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        return output.transform_raw_features(tf.io.parse_example(serialized, spec))

    return transform.get_concrete_function()


class _TransformFile(beam.DoFn):
    """(record file, file to write) -> number of records, sent through the transform graph."""

    def __init__(self, graph: str, root: str):
        self._graph, self._root = graph, Path(root)
        self._key = uuid4().hex
        self._transform: Any = None

    def setup(self) -> None:
        keep_freed_memory()
        self._transform = _load_once(self._graph, self._key)

    def teardown(self) -> None:
        release_freed_memory()

    def process(self, files: tuple[str, str]) -> Iterator[int]:
        source, target = map(Path, files)
        count = 0
        with (
            atomic_path(target, folder=self._root) as temporary,
            RecordWriter(temporary) as writer,
        ):
            for record in read_records(source):
                writer.write(self._transform_record(record))
                count += 1
        yield count

    def _transform_record(self, record: bytes) -> bytes:
        features = self._transform(tf.constant([record]))
        return encode_example({name: _plain(tensor[0]) for name, tensor in features.items()})


def _plain(value: tf.Tensor) -> Any:
    """A tensor as bytes, or as a list of numbers."""
    plain = value.numpy()
    return plain if isinstance(plain, bytes) else plain.ravel().tolist()


class RecordTransformExecutor(executor.Executor):
    """Writes the transform graph as TFX does, then the records, file by file."""

    def Do(  # noqa: N802
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        """Transforms the splits that `splits_config` names. Raises ValueError for broken files."""
        graph_only = {name: made for name, made in output_dict.items() if name != _RECORDS}
        super().Do(input_dict, graph_only, exec_properties)
        splits = json_format.Parse(exec_properties["splits_config"], transform_pb2.SplitsConfig())
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        transformed = artifact_utils.get_single_instance(output_dict[_RECORDS])
        files = [
            (str(path), f"{transformed.uri}/Split-{split}/{path.name}")
            for split in splits.transform
            for path in sorted(Path(artifact_utils.get_split_uri([examples], split)).glob("*.gz"))
        ]
        graph = artifact_utils.get_single_uri(output_dict["transform_graph"])
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Files" >> beam.Create(files)
                | "Spread" >> beam.Reshuffle()
                | "Transform" >> beam.ParDo(_TransformFile(graph, transformed.uri))
            )
        transformed.split_names = artifact_utils.encode_split_names(list(splits.transform))
        examples_utils.set_payload_format(transformed, example_gen_pb2.FORMAT_TF_EXAMPLE)
        examples_utils.set_file_format(transformed, "tfrecords_gzip")


class RecordTransform(Transform):
    """TFX's Transform for records of volumes: memory that does not grow with the cohort."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(RecordTransformExecutor)
