"""Writing: a file is there whole or not at all, and a folder of somebody's is never written into."""

import os
from pathlib import Path

from beam_preprocess.validation import require


def write_atomically(path: Path, content: bytes) -> None:
    """Writes `content` under a temporary name beside `path`, then renames it; makes missing folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def require_new_folder(out: Path) -> None:
    """Raises ValueError if `out` is a file or holds anything; creates and deletes nothing."""
    free = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    allowed = (
        "a new or an empty folder (nothing is overwritten: choose another, or empty it yourself)"
    )
    require(free, "OUT", str(out), allowed)


def require_cohort(cases: int, seed: int) -> None:
    """Raises ValueError unless there is at least one case and the seed is one that NumPy takes."""
    require(cases >= 1, "cases", cases, "at least 1")
    require(seed >= 0, "seed", seed, "at least 0")
