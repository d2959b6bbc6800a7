"""Made-up DAGM 2007 cohorts: folders, numbers, masks and ragged Labels.txt of the Kaggle upload."""

import io
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from beam_preprocess.synth.files import require_cohort, write_bytes
from beam_preprocess.synth.surface import SURFACES, make_image
from beam_preprocess.validation import require

logger = logging.getLogger(__name__)

MIN_SIZE = 16
LAST_TEST = {number: 575 if number <= 6 else 1150 for number in SURFACES}
"""Number of the last test image of a class in the real set; the next is the first train image."""


def write_cohort(
    out: Path,
    *,
    cases: int,
    seed: int,
    classes: Sequence[int] = (1,),
    size: int = 512,
    defective: float = 0.5,
) -> None:
    """Writes `cases` train images per class and a quarter as many (at least one) test images.

    Image n of a class and seed is the same in every cohort of the same `defective`.

    Args:
      out: Parent of Class1/, Class2/, ...
      cases: Number of train images per class.
      seed: Of all that is random, 0 or more.
      classes: Class numbers, 1 to 10.
      size: Height and width, px, at least 16.
      defective: Share of images with a defect; unless it is 0, at least 2 of 4 and more have one.

    Raises:
      ValueError: A number is out of range.
    """
    require_cohort(cases, seed)
    known = len(classes) == len(set(classes)) > 0 and set(classes) <= set(SURFACES)
    require(known, "classes", tuple(classes), "one or more different numbers between 1 and 10")
    require(size >= MIN_SIZE, "size", size, f"at least {MIN_SIZE} pixels")
    require(0 <= defective <= 1, "defective", defective, "a share between 0 and 1")
    most = 4 * min(LAST_TEST[number] for number in classes) + 3
    require(cases <= most, "cases", cases, f"at most {most}, or test would take numbers of train")
    for number in classes:
        for split, start, count in _splits(number, cases):
            folder = out / f"Class{number}" / split
            logger.info("%d images: %s", count, folder)
            _write_split(folder, number, range(start, start + count), seed, size, defective)


def _splits(class_number: int, cases: int) -> list[tuple[str, int, int]]:
    """Name, first image number and number of images of both splits."""
    return [("Train", LAST_TEST[class_number] + 1, cases), ("Test", 1, max(1, cases // 4))]


def _write_split(
    folder: Path, class_number: int, numbers: range, seed: int, size: int, share: float
) -> None:
    """Writes images, the masks of defective ones, and last the list of them all."""
    flags = [is_defective(index, share) for index in range(len(numbers))]
    for number, flag in zip(numbers, flags, strict=True):
        rng = np.random.default_rng([seed, class_number, number])
        image, mask = make_image(rng, SURFACES[class_number], size, defective=flag)
        write_bytes(folder / f"{number:04d}.PNG", _png_bytes(image))
        if mask is not None:
            write_bytes(folder / "Label" / f"{number:04d}_label.PNG", _png_bytes(mask))
    rows = [_row(number, flag) for number, flag in zip(numbers, flags, strict=True)]
    write_bytes(folder / "Label" / "Labels.txt", "".join(["1\r\n", *rows]).encode("ascii"))


def is_defective(index: int, share: float) -> bool:
    """Whether the image at `index` (from 0) of a split has a defect, however many are to come.

    Worked example: with share 0.5 images 0, 2, 4, ... have one; with 0.1 images 1, 3, 24, 34, ...
    """
    return _defects(index + 1, share) > _defects(index, share)


def _defects(count: int, share: float) -> int:
    """Defective images among the first `count`: the rounded share, at least 1 of 2 and 2 of 4."""
    return max(int(share * count + 0.5), min(2, count // 2)) if share > 0 else 0


def _row(number: int, defective: bool) -> str:
    """A row of Labels.txt: 5 fields if defective, else 6 of which the last is empty."""
    name = f"{number:04d}"
    last = f"{name}_label.PNG" if defective else "0\t"
    return f"{name}\t{int(defective)}\t{name}.PNG\t0\t{last}\r\n"


def _png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """Content of an 8-bit greyscale PNG file, without a time stamp."""
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, format="PNG")
    return packed.getvalue()
