"""ISBI 2012 EM: stacks of 8-bit pages `train-volume.tif`, `train-labels.tif`, `test-volume.tif`.

Every page (one section of the tissue) is a case. Label 0 is membrane, 255 the interior of a cell.
Neighbouring sections are 50 nm apart and look alike: with one of them in training and the other in
evaluation, a network is scored on what it has seen. So three pages in a row are one group and stay
in one fold; of the 29 pairs of neighbours among 30 pages, 9 at most are in two folds. Larger blocks
would keep more pairs together, and leave fewer groups to deal (five folds get two of ten blocks).
"""

import hashlib
import struct
import zlib
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from beam_preprocess import checks
from beam_preprocess.atomic import atomic_path
from beam_preprocess.case import (
    TEST,
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
from beam_preprocess.datasets.listing import missing_root
from beam_preprocess.datasets.photographs import (
    check_same_size,
    photograph_case,
    read_grey,
    write_mask,
)

PARTS = {"train": "cv", "test": TEST}
"""Part -> split of its pages, where there are labels. The challenge keeps those of test to itself.
"""
PAGES_PER_GROUP = 3
_TIFF = (".tif", ".tiff")
_UNREADABLE = (
    *(OSError, ValueError, LookupError, TypeError, ArithmeticError, RuntimeError),
    *(AttributeError, MemoryError, struct.error, zlib.error, tifffile.TiffFileError),
)
"""What tifffile raises for files that are missing, short, corrupt or no TIFF."""
_RESTORE = "restore the file: all pages of this part depend on it"

ISBI2012 = DatasetInfo(
    name="isbi2012",
    rank=2,
    channels=("grey",),
    label_values=(0, 255),
    label_names={255: "interior"},
    regions={},
    foreground="all",
    serving_dtypes=("uint8",),
    label_suffixes=(".png", *_TIFF),
    task="regions",
    limits=Limits(
        spacing_mm=(1.0, 1.0), size=(16, 8192), foreground=(1.0, 1.0), intensity=(1.0, 254.0)
    ),
    quantised=True,
)


class Isbi2012:
    """Reader of the stacks of the ISBI 2012 challenge, of any number of pages and any size."""

    def __init__(self, info: DatasetInfo = ISBI2012, config: DataConfig | None = None):
        self.info = info
        self._allow_unlabelled = config.allow_unlabelled if config else False

    @staticmethod
    def describe(config: DataConfig) -> DatasetInfo:
        """All copies of the challenge share this."""
        return ISBI2012

    def list_cases(self, root: Path) -> Listing:
        """Lists the pages of the stacks; `test-volume.tif` may be missing."""
        if listing := missing_root(root):
            return listing
        cases: list[CaseFiles] = []
        problems: list[Problem] = []
        for part in PARTS:
            found, wrong = self._list_part(root, part)
            cases += found
            problems += wrong
        known = {path.name for part in PARTS for path in _stacks(root, part)}
        ignored = tuple(sorted(p for p in root.iterdir() if p.name not in known))
        cases.sort(key=lambda c: c.case_id)
        return Listing(cases=tuple(cases), problems=tuple(problems), ignored=ignored)

    def _list_part(self, root: Path, part: str) -> tuple[list[CaseFiles], list[Problem]]:
        volume, labels = _stacks(root, part)
        if part == "test" and not volume.exists() and not labels.exists():
            return [], []
        if not labels.exists() and (part == "test" or self._allow_unlabelled):
            counts, problems = _count_all(volume)
            return _cases(part, volume, None, counts), problems
        counts, problems = _count_all(volume, labels)
        return _cases(part, volume, labels, counts), problems

    def read_case(self, files: CaseFiles) -> Case:
        """Reads the page and its labels; the other pages stay on disk."""
        paths = [p for p in (files.images[0], files.label) if p]
        pages, problems = _read_pages(files, paths)
        if problems := problems + _check(files, pages, self.info):
            raise DataError(problems)
        label = pages[files.label] if files.label else None
        sources = {p.name: file_sha256(p) for p in paths}
        return photograph_case(files, pages[files.images[0]], label, sources)

    def read_image(self, path: Path) -> Case:
        """Reads one section: a TIFF of one page, or a PNG."""
        files = CaseFiles(
            case_id=path.stem, group=path.stem, stratum="", images=(path,), label=None
        )
        grey, sources = read_grey(path.stem, path)
        return photograph_case(files, grey, None, sources)

    def write_label(self, label: NDArray[np.uint8], case: Case, path: Path) -> None:
        """Writes 0 and 255 as an 8-bit PNG, or as a TIFF of one page, by the ending of `path`."""
        if path.suffix.lower() in _TIFF:
            with atomic_path(path) as temporary:
                tifffile.imwrite(temporary, label, photometric="minisblack", compression="zlib")
        else:
            write_mask(label, path)


def count_pages(path: Path) -> int:
    """Counts the pages of a TIFF without reading any.

    Raises:
      ValueError: The file is no TIFF, or its chain of pages breaks off (a copy cut short).
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            count = len(tiff.pages)
            # tifffile takes a chain that points behind the end of the file as ended
            tiff.filehandle.seek(tiff.pages.next_page_offset or 0)
            if any(tiff.filehandle.read(tiff.tiff.offsetsize) or b"short"):
                raise ValueError(f"the file ends after {count} pages, and there are more")
    except _UNREADABLE as e:
        raise ValueError(f"{path.name} is no complete TIFF file: {e}") from e
    return count


def read_page(path: Path, index: int) -> NDArray[np.uint8]:
    """Reads one page (the first is 0) -> [H, W], bright as it is meant to be shown.

    Raises:
      ValueError: The page is unreadable, or not 8-bit grey.
    """
    where = f"page {index} of {path.name} (the first is 0)"
    try:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages[index].aspage()
            pixels, kind = np.asarray(page.asarray()), page.photometric
    except _UNREADABLE as e:
        raise ValueError(f"{where} cannot be read: {e}") from e
    greys = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.MINISWHITE)
    if pixels.ndim != 2 or pixels.dtype != np.uint8 or kind not in greys:
        words = f"{getattr(kind, 'name', kind)}, {pixels.dtype}, shape {pixels.shape}"
        raise ValueError(f"a page must be 8-bit grey, {where} is {words}")
    grey = pixels.astype(np.uint8, copy=False)
    return ~grey if kind == tifffile.PHOTOMETRIC.MINISWHITE else grey


def file_sha256(path: Path) -> str:
    """sha256 of a whole file; each state of a file is read once per process, not once per page."""
    stat = path.stat()
    return _sha256(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=16)
def _sha256(path: Path, mtime_ns: int, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _stacks(root: Path, part: str) -> tuple[Path, Path]:
    """Where the images and the labels of a part are."""
    return root / f"{part}-volume.tif", root / f"{part}-labels.tif"


def _count_all(*paths: Path) -> tuple[int, list[Problem]]:
    """The number of pages that all stacks have, and what is wrong (then it is 0)."""
    counts, problems = {}, []
    for path in paths:
        try:
            counts[path] = count_pages(path)
        except ValueError as e:
            rule, remedy = str(e), _RESTORE
            if not path.exists():
                rule = f"every part needs a stack {path.name}, found none"
                if path.name == "train-labels.tif":
                    remedy += "; or take the pages for prediction only with data.allow_unlabelled"
            problems.append(Problem(case_id=path.name, rule=rule, path=str(path), remedy=remedy))
    if problems:
        return 0, problems
    words = " and ".join(f"{path.name} has {n}" for path, n in counts.items())
    if len(set(counts.values())) > 1:
        rule = f"images and labels must have the same number of pages, {words}"
        path = paths[-1]
        return 0, [Problem(case_id=path.name, rule=rule, path=str(path), remedy=_RESTORE)]
    return counts[paths[0]], []


def _cases(part: str, volume: Path, labels: Path | None, count: int) -> list[CaseFiles]:
    digits = max(2, len(str(count - 1)))  # as many as the largest needs, so that ids sort
    prefix = "" if part == "train" else f"{part}-"
    return [
        CaseFiles(
            case_id=f"{part}_{page:0{digits}d}",
            group=f"{prefix}block-{page // PAGES_PER_GROUP:0{digits}d}",
            stratum="none",
            images=(volume,),
            label=labels,
            split=PARTS[part] if labels else UNLABELLED,
            index=page,
        )
        for page in range(count)
    ]


def _read_pages(
    files: CaseFiles, paths: list[Path]
) -> tuple[dict[Path, NDArray[np.uint8]], list[Problem]]:
    """The page of every stack that can be read; a problem for each that cannot."""
    pages, problems = {}, []
    for path in paths:
        try:
            pages[path] = read_page(path, files.index)
        except ValueError as e:
            remedy = "save the stack as 8-bit grey, uncompressed, or leave the case out with"
            problems.append(
                Problem(
                    case_id=files.case_id,
                    rule=str(e),
                    path=str(path),
                    remedy=f"{remedy} data.exclude",
                )
            )
    return pages, problems


def _check(
    files: CaseFiles, pages: Mapping[Path, NDArray[np.uint8]], info: DatasetInfo
) -> list[Problem]:
    """What is wrong with the pages that could be read."""
    problems: list[Problem] = []
    for path, page in pages.items():
        if path == files.label:
            problems += _check_label(files.case_id, path, page, info)
        else:
            problems += checks.check_intensities(files.case_id, path, page)
    if files.label and len(pages) == 2:
        problems += check_same_size(files, pages[files.images[0]], pages[files.label], files.label)
    return problems


def _check_label(
    case_id: str, path: Path, label: NDArray[np.uint8], info: DatasetInfo
) -> list[Problem]:
    """Copies with 0 and 1 are about; they are refused, as a wrong guess would swap the classes."""
    remedy = (
        "store membrane as 0 and interior as 255 (multiply labels of 0 and 1 by 255), or leave"
        " the case out with data.exclude"
    )
    found = checks.check_labels(case_id, path, label, info.label_values)
    return [replace(problem, remedy=remedy) for problem in found]
