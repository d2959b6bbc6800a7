"""BraTS: a folder per case with four modalities and a segmentation, flat or under HGG/ and LGG/.

Files are named as in 2018 to 2021 or as from 2023 on (see `brats_files`). Enhancing tumour is label
value 4 until 2021 and 3 from 2023 on; labels are kept as they are stored. Channel order T1, T1ce,
T2, FLAIR and the label names are those of the reference systems; regions are those of the BraTS
challenge (ET, TC = ET and 1, WT = ET, 1 and 2).
"""

import re
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beam_preprocess.case import (
    UNLABELLED,
    Case,
    CaseFiles,
    DataError,
    DatasetInfo,
    Limits,
    Listing,
    Problem,
)
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets.brats_files import (
    CHANNELS,
    FROM_2023,
    LABEL,
    UNTIL_2021,
    Naming,
    find_files,
    namings_of,
    not_one_naming,
)
from beam_preprocess.datasets.brats_mapping import (
    NO_GRADE,
    PATTERN,
    add_grades,
    add_patients,
    read_mappings,
)
from beam_preprocess.datasets.listing import is_stray, missing_root, stray_paths, subfolders
from beam_preprocess.datasets.volumes import SUFFIXES, read_volume_case
from beam_preprocess.nifti import write_nifti
from beam_preprocess.validation import require

GRADES = ("HGG", "LGG")
ENHANCING = "EnhancingTumor"
ENHANCING_VALUES = (3, 4)
"""What enhancing tumour is stored as: from 2023 on, and until 2021."""
_TIMEPOINT = re.compile(r"^(Brats(?:17|18)_.+_\d+)_\d+$|^(BraTS-[A-Z]+-\d+)-\d+$")


def brats_info(enhancing: int) -> DatasetInfo:
    """What cohorts share whose enhancing tumour has label value `enhancing`, 3 or 4.

    The other value means enhancing tumour too, in the cases that have it.
    """
    (alias,) = {*ENHANCING_VALUES} - {enhancing}
    whole = (1, 2, enhancing)
    return DatasetInfo(
        name="brats",
        rank=3,
        channels=CHANNELS,
        label_values=(0, *whole),
        label_names={1: "TumorCore", 2: "PeritumoralEdema", enhancing: ENHANCING},
        regions={"ET": (enhancing,), "TC": (1, enhancing), "WT": whole, "WholeTumor": whole},
        foreground="nonzero",
        serving_dtypes=("float32", "int16"),
        label_suffixes=SUFFIXES,
        task="regions",
        limits=Limits(
            spacing_mm=(0.3, 5.0), size=(16, 1024), foreground=(0.01, 0.95), intensity=(-1e6, 1e6)
        ),
        label_aliases={alias: enhancing},
    )


BRATS = brats_info(enhancing=4)


class Brats:
    """Reader of BraTS folders."""

    def __init__(self, info: DatasetInfo = BRATS, config: DataConfig | None = None):
        self.info = info
        self._config = config or DataConfig(dataset=info.name)

    @staticmethod
    def describe(config: DataConfig) -> DatasetInfo:
        """Which value enhancing tumour has: as `config.labels` says, else as file names tell."""
        require(
            all(k == ENHANCING and v in ENHANCING_VALUES for k, v in config.labels.items()),
            "data.labels",
            config.labels,
            f"{{'{ENHANCING}': 3}}, {{'{ENHANCING}': 4}} or empty for dataset 'brats'",
        )
        if ENHANCING in config.labels:
            return brats_info(config.labels[ENHANCING])
        return brats_info(3 if config.root and _is_from_2023(Path(config.root)) else 4)

    def list_cases(self, root: Path) -> Listing:
        """Lists the case folders; the grade, from its folder or a name mapping, is the stratum."""
        if listing := missing_root(root):
            return listing
        found = [self._list_folder(f, s) for f, s in _case_folders(root)]
        cases = sorted((c for c, _ in found if c), key=lambda c: c.case_id)
        problems = [p for _, ps in found for p in ps] + _duplicates(cases) + _loose_volumes(root)
        mapping = read_mappings(root)
        cases, two_grades = add_grades(cases, mapping)
        cases, shared = add_patients(cases, mapping, self._config.exclude)
        problems += [*mapping.problems, *two_grades, *shared]
        return Listing(cases=tuple(cases), problems=tuple(problems), ignored=_ignored(root))

    def _list_folder(self, folder: Path, stratum: str) -> tuple[CaseFiles | None, list[Problem]]:
        try:
            namings = namings_of(folder)
        except OSError as e:
            rule = f"a case folder must be readable: {e}"
            return None, [Problem(case_id=folder.name, rule=rule, path=str(folder))]
        if len(namings) != 1:
            return None, [not_one_naming(folder, namings)]
        (naming,) = namings
        images, problems = find_files(folder, naming, naming.modalities)
        label, label_problems = self._find_label(folder, naming)
        if problems := problems + label_problems:
            return None, problems
        files = CaseFiles(
            case_id=folder.name,
            group=patient_of(folder.name),
            stratum=stratum,
            images=images,
            label=label,
            split="cv" if label else UNLABELLED,
        )
        return files, []

    def _find_label(self, folder: Path, naming: Naming) -> tuple[Path | None, list[Problem]]:
        """The segmentation; None without a problem where there is none and none is needed."""
        optional = self._config.allow_unlabelled
        if optional and not any((folder / n).is_file() for n in naming.names(folder.name, LABEL)):
            return None, []
        labels, problems = find_files(folder, naming, [LABEL])
        return next(iter(labels), None), problems

    def read_case(self, files: CaseFiles) -> Case:
        """Reads the modalities and the segmentation, and checks them against each other."""
        case = read_volume_case(files, self.info)
        if case.label is None:
            return case
        found = [v for v in ENHANCING_VALUES if (case.label == v).any()]
        if len(found) == len(ENHANCING_VALUES):
            raise DataError([_two_enhancing_values(files)])
        if 4 in found and FROM_2023.is_of(files.images[0]) and ENHANCING not in self._config.labels:
            raise DataError([_resection_cavity(files)])
        return case

    def read_image(self, path: Path) -> Case:
        """Reads the modalities of the case folder `path`, which may have no segmentation."""
        path = path.resolve()
        if not path.is_dir():
            raise ValueError(
                f"input must be a BraTS case folder, got {str(path)!r}: name the folder"
            )
        paths, problems, modalities = find_modalities(path)
        if problems:
            missing = ", ".join(Path(p.path).name for p in problems)
            raise ValueError(
                f"a BraTS case folder must hold one file each of {', '.join(modalities)},"
                f" {str(path)!r} lacks {missing} (or has .nii and .nii.gz of it)"
            )
        files = CaseFiles(
            case_id=path.name,
            group=path.name,
            stratum="",
            images=paths,
            label=None,
            split=UNLABELLED,
        )
        return read_volume_case(files, self.info)

    def write_label(self, label: NDArray[np.uint8], case: Case, path: Path) -> None:
        """Writes the label map as NIfTI with the affine of the case."""
        write_nifti(label, case.affine, path)


