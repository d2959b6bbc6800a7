"""Severstal steel: `train_images/*.jpg`, `train.csv` with run-length masks, `test_images/*.jpg`.

A row of the list holds the defects of one class (1 to 4) in one image as "start length start
length ...": pixels are counted from 1, down the first column, then down the next. In an image of
4 rows, "3 2 9 1" is the lower half of the first column and the top of the third. Kaggle has had the
list in two forms: columns ImageId, ClassId, EncodedPixels with rows of defects only, and before
that ImageId_ClassId, EncodedPixels with four rows per image, empty where there is no defect. An
image without defects is a case like any other. An image is one case, whatever number of classes it
has, and so in one fold only.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

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
from beam_preprocess.datasets.listing import missing_root
from beam_preprocess.datasets.photographs import photograph_case, read_pixels, write_mask

CLASSES = (1, 2, 3, 4)
JPEG_ROUNDING = 2
"""Levels by which the channels of a grey image may differ after JPEG's change of colour space."""
ROWS = "train.csv rows"
"""Name of an image's own rows among the sources: a change of another row is none of this case."""
_COLUMNS = (("ImageId", "ClassId", "EncodedPixels"), ("ImageId_ClassId", "EncodedPixels"))
_INTEGER = re.compile(r"-?[0-9]+")
_CORRECT = "correct the row, or leave the case out with data.exclude"

SEVERSTAL = DatasetInfo(
    name="severstal",
    rank=2,
    channels=("grey",),
    label_values=(0, *CLASSES),
    label_names={c: f"defect_{c}" for c in CLASSES},
    regions={"defect": CLASSES},
    foreground="all",
    serving_dtypes=("uint8",),
    label_suffixes=(".png",),
    task="regions",
    limits=Limits(
        spacing_mm=(1.0, 1.0), size=(16, 8192), foreground=(1.0, 1.0), intensity=(0.0, 255.0)
    ),
    quantised=True,
)


@dataclass(frozen=True)
class Row:
    """One row of the list: its line, the class as it stands there, and the runs ("" for none)."""

    line: int
    class_id: str
    runs: str


class Severstal:
    """Reader of the images and the list of the Severstal challenge, of any size of image."""

    def __init__(self, info: DatasetInfo = SEVERSTAL, config: DataConfig | None = None):
        self.info = info
        self._allow_unlabelled = config.allow_unlabelled if config else False

    @staticmethod
    def describe(config: DataConfig) -> DatasetInfo:
        """All copies of the challenge share this."""
        return SEVERSTAL

    def list_cases(self, root: Path) -> Listing:
        """Lists the images, and where they and the list disagree."""
        if listing := missing_root(root):
            return listing
        folders = (root / "train_images", root / "test_images")
        train, test = (_images(folder) for folder in folders)
        cases, problems = self._list_train(root, train)
        cases += [_case_files(p, None, ()) for p in test.values()]
        problems += _repeated_ids([*train.values(), *test.values()])
        bad = {p.case_id for p in problems}
        cases = sorted((c for c in cases if c.case_id not in bad), key=lambda c: c.case_id)
        ignored = {p for f in folders if f.is_dir() for p in f.iterdir()}
        ignored |= {p for p in root.iterdir() if p not in (*folders, root / "train.csv")}
        ignored -= {*train.values(), *test.values()}
        return Listing(cases=tuple(cases), problems=tuple(problems), ignored=tuple(sorted(ignored)))

    def _list_train(
        self, root: Path, images: Mapping[str, Path]
    ) -> tuple[list[CaseFiles], list[Problem]]:
        table = root / "train.csv"
        if self._allow_unlabelled and not table.exists():
            return [_case_files(p, None, ()) for p in images.values()], []
        try:
            annotations = read_annotations(table)
        except (OSError, ValueError) as e:
            rule = f"the dataset needs a readable list train.csv: {e}"
            remedy = "restore the file"
            if not table.exists():
                remedy += "; or take the images for prediction only with data.allow_unlabelled"
            return [], [Problem(case_id=table.name, rule=rule, path=str(table), remedy=remedy)]
        problems = _missing_images(annotations, images, root / "train_images")
        for name, rows in annotations.items():
            problems += _check_rows(Path(name).stem, table, rows)
        cases = [_case_files(p, table, annotations.get(n, ())) for n, p in images.items()]
        return cases, problems

    def read_case(self, files: CaseFiles) -> Case:
        """Reads the image and, from the list, its mask (all background where it has no defect)."""
        grey, sources = read_luma(files.case_id, files.images[0])
        problems = checks.check_intensities(files.case_id, files.images[0], grey)
        label = None if files.split == UNLABELLED else np.zeros(grey.shape, np.uint8)
        if files.label:
            rows = _defects(read_annotations(files.label).get(files.images[0].name, ()))
            label, wrong = _draw(files, files.label, rows, grey.shape)
            problems += wrong
            text = "\n".join(sorted(f"{r.class_id},{r.runs}" for r in rows))
            sources |= {ROWS: hashlib.sha256(text.encode()).hexdigest()}
        if problems:
            raise DataError(problems)
        return photograph_case(files, grey, label, sources)

    def read_image(self, path: Path) -> Case:
        """Reads one photograph (JPEG or PNG)."""
        grey, sources = read_luma(path.stem, path)
        return photograph_case(_case_files(path, None, ()), grey, None, sources)

    def write_label(self, label: NDArray[np.uint8], case: Case, path: Path) -> None:
        """Writes the classes, 0 to 4, as an 8-bit PNG."""
        write_mask(label, path)


