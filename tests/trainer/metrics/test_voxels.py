"""Precision, recall and volumes from counts, by hand."""

from math import isnan, nan

import pytest

from trainer.metrics.voxels import (
    emptiness,
    millilitres,
    precision,
    recall,
    volume_difference,
    voxel_scores,
)
from trainer.overlap import Overlap

COUNTS = Overlap(intersection=3, truth=4, prediction=6)
NOTHING = Overlap(intersection=0, truth=0, prediction=0)
MISSED = Overlap(intersection=0, truth=4, prediction=0)
MADE_UP = Overlap(intersection=0, truth=0, prediction=4)


@pytest.mark.parametrize(
    ("counts", "name"),
    [(COUNTS, "none"), (NOTHING, "both"), (MISSED, "prediction"), (MADE_UP, "truth")],
)
def test_what_is_empty(counts: Overlap, name: str) -> None:
    assert emptiness(counts) == name


def test_all_scores_by_hand() -> None:
    """Shared 3, in either 7; voxels of 1 x 2 x 5 mm are 0.01 ml."""
    scores = voxel_scores(COUNTS, empty="brats", spacing=(1, 2, 5))
    assert scores == pytest.approx(
        {
            "dice": 6 / 10,
            "iou": 3 / 7,
            "precision": 3 / 6,
            "recall": 3 / 4,
            "volume_difference": 2 / 4,
            "volume_difference_ml": 0.02,
            "truth_ml": 0.04,
        }
    )


@pytest.mark.parametrize("spacing", [None, (1.0, 1.0)])
def test_an_image_has_no_volume_in_ml(spacing: tuple[float, ...] | None) -> None:
    scores = voxel_scores(COUNTS, empty="brats", spacing=spacing)
    assert list(scores) == ["dice", "iou", "precision", "recall", "volume_difference"]


@pytest.mark.parametrize(("empty", "score"), [("brats", 1.0), ("nan", nan), ("reference", 0.0)])
def test_both_empty_scores_by_the_policy(empty: str, score: float) -> None:
    assert precision(NOTHING, empty=empty) == pytest.approx(score, nan_ok=True)
    assert recall(NOTHING, empty=empty) == pytest.approx(score, nan_ok=True)


@pytest.mark.parametrize("empty", ["brats", "nan", "reference"])
@pytest.mark.parametrize("counts", [MISSED, MADE_UP])
def test_one_empty_scores_zero_whatever_the_policy(counts: Overlap, empty: str) -> None:
    scores = voxel_scores(counts, empty=empty, spacing=None)
    assert {scores[name] for name in ("dice", "iou", "precision", "recall")} == {0.0}


def test_precision_and_recall_change_places_with_truth_and_prediction() -> None:
    swapped = Overlap(intersection=3, truth=6, prediction=4)
    assert precision(swapped, empty="nan") == recall(COUNTS, empty="nan") == 3 / 4
    assert recall(swapped, empty="nan") == precision(COUNTS, empty="nan") == 3 / 6


def test_a_missed_volume_is_minus_one_and_a_made_up_one_has_no_share() -> None:
    assert volume_difference(MISSED) == -1
    assert isnan(volume_difference(MADE_UP))
    assert isnan(volume_difference(NOTHING))


def test_volumes() -> None:
    assert millilitres(500, (1, 1, 2)) == 1
    assert millilitres(-500, (1, 1, 2)) == -1
