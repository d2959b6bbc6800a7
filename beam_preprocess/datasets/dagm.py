"""DAGM 2007: `Class{n}/{Train,Test}/NNNN.PNG`, masks and a list `Labels.txt` under `Label/`.

The list is ragged: after a first line `1`, defect-free rows have six tab-separated fields (the last
one empty) and defective rows five. The official Test part is kept out of cross-validation: it
becomes the split `test`.
"""

import hashlib
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from beam_preprocess import checks
from beam_preprocess.atomic import atomic_path
from beam_preprocess.case import Case, CaseFiles, DataError, DatasetInfo, Listing, Problem
from beam_preprocess.datasets.listing import is_stray, missing_root, subfolders

PARTS = {"Train": "cv", "Test": "test"}
DEFECT = 255
_CLASS = re.compile(r"^Class(10|[1-9])$")


@dataclass(frozen=True)
class Row:
    """One row of `Labels.txt`: names of the image and, where it is defective, of its mask."""

    image: str
    mask: str | None


class Dagm:
    """Reader of the classes of DAGM 2007; no `classes` means all that are there."""

    info = DatasetInfo(
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
    )

    def __init__(self, classes: Sequence[int] = ()):
        self._names = [f"Class{n}" for n in classes]

    def list_cases(self, root: Path) -> Listing:
        """Lists the images of every `Labels.txt`, and where lists, images and masks disagree."""
        if listing := missing_root(root):
            return listing
        folders = [f for f in subfolders(root, self._names or None) if _CLASS.match(f.name)]
        problems = _missing_classes(root, self._names, folders) + _missing_train(folders)
        cases: list[CaseFiles] = []
        ignored: list[Path] = []
        for folder in folders:
            for part in subfolders(folder, PARTS):
                found = _list_part(folder.name, part)
                cases += found.cases
                problems += found.problems
                ignored += found.ignored
        cases.sort(key=lambda c: c.case_id)
        return Listing(cases=tuple(cases), problems=tuple(problems), ignored=tuple(ignored))

    def read_case(self, files: CaseFiles) -> Case:
        """Reads the photograph and its mask (all background where it has none)."""
        grey, sources = _read_grey(files.case_id, files.images[0])
        label = np.zeros(grey.shape, np.uint8)
        if files.label:
            label, mask_sources = _read_grey(files.case_id, files.label)
            sources |= mask_sources
        if problems := _check(files, grey, label):
            raise DataError(problems)
        return _case(files, grey, label, sources)

    def read_image(self, path: Path) -> Case:
        """Reads one photograph."""
        files = CaseFiles(
            case_id=path.stem, group=path.stem, stratum="", images=(path,), label=None
        )
        grey, sources = _read_grey(path.stem, path)
        return _case(files, grey, None, sources)

    def write_label(self, label: NDArray[np.uint8], case: Case, path: Path) -> None:
        """Writes the mask as an 8-bit PNG of 0 and 255."""
        with atomic_path(path) as temporary:
            Image.fromarray(label).save(temporary, format="PNG")


def parse_labels(text: str) -> list[Row]:
    r"""Parses a `Labels.txt`.

    >>> parse_labels("1\r\n0576\t0\t0576.PNG\t0\t0\t\r\n")
    [Row(image='0576.PNG', mask=None)]

    Raises:
      ValueError: A row has not 5 or 6 fields, a flag that is not 0 or 1, or a 1 without a mask.
    """
    rows = []
    for number, line in enumerate(text.splitlines()[1:], 2):
        if not line.strip():
            continue
        fields = line.split("\t")
        is_row = len(fields) in (5, 6) and fields[1] in ("0", "1")
        if not is_row or (fields[1] == "1" and not fields[4]):
            raise ValueError(
                f"row {number} must have 5 or 6 tab-separated fields, the second 0 or 1, after a 1"
                f" the name of a mask in the fifth, got {line!r}"
            )
        rows.append(Row(image=fields[2], mask=fields[4] if fields[1] == "1" else None))
    return rows


def _missing_classes(root: Path, names: Sequence[str], folders: Sequence[Path]) -> list[Problem]:
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
        for name in names
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