def read_annotations(path: Path) -> Mapping[str, tuple[Row, ...]]:
    """Reads the list: image name -> its rows. Each state of the file is parsed once per process.

    Raises:
      OSError, ValueError: The list is missing, or not of one of the two forms.
    """
    stat = path.stat()
    return _read_annotations(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2)
def _read_annotations(path: Path, mtime_ns: int, size: int) -> Mapping[str, tuple[Row, ...]]:
    return parse_annotations(path.read_text(encoding="utf-8-sig"))


def parse_annotations(text: str) -> Mapping[str, tuple[Row, ...]]:
    r"""Parses the list: image name -> its rows. No field has a comma in it; others may be added.

    >>> parse_annotations("ImageId_ClassId,EncodedPixels\na.jpg_1,3 2\na.jpg_2,")
    {'a.jpg': (Row(line=2, class_id='1', runs='3 2'), Row(line=3, class_id='2', runs=''))}

    Raises:
      ValueError: Columns are missing, or a row has another number of fields or no image.
    """
    first, *lines = text.splitlines() or [""]
    header = _fields(first)
    if not any(set(columns) <= set(header) for columns in _COLUMNS):
        expected = " or ".join(", ".join(columns) for columns in _COLUMNS)
        raise ValueError(f"it must have columns {expected}, got {first[:80]!r}")
    rows: dict[str, list[Row]] = defaultdict(list)
    for number, line in enumerate(lines, 2):
        if line.strip():
            image, row = _parse_row(number, line, header)
            rows[image].append(row)
    return {image: tuple(of_image) for image, of_image in rows.items()}


def _parse_row(number: int, line: str, header: Sequence[str]) -> tuple[str, Row]:
    """The name of the image, and the row."""
    values = _fields(line)
    fields = dict(zip(header, values, strict=False))
    if "ImageId" in header:
        image, class_id = fields.get("ImageId", ""), fields.get("ClassId", "")
    else:
        image, _, class_id = fields.get("ImageId_ClassId", "").rpartition("_")
    if len(values) != len(header) or not image:
        raise ValueError(
            f"line {number} must have {len(header)} fields ({', '.join(header)}) and name an image"
            f" and a class, got {line[:80]!r}"
        )
    return image, Row(number, class_id, fields["EncodedPixels"])


def _fields(line: str) -> list[str]:
    """`csv` refuses fields of more than 131,072 characters, which long lists of runs may have."""
    return [field.strip().strip('"') for field in line.split(",")]


def decode_runs(runs: str, shape: Sequence[int]) -> NDArray[np.bool_]:
    """Draws the runs of one class -> [H, W].

    >>> decode_runs("3 2 9 1", (4, 3)).astype(int).tolist()
    [[0, 0, 1], [0, 0, 0], [1, 0, 0], [1, 0, 0]]

    Raises:
      ValueError: An odd number of values, one that is no integer, a run outside the image or empty,
        or two runs that share a pixel.
    """
    height, width = shape
    values = runs.split()
    if len(values) % 2 or not all(_INTEGER.fullmatch(v) for v in values):
        words = f"{len(values)} values, {runs[:40]!r}"
        raise ValueError(f"runs must be pairs of integers, start and length, got {words}")
    column_major = np.zeros(height * width, np.bool_)
    for start, length in zip(map(int, values[::2]), map(int, values[1::2]), strict=True):
        run = slice(start - 1, start - 1 + length)
        if start < 1 or length < 1 or run.stop > column_major.size:
            raise ValueError(
                f"runs must lie within pixels 1 to {column_major.size} of an image of {height} x"
                f" {width}, got start {start} and length {length}"
            )
        if column_major[run].any():
            raise ValueError(f"runs of a class must not overlap, '{start} {length}' does")
        column_major[run] = True
    return column_major.reshape((height, width), order="F")


