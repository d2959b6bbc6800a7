"""Overlaps of images of 2x3 pixels, counted by hand."""

from math import isnan

import numpy as np
import pytest

from trainer.overlap import Overlap, dice, iou, overlap

TRUTH = np.array([[1, 1, 2], [0, 4, 4]], np.uint8)
PREDICTION = np.array([[1, 2, 2], [0, 0, 4]], np.uint8)
# label 1: truth 2, prediction 1, both 1; label 2: 1, 2, 1; label 4: 2, 1, 1


@pytest.mark.parametrize(
    ("labels", "intersection", "truth", "prediction"),
    [((1,), 1, 2, 1), ((2,), 1, 1, 2), ((1, 4), 2, 4, 2), ((1, 2, 4), 4, 5, 4), ((3,), 0, 0, 0)],
)
def test_overlap(labels: tuple[int, ...], intersection: int, truth: int, prediction: int) -> None:
    expected = Overlap(intersection=intersection, truth=truth, prediction=prediction)
    assert overlap(TRUTH, PREDICTION, labels) == expected


def test_overlap_of_other_shapes_is_an_error() -> None:
    message = r"^truth and prediction must have one shape, got \(2, 3\) and \(3, 2\)$"
    with pytest.raises(ValueError, match=message):
        overlap(TRUTH, PREDICTION.T, [1])


def test_dice_and_iou_by_hand() -> None:
    counts = Overlap(intersection=2, truth=4, prediction=2)
    assert dice(counts, empty="brats") == 4 / 6
    assert iou(counts, empty="brats") == 2 / 4


@pytest.mark.parametrize("score", [dice, iou])
@pytest.mark.parametrize("empty", ["brats", "nan", "reference"])
def test_one_sided_emptiness_scores_zero_whatever_the_policy(score, empty: str) -> None:
    assert score(Overlap(intersection=0, truth=3, prediction=0), empty=empty) == 0
    assert score(Overlap(intersection=0, truth=0, prediction=3), empty=empty) == 0


@pytest.mark.parametrize("score", [dice, iou])
def test_emptiness_on_both_sides_scores_by_the_policy(score) -> None:
    counts = Overlap(intersection=0, truth=0, prediction=0)
    assert score(counts, empty="brats") == 1
    assert score(counts, empty="reference") == 0
    assert isnan(score(counts, empty="nan"))
