"""The folders of DAGM 2007: where the classes lie, and what does not belong there.

A folder whose name is wrong would be left out unnoticed, so everything that belongs nowhere is a
problem, but for what operating systems leave behind.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from beam_preprocess.case import Problem
from beam_preprocess.datasets.dagm_lists import LABELS_TXT, csv_path
from beam_preprocess.datasets.listing import is_stray, stray_paths, subfolders

PARTS = {"Train": "cv", "Test": "test"}
"""Folder of a part -> the split of its images."""
_CLASS = re.compile(r"Class(10|[1-9])")
_NUMBER = re.compile(r"\W*class\D*(\d+)", re.IGNORECASE)
_PRIVATE = Path("raw_images", "private")


def classes_root(root: Path) -> Path:
    """The parent of the class folders: `root`, or raw_images/private in it (NVIDIA's layout)."""
    has_classes = any(_number(p) is not None for p in subfolders(root))
    return root / _PRIVATE if not has_classes and (root / _PRIVATE).is_dir() else root


def class_folders(root: Path, numbers: Collection[int]) -> list[Path]:
    """The folders of the classes `numbers`, or of all that are there if it is empty."""
    names = [f"Class{n}" for n in numbers] or None
    return [f for f in subfolders(root, names) if _CLASS.fullmatch(f.name)]


def parts_of(folders: Iterable[Path]) -> list[Path]:
    """The parts (Train, Test) of class folders."""
    return [part for folder in folders for part in subfolders(folder, PARTS)]


def find_strays(root: Path, folders: Sequence[Path]) -> list[Path]:
    """What operating systems left behind in the root, its class folders and their parts."""
    parts = parts_of(folders)
    return stray_paths([root, *folders, *parts, *(p / "Label" for p in parts if _has_masks(p))])


def check_layout(root: Path, folders: Sequence[Path], numbers: Collection[int]) -> list[Problem]:
    """Problems of class folders that are missing or misnamed, and of all that belongs nowhere.

    Args:
      root: Parent of the class folders.
      folders: The class folders that are used.
      numbers: The classes to use; all if empty. What is no selected class is fine then.
    """
    problems = _missing_classes(root, numbers, folders) + _missing_train(folders)
    if any(_number(p) is not None for p in subfolders(root)):
        problems += _check_root(root, numbers)
    for folder in folders:
        problems += _check_class(root, folder)
    for part in parts_of(folders):
        problems += _check_part(root, part)
    return problems


def _number(path: Path) -> int | None:
    """The class that a name seems to mean.

    >>> _number(Path("class 02 (copy)")), _number(Path("Validation"))
    (2, None)
    """
    match = _NUMBER.match(path.name)
    return int(match[1]) if match else None


def _has_masks(part: Path) -> bool:
    return (part / "Label").is_dir()


def _missing_classes(
    root: Path, numbers: Collection[int], folders: Sequence[Path]
) -> list[Problem]:
    found = [f.name for f in folders]
    remedy = (
        "set data.root to the parent of the class folders, and data.classes to those that are there"
    )
    return [
        Problem(
            case_id=name,
            rule=f"every class of data.classes needs a folder, found {found or 'no class folder'}",
            path=str(root / name),
            remedy=remedy,
        )
        for name in (f"Class{n}" for n in numbers)
        if name not in found
    ]


def _missing_train(folders: Sequence[Path]) -> list[Problem]:
    """A class without its Train part would vanish from cross-validation unnoticed."""
    return [
        Problem(
            case_id=folder.name,
            rule="every class folder needs a part Train,"
            f" found {[p.name for p in subfolders(folder)]}",
            path=str(folder / "Train"),
            remedy="restore the part, or leave the class out with data.classes",
        )
        for folder in folders
        if not (folder / "Train").is_dir()
    ]


def _check_root(root: Path, numbers: Collection[int]) -> list[Problem]:
    def belongs(path: Path) -> bool:
        if path.is_dir() and _CLASS.fullmatch(path.name):
            return True
        number = _number(path)
        selected = path.is_file() if number is None else number in numbers
        return bool(numbers) and not selected

    return _intruders(root, root, belongs, "the root must hold folders Class1 to Class10 only")


def _check_class(root: Path, folder: Path) -> list[Problem]:
    lists = {csv_path(part) for part in subfolders(folder, PARTS)}

    def belongs(path: Path) -> bool:
        return path in lists if path.is_file() else path.name in PARTS

    rule = "a class must hold folders Train and Test, and a list of each, only"
    return _intruders(root, folder, belongs, rule)


def _check_part(root: Path, part: Path) -> list[Problem]:
    def is_image(path: Path) -> bool:
        return path.suffix.lower() == ".png" if path.is_file() else path.name == "Label"

    def is_mask(path: Path) -> bool:
        return path.is_file() and (path.suffix.lower() == ".png" or path.name == LABELS_TXT)

    rule = "a part must hold PNG images and the folder Label only"
    problems = _intruders(root, part, is_image, rule)
    if _has_masks(part):
        rule = f"a folder Label must hold PNG masks and {LABELS_TXT} only"
        problems += _intruders(root, part / "Label", is_mask, rule)
    return problems


def _intruders(
    root: Path, folder: Path, belongs: Callable[[Path], bool], rule: str
) -> list[Problem]:
    return [
        Problem(
            case_id="_".join(path.relative_to(root).parts),
            rule=f"{rule}, found {path.name!r}",
            path=str(path),
            remedy="rename it, move it out of the dataset, or leave it out with data.exclude",
        )
        for path in sorted(folder.iterdir())
        if not is_stray(path) and not belongs(path)
    ]
