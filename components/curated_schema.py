"""CuratedSchema: writes a schema of `schemas.py` as an artifact. Needs no file at a known path."""

from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from beam_preprocess.atomic import write_text
from beam_preprocess.config import DataConfig
from beam_preprocess.config_io import from_json, to_json
from beam_preprocess.datasets import get_dataset
from components.schemas import schema_text


class CuratedSchemaSpec(ComponentSpec):
    """Inputs, outputs and parameters of CuratedSchema."""

    PARAMETERS = {
        "kind": ExecutionParameter(type=str),
        "config": ExecutionParameter(type=str),
        "fingerprint": ExecutionParameter(type=str),
    }
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {"schema": ChannelParameter(type=standard_artifacts.Schema)}


class CuratedSchemaExecutor(base_executor.BaseExecutor):
    """Writes `schema.pbtxt`."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the schema of the dataset."""
        info = get_dataset(from_json(DataConfig, exec_properties["config"])).info
        uri = artifact_utils.get_single_uri(output_dict["schema"])
        write_text(Path(uri) / "schema.pbtxt", schema_text(exec_properties["kind"], info))


class CuratedSchema(base_component.BaseComponent):
    """The curated schema of a dataset.

    Args:
      kind: `records` (raw records) or `statistics` (case statistics).
      config: Tells the dataset. Nothing else of it is kept, so that other changes leave the cache.
      fingerprint: Hash of the code behind it.
    """

    SPEC_CLASS = CuratedSchemaSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(CuratedSchemaExecutor)

    def __init__(self, kind: str, config: DataConfig, *, fingerprint: str):
        super().__init__(
            CuratedSchemaSpec(
                kind=kind,
                config=to_json(DataConfig(dataset=config.dataset)),
                fingerprint=fingerprint,
                schema=types.Channel(type=standard_artifacts.Schema),
            )
        )
