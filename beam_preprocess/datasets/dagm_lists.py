"""Which images of a part of DAGM 2007 are defective, and which mask is whose.

Two lists tell it, and where both are there they must agree:

* `Class{n}/{Train,Test}/Label/Labels.txt` comes with the data. It is ragged: after a first line
  `1`, defect-free rows have six tab-separated fields (the last one empty), defective rows five.
* `Class{n}/{train,test}_list.csv` is what the preprocessor of NVIDIA's UNet_Industrial writes: bare
  names of the image in the part and of its mask in the part's Label, and a flag 0 or 1.

Where there is no list, an image is defective if there is a mask `NNNN_label.PNG`, as NVIDIA's
preprocessor has it.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from beam_preprocess.datasets.listing import is_stray

LABELS_TXT = "Labels.txt"
CSV_HEADER = ["image_filepath", "lbl_image_filepath", "is_defective"]


@dataclass(frozen=True)
class Row:
    """What a list says of an image: its name and, where it is defective, that of its mask."""

    image: str
    mask: str | None


@dataclass(frozen=True, kw_only=True)
class ImageList:
    """A list of the images of a part.

    Attributes:
      path: The list, or the folder of the masks where there is no list.
      rows: One per image.
    """

    path: Path
    rows: tuple[Row, ...]


def labels_path(part: Path) -> Path:
    """Where the list lies that comes with the data."""
    return part / "Label" / LABELS_TXT


def csv_path(part: Path) -> Path:
    """Where NVIDIA's preprocessor writes the list of a part.

    >>> csv_path(Path("Class1/Train"))
    PosixPath('Class1/train_list.csv')
    """
    return part.parent / f"{part.name.lower()}_list.csv"


def list_paths(part: Path) -> list[Path]:
    """The lists of a part that are there."""
    return [p for p in (labels_path(part), csv_path(part)) if p.is_file()]


def read_list(path: Path) -> ImageList:
    """Reads a list of either kind.

    Raises:
      OSError: The file cannot be read.
      ValueError: It is no text in UTF-8, or a row of it is malformed.
    """
    text = path.read_text(encoding="utf-8-sig")
    rows = parse_labels(text) if path.name == LABELS_TXT else parse_csv(text)
    return ImageList(path=path, rows=tuple(rows))


def list_by_masks(part: Path) -> ImageList:
    """The list that the files of a part amount to: defective are the images that have a mask."""
    masks = {p.stem: p.name for p in pngs(part / "Label")}
    rows = (Row(p.name, masks.get(f"{p.stem}_label")) for p in pngs(part))
    return ImageList(path=part / "Label", rows=tuple(rows))


def pngs(folder: Path) -> list[Path]:
    """The PNG files of a folder, sorted."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() == ".png" and not is_stray(p))


def parse_labels(text: str) -> list[Row]:
    r"""Parses a `Labels.txt`.

    >>> parse_labels("1\r\n0576\t0\t0576.PNG\t0\t0\t\r\n")
    [Row(image='0576.PNG', mask=None)]

    Raises:
      ValueError: A row has not 5 or 6 fields, a flag that is not 0 or 1, a 1 without a mask, or a
        path where there must be a name.
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
        rows.append(_row(number, fields[2], fields[4] if fields[1] == "1" else None))
    return rows


def parse_csv(text: str) -> list[Row]:
    r"""Parses a `train_list.csv` or `test_list.csv`.

    >>> parse_csv("image_filepath,lbl_image_filepath,is_defective\n0576.PNG,0576_label.PNG,1\n")
    [Row(image='0576.PNG', mask='0576_label.PNG')]

    Raises:
      ValueError: The header is another, a row has not 3 fields, a flag that is not 0 or 1 or does
        not fit the mask, or a path where there must be a name.
    """
    header, *lines = [*csv.reader(text.splitlines())] or [[]]
    if header != CSV_HEADER:
        raise ValueError(f"its header must be {','.join(CSV_HEADER)}, got {','.join(header)!r}")
    rows = []
    for number, fields in enumerate(lines, 2):
        if not fields:
            continue
        if len(fields) != 3 or fields[2] != str(int(bool(fields[1]))):
            raise ValueError(
                f"row {number} must have an image, a mask or nothing, and after a mask 1, after"
                f" nothing 0, got {','.join(fields)!r}"
            )
        rows.append(_row(number, fields[0], fields[1] or None))
    return rows


def _row(number: int, image: str, mask: str | None) -> Row:
    """A path could lead from one part into the other."""
    for name in (image, mask):
        if name is not None and (not name or Path(name).name != name or "\\" in name):
            raise ValueError(f"row {number} must have names of files without folders, got {name!r}")
    return Row(image=image, mask=mask)
