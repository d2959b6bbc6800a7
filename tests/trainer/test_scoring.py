"""Scores of images of 2x3 pixels, counted by hand."""

from math import nan, sqrt

import numpy as np
import pytest

from beam_preprocess.datasets.brats import BRATS
from trainer.overlap import Overlap
from trainer.scoring import Row, aggregate, score_defects, score_regions, summarise

TRUTH = np.array([[1, 1, 2], [0, 4, 4]], np.uint8)
PREDICTION = np.array([[1, 2, 2], [0, 0, 4]], np.uint8)
EMPTY = np.zeros((2, 3), np.uint8)
# label 1: truth 2, prediction 1, both 1; label 2: 1, 2, 1; label 4: 2, 1, 1
# TC = 1 or 4: truth 4, prediction 2, both 2; WT = 1, 2 or 4: truth 5, prediction 4, both 4


def values(scores: dict) -> dict[str, float]:
    return {name: value for name, (value, _) in scores.items()}


def test_regions_have_both_families_of_names() -> None:
    """Per label as the references print it, and the BraTS regions; TumorCore is not TC."""
    scores = score_regions(TRUTH, PREDICTION, BRATS, empty="brats")
    assert values(scores) == pytest.approx(
        {
            "TumorCore": 2 / 3,
            "PeritumoralEdema": 2 / 3,
            "EnhancingTumor": 2 / 3,
            "MeanDice": 2 / 3,
            "ET": 2 / 3,
            "TC": 4 / 6,
            "WT": 8 / 9,
            "WholeTumor": 8 / 9,
        }
    )
    assert scores["TumorCore"][1] == Overlap(intersection=1, truth=2, prediction=1)
    assert scores["TC"][1] == Overlap(intersection=2, truth=4, prediction=2)
    assert scores["MeanDice"][1] is None


def test_each_name_is_of_its_own_labels() -> None:
    """Labels 1, 1, 2, 4: the prediction has 1 and 2 right, and calls one 1 and the 4 background."""
    truth = np.array([[1, 1, 2], [4, 0, 0]], np.uint8)
    prediction = np.array([[1, 0, 2], [0, 0, 0]], np.uint8)
    found = values(score_regions(truth, prediction, BRATS, empty="brats"))
    assert found == pytest.approx(
        {
            "TumorCore": 2 / 3,
            "PeritumoralEdema": 1.0,
            "EnhancingTumor": 0.0,
            "MeanDice": (2 / 3 + 1 + 0) / 3,
            "ET": 0.0,
            "TC": 2 / 4,
            "WT": 4 / 6,
            "WholeTumor": 4 / 6,
        }
    )