def _list_part(class_name: str, folder: Path) -> Listing:
    """Lists one part (Train or Test) of one class."""
    prefix = f"{class_name}_{folder.name}"
    labels = folder / "Label" / "Labels.txt"
    try:
        rows = parse_labels(labels.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as e:
        rule = f"every part needs a readable Labels.txt: {e}"
        remedy = "restore the file, or leave the class out with data.classes"
        return Listing(
            cases=(),
            problems=(Problem(case_id=prefix, rule=rule, path=str(labels), remedy=remedy),),
        )
    problems = _missing_files(prefix, folder, rows) + _unlisted_files(prefix, folder, rows)
    problems += _repeated_rows(prefix, labels, rows)
    bad = {p.case_id for p in problems}
    cases = [c for c in (_case_files(prefix, folder, row) for row in rows) if c.case_id not in bad]
    ignored = [p for d in (folder, folder / "Label") for p in d.iterdir() if is_stray(p)]
    return Listing(cases=tuple(cases), problems=tuple(problems), ignored=tuple(ignored))


def _case_files(prefix: str, folder: Path, row: Row) -> CaseFiles:
    case_id = _case_id(prefix, row.image)
    return CaseFiles(
        case_id=case_id,
        group=case_id,
        stratum=f"{prefix.split('_', maxsplit=1)[0]}-{'defective' if row.mask else 'clean'}",
        images=(folder / row.image,),
        label=folder / "Label" / row.mask if row.mask else None,
        split=PARTS[folder.name],
    )


def _case_id(prefix: str, image: str) -> str:
    return f"{prefix}_{Path(image).stem}"


def _missing_files(prefix: str, folder: Path, rows: Sequence[Row]) -> list[Problem]:
    problems = []
    for row in rows:
        masks = [folder / "Label" / row.mask] if row.mask else []
        for kind, path in [("image", folder / row.image)] + [("mask", m) for m in masks]:
            if not path.is_file():
                problems.append(
                    Problem(
                        case_id=_case_id(prefix, row.image),
                        rule=f"a row of Labels.txt names {kind} {path.name}, which is missing",
                        path=str(path),
                        remedy="restore the file, remove the row, or leave the case out with"
                        " data.exclude",
                    )
                )
    return problems


def _unlisted_files(prefix: str, folder: Path, rows: Sequence[Row]) -> list[Problem]:
    """Problems of images without a row, and of masks without a row that names them."""
    images = {r.image for r in rows}
    masks = {r.mask for r in rows}
    remedy = "add or correct the row, remove the file, or leave the case out with data.exclude"
    unlisted = [("image", p, p.stem) for p in _pngs(folder) if p.name not in images]
    unlisted += [
        ("mask", p, p.stem.removesuffix("_label"))
        for p in _pngs(folder / "Label")
        if p.name not in masks
    ]
    return [
        Problem(
            case_id=f"{prefix}_{stem}",
            rule=f"{kind} {path.name} has no row in Labels.txt that names it",
            path=str(path),
            remedy=remedy,
        )
        for kind, path, stem in unlisted
    ]


def _repeated_rows(prefix: str, labels: Path, rows: Sequence[Row]) -> list[Problem]:
    counts = Counter(_case_id(prefix, r.image) for r in rows)
    return [
        Problem(
            case_id=case_id,
            rule=f"every image needs one row in Labels.txt, this one has {count}",
            path=str(labels),
            remedy="remove all rows of the image but one, or leave it out with data.exclude",
        )
        for case_id, count in counts.items()
        if count > 1
    ]


def _pngs(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() == ".png" and not is_stray(p))


def _read_grey(case_id: str, path: Path) -> tuple[NDArray[np.uint8], dict[str, str]]:
    """Reads an 8-bit grey PNG -> ([H, W] uint8, {file name: sha256})."""
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            mode = image.mode
            pixels = np.asarray(image.convert("L") if mode in ("1", "P") else image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as e:
        known = not isinstance(e, UnidentifiedImageError)  # its words are a memory address
        rule = f"{path.name} is no complete image: {e if known else 'its format is unknown'}"
        raise DataError([Problem(case_id=case_id, rule=rule, path=str(path))]) from e
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        rule = f"an image must be 8-bit grey, {path.name} has mode {mode}"
        raise DataError([Problem(case_id=case_id, rule=rule, path=str(path))])
    return pixels, {path.name: hashlib.sha256(content).hexdigest()}


def _check(files: CaseFiles, grey: NDArray[np.uint8], label: NDArray[np.uint8]) -> list[Problem]:
    problems = checks.check_intensities(files.case_id, files.images[0], grey)
    if not files.label:
        return problems
    if label.shape != grey.shape:
        rule = (
            f"image and mask must have one shape, {files.label.name} has {label.shape}"
            f" and {files.images[0].name} has {grey.shape}"
        )
        problems.append(Problem(case_id=files.case_id, rule=rule, path=str(files.label)))
    if not label.any():
        rule = f"a defective image needs defect pixels in its mask, {files.label.name} has none"
        problems.append(Problem(case_id=files.case_id, rule=rule, path=str(files.label)))
    return problems + checks.check_labels(files.case_id, files.label, label, Dagm.info.label_values)


def _case(
    files: CaseFiles,
    grey: NDArray[np.uint8],
    label: NDArray[np.uint8] | None,
    sources: dict[str, str],
) -> Case:
    return Case(
        files=files,
        image=grey[..., np.newaxis],
        label=label,
        affine=np.eye(4),
        spacing=(1.0, 1.0),
        sources=sources,
    )
