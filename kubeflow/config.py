"""Config of the cluster's side: which image runs the nodes, and where their pods find things."""

import importlib.metadata
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from beam_preprocess.validation import require
from pipeline.config import RunConfig

HTML = "system.HTML"
"""Type of an artifact that is a page, as Kubeflow Pipelines names it: its page shows it inline."""
MOUNT = "/mnt/unet-tfx"
"""Where pods see the volume that they share, unless options say otherwise."""

# registry.example.com:5000/team/unet-tfx:0.1.0, with or without registry, tag and digest
_IMAGE = re.compile(
    r"[a-z0-9][a-z0-9._-]*(:\d+)?(/[a-z0-9][a-z0-9._-]*)*(:\w[\w.-]*)?(@sha256:[0-9a-f]{64})?"
)
# TFX allows 128 characters (pipeline_builder.py), Kubernetes adds a hyphen and a suffix.
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,126}[a-z0-9])?")


def _own_image() -> str:
    return f"unet-tfx:{importlib.metadata.version('unet-tfx')}"


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """What a cluster has to know beside the run config.

    Attributes:
      image: Container image with this package, which runs every node.
      serving: Folder of the pushed models, as pods see it: SERVING/NAME/VERSION.
      state: Folder of checkpoints and staged records, as pods see it; it outlives the pods.
      data_version: Any text that changes whenever files under data.root change, for Kubeflow's
        cache sees their path only. Empty: CaseGen reads the files in every run.
    """

    image: str = field(default_factory=_own_image)
    serving: str = f"{MOUNT}/serving"
    state: str = f"{MOUNT}/state"
    data_version: str = ""

    def __post_init__(self) -> None:
        known = _IMAGE.fullmatch(self.image) is not None
        require(known, "image", self.image, "the name of a container image like 'unet-tfx:0.1.0'")
        for name in ("serving", "state"):
            _require_absolute(name, getattr(self, name))


def check_run(config: RunConfig) -> None:
    """Raises ValueError unless the name is one for Kubeflow and the data have a path on the
    cluster.
    """
    allowed = "at most 128 of a-z, 0-9 and hyphens, a letter first, no hyphen last"
    require(_NAME.fullmatch(config.name) is not None, "name", config.name, allowed)
    _require_absolute("data.root", config.data.root)


def _require_absolute(name: str, path: str) -> None:
    require(PurePosixPath(path).is_absolute(), name, path, "an absolute path, as pods see it")
