"""One case as the viewer shows it: image, truth and prediction in one grid, seen from one side.

Axes: X to the patient's right, Y to the front, Z to the head (RAS), where the affine tells; a
photograph has a single slice, X its columns and Y its rows from the top.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from beam_preprocess.case import DatasetInfo, canonical_label
from beam_preprocess.crop import crop
from beam_preprocess.records import RawRecord
from components.pictures import shown_channels, to_8_bit


@dataclass(frozen=True, kw_only=True)
class CaseVolume:
    """What the viewer shows of a case.

    Attributes:
      case_id: Of the case.
      image: uint8 [X, Y, Z, 3 or 1].
      truth, prediction: Class indices, uint8 [X, Y, Z].
      spacing: Size of a voxel along X, Y and Z, in mm (1 for photographs).
      oriented: Whether the affine told where right, front and head are.
    """

    case_id: str
    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    spacing: tuple[float, ...]
    oriented: bool


def make_volume(record: RawRecord, prediction: NDArray[np.uint8], info: DatasetInfo) -> CaseVolume:
    """Brings a case into the grid of the viewer, cropped to the box of its record.

    Args:
      record: Raw record with a label.
      prediction: Label values in the full grid.
      info: The dataset.

    Raises:
      ValueError: The prediction has another grid.
    """
    assert record.label is not None
    if prediction.shape != tuple(record.full_shape):
        raise ValueError(
            f"the prediction of case {record.case_id} must have the grid of the case,"
            f" {tuple(record.full_shape)}, it has {prediction.shape}: evaluate the fold again"
        )
    volume = CaseVolume(
        case_id=record.case_id,
        image=to_8_bit(shown_channels(record.image, info)),
        truth=class_indices(canonical_label(record.label, info), info.label_values),
        prediction=class_indices(crop(prediction, record.box).astype(np.uint8), info.label_values),
        spacing=tuple(record.spacing),
        oriented=info.rank == 3 and not np.allclose(record.affine, np.eye(4)),
    )
    if info.rank == 2:
        return _map_arrays(
            volume, lambda array: array.swapaxes(0, 1)[:, :, None], (*record.spacing, 1.0)
        )
    order, flips = ras_axes(record.affine) if volume.oriented else ((0, 1, 2), ())
    spacing = tuple(record.spacing[axis] for axis in order)
    return _map_arrays(volume, lambda array: np.flip(_transpose(array, order), flips), spacing)


def _map_arrays(
    volume: CaseVolume,
    turn: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    spacing: tuple[float, ...],
) -> CaseVolume:
    """The same with all arrays turned, and the spacing of their new axes."""
    return replace(
        volume,
        image=turn(volume.image),
        truth=turn(volume.truth),
        prediction=turn(volume.prediction),
        spacing=spacing,
    )


def _transpose(array: NDArray[np.uint8], order: Sequence[int]) -> NDArray[np.uint8]:
    """Puts the three spatial axes in `order`; channels stay last."""
    return array.transpose(*order, *range(3, array.ndim))


def ras_axes(affine: NDArray[np.float64]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How to turn a volume so that its axes go right, front and up, as nearly as whole axes can.

    >>> ras_axes(np.diag([-1.0, -1.0, 3.0, 1.0]))  # LPS, as BraTS
    ((0, 1, 2), (0, 1))

    Returns:
      The axis of the volume that each of X, Y and Z is, and those of X, Y and Z to flip then.
    """
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    left = np.abs(directions)
    order = [0, 0, 0]
    for _ in range(3):  # the clearest axis first, so that each is taken once
        world, axis = np.unravel_index(int(left.argmax()), left.shape)
        order[int(world)] = int(axis)
        left[world, :], left[:, axis] = -1, -1
    flips = tuple(world for world in range(3) if directions[world, order[world]] < 0)
    return tuple(order), flips


def class_indices(label: NDArray[np.uint8], values: Sequence[int]) -> NDArray[np.uint8]:
    """Label values as positions in `values`; a value that is not there is background."""
    table = np.zeros(256, np.uint8)
    table[list(values)] = np.arange(len(values), dtype=np.uint8)
    return table[label]


def shrink(volume: CaseVolume, factor: int) -> CaseVolume:
    """Every axis divided by `factor`, single slices aside: means of voxels, and middle labels."""
    factors = [factor if n > 1 else 1 for n in volume.truth.shape]
    image = _pad(volume.image, [*factors, 1]).astype(np.uint16)
    for axis, n in enumerate(factors):
        parts = [np.take(image, range(i, image.shape[axis], n), axis) for i in range(n)]
        image = (np.sum(parts, axis=0, dtype=np.uint32) // n).astype(np.uint16)
    middle = tuple(slice(n // 2, None, n) for n in factors)
    return replace(
        volume,
        image=image.astype(np.uint8),
        truth=_pad(volume.truth, factors)[middle],
        prediction=_pad(volume.prediction, factors)[middle],
        spacing=tuple(s * n for s, n in zip(volume.spacing, factors, strict=True)),
    )


def _pad(array: NDArray[np.uint8], factors: Sequence[int]) -> NDArray[np.uint8]:
    """Repeats the last voxels until every axis is a multiple of its factor."""
    return np.pad(
        array, [(0, -n % f) for n, f in zip(array.shape, factors, strict=True)], mode="edge"
    )


def telling_slices(volume: CaseVolume) -> tuple[int, int, int]:
    """Along X, Y and Z the slice with most truth, or else most prediction, or else the middle."""
    for label in (volume.truth, volume.prediction):
        if label.any():
            x, y, z = (
                int(np.count_nonzero(label, axis=tuple({0, 1, 2} - {axis})).argmax())
                for axis in range(3)
            )
            return x, y, z
    x, y, z = (n // 2 for n in volume.truth.shape)
    return x, y, z
