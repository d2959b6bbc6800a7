"""Overlap of two label maps: counts of voxels first, then dice and IoU from the counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Voxel counts of a truth, a prediction and what they share."""

    intersection: int
    truth: int
    prediction: int


def overlap(
    truth: NDArray[np.uint8], prediction: NDArray[np.uint8], values: Sequence[int]
) -> Overlap:
    """Counts the voxels whose label is among `values`.

    Raises:
      ValueError: The shapes differ.
    """
    if truth.shape != prediction.shape:
        raise ValueError(
            f"truth and prediction must have one shape, got {truth.shape} and {prediction.shape}"
        )
    t, p = np.isin(truth, values), np.isin(prediction, values)
    return Overlap(
        intersection=int(np.count_nonzero(t & p)),
        truth=int(np.count_nonzero(t)),
        prediction=int(np.count_nonzero(p)),
    )


EMPTY_SCORES = {"brats": 1.0, "nan": float("nan"), "reference": 0.0}
"""Score where truth and prediction are both empty: the BraTS challenge's, none, the references'."""


def dice(counts: Overlap, *, empty: str) -> float:
    """2 |T and P| / (|T| + |P|), 0 to 1; `EMPTY_SCORES[empty]` where both are empty."""
    total = counts.truth + counts.prediction
    return 2 * counts.intersection / total if total else EMPTY_SCORES[empty]


def iou(counts: Overlap, *, empty: str) -> float:
    """|T and P| / |T or P|, 0 to 1; `EMPTY_SCORES[empty]` where both are empty."""
    union = counts.truth + counts.prediction - counts.intersection
    return counts.intersection / union if union else EMPTY_SCORES[empty]
