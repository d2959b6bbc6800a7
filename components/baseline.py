"""Baseline: imports the model that is deployed now, which the new one must not fall behind.

Kubeflow's open-source backend has no Resolver node, and ML Metadata would not know of a model that
somebody else pushed: the push destination itself is read. What lies there changes outside of the
run. A runner that can look at it gives the version as a parameter, by which the node is cached;
elsewhere the node looks when it runs, and must run every time.
"""

import filecmp
import json
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import io_utils, path_utils

from beam_preprocess.atomic import write_text
from beam_preprocess.case import DatasetInfo
from beam_preprocess.config_io import from_json, to_json
from components.artifacts import Artifacts
from components.file_names import BASELINE
from components.origin import NEWEST, NOTHING, list_deployments, read_origin
from trainer.model_folder import METADATA, newest_version, read_metadata

_DECIDE = ("channels", "label_names", "label_values", "regions", "rank", "task")
"""What two datasets must have in common for the scores of a model to mean the same on both."""


class BaselineSpec(ComponentSpec):
    """Input, output and parameters of Baseline."""

    PARAMETERS = {
        "serving": ExecutionParameter(type=str),
        "version": ExecutionParameter(type=str),
        "info": ExecutionParameter(type=str),
        "fingerprint": ExecutionParameter(type=str),
    }
    INPUTS = {"candidate": ChannelParameter(type=standard_artifacts.Model)}
    OUTPUTS = {"model": ChannelParameter(type=standard_artifacts.Model)}


class BaselineExecutor(base_executor.BaseExecutor):
    """Writes `baseline.json`, and a copy of the deployed model where it is to be compared with."""

    def Do(  # noqa: N802
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        """Finds the deployed model."""
        serving = Path(exec_properties["serving"])
        version = exec_properties["version"]
        if version == NEWEST:
            version = next((d.version for d in list_deployments(serving)), NOTHING)
        candidate = Path(
            path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["candidate"]))
        )
        output = artifact_utils.get_single_uri(output_dict["model"])
        info = from_json(DatasetInfo, exec_properties["info"])
        found = examine(serving / version, candidate, info) if version else {"reason": ""}
        if version and not found.get("same") and not found["reason"]:
            io_utils.copy_dir(str(serving / version), path_utils.serving_model_dir(output))
        text = json.dumps({"version": version, "same": False} | found, indent=1)
        write_text(Path(output) / BASELINE, text)


def examine(deployed: Path, candidate: Path, info: DatasetInfo) -> dict[str, Any]:
    """Whether a deployed model can be compared with a new one.

    Args:
      deployed: SavedModel folder of the deployed model; it may have gone.
      candidate: SavedModel folder of the new one.
      info: The dataset of the run.

    Returns:
      `same`: whether both have the same weights and settings. `reason`: why they are not to be
      compared, or empty.
    """
    try:
        spec = read_metadata(newest_version(deployed))
    except ValueError as e:
        return {"same": False, "reason": str(e)}
    if same_model(deployed, candidate):
        return {"same": True, "reason": ""}
    differ = [n for n in _DECIDE if getattr(spec.dataset, n) != getattr(info, n)]
    if differ:
        name = differ[0]
        ours, theirs = getattr(info, name), getattr(spec.dataset, name)
        return {"same": False, "reason": f"its {name} are {theirs}, those of the run {ours}"}
    if read_origin(deployed) is None:
        return {"same": False, "reason": "it does not tell what it was trained on"}
    return {"same": False, "reason": ""}


def same_model(one: Path, other: Path) -> bool:
    """Whether two SavedModels have the same weights and the same graph around them."""
    names = sorted(p.relative_to(one) for p in (one / "variables").glob("*") if p.is_file())
    if names != sorted(p.relative_to(other) for p in (other / "variables").glob("*")):
        return False
    return all(filecmp.cmp(one / n, other / n, shallow=False) for n in [*names, Path(METADATA)])


class Baseline(base_component.BaseComponent):
    """Imports the deployed model.

    Args:
      candidate: The new model: that it is deployed already is no reason to score it twice.
      serving: Parent of the pushed versions.
      version: The one to import, `components.origin.NOTHING` or `NEWEST`.
      info: The dataset.
      fingerprint: Hash of the code behind it.
    """

    SPEC_CLASS = BaselineSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(BaselineExecutor)

    def __init__(
        self,
        candidate: types.BaseChannel,
        *,
        serving: str,
        version: str,
        info: DatasetInfo,
        fingerprint: str,
    ):
        super().__init__(
            BaselineSpec(
                candidate=candidate,
                serving=serving,
                version=version,
                info=to_json(info),
                fingerprint=fingerprint,
                model=types.Channel(type=standard_artifacts.Model),
            )
        )
