"""DataGate: stops the run where ExampleValidator found an anomaly, and says in which cases."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from beam_preprocess.atomic import write_text
from beam_preprocess.record_files import GZIP_SUFFIX, read_records
from components.anomalies import describe_anomalies
from components.artifacts import Artifacts, DataApproval


class DataGateSpec(ComponentSpec):
    """Inputs, outputs and parameters of DataGate."""

    PARAMETERS = {"fingerprint": ExecutionParameter(type=str)}
    INPUTS = {
        "anomalies": ChannelParameter(type=standard_artifacts.ExampleAnomalies),
        "case_statistics": ChannelParameter(type=standard_artifacts.Examples),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS = {"approval": ChannelParameter(type=DataApproval)}


class AnomalyError(ValueError):
    """Case statistics that the curated schema does not allow, one line per anomaly and case."""

    def __init__(self, anomalies: list[str]):
        self.anomalies = anomalies
        lines = "\n".join(f"  {i}. {a}" for i, a in enumerate(anomalies, 1))
        super().__init__(
            f"anomalies in the case statistics, nothing was trained:\n{lines}\n"
            "repair the named cases, or leave them out with data.exclude; where such values are"
            " ordinary, widen the `limits` of the dataset: its class in beam_preprocess/datasets"
            " gives them, or one of your own that data.dataset names"
        )


def read_anomalies(
    folder: Path, splits: Sequence[str], *, cases: Path, schema: schema_pb2.Schema
) -> list[str]:
    """Reads the anomalies of all splits: `fold-0: case-7: spacing_x: Out-of-range values: ...`.

    Args:
      folder: Of the anomalies artifact.
      splits: Its splits.
      cases: Folder of the case statistics.
      schema: Their curated schema.

    Raises:
      FileNotFoundError: A split was not validated.
    """
    found = []
    for split in splits:
        content = (folder / f"Split-{split}" / "SchemaDiff.pb").read_bytes()
        anomalies = anomalies_pb2.Anomalies.FromString(content)
        lines = describe_anomalies(anomalies, _records(cases / f"Split-{split}"), schema)
        found += [f"{split}: {line}" for line in lines]
    return found


def _records(split: Path) -> Iterator[bytes]:
    for path in sorted(split.glob(f"*{GZIP_SUFFIX}")):
        yield from read_records(path)


class DataGateExecutor(base_executor.BaseExecutor):
    """Raises AnomalyError, or writes the approval."""

    def Do(  # noqa: N802
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        """Reads the anomalies of every split."""
        artifact = artifact_utils.get_single_instance(input_dict["anomalies"])
        schema = Path(artifact_utils.get_single_uri(input_dict["schema"])) / "schema.pbtxt"
        anomalies = read_anomalies(
            Path(artifact.uri),
            artifact_utils.decode_split_names(artifact.split_names),
            cases=Path(artifact_utils.get_single_uri(input_dict["case_statistics"])),
            schema=tfdv.load_schema_text(str(schema)),
        )
        if anomalies:
            raise AnomalyError(anomalies)
        uri = artifact_utils.get_single_uri(output_dict["approval"])
        write_text(Path(uri) / "APPROVED", "")


class DataGate(base_component.BaseComponent):
    """Lets a run go on only where the case statistics fit the curated schema.

    Args:
      anomalies: Of ExampleValidator.
      case_statistics: Of CaseGen, what was validated: they tell which cases show an anomaly.
      schema: What they were validated against.
      fingerprint: Hash of the code behind it.
    """

    SPEC_CLASS = DataGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(DataGateExecutor)

    def __init__(
        self,
        anomalies: types.BaseChannel,
        case_statistics: types.BaseChannel,
        schema: types.BaseChannel,
        *,
        fingerprint: str,
    ):
        super().__init__(
            DataGateSpec(
                anomalies=anomalies,
                case_statistics=case_statistics,
                schema=schema,
                fingerprint=fingerprint,
                approval=types.Channel(type=DataApproval),
            )
        )
