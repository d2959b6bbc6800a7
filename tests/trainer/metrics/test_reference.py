"""Scores of the references: dice of scans, and what the "IoU" of UNet_Industrial is worth."""

import numpy as np
import pytest

from beam_preprocess.datasets.brats import BRATS
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.datasets.severstal import SEVERSTAL
from trainer.metrics.case_scores import CaseScores
from trainer.metrics.cohort_scores import score_cohort
from trainer.metrics.config import StatisticsConfig
from trainer.metrics.reference import industrial_scores, reference_scores

E = 1e-5
CONFIG = StatisticsConfig(resamples=10)
CLEAN = np.zeros((10, 10), np.float32)


def defect(pixels: int) -> np.ndarray:
    mask = CLEAN.copy()
    mask.flat[:pixels] = 1
    return mask


def case(number: int, reference: dict[str, float]) -> CaseScores:
    return CaseScores(case_id=str(number), columns={}, regions={}, reference=reference)


def test_an_image_by_hand() -> None:
    """Two of four pixels found: 4 / 6; an empty prediction has none."""
    scores = industrial_scores(defect(4), defect(2) * 0.9)
    assert scores["IoU_THS_0.5"] == scores["IoU_THS_0.5_defective"]
    assert scores["IoU_THS_0.5"] == pytest.approx((4 + E) / (6 + E))
    assert scores["IoU_THS_0.95"] == pytest.approx(E / (4 + E))
    empty = [v for name, v in scores.items() if name.endswith("_always_empty")]
    assert empty == pytest.approx([E / (4 + E)] * 8)


def test_images_of_dagm_class_1() -> None:
    """71 of 575 are defective; with 0.80 on those the mean is 0.975, and with nothing 0.877."""
    clean, found = industrial_scores(CLEAN, CLEAN), industrial_scores(defect(3), defect(2))
    images = [case(n, clean if n < 504 else found) for n in range(575)]  # 2 of 3 pixels: 4 / 5
    means = {
        n: s.mean for n, s in score_cohort([images], CONFIG, thresholds=[0.5]).reference.items()
    }
    assert means["IoU_THS_0.75_defective"] == pytest.approx(0.8, abs=1e-5)
    assert means["IoU_THS_0.75"] == pytest.approx((504 + 71 * 0.8) / 575, abs=1e-5)
    assert means["IoU_THS_0.75"] == pytest.approx(0.975, abs=5e-4)
    assert means["IoU_THS_0.75_always_empty"] == pytest.approx(504 / 575, abs=1e-5)


def test_rates_of_images_are_those_of_the_reference() -> None:
    """Two defective images with 0.97 and 0.3, two others with 0.6 and 0.05, which is not above."""
    made = [(defect(1), 0.97), (defect(1), 0.3), (CLEAN, 0.6), (CLEAN, 0.05)]
    images = [
        case(n, industrial_scores(mask, np.full_like(CLEAN, p))) for n, (mask, p) in enumerate(made)
    ]
    found = score_cohort([images], CONFIG, thresholds=[0.5]).reference
    at = (0.05, 0.125, 0.25, 0.5, 0.75, 0.85, 0.95, 0.99)
    assert [found[f"TPR_THS_{t}"].mean for t in at] == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0]
    assert [found[f"TNR_THS_{t}"].mean for t in at] == [0.5, 0.5, 0.5, 0.5, 1, 1, 1, 1]
    assert found["TPR_THS_0.5"].n == found["TNR_THS_0.5"].n == 2


def test_without_defects() -> None:
    images = [case(0, industrial_scores(CLEAN, CLEAN))]
    scores = score_cohort([images], CONFIG, thresholds=[0.5]).reference
    assert len(scores) == 24 and "IoU_THS_0.5_defective" not in scores
    assert scores["TNR_THS_0.05"].mean == 1 and "TPR_THS_0.05" not in scores
    assert scores["IoU_THS_0.5"].mean == scores["IoU_THS_0.5_always_empty"].mean == 1


def softmax(label: np.ndarray, share: float = 0.9) -> np.ndarray:
    """Probabilities [*S, 4]: `share` for the class of a label value of BraTS."""
    classes = np.searchsorted([0, 1, 2, 4], label)
    return np.where(np.eye(4, dtype=bool)[classes], share, (1 - share) / 3).astype(np.float32)


def scan(truth: np.ndarray, probabilities: np.ndarray, **place) -> dict[str, float]:
    shape = truth.shape
    place = {"box": tuple((0, n) for n in shape), "full_shape": shape} | place
    return reference_scores(truth, probabilities, BRATS, **place)


def test_a_scan_by_hand() -> None:
    """Label 1 of 4 voxels, 2 found; label 4 found; no label 2, which scores 0 and not 1."""
    truth, prediction = np.zeros((2, 6, 4, 4), np.uint8)
    truth[0, 0], truth[5, 0] = 1, 4
    prediction[0, 0, :2], prediction[5, 0] = 1, 4
    scores = scan(truth, softmax(prediction))
    core = 4 / (6 + E)
    assert scores == pytest.approx(
        {
            "TumorCore": core,
            "PeritumoralEdema": 0,
            "EnhancingTumor": 8 / (8 + E),
            "MeanDice": (core + 8 / (8 + E)) / 3,
            "WholeTumor": 12 / (14 + E),
        }
    )


def test_what_no_class_has_for_sure_is_background() -> None:
    truth = np.full((2, 2, 2), 2, np.uint8)
    assert scan(truth, softmax(truth, 0.51))["PeritumoralEdema"] == pytest.approx(1)
    assert scan(truth, softmax(truth, 0.49))["PeritumoralEdema"] == 0


def test_the_middle_of_the_full_grid_is_scored() -> None:
    """Of 240 voxels the references see 8 to 231. The record begins at 4: its first 4 are cut."""
    truth = np.zeros((10, 8, 6), np.uint8)
    truth[0:4], truth[4:6] = 1, 2
    prediction = np.where(truth == 2, 2, 0)
    place = {"box": ((4, 14), (20, 28), (0, 6)), "full_shape": (240, 240, 155)}
    scores = scan(truth, softmax(prediction), **place)
    assert scores["WholeTumor"] == pytest.approx(1)
    assert scores["TumorCore"] == 0
    assert scan(truth, softmax(prediction))["WholeTumor"] == pytest.approx(2 * 2 / (6 + 2))


def test_a_photograph_has_the_always_empty_score_beside() -> None:
    mask = np.zeros((10, 10), np.uint8)
    mask.flat[:4] = 255
    probability = np.stack([1 - defect(2) * 0.9, defect(2) * 0.9], axis=-1).astype(np.float32)
    place = {"box": ((0, 10), (0, 10)), "full_shape": (10, 10)}
    scores = reference_scores(mask, probability, DAGM, **place)
    assert scores["IoU_THS_0.5"] == pytest.approx((4 + E) / (6 + E))
    assert scores["IoU_THS_0.5_always_empty"] == pytest.approx(E / (4 + E))
    assert len(scores) == 32
    assert reference_scores(mask, probability, SEVERSTAL, **place) == {}
