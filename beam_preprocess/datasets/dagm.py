"""DAGM 2007: `Class{n}/{Train,Test}/NNNN.PNG`, masks under `Label/`, lists of what is defective.

Two layouts are read: that of the Kaggle upload, with its lists `Labels.txt`, and the one that
NVIDIA's UNet_Industrial makes, `raw_images/private/Class{n}/` with lists in CSV. The official Test
part is kept out of cross-validation: it becomes the split `test`.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beam_preprocess import checks
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
from beam_preprocess.datasets import dagm_layout as layout
from beam_preprocess.datasets.dagm_checks import case_id_of, check_lists, read_lists
from beam_preprocess.datasets.dagm_lists import Row, list_paths
from beam_preprocess.datasets.listing import missing_root
from beam_preprocess.datasets.photographs import (
    check_same_size,
    photograph_case,
    read_grey,
    write_mask,
)

DEFECT = 255

DAGM = DatasetInfo(
    name="dagm",
    rank=2,
    channels=("grey",),
    label_values=(0, DEFECT),
    label_names={DEFECT: "defect"},
    regions={},
    foreground="all",
    serving_dtypes=("uint8",),
    label_suffixes=(".png", ".PNG"),
    task="defects",
    limits=Limits(
        spacing_mm=(1.0, 1.0), size=(16, 8192), foreground=(1.0, 1.0), intensity=(1.0, 254.0)
    ),
    quantised=True,
)


class Dagm:
    """Reader of the classes of DAGM 2007; no `data.classes` means all that are there."""

    def __init__(self, info: DatasetInfo = DAGM, config: DataConfig | None = None):
        self.info = info
        self._config = config or DataConfig(dataset=info.name)

    @staticmethod
    def describe(config: DataConfig) -> DatasetInfo:
        """All folders of DAGM share this."""
        return DAGM

    def list_cases(self, root: Path) -> Listing:
        """Lists the images of all parts, and where lists, images and masks disagree."""
        if listing := missing_root(root):
            return listing
        numbers = self._config.classes
        root = layout.classes_root(root)
        folders = layout.class_folders(root, numbers)
        own = {Path(p).resolve() for p in (self._config.case_table, self._config.splits) if p}
        problems = layout.check_layout(root, folders, numbers)
        problems = [p for p in problems if Path(p.path).resolve() not in own]
        parts = layout.parts_of(folders)
        listed = any(list_paths(part) for part in parts)
        cases: list[CaseFiles] = []
        for part in parts:
            found, wrong = self._list_part(part, listed=listed)
            cases += found
            problems += wrong
        cases.sort(key=lambda c: c.case_id)
        ignored = layout.find_strays(root, folders)
        return Listing(cases=tuple(cases), problems=tuple(problems), ignored=tuple(ignored))

    def _list_part(self, part: Path, *, listed: bool) -> tuple[list[CaseFiles], list[Problem]]:
        """Lists one part of one class. `listed`: whether there are lists, if not of this one."""
        lists, problems = read_lists(part, listed=listed)
        if problems:
            return [], problems
        masks_needed = not self._config.allow_unlabelled
        problems = check_lists(part, lists, masks_needed=masks_needed)
        bad = {p.case_id for p in problems}
        cases = [_case_files(part, row) for row in lists[0].rows]
        return [c for c in cases if c.case_id not in bad], problems

    def read_case(self, files: CaseFiles) -> Case:
        """Reads the photograph and its mask (all background where it has none)."""
        grey, sources = read_grey(files.case_id, files.images[0])
        label = None if files.split == UNLABELLED else np.zeros(grey.shape, np.uint8)
        if files.label:
            label, mask_sources = read_grey(files.case_id, files.label)
            sources |= mask_sources
        if problems := self._check(files, grey, label):
            raise DataError(problems)
        return photograph_case(files, grey, label, sources)

    def _check(
        self, files: CaseFiles, grey: NDArray[np.uint8], label: NDArray[np.uint8] | None
    ) -> list[Problem]:
        problems = checks.check_intensities(files.case_id, files.images[0], grey)
        if label is None or files.label is None:
            return problems
        path, allowed = files.label, self.info.label_values
        problems += check_same_size(files, grey, label, path)
        if not label.any():
            rule = f"a defective image needs defect pixels in its mask, {path.name} has none"
            problems.append(Problem(case_id=files.case_id, rule=rule, path=str(path)))
        return problems + checks.check_labels(files.case_id, path, label, allowed)

    def read_image(self, path: Path) -> Case:
        """Reads one photograph."""
        files = CaseFiles(
            case_id=path.stem,
            group=path.stem,
            stratum="",
            images=(path,),
            label=None,
            split=UNLABELLED,
        )
        grey, sources = read_grey(path.stem, path)
        return photograph_case(files, grey, None, sources)

    def write_label(self, label: NDArray[np.uint8], case: Case, path: Path) -> None:
        """Writes the mask as an 8-bit PNG of 0 and 255."""
        write_mask(label, path)


def _case_files(part: Path, row: Row) -> CaseFiles:
    case_id = case_id_of(part, row.image)
    mask = part / "Label" / row.mask if row.mask else None
    labelled = mask is None or mask.is_file()
    return CaseFiles(
        case_id=case_id,
        group=case_id,
        stratum=f"{part.parent.name}-{'defective' if row.mask else 'clean'}",
        images=(part / row.image,),
        label=mask if labelled else None,
        split=layout.PARTS[part.name] if labelled else UNLABELLED,
    )