def read_luma(case_id: str, path: Path) -> tuple[NDArray[np.uint8], dict[str, str]]:
    """Reads a grey image, stored in one channel or in three equal ones -> [H, W], sources.

    Raises:
      DataError: The file is unreadable, coloured or not of 8 bits.
    """
    pixels, mode, sources = read_pixels(case_id, path)
    if pixels.dtype == np.uint8 and pixels.ndim == 2:
        return pixels.astype(np.uint8, copy=False), sources
    rule = f"an image must be 8-bit grey, {path.name} has mode {mode}"
    if mode == "RGB":
        spread = int((pixels.max(axis=-1) - pixels.min(axis=-1)).max())
        if spread <= JPEG_ROUNDING:
            return np.asarray(Image.fromarray(pixels).convert("L")), sources
        rule = (
            f"an image must be grey, with channels that differ by {JPEG_ROUNDING} levels at most,"
            f" those of {path.name} differ by {spread}"
        )
    raise DataError([Problem(case_id=case_id, rule=rule, path=str(path))])


def _images(folder: Path) -> dict[str, Path]:
    """Name -> path of the JPEGs in a folder, which may be missing."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return {p.name: p for p in found if p.suffix.lower() == ".jpg" and not p.name.startswith(".")}


def _case_files(path: Path, table: Path | None, rows: Iterable[Row]) -> CaseFiles:
    """The case of an image; without a `table` it is unlabelled."""
    classes = sorted({r.class_id for r in _defects(rows)})
    return CaseFiles(
        case_id=path.stem,
        group=path.stem,
        stratum="+".join(classes) or "none",
        images=(path,),
        label=table if classes else None,
        split="cv" if table else UNLABELLED,
    )


def _defects(rows: Iterable[Row]) -> list[Row]:
    """The rows that hold runs."""
    return [row for row in rows if row.runs]


def _missing_images(
    annotations: Mapping[str, object], images: Mapping[str, Path], folder: Path
) -> list[Problem]:
    """A problem per image, and a single one where all are missing."""
    if annotations and not images:
        rule = f"train.csv names {len(annotations)} images, and train_images has no .jpg"
        remedy = "restore the folder, or set data.root to the parent of train_images"
        return [Problem(case_id=folder.name, rule=rule, path=str(folder), remedy=remedy)]
    return [
        Problem(
            case_id=Path(name).stem,
            rule=f"a row of train.csv names image {name}, which is missing",
            path=str(folder / name),
            remedy="restore the file, remove the row, or leave the case out with data.exclude",
        )
        for name in annotations
        if name not in images
    ]


def _check_rows(case_id: str, table: Path, rows: Sequence[Row]) -> list[Problem]:
    """Classes must be 1 to 4, and an image has one row per class."""
    rules = [
        f"ClassId must be one of {', '.join(map(str, CLASSES))}, line {r.line} of train.csv has"
        f" {r.class_id!r}"
        for r in rows
        if r.class_id not in map(str, CLASSES)
    ]
    counts = Counter(r.class_id for r in rows)
    rules += [
        f"an image needs one row per class in train.csv, this one has {count} of class {class_id}"
        for class_id, count in counts.items()
        if count > 1
    ]
    return [Problem(case_id=case_id, rule=rule, path=str(table), remedy=_CORRECT) for rule in rules]


def _repeated_ids(paths: Sequence[Path]) -> list[Problem]:
    counts = Counter(p.stem for p in paths)
    return [
        Problem(
            case_id=path.stem,
            rule=f"a case id must be unique, found {counts[path.stem]} images of that name",
            path=str(path),
            remedy="remove or rename one of the images",
        )
        for path in paths
        if counts[path.stem] > 1
    ]


def _draw(
    files: CaseFiles, table: Path, rows: Sequence[Row], shape: Sequence[int]
) -> tuple[NDArray[np.uint8], list[Problem]]:
    """The label map [H, W] of an image's rows, and what is wrong with them."""
    label, rules = np.zeros(tuple(shape), np.uint8), []
    for row in rows:
        try:
            mask = decode_runs(row.runs, shape)
        except ValueError as e:
            rules.append(f"{e} in line {row.line} of train.csv, class {row.class_id}")
            continue
        if taken := np.unique(label[mask & (label != 0)]).tolist():
            count = int(np.count_nonzero(mask & (label != 0)))
            rules.append(
                f"a pixel must have one class, {count} of class {row.class_id} (line {row.line} of"
                f" train.csv) have class {' or '.join(map(str, taken))} too"
            )
        label[mask] = int(row.class_id)
    if not rows:
        rules.append("train.csv has changed since it was listed: the image has no row any more")
    case_id = files.case_id
    return label, [
        Problem(case_id=case_id, rule=rule, path=str(table), remedy=_CORRECT) for rule in rules
    ]
