"""Baseline: imports the model that is deployed now, which the new one must not fall behind.

Where that is the new one itself, pushed before, it imports what was deployed before it.

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
from components.origin import NEWEST, NOTHING, image_threshold, list_deployments, read_origin
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
        candidate = Path(
            path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["candidate"]))
        )
        output = artifact_utils.get_single_uri(output_dict["model"])
        info = from_json(DatasetInfo, exec_properties["info"])
        version = find_rival(serving, exec_properties["version"], candidate)
        found = examine(serving / version, info) if version else {"reason": ""}
        if version and not found["reason"]:
            io_utils.copy_dir(str(serving / version), path_utils.serving_model_dir(output))
        write_text(Path(output) / BASELINE, json.dumps({"version": version} | found, indent=1))


def find_rival(serving: Path, version: str, candidate: Path) -> str:
    """The version that a new model is compared with: the newest of another model.

    A model that is deployed already is no worse than itself, and that would bless it the second
    time if it was pushed by force the first time: it is compared with what was deployed before it.

    Args:
      serving: Parent of the pushed versions.
      version: Where to begin: a version, `NEWEST` or `NOTHING`.
      candidate: SavedModel folder of the new model.

    Returns:
      The version; `NOTHING` where no other model is deployed.
    """
    if version == NOTHING:
        return NOTHING
    versions = [d.version for d in list_deployments(serving)]
    if version != NEWEST:
        versions = [version, *(v for v in versions if int(v) < int(version))]
    return next((v for v in versions if not same_model(serving / v, candidate)), NOTHING)


def examine(deployed: Path, info: DatasetInfo) -> dict[str, Any]:
    """Whether a deployed model can be compared with a new one.

    Args:
      deployed: SavedModel folder of the deployed model; it may have gone.
      info: The dataset of the run.

    Returns:
      `reason`: why it is not to be compared, or empty; then `threshold`, from which on it takes an
      image for defective, too.
    """
    try:
        spec = read_metadata(newest_version(deployed))
    except ValueError as e:
        return {"reason": str(e)}
    differ = [n for n in _DECIDE if getattr(spec.dataset, n) != getattr(info, n)]
    if differ:
        name = differ[0]
        ours, theirs = getattr(info, name), getattr(spec.dataset, name)
        return {"reason": f"its {name} are {theirs}, those of the run {ours}"}
    if read_origin(deployed) is None:
        return {"reason": "it does not tell what it was trained on"}
    return {"reason": "", "threshold": image_threshold(deployed, spec)}


def same_model(one: Path, other: Path) -> bool:
    """Whether two SavedModels have the same weights and settings; one may be damaged, or gone."""
    names = sorted(p.relative_to(one) for p in (one / "variables").glob("*") if p.is_file())
    if names != sorted(p.relative_to(other) for p in (other / "variables").glob("*")):
        return False
    files = [*names, Path(METADATA)]
    if not all((folder / METADATA).is_file() for folder in (one, other)):
        return False
    return all(filecmp.cmp(one / n, other / n, shallow=False) for n in files)


class Baseline(base_component.BaseComponent):
    """Imports the deployed model.

    Args:
      candidate: The new model, which may be deployed already.
      serving: Parent of the pushed versions.
      version: The one to begin with, `components.origin.NOTHING` or `NEWEST`: see `find_rival`.
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
