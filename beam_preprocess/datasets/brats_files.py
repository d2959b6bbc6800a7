"""Names of the files of a BraTS case folder, and what is told where they are not as they must be.

2018 to 2021 name them `CASE_t1.nii.gz`, 2023 onwards `CASE-t1n.nii.gz`. Every case folder follows
one of the two; a cohort may hold folders of both.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from beam_preprocess.case import Problem
from beam_preprocess.datasets.listing import is_stray, some
from beam_preprocess.datasets.volumes import SUFFIXES

CHANNELS = ("t1", "t1ce", "t2", "flair")
LABEL = "seg"


@dataclass(frozen=True)
class Naming:
    """How the files of a case are named: case id, separator, modality, suffix.

    Attributes:
      separator: What stands between case id and modality.
      modalities: In channel order: T1, T1ce, T2, FLAIR.
    """

    separator: str
    modalities: tuple[str, ...]

    def names(self, case_id: str, modality: str) -> list[str]:
        """The names that the file of a modality (or of the label) may have."""
        return [f"{case_id}{self.separator}{modality}{suffix}" for suffix in SUFFIXES]

    def all_names(self, case_id: str) -> set[str]:
        """The names that any file of a case may have."""
        return {n for m in (*self.modalities, LABEL) for n in self.names(case_id, m)}

    def is_of(self, path: Path) -> bool:
        """Whether a file of a case folder is named this way."""
        return path.name in self.all_names(path.parent.name)


UNTIL_2021 = Naming("_", CHANNELS)
FROM_2023 = Naming("-", ("t1n", "t1c", "t2w", "t2f"))
NAMINGS = (UNTIL_2021, FROM_2023)
_ANY_CASE = re.compile(r".(_(t1|t1ce|t2|flair|seg)|-(t1n|t1c|t2w|t2f|seg))\.nii(\.gz)?$")


def namings_of(folder: Path) -> dict[Naming, list[str]]:
    """The namings that files of a case folder follow -> the names of those files."""
    names = {p.name for p in folder.iterdir() if p.is_file()}
    found = {n: sorted(n.all_names(folder.name) & names) for n in NAMINGS}
    return {naming: files for naming, files in found.items() if files}


def find_files(
    folder: Path, naming: Naming, modalities: Sequence[str]
) -> tuple[tuple[Path, ...], list[Problem]]:
    """One path per modality; a problem for every modality that has no file or two."""
    paths, problems = [], []
    for modality in modalities:
        candidates = [folder / name for name in naming.names(folder.name, modality)]
        existing = [p for p in candidates if p.is_file()]
        paths += existing[:1]
        if len(existing) != 1:
            problems.append(_not_one_file(modality, existing, candidates[0]))
    return tuple(paths), problems


def _not_one_file(modality: str, existing: Sequence[Path], expected: Path) -> Problem:
    folder = expected.parent
    remedy = "remove one of .nii and .nii.gz"
    if not existing:
        unknown = _unknown_volumes(folder)
        remedy = f"add the file, or rename {some(unknown)}" if unknown else "add the file"
    if not existing and modality == LABEL:
        remedy += ", or take the case for prediction only with data.allow_unlabelled"
    return Problem(
        case_id=folder.name,
        rule=f"every case needs one file of modality {modality!r}, found {len(existing)}",
        path=str(expected),
        remedy=f"{remedy}, or leave the case out with data.exclude",
    )


def _unknown_volumes(folder: Path) -> list[str]:
    """Names of NIfTI files that are none of the case's."""
    known = set().union(*(n.all_names(folder.name) for n in NAMINGS))
    volumes = (p for p in folder.iterdir() if p.name.endswith(SUFFIXES) and not is_stray(p))
    return sorted({p.name for p in volumes} - known)


def not_one_naming(folder: Path, namings: Mapping[Naming, Sequence[str]]) -> Problem:
    """What is wrong with a folder whose files follow none of the namings, or both."""
    foreign = [n for n in _unknown_volumes(folder) if _ANY_CASE.search(n)]
    if namings:
        first, second = (some(names) for names in namings.values())
        rule = f"the files of a case must follow one naming, found {first} beside {second}"
        remedy = "remove or rename the files of one naming, or leave the case out with data.exclude"
    elif foreign:
        rule = f"the files of a case must be named after its folder, found {some(foreign)}"
        remedy = "rename the folder or its files, or leave it out with data.exclude"
    else:
        rule = "a folder in the root must be a case, this one holds no file of a BraTS case"
        remedy = (
            "remove it from the root, leave it out with data.exclude, or set data.root to it if it"
            " holds the case folders"
        )
    return Problem(case_id=folder.name, rule=rule, path=str(folder), remedy=remedy)
