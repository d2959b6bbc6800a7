"""What the listings of all datasets share."""

from collections.abc import Iterable
from pathlib import Path

from beam_preprocess.case import Listing, Problem

_STRAY = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir"}


def is_stray(path: Path) -> bool:
    """Whether a path is left behind by an operating system or an archiver, not by the dataset."""
    return path.name.lower() in _STRAY or path.name.startswith(".")


def stray_paths(folders: Iterable[Path]) -> list[Path]:
    """The stray files and folders that lie in `folders`, sorted."""
    return sorted(p for folder in folders for p in folder.iterdir() if is_stray(p))


def missing_root(root: Path) -> Listing | None:
    """A listing that says why `root` cannot be read, or None where it can."""
    if root.is_dir():
        return None
    what = "is not a folder" if root.exists() else "does not exist"
    rule = f"data.root must be a folder of the dataset, and {str(root)!r} {what}"
    remedy = "set data.root to the folder that holds the dataset"
    return Listing(
        cases=(), problems=(Problem(case_id=root.name, rule=rule, path=str(root), remedy=remedy),)
    )


def subfolders(root: Path, names: Iterable[str] | None = None) -> list[Path]:
    """The folders in `root`, by name and without stray ones; only those of `names`, if given."""
    wanted = None if names is None else set(names)
    return sorted(
        p
        for p in root.iterdir()
        if p.is_dir() and not is_stray(p) and (wanted is None or p.name in wanted)
    )


def some(names: Iterable[str], most: int = 3) -> str:
    """The first of `names` in words, and how many there are besides.

    >>> some(["a", "b", "c", "d"], most=2)
    'a, b and 2 more'
    """
    names = list(names)
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