@pytest.mark.parametrize(("empty", "score"), [("brats", 1.0), ("nan", nan), ("reference", 0.0)])
def test_case_without_enhancing_tumour(empty: str, score: float) -> None:
    truth = np.where(TRUTH == 4, 0, TRUTH)
    prediction = np.where(PREDICTION == 4, 0, PREDICTION)
    found = values(score_regions(truth, prediction, BRATS, empty=empty))
    assert found["EnhancingTumor"] == pytest.approx(score, nan_ok=True)
    assert found["ET"] == pytest.approx(score, nan_ok=True)
    assert found["MeanDice"] == pytest.approx((2 / 3 + 2 / 3 + score) / 3, nan_ok=True)
    assert found["TC"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(("empty", "score"), [("brats", 1.0), ("nan", nan), ("reference", 0.0)])
def test_empty_case(empty: str, score: float) -> None:
    found = values(score_regions(EMPTY, EMPTY, BRATS, empty=empty))
    assert len(found) == 8
    assert all(v == pytest.approx(score, nan_ok=True) for v in found.values())


def test_tumour_only_predicted() -> None:
    found = values(score_regions(EMPTY, np.full_like(EMPTY, 4), BRATS, empty="brats"))
    assert found["ET"] == found["TC"] == found["WT"] == found["EnhancingTumor"] == 0
    assert found["TumorCore"] == found["PeritumoralEdema"] == 1
    assert found["MeanDice"] == pytest.approx(2 / 3)


PROBABILITY = np.array([[0.1, 0.6, 0.9], [0.2, 0.3, 0.4]], np.float32)


def test_defect() -> None:
    truth = np.array([[0, 255, 255], [0, 0, 255]], np.uint8)
    prediction = np.array([[0, 255, 255], [255, 0, 0]], np.uint8)
    counts = Overlap(intersection=2, truth=3, prediction=3)
    scores = score_defects(truth, prediction, PROBABILITY, empty="brats")
    assert scores["image_score"] == (pytest.approx(0.9), counts)
    assert scores["defect_dice"] == (pytest.approx(4 / 6), counts)
    assert scores["defect_iou"] == (pytest.approx(2 / 4), counts)
    assert len(scores) == 3


def test_defect_that_was_not_found_scores_zero() -> None:
    truth = np.full((2, 3), 255, np.uint8)
    found = values(score_defects(truth, EMPTY, PROBABILITY, empty="brats"))
    assert found["defect_dice"] == found["defect_iou"] == 0


def test_image_without_defect_has_an_image_score_only() -> None:
    """Otherwise the many good images, each with dice 1, would hide the defects that are missed."""
    scores = score_defects(EMPTY, EMPTY, PROBABILITY, empty="brats")
    assert values(scores) == {"image_score": pytest.approx(0.9)}
    assert scores["image_score"][1] == Overlap(intersection=0, truth=0, prediction=0)


def rows(metric: str, numbers: list[float], truths: list[int] | None = None) -> list[Row]:
    truths = truths or [1] * len(numbers)
    return [
        Row(case_id=f"case-{n}", stratum="any", metric=metric, value=value, truth=truth)
        for n, (value, truth) in enumerate(zip(numbers, truths, strict=True))
    ]


def test_mean_and_population_deviation() -> None:
    result = aggregate(rows("WT", [0.5, 1.0, 0.75]) + rows("ET", [0.25]))
    assert set(result) == {"WT", "ET"}
    assert result["WT"] == pytest.approx({"mean": 0.75, "std": sqrt(0.125 / 3), "n": 3})
    assert result["ET"] == {"mean": 0.25, "std": 0.0, "n": 1}


def test_nan_is_left_out_and_not_counted() -> None:
    assert summarise([0.5, nan, 1.0]) == {"mean": 0.75, "std": 0.25, "n": 2}


@pytest.mark.parametrize("numbers", [[], [nan], [nan, nan]])
def test_nothing_to_summarise(numbers: list[float]) -> None:
    assert summarise(numbers) == {"mean": None, "std": None, "n": 0}


def test_auroc_by_hand() -> None:
    """Defective 0.9, 0.4; good 0.1, 0.5, 0.4. Of 6 pairs 4 are right, and one is a tie: 4.5 / 6.

    0.9 beats all three; 0.4 beats 0.1, ties with 0.4 and loses to 0.5.
    """
    images = rows("image_score", [0.9, 0.1, 0.4, 0.5, 0.4], [7, 0, 2, 0, 0])
    result = aggregate(images + rows("defect_dice", [0.5, 0.75]))
    assert result["image_auroc"] == {"mean": pytest.approx(4.5 / 6), "std": None, "n": 5}
    assert set(result) == {"image_auroc", "defect_dice"}


@pytest.mark.parametrize("truths", [[0, 0], [3, 1]])
def test_auroc_needs_both_kinds_of_images(truths: list[int]) -> None:
    result = aggregate(rows("image_score", [0.9, 0.1], truths))
    assert result == {"image_auroc": {"mean": None, "std": None, "n": 2}}


def test_nothing_to_aggregate() -> None:
    assert aggregate([]) == {}
