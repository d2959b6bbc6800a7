"""The workers of a training, as the environment names them that a process was started with."""

import json
import os
from typing import Any, Literal


def is_chief() -> bool:
    """Whether this process is the chief of the workers it was started with, or the only one.

    Raises:
      ValueError: TF_CONFIG is no JSON object.
    """
    task, has_chief = _tf_config("task"), bool(_tf_config("cluster").get("chief"))
    index = 0 if task.get("type") == "chief" else task.get("index", 0) + has_chief
    ranks = (os.environ.get(name, "0") for name in ("HOROVOD_RANK", "OMPI_COMM_WORLD_RANK"))
    return index == 0 and all(rank == "0" for rank in ranks)


def is_of_horovod() -> bool:
    """Whether Horovod started this process: by Gloo, or by MPI."""
    return "HOROVOD_SIZE" in os.environ or "OMPI_COMM_WORLD_SIZE" in os.environ


def tf_config_workers() -> list[str]:
    """Addresses of all workers by TF_CONFIG, the chief first; empty without one.

    Raises:
      ValueError: TF_CONFIG is no JSON object.
    """
    cluster = _tf_config("cluster")
    return [*cluster.get("chief", []), *cluster.get("worker", [])]


def _tf_config(part: Literal["cluster", "task"]) -> dict[str, Any]:
    """An object in TF_CONFIG; empty where there is none."""
    text = os.environ.get("TF_CONFIG", "")
    try:
        return {**json.loads(text or "{}").get(part, {})}
    except (ValueError, AttributeError, TypeError) as e:
        raise ValueError(f"TF_CONFIG must be a JSON object, got {text!r} ({e})") from e
