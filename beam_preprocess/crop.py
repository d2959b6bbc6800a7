"""The box of the foreground, and the way back from the box to the full grid."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from beam_preprocess.case import Case

Box = tuple[tuple[int, int], ...]
"""(start, stop) per spatial axis; stop is exclusive."""


def foreground_box(case: Case, foreground: str) -> Box:
    """The smallest box that holds every non-zero voxel of any channel, and every labelled voxel.

    Args:
      case: A case whose image is not all zero.
      foreground: `nonzero`, or `all` for the whole grid (`DatasetInfo.foreground`).
    """
    shape = case.image.shape[:-1]
    if foreground == "all":
        return tuple((0, n) for n in shape)
    mask = np.zeros(shape, np.bool_, order="F")
    for channel in np.moveaxis(case.image, -1, 0):  # one by one: adjacent in memory
        mask |= channel != 0
    if case.label is not None:
        mask |= case.label != 0
    return tuple(_extent(mask, axis) for axis in range(len(shape)))


def _extent(mask: NDArray[np.bool_], axis: int) -> tuple[int, int]:
    others = tuple(a for a in range(mask.ndim) if a != axis)
    hits = np.flatnonzero(mask.any(axis=others))
    return int(hits[0]), int(hits[-1]) + 1


def crop(array: NDArray[np.generic], box: Box) -> NDArray[np.generic]:
    """Cuts `box` out of the leading axes of `array`."""
    return array[tuple(slice(start, stop) for start, stop in box)]


def uncrop(array: NDArray[np.generic], box: Box, full_shape: Sequence[int]) -> NDArray[np.generic]:
    """Puts `array` back into a grid of `full_shape`, zero outside `box`."""
    full = np.zeros((*full_shape, *array.shape[len(box) :]), array.dtype)
    full[tuple(slice(start, stop) for start, stop in box)] = array
    return full
