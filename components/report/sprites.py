"""A volume as what a page can hold: one JPEG of all slices, and the label maps deflated.

The page puts the slices together again, and cuts them along all three axes: a case costs a third of
what three sets of slices would.
"""

import io
import math
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.report.volumes import CaseVolume, shrink, telling_slices
from components.web import data_url

MOST_BYTES = 12_000_000
"""Of all cases of a page: with 3 MB for everything else it stays below 15 MB."""
FACTORS = (1, 2, 3, 4)
"""By which the sides of a volume may be divided to fit."""
_QUALITY = 80


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What of the cases found its place.

    Attributes:
      items: A case each, as the page's script reads it; see `encode`.
      factor: What the sides of the volumes were divided by.
      left_out: Ids of the cases that found no place, even so.
    """

    items: tuple[dict[str, Any], ...]
    factor: int
    left_out: tuple[str, ...]


def encode(volume: CaseVolume) -> dict[str, Any]:
    """A case for the page's script.

    Returns:
      `shape` and `spacing` along X, Y, Z; `columns`: tiles of `image` in a row, a tile per Z with Y
      down and X to the right; `labels`: truth, then prediction, a byte a voxel, X fastest, Z
      slowest, deflated (zlib), in base64; `start`: the slice to begin with along X, Y, Z.
    """
    labels = b"".join(a.tobytes(order="F") for a in (volume.truth, volume.prediction))
    columns = math.ceil(math.sqrt(volume.truth.shape[2]))
    return {
        "id": volume.case_id,
        "shape": list(volume.truth.shape),
        "spacing": [round(s, 4) for s in volume.spacing],
        "oriented": volume.oriented,
        "start": list(telling_slices(volume)),
        "columns": columns,
        "image": data_url(_jpeg(_tile(volume.image, columns)), "image/jpeg"),
        "labels": b64encode(zlib.compress(labels, 9)).decode("ascii"),
    }


def _tile(image: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Slices [X, Y, Z, C] side by side, row after row: [rows * Y, columns * X, C]."""
    x, y, z, channels = image.shape
    rows = math.ceil(z / columns)
    tiles = np.zeros((rows * columns, y, x, channels), np.uint8)
    tiles[:z] = image.transpose(2, 1, 0, 3)
    grid = tiles.reshape(rows, columns, y, x, channels).swapaxes(1, 2)
    return grid.reshape(rows * y, columns * x, channels)


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """JPEG of [H, W, 3 or 1], in grey where there is one channel or all three are the same."""
    grey = bool((pixels[..., :1] == pixels).all())
    content = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if grey else pixels))
    picture.save(content, format="JPEG", quality=_QUALITY, optimize=True)
    return content.getvalue()


def size_of(item: dict[str, Any]) -> int:
    """Bytes that a case takes in the page."""
    return len(item["image"]) + len(item["labels"]) + 1000


def fit(
    cases: Iterable[str], read: Callable[[str], CaseVolume], *, most_bytes: int = MOST_BYTES
) -> Shown:
    """Encodes cases so that all of them together stay below a size: coarser first, fewer then.

    Args:
      cases: Ids, the most important first.
      read: Gives the volume of a case; it is called again for every factor, so that there is never
        more than one in memory.
      most_bytes: Of all cases.
    """
    cases = list(cases)
    items: list[dict[str, Any]] = []
    factor = FACTORS[0]
    for factor in FACTORS:
        items = list(_until(cases, read, factor=factor, most_bytes=most_bytes))
        if len(items) == len(cases):
            break
    return Shown(items=tuple(items), factor=factor, left_out=tuple(cases[len(items) :]))


def _until(
    cases: Iterable[str], read: Callable[[str], CaseVolume], *, factor: int, most_bytes: int
) -> Iterator[dict[str, Any]]:
    """The cases, from the first to the last that still has a place."""
    left = most_bytes
    for case_id in cases:
        volume = read(case_id)
        item = encode(volume if factor == 1 else shrink(volume, factor))
        left -= size_of(item)
        if left < 0:
            return
        yield item
