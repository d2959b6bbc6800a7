"""All scores of a case: which regions have which, by hand and against single functions."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_preprocess.datasets.brats import BRATS
from beam_preprocess.datasets.dagm import DAGM
from trainer.metrics.config import MetricsConfig
from trainer.metrics.definitions import DEFINITIONS
from trainer.metrics.region_scores import SUMS, RegionScores, mean_scores, score_case
from trainer.metrics.surfaces import surface_scores
from trainer.overlap import EMPTY_SCORES, Overlap

CONFIG = MetricsConfig()
PERFECT = {"dice", "iou", "precision", "recall", "surface_dice", "lesion_dice"}
ZERO = {"volume_difference", "volume_difference_ml", "hd95", "lesion_hd95"}
NO_MATTER = {"truth_ml", "lesions_found", "lesions_missed", "lesions_false"}


def score(truth, prediction, info=BRATS, *, spacing=(1, 1, 1), empty="brats", config=CONFIG):
    return score_case(truth, prediction, info, spacing=spacing, empty=empty, config=config)


def brain(seed: int) -> np.ndarray:
    """Labels 0, 1, 2 and 4 in 12 x 10 x 8 voxels; 0 for the most part."""
    drawn = np.random.default_rng(seed).choice([0, 1, 2, 4], (12, 10, 8), p=[0.7, 0.1, 0.1, 0.1])
    return drawn.astype(np.uint8)


def test_a_case_by_hand() -> None:
    """Labels of 4^3 = 64 voxels of 2 mm^3 each: 2 at x 0-3, 1 at 4-7, 4 at 8-11 and far off at 30.

    The prediction takes 4 for 1, and sees nothing of the last.
    """
    truth, prediction = np.zeros((2, 40, 4, 4), np.uint8)
    truth[0:4], truth[4:8], truth[8:12], truth[30:34] = 2, 1, 4, 4
    prediction[0:4], prediction[4:12] = 2, 4
    scores = score(truth, prediction, spacing=(2, 1, 1))
    assert list(scores) == [
        *("TumorCore", "PeritumoralEdema", "EnhancingTumor"),
        *("ET", "TC", "WT", "WholeTumor", "mean"),
    ]
    assert scores["WT"].counts == Overlap(intersection=192, truth=256, prediction=192)
    assert scores["WT"].values == pytest.approx(
        {
            "dice": 384 / 448,
            "iou": 192 / 256,
            "precision": 1,
            "recall": 0.75,
            "volume_difference": -0.25,
            "volume_difference_ml": -0.128,
            "truth_ml": 0.512,
            **surface_scores(
                truth > 0, prediction > 0, spacing=(2, 1, 1), empty="brats", config=CONFIG
            ),
            "lesion_dice": 0.5,
            "lesion_hd95": 187.0,
            "lesions_found": 1,
            "lesions_missed": 1,
            "lesions_false": 0,
        }
    )
    assert 40 <= scores["WT"].values["hd95"] <= 44  # the last block: 2 * (30 - 12) to 2 * (34 - 12)
    assert scores["WholeTumor"] == scores["WT"]
    assert scores["TC"].values["dice"] == pytest.approx(256 / (192 + 128))
    # ET: of 128 voxels the near 64 are found, by 128
    assert scores["ET"].values["precision"] == scores["ET"].values["recall"] == 0.5
    assert [lesion.dice for lesion in scores["ET"].lesions] == pytest.approx([128 / 192, 0])
    assert scores["TumorCore"].values["recall"] == 0
    assert scores["TumorCore"].empty == "prediction"
    assert scores["PeritumoralEdema"].values["dice"] == 1
    assert scores["ET"] == scores["EnhancingTumor"]
    assert scores["ET"].empty == "none"


def test_the_mean_is_over_the_labels() -> None:
    """Dice of the labels 1, 2 and 4: 1 / 2, none (both empty), 0. HD95 of 4 is the penalty."""
    truth, prediction = np.zeros((2, 6, 4, 4), np.uint8)
    truth[0:2], truth[5] = 1, 4
    prediction[1:3] = 1
    scores = score(truth, prediction, empty="nan")
    mean = scores["mean"]
    assert mean.counts == Overlap(intersection=16, truth=48, prediction=32)
    assert mean.values["dice"] == pytest.approx((0.5 + 0) / 2)
    assert mean.values["hd95"] == pytest.approx((scores["TumorCore"].values["hd95"] + 374) / 2)
    assert list(mean.values) == [n for n in scores["WT"].values if n not in SUMS]
    assert (mean.lesions, mean.empty) == ((), "none")


def test_the_mean_of_nothing_is_none() -> None:
    nothing = np.zeros((3, 3, 3), np.uint8)
    values = score(nothing, nothing, empty="nan")["mean"].values
    assert np.isnan([values["dice"], values["hd95"], values["lesion_dice"]]).all()


def test_scores_that_not_all_labels_have_are_left_out() -> None:
    label = RegionScores(
        counts=Overlap(intersection=1, truth=1, prediction=1), values={"dice": 1.0, "iou": 0.5}
    )
    other = replace(label, values={"iou": 1.0})
    assert mean_scores([label, other]).values == {"iou": 0.75}


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_truth_as_prediction_is_perfect_everywhere(seed: int) -> None:
    truth = brain(seed)
    for name, scores in score(truth, truth.copy(), spacing=(1, 2, 0.5)).items():
        less = SUMS if name == "mean" else set()
        assert {n for n, v in scores.values.items() if v == 1} >= PERFECT
        assert {n for n, v in scores.values.items() if v == 0} >= ZERO - less
        assert set(scores.values) == (PERFECT | ZERO | NO_MATTER) - less


def test_the_mean_of_counts_and_volumes_has_no_meaning() -> None:
    """Half a lesion, or the mean of volumes of which two make one tumour."""
    values = score(brain(0), brain(1))["mean"].values
    assert {"dice", "hd95", "volume_difference", "lesion_dice", "lesion_hd95"} <= set(values)
    assert not {n for n in values if n.endswith("_ml") or n.startswith("lesions_")}


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_truth_and_prediction_exchanged(seed: int) -> None:
    truth, prediction = brain(seed), brain(seed + 1)
    there, back = score(truth, prediction), score(prediction, truth)
    for name in there:
        a, b = there[name].values, back[name].values
        for same in ("dice", "iou", "hd95", "surface_dice"):
            assert a[same] == pytest.approx(b[same])
        assert a["precision"] == b["recall"]
        if name != "mean":
            assert a["volume_difference_ml"] == -b["volume_difference_ml"]


@pytest.mark.parametrize("empty", ["brats", "nan", "reference"])
def test_an_empty_case(empty: str) -> None:
    nothing = np.zeros((3, 3, 3), np.uint8)
    far = {"brats": 0.0, "nan": np.nan, "reference": 374.0}[empty]
    for scores in score(nothing, nothing, empty=empty).values():
        assert scores.empty == "both"
        for name in PERFECT:
            assert scores.values[name] == pytest.approx(EMPTY_SCORES[empty], nan_ok=True)
        for name in ("hd95", "lesion_hd95"):
            assert scores.values[name] == pytest.approx(far, nan_ok=True)


def test_lesions_can_be_left_out() -> None:
    scores = score(brain(0), brain(1), config=MetricsConfig(lesion_wise=False))["WT"]
    assert not {name for name in scores.values if "lesion" in name}
    assert scores.lesions == ()


def test_a_photograph_with_a_defect() -> None:
    truth, prediction = np.zeros((2, 8, 8), np.uint8)
    truth[2:4, 2:4], prediction[2:4, 3:5] = 255, 255
    found = score(truth, prediction, DAGM, spacing=(1, 1))
    assert list(found) == ["defect"]
    assert found["defect"].values == pytest.approx(
        {
            "dice": 0.5,
            "iou": 1 / 3,
            "precision": 0.5,
            "recall": 0.5,
            "volume_difference": 0,
            "hd95": 1.0,
            "surface_dice": 1.0,
        }
    )


@pytest.mark.parametrize("predicted", [0, 255])
def test_a_photograph_without_a_defect_has_counts_alone(predicted: int) -> None:
    prediction = np.full((4, 4), predicted, np.uint8)
    found = score(np.zeros((4, 4), np.uint8), prediction, DAGM, spacing=(1, 1))
    counts = Overlap(intersection=0, truth=0, prediction=16 if predicted else 0)
    assert found == {"defect": RegionScores(counts=counts, values={})}


def test_every_score_has_a_definition() -> None:
    names = score(brain(0), brain(1))["WT"].values
    assert set(DEFINITIONS) == set(names) | {"auroc", "average_precision", "tpr", "tnr"}
    assert {n for n in names if DEFINITIONS[n].best == "high"} == PERFECT
    assert all(d.text.endswith(".") for d in DEFINITIONS.values())


def test_the_grid_must_be_one() -> None:
    with pytest.raises(ValueError, match="one shape"):
        score(np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match=r"size for each of the 3 axes, got \(1, 1\)"):
        score(brain(0), brain(0), spacing=(1, 1))
