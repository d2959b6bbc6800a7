"""What must hold for the arrays of a case. Arrays in, problems out, nothing raised."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from beam_preprocess.case import Case, DatasetInfo, Problem
from beam_preprocess.nifti import Nifti

AFFINE_TOLERANCE_MM = 1e-3
"""Files of one case come from one registration; rounding of the header is far below this."""
_STRIDE = 7
_NAMED = 8
"""Label values that a message names; a mask that was interpolated has thousands."""


def check_geometry(case_id: str, volumes: Mapping[Path, Nifti]) -> list[Problem]:
    """All volumes of a case must be 3D, with a proper affine, and share both with the first."""
    problems = [p for item in volumes.items() for p in _check_grid(case_id, *item)]
    if not volumes or problems:
        return problems
    first, *others = volumes.items()
    return [p for other in others for p in _compare_geometry(case_id, first, other)]


def _check_grid(case_id: str, path: Path, volume: Nifti) -> list[Problem]:
    shape, affine = volume.voxels.shape, volume.affine
    if len(shape) != 3:
        rule = f"a modality must have 3 axes, {path.name} has shape {shape}"
    elif not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        rule = f"an affine must be finite and invertible, {path.name} has {_words(affine)}"
    else:
        return []
    return [Problem(case_id=case_id, rule=rule, path=str(path))]


def _compare_geometry(
    case_id: str, first: tuple[Path, Nifti], other: tuple[Path, Nifti]
) -> list[Problem]:
    (first_path, a), (path, b) = first, other
    remedy = "resample or register the files of the case, or leave it out with data.exclude"
    if a.voxels.shape != b.voxels.shape:
        rule = (
            f"all files of a case must have one shape, {path.name} has {b.voxels.shape}"
            f" and {first_path.name} has {a.voxels.shape}"
        )
        return [Problem(case_id=case_id, rule=rule, path=str(path), remedy=remedy)]
    if not np.allclose(a.affine, b.affine, rtol=0, atol=AFFINE_TOLERANCE_MM):
        rule = (
            f"all files of a case must have one affine, {path.name} has {_words(b.affine)}"
            f" and {first_path.name} has {_words(a.affine)}"
        )
        return [Problem(case_id=case_id, rule=rule, path=str(path), remedy=remedy)]
    return []


def _words(affine: NDArray[np.float64]) -> str:
    return str(np.round(affine[:3], 3).tolist())


def check_intensities(case_id: str, path: Path, voxels: NDArray[np.generic]) -> list[Problem]:
    """Intensities must be real, finite numbers, not all zero and not all the same."""
    if not np.issubdtype(voxels.dtype, np.number) or np.issubdtype(
        voxels.dtype, np.complexfloating
    ):
        rule = f"intensities must be real numbers, {path.name} has type {voxels.dtype}"
        return [Problem(case_id=case_id, rule=rule, path=str(path))]
    if np.issubdtype(voxels.dtype, np.floating) and not (finite := np.isfinite(voxels)).all():
        bad = int(voxels.size - np.count_nonzero(finite))
        rule = f"intensities must be finite, {path.name} has {bad} NaN or infinite of {voxels.size}"
        return [Problem(case_id=case_id, rule=rule, path=str(path))]
    lowest, highest = (voxels.min(), voxels.max()) if voxels.size else (0, 0)
    if lowest != highest:
        return []
    if highest == 0:
        rule = f"an image must have voxels other than 0, {path.name} has none of {voxels.size}"
    else:
        rule = f"an image must have more than one value, {path.name} is {highest} everywhere"
    return [Problem(case_id=case_id, rule=rule, path=str(path))]


def check_labels(
    case_id: str, path: Path, label: NDArray[np.generic], allowed: Sequence[int]
) -> list[Problem]:
    """Label values must be among `allowed`."""
    found = _values(label)
    wrong = [v for v in found if v not in allowed]
    if not wrong:
        return []
    more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    rule = f"label values must be among {list(allowed)}, {path.name} has {wrong[:_NAMED]}{more}"
    return [Problem(case_id=case_id, rule=rule, path=str(path))]


def check_case(case: Case, info: DatasetInfo) -> list[Problem]:
    """What the arrays of a case tell whose files are in order.

    Returns:
      Errors for a channel that is empty or has one value; warnings for a label without foreground
      and for labelled voxels outside of the image's foreground.
    """
    found = [p for i, n in enumerate(info.channels) for p in _check_channel(case, i, n, info)]
    if case.label is None:
        return found
    path = str(case.files.label or case.files.images[0])
    if info.task == "regions" and case.files.label and not case.label.any():
        rule = "no voxel is labelled"
        remedy = "fine where there is nothing to segment; else look for the right label"
        found.append(_problem(case, rule, path, remedy, "warning"))
    if info.foreground == "nonzero" and (outside := _labelled_outside(case)):
        rule = f"labelled voxels must lie on the image, {outside} lie where it is 0 in all channels"
        remedy = "look whether label and image belong together"
        found.append(_problem(case, rule, path, remedy, "warning"))
    return found


def _check_channel(case: Case, index: int, name: str, info: DatasetInfo) -> list[Problem]:
    """With background left out, a channel may have one value only: a mask, not a scan."""
    channel = case.image[..., index].T
    some = channel[tuple(slice(None, None, _STRIDE) for _ in channel.shape)]
    if np.unique(some[some != 0]).size > 1:  # so it is in all but odd cases
        return []
    values = channel[channel != 0] if info.foreground == "nonzero" else channel
    path = str(case.files.images[min(index, len(case.files.images) - 1)])
    if not values.size:
        rule = f"every channel must have voxels other than 0, {name} has none of {channel.size}"
        return [_problem(case, rule, path, "repair the file, or leave the case out", "error")]
    if values.min() == (highest := values.max()):
        rule = (
            f"every channel must have several values in its foreground, {name} has only {highest}"
        )
        remedy = "look whether the file is a mask in place of a scan, or leave the case out"
        return [_problem(case, rule, path, remedy, "error")]
    return []


def _labelled_outside(case: Case) -> int:
    """How many labelled voxels are 0 in every channel."""
    assert case.label is not None
    places = np.flatnonzero(case.label.T != 0)  # few voxels are labelled
    found = np.zeros(places.size, np.bool_)
    for channel in np.moveaxis(case.image, -1, 0):
        found |= np.ravel(channel.T)[places] != 0
    return int(places.size - np.count_nonzero(found))


def _problem(
    case: Case, rule: str, path: str, remedy: str, severity: Literal["error", "warning"]
) -> Problem:
    return Problem(
        case_id=case.files.case_id, rule=rule, path=path, remedy=remedy, severity=severity
    )


def _values(label: NDArray[np.generic]) -> list[float]:
    """The values that occur. Few voxels are labelled: only those are sorted."""
    labelled = label.T[label.T != 0]
    found = np.unique(labelled).tolist()
    return found if labelled.size == label.size else sorted([0, *found])
