"""CaseGen: raw files -> `examples` (raw records) and `case_statistics`, split by folds."""

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from beam_preprocess.atomic import write_text
from beam_preprocess.case import DataError
from beam_preprocess.cohort import Cohort, list_cohort
from beam_preprocess.config import DataConfig
from beam_preprocess.config_io import from_json, to_json
from beam_preprocess.convert import ConvertShards, Shard, make_shards, read_results
from beam_preprocess.datasets import get_dataset
from components.artifacts import COHORT


class CaseGenSpec(ComponentSpec):
    """Inputs, outputs and parameters of CaseGen."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "fingerprint": ExecutionParameter(type=str),
    }
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "case_statistics": ChannelParameter(type=standard_artifacts.Examples),
    }


class CaseGenExecutor(base_beam_executor.BaseBeamExecutor):
    """Lists the cohort, converts it shard by shard on Beam, and reports all problems at once."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises DataError with every problem of every case."""
        config = from_json(DataConfig, exec_properties["config"])
        dataset = get_dataset(config)
        cohort = list_cohort(dataset, config)
        shards = [
            shard
            for split, cases in cohort.splits.items()
            for shard in make_shards(split, cases, cases_per_shard=config.cases_per_shard)
        ]
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        statistics = artifact_utils.get_single_instance(output_dict["case_statistics"])
        results_root = str(Path(self._get_tmp_dir()) / "results")
        convert = ConvertShards(
            dataset,
            examples_root=examples.uri,
            statistics_root=statistics.uri,
            results_root=results_root,
        )
        self._convert(shards, convert)
        problems = [*cohort.problems, *read_results(results_root, shards)]
        if problems:
            raise DataError(problems)
        write_text(Path(examples.uri) / COHORT, cohort_json(cohort))
        for artifact in (examples, statistics):
            _describe(artifact, list(cohort.splits))

    def _convert(self, shards: list[Shard], convert: ConvertShards) -> None:
        with self._make_beam_pipeline() as pipeline:
            _ = pipeline | "Shards" >> beam.Create(shards) | "ConvertShards" >> convert


def cohort_json(cohort: Cohort) -> str:
    """What later steps have to know of the cohort: counts, reasons, and who is in which split."""
    return json.dumps(
        {
            "listed": cohort.listed,
            "excluded": cohort.excluded,
            "ignored_files": cohort.ignored,
            "splits": {name: [c.case_id for c in cases] for name, cases in cohort.splits.items()},
        },
        indent=1,
    )


def _describe(artifact: types.Artifact, splits: list[str]) -> None:
    artifact.split_names = artifact_utils.encode_split_names(splits)
    examples_utils.set_payload_format(artifact, example_gen_pb2.FORMAT_TF_EXAMPLE)  # type: ignore[attr-defined]
    examples_utils.set_file_format(artifact, "tfrecords_gzip")


class CaseGen(base_beam_component.BaseBeamComponent):
    """Lists, checks and converts the cases of one dataset.

    Args:
      config: The cohort.
      fingerprint: Hash of the content of the raw files and of the code that reads them; what TFX's
        cache is keyed by, since the path alone does not tell that a file changed.
    """

    SPEC_CLASS = CaseGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(CaseGenExecutor)

    def __init__(self, config: DataConfig, *, fingerprint: str):
        super().__init__(
            CaseGenSpec(
                config=to_json(config),
                fingerprint=fingerprint,
                examples=types.Channel(type=standard_artifacts.Examples),
                case_statistics=types.Channel(type=standard_artifacts.Examples),
            )
        )
