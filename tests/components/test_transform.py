"""TFX's Transform with batches of two records."""

import json

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def transform():
    """The module; it imports TFX."""
    from components import transform

    return transform


def test_node_runs_the_bounded_executor(transform):
    bounded = transform.BoundedTransformExecutor
    assert transform.BoundedTransform.EXECUTOR_SPEC.executor_class is bounded


@pytest.fixture
def do(transform, artifact, make_case, tmp_path):
    """Runs the executor on five photographs."""
    import tensorflow as tf
    from tfx.components.util import examples_utils
    from tfx.proto import example_gen_pb2

    from beam_preprocess.datasets.dagm import Dagm
    from beam_preprocess.records import encode_raw
    from components.schemas import schema_text

    path = tmp_path / "examples" / "Split-fold-0" / "records-00000-of-00001.gz"
    path.parent.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for n in range(5):
            case = make_case(np.full((4, 4, 1), n, np.uint8), np.zeros((4, 4), np.uint8), f"p-{n}")
            writer.write(encode_raw(case, foreground="all"))
    examples = artifact("Examples", tmp_path / "examples")
    examples.split_names = '["fold-0"]'
    examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(examples, "tfrecords_gzip")
    schema = artifact("Schema", tmp_path / "schema")
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "schema.pbtxt").write_text(schema_text("records", Dagm.info))
    settings = {"profile": "corrected", "clip_percentiles": [0.5, 99.5], "channels": 1}
    settings |= {"foreground": "all", "label_values": [0, 255]}
    context = transform.BoundedTransformExecutor.Context(
        beam_pipeline_args=["--runner=DirectRunner", "--direct_running_mode=in_memory"],
        tmp_dir=str(tmp_path / "tmp"),
        unique_id="1",
    )

    def run():
        transform.BoundedTransformExecutor(context).Do(
            {"examples": [examples], "schema": [schema]},
            {
                "transform_graph": [artifact("TransformGraph", tmp_path / "graph")],
                "transformed_examples": [artifact("Examples", tmp_path / "out")],
            },
            {
                "preprocessing_fn": "beam_preprocess.preprocessing.preprocessing_fn",
                "custom_config": json.dumps(settings),
                "splits_config": '{"analyze": ["fold-0"], "transform": ["fold-0"]}',
                "disable_statistics": 1,
                "force_tf_compat_v1": 0,
            },
        )

    return run


def test_batches_are_of_two_records(transform, do, monkeypatch):
    """What is asked of the reader of the records, which would choose by itself: 1, 2, 4, ..."""
    from tfx_bsl.tfxio.tf_example_record import TFExampleRecord

    asked = []
    beam_source = TFExampleRecord.BeamSource

    def spy(self, batch_size=None):
        asked.append(batch_size)
        return beam_source(self, batch_size)

    monkeypatch.setattr(TFExampleRecord, "BeamSource", spy)
    do()
    assert asked and set(asked) == {transform.RECORDS_PER_BATCH} == {2}


def test_every_record_is_transformed(do, tmp_path):
    import tensorflow as tf

    from beam_preprocess.records import decode_example

    do()
    files = [str(p) for p in (tmp_path / "out" / "Split-fold-0").iterdir()]
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()
    decoded = {r["case_id"][0]: r["X"][0] for r in map(decode_example, records)}
    assert decoded == {f"p-{n}".encode(): bytes([n] * 16) for n in range(5)}


def test_tfx_is_as_it_was(do):
    from tfx.components.transform import executor

    before = executor.TransformProcessor
    do()
    assert executor.TransformProcessor is before
