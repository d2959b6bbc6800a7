"""What the "IoU" of UNet_Industrial is worth."""

from math import isnan

import numpy as np
import pytest

from trainer.metrics.reference import industrial_means, industrial_scores

E = 1e-5
CLEAN = np.zeros((10, 10), np.float32)


def defect(pixels: int) -> np.ndarray:
    mask = CLEAN.copy()
    mask.flat[:pixels] = 1
    return mask


def test_an_image_by_hand() -> None:
    """Two of four pixels found: 4 / 6; an empty prediction has none."""
    scores = industrial_scores(defect(4), defect(2) * 0.9)
    assert scores.defective
    assert scores.values["IoU_THS_0.5"] == pytest.approx((4 + E) / (6 + E))
    assert scores.values["IoU_THS_0.95"] == pytest.approx(E / (4 + E))
    assert list(scores.always_empty.values()) == pytest.approx([E / (4 + E)] * 8)


def test_images_of_dagm_class_1() -> None:
    """71 of 575 are defective; with 0.80 on those the mean is 0.975, and with nothing 0.877."""
    clean = industrial_scores(CLEAN, CLEAN)
    assert not clean.defective
    # 2 of 3 pixels: 4 / 5
    found = industrial_scores(defect(3), defect(2))
    means = industrial_means([clean] * 504 + [found] * 71)["IoU_THS_0.75"]
    assert means["defective"] == pytest.approx(0.8, abs=1e-5)
    assert means["mean"] == pytest.approx((504 + 71 * 0.8) / 575, abs=1e-5)
    assert means["mean"] == pytest.approx(0.975, abs=5e-4)
    assert means["always_empty"] == pytest.approx(504 / 575, abs=1e-5)


def test_without_defects_and_without_images() -> None:
    means = industrial_means([industrial_scores(CLEAN, CLEAN)])
    assert len(means) == 8
    assert isnan(means["IoU_THS_0.5"]["defective"])
    assert means["IoU_THS_0.5"]["mean"] == means["IoU_THS_0.5"]["always_empty"] == 1
    assert industrial_means([]) == {}
