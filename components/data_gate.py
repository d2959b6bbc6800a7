"""DataGate: stops the run where ExampleValidator found an anomaly, and says which in words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from beam_preprocess.atomic import write_text
from components.artifacts import DataApproval


class DataGateSpec(ComponentSpec):
    """Inputs, outputs and parameters of DataGate."""

    PARAMETERS = {"fingerprint": ExecutionParameter(type=str)}
    INPUTS = {"anomalies": ChannelParameter(type=standard_artifacts.ExampleAnomalies)}
    OUTPUTS = {"approval": ChannelParameter(type=DataApproval)}


class AnomalyError(ValueError):
    """Case statistics that the curated schema does not allow, one line per anomaly."""

    def __init__(self, anomalies: list[str]):
        self.anomalies = anomalies
        lines = "\n".join(f"  {i}. {a}" for i, a in enumerate(anomalies, 1))
        super().__init__(
            f"{len(anomalies)} anomalies in the case statistics, nothing was trained:\n{lines}\n"
            "look at the cases named in the case statistics, repair them or leave them out with"
            " data.exclude; where such values are ordinary, widen the limits of the dataset's"
            " schema"
        )


def describe_anomalies(folder: Path, splits: Sequence[str]) -> list[str]:
    """Reads the anomalies of all splits: `fold-0: spacing_x: Out-of-range values: ...`.

    Args:
      folder: Of the anomalies artifact.
      splits: Its splits.

    Raises:
      FileNotFoundError: A split was not validated.
    """
    found = []
    for split in splits:
        content = (folder / f"Split-{split}" / "SchemaDiff.pb").read_bytes()
        anomalies = anomalies_pb2.Anomalies.FromString(content)
        named = {**anomalies.anomaly_info}
        if anomalies.HasField("dataset_anomaly_info"):
            named["all cases"] = anomalies.dataset_anomaly_info
        for name, info in sorted(named.items()):
            found.append(f"{split}: {name}: {info.short_description}: {info.description}")
    return found


class DataGateExecutor(base_executor.BaseExecutor):
    """Raises AnomalyError, or writes the approval."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Reads the anomalies of every split."""
        artifact = artifact_utils.get_single_instance(input_dict["anomalies"])
        splits = artifact_utils.decode_split_names(artifact.split_names)
        anomalies = describe_anomalies(Path(artifact.uri), splits)
        if anomalies:
            raise AnomalyError(anomalies)
        uri = artifact_utils.get_single_uri(output_dict["approval"])
        write_text(Path(uri) / "APPROVED", "")


class DataGate(base_component.BaseComponent):
    """Lets a run go on only where the case statistics fit the curated schema.

    Args:
      anomalies: Of ExampleValidator.
      fingerprint: Hash of the code behind it.
    """

    SPEC_CLASS = DataGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(DataGateExecutor)

    def __init__(self, anomalies: types.BaseChannel, *, fingerprint: str):
        approval = types.Channel(type=DataApproval)
        super().__init__(
            DataGateSpec(anomalies=anomalies, fingerprint=fingerprint, approval=approval)
        )
