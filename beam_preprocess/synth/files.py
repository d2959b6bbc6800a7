"""What both cohorts need: whole files or none, a folder that is nobody's yet, sensible numbers."""

from pathlib import Path

from beam_preprocess.atomic import atomic_path
from beam_preprocess.validation import require


def write_bytes(path: Path, content: bytes) -> None:
    """Writes `content` to `path`, atomically; makes missing folders."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def require_new_folder(out: Path) -> None:
    """Raises ValueError if `out` is a file or holds anything; creates and deletes nothing."""
    free = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    remedy = "nothing there is overwritten or deleted: choose another, or empty it yourself"
    require(free, "OUT", str(out), f"a new or an empty folder ({remedy})")


def require_cohort(cases: int, seed: int) -> None:
    """Raises ValueError unless there is at least one case and the seed is one that NumPy takes."""
    require(cases >= 1, "cases", cases, "at least 1")
    require(seed >= 0, "seed", seed, "at least 0")
