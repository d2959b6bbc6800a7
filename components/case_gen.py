"""CaseGen: raw files -> `examples` (raw records) and `case_statistics`, split by folds."""

import json
import logging
from collections.abc import Sequence
from dataclasses import fields
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
from beam_preprocess.case import DataError, DatasetInfo, Problem, errors, warnings
from beam_preprocess.cohort import Cohort, list_cohort
from beam_preprocess.comparison import compare_cases
from beam_preprocess.config import DataConfig
from beam_preprocess.config_io import from_json, to_json
from beam_preprocess.convert import ConvertShards, Destination
from beam_preprocess.datasets import get_dataset
from beam_preprocess.shards import Shard, ShardResult, ShardStore, make_shards, read_results
from components.artifacts import Artifacts
from components.file_names import COHORT, COHORT_STATISTICS

_log = logging.getLogger(__name__)


class CaseGenSpec(ComponentSpec):
    """Inputs, outputs and parameters of CaseGen."""

    PARAMETERS = {
        name: ExecutionParameter(type=str)
        for name in ("config", "info", "data_fingerprint", "code", "store")
    }
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "case_statistics": ChannelParameter(type=standard_artifacts.Examples),
    }


class CaseGenExecutor(base_beam_executor.BaseBeamExecutor):
    """Lists the cohort, converts it shard by shard on Beam, and reports all problems at once."""

    def Do(  # noqa: N802
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        """Raises DataError with every error; warnings go to the log and the cohort's file."""
        config = from_json(DataConfig, exec_properties["config"])
        dataset = get_dataset(config)
        _check_info(dataset.info, from_json(DatasetInfo, exec_properties["info"]), config.root)
        cohort = list_cohort(dataset, config)
        shards = [
            shard
            for split, cases in cohort.splits.items()
            for shard in make_shards(split, cases, cases_per_shard=config.cases_per_shard)
        ]
        artifacts = [
            artifact_utils.get_single_instance(output_dict[name])
            for name in ("examples", "case_statistics")
        ]
        destination = Destination(
            examples=artifacts[0].uri,
            statistics=artifacts[1].uri,
            store=exec_properties["store"] or str(Path(self._get_tmp_dir()) / "records"),
            code=exec_properties["code"],
        )
        results = self._convert(
            shards,
            ConvertShards(
                dataset, destination, results_root=str(Path(self._get_tmp_dir()) / "results")
            ),
        )
        problems = all_problems(cohort, results)
        if errors(problems):
            raise DataError(errors(problems))
        for problem in warnings(problems):
            _log.warning("%s", problem)
        write_text(Path(artifacts[0].uri) / COHORT, cohort_json(cohort, problems))
        write_text(Path(artifacts[0].uri) / COHORT_STATISTICS, statistics_json(results))
        for artifact in artifacts:
            _describe(artifact, list(cohort.splits))
        ShardStore(destination.store).prune()

    def _convert(self, shards: list[Shard], convert: ConvertShards) -> list[ShardResult]:
        with self._make_beam_pipeline() as pipeline:
            _ = pipeline | "Shards" >> beam.Create(shards) | "ConvertShards" >> convert
        return read_results(convert.results_root, shards)


def _check_info(found: DatasetInfo, planned: DatasetInfo, root: str) -> None:
    """The later nodes were made for what the dataset was when the pipeline was compiled."""
    different = [
        f"{f.name} {getattr(planned, f.name)} became {getattr(found, f.name)}"
        for f in fields(DatasetInfo)
        if getattr(planned, f.name) != getattr(found, f.name)
    ]
    if different:
        raise ValueError(
            f"the dataset in {root} must be what the pipeline was made for, {'; '.join(different)}:"
            " run or compile again where this data.root can be read"
        )


def all_problems(cohort: Cohort, results: Sequence[ShardResult]) -> list[Problem]:
    """What the listing, the cases and their comparison showed."""
    paths = {c.case_id: str(c.images[0]) for cases in cohort.splits.values() for c in cases}
    statistics = [s for r in results for s in r.statistics]
    of_cases = [p for r in results for p in r.problems]
    return sorted({*cohort.problems, *of_cases, *compare_cases(statistics, paths)})


def cohort_json(cohort: Cohort, problems: Sequence[Problem]) -> str:
    """What later steps have to know: counts, reasons, the splits, and columns of the case table."""
    return json.dumps(
        {
            "listed": cohort.listed,
            "excluded": cohort.excluded,
            "ignored_files": cohort.ignored,
            "warnings": [str(p) for p in warnings(problems)],
            "splits": {name: [c.case_id for c in cases] for name, cases in cohort.splits.items()},
            "columns": cohort.columns,
        },
        indent=1,
    )


def statistics_json(results: Sequence[ShardResult]) -> str:
    """The statistics of all cases, as `unet-tfx check --against` reads them."""
    cases = sorted((s for r in results for s in r.statistics), key=lambda s: str(s["case_id"]))
    return json.dumps({"case_statistics": cases}, indent=0)


def _describe(artifact: types.Artifact, splits: list[str]) -> None:
    artifact.split_names = artifact_utils.encode_split_names(splits)
    examples_utils.set_payload_format(artifact, example_gen_pb2.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(artifact, "tfrecords_gzip")


class CaseGen(base_beam_component.BaseBeamComponent):
    """Lists, checks and converts the cases of one dataset.

    Args:
      config: The cohort.
      info: What its cases share; the later nodes are made for it.
      data_fingerprint: Hash of the content of the raw files. With `code` it is what TFX's cache is
        keyed by, since the path alone does not tell that a file changed.
      code: Hash of the code that reads and converts them.
      store: Folder of finished shards, which outlives a killed run; empty for none.
    """

    SPEC_CLASS = CaseGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(CaseGenExecutor)

    def __init__(
        self,
        config: DataConfig,
        info: DatasetInfo,
        *,
        data_fingerprint: str,
        code: str,
        store: str = "",
    ):
        super().__init__(
            CaseGenSpec(
                config=to_json(config),
                info=to_json(info),
                data_fingerprint=data_fingerprint,
                code=code,
                store=store,
                examples=types.Channel(type=standard_artifacts.Examples),
                case_statistics=types.Channel(type=standard_artifacts.Examples),
            )
        )