def find_modalities(folder: Path) -> tuple[tuple[Path, ...], list[Problem], tuple[str, ...]]:
    """Files of the modalities of a case folder, what is wrong with them, and the modalities."""
    namings = namings_of(folder)
    naming = FROM_2023 if FROM_2023 in namings and UNTIL_2021 not in namings else UNTIL_2021
    return *find_files(folder, naming, naming.modalities), tuple(naming.modalities)


def _case_folders(root: Path) -> list[tuple[Path, str]]:
    """(case folder, stratum), from HGG/ and LGG/ where they are, and from the root itself."""
    graded = [(case, g.name) for g in subfolders(root, GRADES) for case in subfolders(g)]
    return graded + [(case, NO_GRADE) for case in subfolders(root) if case.name not in GRADES]


def _is_from_2023(root: Path) -> bool:
    """Whether there are case folders, and all of them follow the naming from 2023 on."""
    if not root.is_dir():
        return False
    found: set[Naming] = set()
    for folder, _ in _case_folders(root):
        with suppress(OSError):  # a folder that cannot be read is told when it is listed
            found |= set(namings_of(folder))
    return found == {FROM_2023}


def _two_enhancing_values(files: CaseFiles) -> Problem:
    return Problem(
        case_id=files.case_id,
        rule="enhancing tumour must be stored as 3 or as 4, the label of the case has both",
        path=str(files.label),
        remedy="relabel what is no enhancing tumour (in BraTS 2024 value 4 is the resection"
        " cavity), or leave the case out with data.exclude",
    )


def _resection_cavity(files: CaseFiles) -> Problem:
    """BraTS 2024 added label 4, the resection cavity: as enhancing tumour it would be a lie."""
    return Problem(
        case_id=files.case_id,
        rule="enhancing tumour is 3 in cases named as from 2023 on, the label of this one has 4",
        path=str(files.label),
        remedy="relabel the resection cavity of BraTS 2024, or leave the case out with"
        f" data.exclude; where 4 is enhancing tumour, set data.labels.{ENHANCING} to 4",
    )


def _loose_volumes(root: Path) -> list[Problem]:
    """Volumes beside the case folders would be left out unnoticed."""
    return [
        Problem(
            case_id=path.name,
            rule="a file of a case must lie in the folder of the case, this one lies beside it",
            path=str(path),
            remedy="move it to its case folder or out of the root, or leave it out with"
            " data.exclude",
        )
        for folder in (root, *subfolders(root, GRADES))
        for path in sorted(folder.iterdir())
        if path.name.endswith(SUFFIXES) and path.is_file() and not is_stray(path)
    ]


def _ignored(root: Path) -> tuple[Path, ...]:
    """Stray files, and files of the root that tell nothing of cases."""
    places = [root, *subfolders(root, GRADES)]
    files = {p for place in places for p in place.iterdir() if p.is_file()}
    used = {p for p in files if p.name.endswith(SUFFIXES)} | set(root.glob(PATTERN))
    return tuple(sorted((files - used).union(stray_paths(places))))


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
