"""Distances between the surfaces of truth and prediction, in mm: HD95 and the surface dice.

Both are computed by DeepMind's `surface-distance` (Nikolov et al. 2021, doi:10.2196/26151), a copy
of which scores BraTS 2023. A surface consists of small elements with an area, which stand at the
corners of voxels, and every element has its distance to the other surface; so that the spacing
counts in the distances and in the weights. It knows images too, with contours for surfaces.

Only masks that are both not empty are handed to it: for others version 0.1 needs NumPy below 2.
"""

from collections.abc import Sequence

import numpy as np
import surface_distance
from numpy.typing import NDArray

from trainer.metrics.config import MetricsConfig
from trainer.overlap import EMPTY_SCORES

Mask = NDArray[np.bool_]


def empty_hd95(*, empty: str, penalty_mm: float) -> float:
    """HD95 of nothing and nothing, in mm: 0 (`brats`), none (`nan`), the worst (`reference`).

    BraTS 2023 gives 0.
    """
    return {"brats": 0.0, "nan": float("nan"), "reference": penalty_mm}[empty]


def hd95(truth: Mask, prediction: Mask, spacing: Sequence[float]) -> float:
    """95 % of the surface of each is not farther from the other than this, in mm.

    The larger of the two directions, each with its elements weighed by their areas. It is the same
    with truth and prediction exchanged.

    Args:
      truth, prediction: Of one shape, neither empty.
      spacing: Size of a voxel along each axis, in mm.
    """
    distances = surface_distance.compute_surface_distances(truth, prediction, tuple(spacing))
    return float(surface_distance.compute_robust_hausdorff(distances, 95))


def surface_scores(
    truth: Mask,
    prediction: Mask,
    *,
    spacing: Sequence[float] | None,
    empty: str,
    config: MetricsConfig,
) -> dict[str, float]:
    """`hd95` in mm, and `surface_dice`: the share of both surfaces within the tolerance, 0 to 1.

    Where only one is empty they are `config.penalty_mm` (BraTS: 374) and 0; where both are,
    the policy decides.

    Args:
      truth, prediction: [X, Y, Z] or [H, W].
      spacing: Size of a voxel along each axis, in mm; None counts in pixels.
      empty: Key of `overlap.EMPTY_SCORES`.
      config: Tolerance and penalty, that of the grid: see `MetricsConfig.for_grid`.
    """
    has_truth, has_prediction = bool(truth.any()), bool(prediction.any())
    if not has_truth and not has_prediction:
        distance = empty_hd95(empty=empty, penalty_mm=config.penalty_mm)
        return {"hd95": distance, "surface_dice": EMPTY_SCORES[empty]}
    if not has_truth or not has_prediction:
        return {"hd95": config.penalty_mm, "surface_dice": 0.0}
    sizes = (1.0,) * truth.ndim if spacing is None else tuple(spacing)
    distances = surface_distance.compute_surface_distances(truth, prediction, sizes)
    agreed = surface_distance.compute_surface_dice_at_tolerance(
        distances, config.surface_tolerance_mm
    )
    far = surface_distance.compute_robust_hausdorff(distances, 95)
    return {"hd95": float(far), "surface_dice": float(agreed)}
