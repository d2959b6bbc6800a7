"""Scores from the voxel counts of one class or region: precision, recall and volumes.

Dice and IoU, and the policies for what is empty, are in `trainer.overlap`. A policy decides what
truth and prediction score that are both empty: the best value (`brats`), none (`nan`) or the worst
(`reference`). Where only one of them is empty every policy gives the worst value: the truth was
missed, or made up.
"""

from collections.abc import Sequence
from math import nan, prod
from typing import Literal

from trainer.overlap import EMPTY_SCORES, Overlap, dice, iou

Emptiness = Literal["none", "truth", "prediction", "both"]
"""What is empty: neither, the truth alone, the prediction alone, or both."""


def emptiness(counts: Overlap) -> Emptiness:
    """Tells which of truth and prediction has no voxel."""
    if not counts.truth:
        return "truth" if counts.prediction else "both"
    return "none" if counts.prediction else "prediction"


def precision(counts: Overlap, *, empty: str) -> float:
    """|T and P| / |P|, 0 to 1; 0 where only P is empty, `EMPTY_SCORES[empty]` where both are."""
    return _share(counts, counts.prediction, empty)


def recall(counts: Overlap, *, empty: str) -> float:
    """|T and P| / |T|, 0 to 1; 0 where only T is empty, `EMPTY_SCORES[empty]` where both are.

    Also called sensitivity. BraTS 2023 divides by |T| plus a number next to 0: the same 0, and 1
    where both are empty.
    """
    return _share(counts, counts.truth, empty)


def _share(counts: Overlap, whole: int, empty: str) -> float:
    if emptiness(counts) == "both":
        return EMPTY_SCORES[empty]
    return counts.intersection / whole if whole else 0.0


def volume_difference(counts: Overlap) -> float:
    """(|P| - |T|) / |T|: above 0 where too much is predicted, -1 where nothing is.

    NaN where the truth is empty: there is nothing to relate to.
    """
    return (counts.prediction - counts.truth) / counts.truth if counts.truth else nan


def millilitres(voxels: int, spacing: Sequence[float]) -> float:
    """Volume of so many voxels of `spacing` mm in ml (1000 mm^3)."""
    return voxels * prod(spacing) / 1000


def voxel_scores(
    counts: Overlap, *, empty: str, spacing: Sequence[float] | None
) -> dict[str, float]:
    """All scores from the counts.

    Args:
      counts: Of one class or region.
      empty: Key of `overlap.EMPTY_SCORES`.
      spacing: Size of a voxel in mm; without three axes no volume in ml is given.
    """
    scores = {
        "dice": dice(counts, empty=empty),
        "iou": iou(counts, empty=empty),
        "precision": precision(counts, empty=empty),
        "recall": recall(counts, empty=empty),
        "volume_difference": volume_difference(counts),
    }
    if spacing is None or len(spacing) != 3:
        return scores
    difference = millilitres(counts.prediction - counts.truth, spacing)
    truth = millilitres(counts.truth, spacing)
    return scores | {"volume_difference_ml": difference, "truth_ml": truth}
