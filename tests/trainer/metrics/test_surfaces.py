"""Distances between surfaces: boxes whose faces are apart by known amounts.

The elements of a surface stand at the corners of voxels: a box of n voxels has corners 0 ... n.
"""

from math import isnan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trainer.metrics.config import MetricsConfig
from trainer.metrics.surfaces import hd95, surface_scores

CONFIG = MetricsConfig()
MASKS = hnp.arrays(bool, (4, 5, 3)).filter(np.any)


def box(*edges: tuple[int, int], shape: tuple[int, ...] = (20, 20, 20)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*e) for e in edges)] = True
    return mask


def scores(truth, prediction, spacing=(1, 1, 1), empty="brats", config=CONFIG):
    return surface_scores(truth, prediction, spacing=spacing, empty=empty, config=config)


def test_a_shifted_voxel() -> None:
    """Voxels at x = 2 and 5 have corners 2 and 3, 5 and 6.

    Half the area of each is 2 mm from the other (3 to 5), and half is 3 mm (2 to 5).
    """
    truth, shifted = box((2, 3), (2, 3), (2, 3)), box((5, 6), (2, 3), (2, 3))
    assert scores(truth, shifted) == {"hd95": 3.0, "surface_dice": 0.0}
    two = MetricsConfig(surface_tolerance_mm=2)
    assert scores(truth, shifted, config=two)["surface_dice"] == pytest.approx(0.5)
    assert scores(truth, shifted, spacing=(4, 1, 1))["hd95"] == 12.0


def test_the_tolerance_holds_at_the_edge() -> None:
    truth, shifted = box((2, 3), (2, 3), (2, 3)), box((3, 4), (2, 3), (2, 3))
    assert scores(truth, shifted) == {"hd95": 1.0, "surface_dice": 1.0}
    below = MetricsConfig(surface_tolerance_mm=0.99)
    assert scores(truth, shifted, config=below)["surface_dice"] == pytest.approx(0.5)


def test_a_diagonal_shift() -> None:
    """The farthest corner of each is off by a step along all axes."""
    truth, shifted = box((2, 3), (2, 3), (2, 3)), box((3, 4), (3, 4), (3, 4))
    assert scores(truth, shifted, spacing=(1, 2, 3))["hd95"] == pytest.approx(sqrt(1 + 4 + 9))


def test_five_percent_of_the_surface_may_be_anywhere() -> None:
    """One voxel far from a box of 10^3: by area, about 2 or 3 in 600."""
    truth = box((0, 10), (0, 10), (0, 10))
    speck = truth | box((19, 20), (19, 20), (19, 20))
    assert scores(truth, speck)["hd95"] == 0.0
    half = box((0, 5), (0, 10), (0, 10))
    assert scores(truth, half)["hd95"] == 5.0  # the face at x = 10, a sixth of the surface


def test_a_photograph_is_measured_in_pixels() -> None:
    truth, shifted = (box((x, x + 1), (2, 3), shape=(9, 9)) for x in (2, 5))
    assert scores(truth, shifted, spacing=None) == {"hd95": 3.0, "surface_dice": 0.0}
    assert scores(truth, shifted, spacing=(0.5, 1))["hd95"] == 1.5


def test_spheres_are_apart_by_the_difference_of_their_radii() -> None:
    x, y, z = np.ogrid[-20:21, -20:21, -20:21]
    inner, outer = (x**2 + y**2 + z**2 <= r**2 for r in (10.2, 15.2))
    assert hd95(outer, inner, (1, 1, 1)) == pytest.approx(5, abs=0.8)
    assert hd95(outer, inner, (2, 2, 2)) == pytest.approx(10, abs=1.6)
    near = MetricsConfig(surface_tolerance_mm=6)
    assert scores(outer, inner, config=near)["surface_dice"] == 1.0


@pytest.mark.parametrize("empty", ["brats", "nan", "reference"])
def test_one_empty_is_the_penalty_whatever_the_policy(empty: str) -> None:
    full, nothing = box((0, 2), (0, 2), (0, 2)), np.zeros((20, 20, 20), bool)
    assert scores(full, nothing, empty=empty) == {"hd95": 374.0, "surface_dice": 0.0}
    assert scores(nothing, full, empty=empty) == {"hd95": 374.0, "surface_dice": 0.0}
    other = MetricsConfig(hd95_penalty_mm=9)
    assert scores(full, nothing, empty=empty, config=other)["hd95"] == 9.0


def test_both_empty_scores_by_the_policy() -> None:
    nothing = np.zeros((2, 2, 2), bool)
    assert scores(nothing, nothing, empty="brats") == {"hd95": 0.0, "surface_dice": 1.0}
    assert scores(nothing, nothing, empty="reference") == {"hd95": 374.0, "surface_dice": 0.0}
    assert all(isnan(v) for v in scores(nothing, nothing, empty="nan").values())


@settings(deadline=None, max_examples=40)
@given(truth=MASKS)
def test_truth_as_prediction_is_perfect(truth: np.ndarray) -> None:
    assert scores(truth, truth.copy(), spacing=(1, 0.5, 3)) == {"hd95": 0.0, "surface_dice": 1.0}


@settings(deadline=None, max_examples=40)
@given(truth=MASKS, prediction=MASKS, factor=st.sampled_from([0.5, 2.0, 4.0]))
def test_symmetric_and_in_proportion_to_the_spacing(truth, prediction, factor: float) -> None:
    spacing = (1.0, 0.5, 3.0)
    found = scores(truth, prediction, spacing)
    swapped = scores(prediction, truth, spacing)
    assert found == pytest.approx(swapped)
    larger = MetricsConfig(surface_tolerance_mm=factor)
    scaled = scores(truth, prediction, tuple(factor * s for s in spacing), config=larger)
    assert scaled["hd95"] == pytest.approx(factor * found["hd95"])
    assert scaled["surface_dice"] == pytest.approx(found["surface_dice"])


@settings(deadline=None, max_examples=40)
@given(truth=MASKS, prediction=MASKS)
def test_what_lies_around_does_not_matter(truth: np.ndarray, prediction: np.ndarray) -> None:
    padded = [np.pad(mask, 2) for mask in (truth, prediction)]
    assert scores(*padded) == pytest.approx(scores(truth, prediction))
