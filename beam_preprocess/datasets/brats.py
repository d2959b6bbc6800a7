"""BraTS: a folder per case with four modalities and a segmentation, flat or under HGG/ and LGG/.

Channel order T1, T1ce, T2, FLAIR and the label names are those of the reference systems; regions
are those of the BraTS challenge (ET = 4, TC = 1 and 4, WT = 1, 2 and 4).
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beam_preprocess import checks
from beam_preprocess.case import Case, CaseFiles, DataError, DatasetInfo, Listing, Problem
from beam_preprocess.datasets.listing import is_stray, missing_root, subfolders
from beam_preprocess.nifti import Nifti, read_nifti, write_nifti

CHANNELS = ("t1", "t1ce", "t2", "flair")
LABEL = "seg"
GRADES = ("HGG", "LGG")
_SUFFIXES = (".nii.gz", ".nii")
_TIMEPOINT = re.compile(r"^(Brats(?:17|18)_.+_\d+)_\d+$|^(BraTS-[A-Z]+-\d+)-\d+$")


class Brats:
    """Reader of BraTS 2018 to 2021 folders."""

    info = DatasetInfo(
        name="brats",
        rank=3,
        channels=CHANNELS,
        label_values=(0, 1, 2, 4),
        label_names={1: "TumorCore", 2: "PeritumoralEdema", 4: "EnhancingTumor"},
        regions={"ET": (4,), "TC": (1, 4), "WT": (1, 2, 4), "WholeTumor": (1, 2, 4)},
        foreground="nonzero",
        serving_dtypes=("float32", "int16"),
        label_suffixes=_SUFFIXES,
        task="regions",
    )

    def list_cases(self, root: Path) -> Listing:
        """Lists the case folders; the grade folder, where there is one, is the stratum."""
        if listing := missing_root(root):
            return listing
        found = [_list_folder(f, s) for f, s in _case_folders(root)]
        cases = sorted((c for c, _ in found if c), key=lambda c: c.case_id)
        problems = [p for _, ps in found for p in ps] + _duplicates(cases)
        ignored = tuple(sorted(p for p in root.iterdir() if p.is_file() or is_stray(p)))
        return Listing(cases=tuple(cases), problems=tuple(problems), ignored=ignored)

    def read_case(self, files: CaseFiles) -> Case:
        """Reads the modalities and the segmentation, and checks them against each other."""
        label = () if files.label is None else (files.label,)
        return _read(files, (*files.images, *label), self.info.label_values)

    def read_image(self, path: Path) -> Case:
        """Reads the modalities of the case folder `path`, which may have no segmentation."""
        path = path.resolve()
        if not path.is_dir():
            raise ValueError(
                f"input must be a BraTS case folder, got {str(path)!r}: name the folder"
            )
        paths, problems = _find_files(path, CHANNELS)
        if problems:
            missing = ", ".join(Path(p.path).name for p in problems)
            raise ValueError(
                f"a BraTS case folder must hold one file each of {', '.join(CHANNELS)},"
                f" {str(path)!r} lacks {missing} (or has .nii and .nii.gz of it)"
            )
        files = CaseFiles(case_id=path.name, group=path.name, stratum="", images=paths, label=None)
        return _read(files, paths, self.info.label_values)

    def write_label(self, label: NDArray[np.uint8], case: Case, path: Path) -> None:
        """Writes the label map as NIfTI with the affine of the case."""
        write_nifti(label, case.affine, path)


def _case_folders(root: Path) -> list[tuple[Path, str]]:
    """(case folder, stratum), from HGG/ and LGG/ where they are, and from the root itself."""
    graded = [(case, g.name) for g in subfolders(root, GRADES) for case in subfolders(g)]
    return graded + [(case, "none") for case in subfolders(root) if case.name not in GRADES]


def _list_folder(folder: Path, stratum: str) -> tuple[CaseFiles | None, list[Problem]]:
    paths, problems = _find_files(folder, (*CHANNELS, LABEL))
    if problems:
        return None, problems
    files = CaseFiles(
        case_id=folder.name,
        group=patient_of(folder.name),
        stratum=stratum,
        images=paths[:-1],
        label=paths[-1],
    )
    return files, []


def _find_files(folder: Path, names: Sequence[str]) -> tuple[tuple[Path, ...], list[Problem]]:
    """One path per modality name; a problem for every modality that has no file or two."""
    paths, problems = [], []
    for name in names:
        candidates = [folder / f"{folder.name}_{name}{suffix}" for suffix in _SUFFIXES]
        existing = [p for p in candidates if p.is_file()]
        paths += existing[:1]
        if len(existing) != 1:
            problems.append(_not_one_file(folder, name, existing, candidates[0]))
    return tuple(paths), problems


def _not_one_file(folder: Path, name: str, existing: list[Path], expected: Path) -> Problem:
    rule = f"every case needs one file of modality {name!r}, found {len(existing)}"
    remedy = "add the file" if not existing else "remove one of .nii and .nii.gz"
    return Problem(
        case_id=folder.name,
        rule=rule,
        path=str(expected),
        remedy=f"{remedy}, or leave the case out with data.exclude",
    )


def _duplicates(cases: list[CaseFiles]) -> list[Problem]:
    counts = Counter(c.case_id for c in cases)
    return [
        Problem(
            case_id=c.case_id,
            rule=f"a case id must be unique, found {counts[c.case_id]} folders of that name",
            path=str(c.images[0].parent),
            remedy="remove or rename one of the folders",
        )
        for c in cases
        if counts[c.case_id] > 1
    ]


def patient_of(case_id: str) -> str:
    """The patient of a case: BraTS 2017, 2018 and 2023 onwards number the time points at the end.

    >>> patient_of("BraTS-GLI-00006-001"), patient_of("BraTS2021_00006")
    ('BraTS-GLI-00006', 'BraTS2021_00006')
    """
    match = _TIMEPOINT.match(case_id)
    return next(g for g in match.groups() if g) if match else case_id


def _read(files: CaseFiles, paths: Sequence[Path], label_values: Sequence[int]) -> Case:
    volumes, problems = _read_volumes(files.case_id, paths)
    problems += checks.check_geometry(files.case_id, volumes)
    modalities = {p: volumes[p] for p in files.images if p in volumes}
    for path, volume in modalities.items():
        problems += checks.check_intensities(files.case_id, path, volume.voxels)
    if files.label in volumes:
        problems += checks.check_labels(
            files.case_id, files.label, volumes[files.label].voxels, label_values
        )
    if problems:
        raise DataError(problems)
    first = volumes[files.images[0]]
    return Case(
        files=files,
        image=np.stack([v.voxels for v in modalities.values()], axis=-1),
        label=None if files.label is None else volumes[files.label].voxels.astype(np.uint8),
        affine=first.affine,
        spacing=first.spacing,
        sources={p.name: v.sha256 for p, v in volumes.items()},
    )


def _read_volumes(case_id: str, paths: Sequence[Path]) -> tuple[dict[Path, Nifti], list[Problem]]:
    volumes, problems = {}, []
    for path in paths:
        try:
            volumes[path] = read_nifti(path)
        except ValueError as e:
            problems.append(
                Problem(
                    case_id=case_id,
                    rule=f"{path.name} {e}",
                    path=str(path),
                    remedy="copy the file again, or leave the case out with data.exclude",
                )
            )
    return volumes, problems
