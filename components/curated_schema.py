"""CuratedSchema: writes a schema of `schemas.py` as an artifact. Needs no file at a known path."""

from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from beam_preprocess.atomic import write_text
from beam_preprocess.case import DatasetInfo
from beam_preprocess.config_io import from_json, to_json
from components.artifacts import Artifacts
from components.schemas import schema_text


class CuratedSchemaSpec(ComponentSpec):
    """Inputs, outputs and parameters of CuratedSchema."""

    PARAMETERS = {
        "kind": ExecutionParameter(type=str),
        "info": ExecutionParameter(type=str),
        "fingerprint": ExecutionParameter(type=str),
    }
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {"schema": ChannelParameter(type=standard_artifacts.Schema)}


class CuratedSchemaExecutor(base_executor.BaseExecutor):
    """Writes `schema.pbtxt`."""

    def Do(  # noqa: N802
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        """Writes the schema of the dataset."""
        info = from_json(DatasetInfo, exec_properties["info"])
        uri = artifact_utils.get_single_uri(output_dict["schema"])
        write_text(Path(uri) / "schema.pbtxt", schema_text(exec_properties["kind"], info))


class CuratedSchema(base_component.BaseComponent):
    """The curated schema of a dataset.

    Args:
      kind: `records` (raw records) or `statistics` (case statistics).
      info: The dataset.
      fingerprint: Hash of the code behind it.
    """

    SPEC_CLASS = CuratedSchemaSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(CuratedSchemaExecutor)

    def __init__(self, kind: str, info: DatasetInfo, *, fingerprint: str):
        super().__init__(
            CuratedSchemaSpec(
                kind=kind,
                info=to_json(info),
                fingerprint=fingerprint,
                schema=types.Channel(type=standard_artifacts.Schema),
            )
        )
