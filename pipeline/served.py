"""Keeps `serving/` in step with the run: the newest version is the model that the run chose."""

import filecmp
import shutil
import time
from pathlib import Path


def ensure_served(chosen: Path, serving: Path) -> Path:
    """Makes the chosen model the newest version in `serving`.

    Usually the Pusher just did. But a Pusher from the cache pushes nothing, and its version may
    have been removed since, or another run may have pushed a newer one.

    Args:
      chosen: SavedModel folder of the chosen, blessed model.
      serving: Parent of the versions, whose names are timestamps in seconds.

    Returns:
      The folder of the newest version.
    """
    versions = sorted((int(p.name) for p in serving.glob("*") if p.name.isdigit()), reverse=True)
    if versions and _equal(chosen, serving / str(versions[0])):
        return serving / str(versions[0])
    version = max([int(time.time()), *(v + 1 for v in versions[:1])])
    temporary = serving / f".tmp-{version}"
    shutil.rmtree(temporary, ignore_errors=True)  # ours, of a run that was killed here
    shutil.copytree(chosen, temporary)
    return temporary.rename(serving / str(version))


def _equal(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files with the same contents."""
    names = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
    if names != sorted(p.relative_to(other) for p in other.rglob("*") if p.is_file()):
        return False
    return all(filecmp.cmp(one / name, other / name, shallow=False) for name in names)
