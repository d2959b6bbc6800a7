"""What was trained with what, on what: `manifest.json` in the folder of a training.

It names no patient and no machine: it goes where models go.
"""

import importlib.metadata
import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from beam_preprocess.atomic import write_text
from trainer.distribution import Distribution, choose_strategy
from trainer.hardware import hardware, versions
from trainer.job import TrainingJob
from trainer.staging import data_fingerprint

_ROOT = Path(__file__).parents[1]
_MAY_CHANGE = ("model", "trainer", "code", "versions", "hardware", "strategy")
"""What a resumed training may have another value of."""


def write_manifest(job: TrainingJob, distribution: Distribution, *, start: int) -> dict[str, Any]:
    """Writes the manifest of a training that begins, or notes in it that one goes on.

    Args:
      job: What is trained.
      distribution: On what.
      start: Steps that are done already.

    Returns:
      What is written: `title`, `started` (UTC), `seed`, `model`, `trainer`, `data` (fingerprint and
      number of cases and patients), `code` (version, and the revision where it is a checkout),
      `versions`, `hardware`, `strategy`, and `resumed`: time, first step, and what is different
      from the first time, of every time it went on.
    """
    path, now = job.folder.manifest, _now()
    facts = json.loads(json.dumps(_facts(job, distribution)))  # tuples become lists
    first = json.loads(path.read_text(encoding="utf-8")) if start and path.exists() else None
    manifest = first or {"title": job.folder.title, "started": now} | facts | {"resumed": []}
    if start:
        differs = {k: facts[k] for k in _MAY_CHANGE if facts[k] != manifest[k]}
        again = {"at": now, "after_step": start, "different": differs}
        manifest = manifest | {"resumed": [*manifest["resumed"], again]}
    write_text(path, json.dumps(manifest, indent=1))
    return manifest


def _facts(job: TrainingJob, distribution: Distribution) -> dict[str, Any]:
    return {
        "seed": job.config.seed,
        "model": asdict(job.model),
        "trainer": _without_address(asdict(job.config)),
        "data": {
            "fingerprint": data_fingerprint(job.cases),
            "cases": len(job.cases),
            "patients": len({c.group for c in job.cases}),
        },
        "code": code(_ROOT),
        "versions": versions(),
        "hardware": hardware() | {"gpu_memory": gpu_memory()},
        "strategy": {
            "name": choose_strategy(job.config.strategy),
            "workers": distribution.workers,
            "replicas": distribution.part.replicas,
        },
    }


def _without_address(trainer: dict[str, Any]) -> dict[str, Any]:
    """The config without MLflow's server or file, which names a machine or a person."""
    tracking = {k: v for k, v in trainer["tracking"].items() if k != "mlflow_uri"}
    return trainer | {"tracking": tracking}


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def code(root: Path) -> dict[str, Any]:
    """Version of the package, and of a checkout its revision, and whether files differ from it.

    Args:
      root: Parent of our packages.
    """
    found: dict[str, Any] = {"version": importlib.metadata.version("unet-tfx")}
    if not (root / ".git").exists():  # a repository further up is somebody else's
        return found
    revision = _output(["git", "-C", str(root), "rev-parse", "HEAD"])
    changes = _output(["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"])
    if revision is None or changes is None:
        return found
    return found | {"revision": revision, "dirty": bool(changes)}


def gpu_memory() -> list[str]:
    """Name and memory of every NVIDIA GPU of the machine; empty where the driver is not there."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    return (_output(command) or "").splitlines()


def _output(command: Sequence[str]) -> str | None:
    """What a command prints; None where it is not there or fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
