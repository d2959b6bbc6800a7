"""Matrices along the axes of tiny crops, by values computed by hand."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.augment.filters import along_axes, blur_matrix, coarse_matrix, spline_matrix


@pytest.mark.parametrize(
    ("before", "after"), [((3, 2), (4, 5)), ((3, 3), (3, 3)), ((3, 2, 4), (2, 5, 3))]
)
def test_every_axis_is_multiplied_with_its_matrix(
    before: tuple[int, ...], after: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    matrices = [
        rng.normal(size=pair).astype(np.float32) for pair in zip(after, before, strict=True)
    ]
    values = rng.normal(size=before).astype(np.float32)
    expected = values
    for axis, matrix in enumerate(matrices):
        expected = np.moveaxis(np.tensordot(matrix, expected, (1, axis)), 0, axis)
    result = along_axes(tf.constant(values), [tf.constant(m) for m in matrices])
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_blurred_delta_is_a_gaussian_that_sums_to_one() -> None:
    """Sigma 0.5: neighbours weigh exp(-2) = 0.1353 of the middle, the next exp(-8) = 0.0003."""
    matrix = np.asarray(blur_matrix(9, tf.constant(0.5)))
    delta = np.zeros(9, np.float32)
    delta[4] = 1
    blurred = matrix @ delta
    assert blurred.sum() == pytest.approx(1, abs=1e-6)
    total = 1 + 2 * np.exp(-2) + 2 * np.exp(-8)
    np.testing.assert_allclose(
        blurred[4:7], np.array([1, np.exp(-2), np.exp(-8)]) / total, atol=1e-5
    )


def test_blur_keeps_a_constant_up_to_the_border() -> None:
    np.testing.assert_allclose(blur_matrix(5, tf.constant(1.0)) @ np.ones((5, 1)), 1, atol=1e-6)


def test_half_of_four_voxels_are_kept() -> None:
    """Voxels 1 and 3 are kept; see the docstring for the weights."""
    expected = [[0, 1, 0, 0], [0, 0.75, 0, 0.25], [0, 0.25, 0, 0.75], [0, 0, 0, 1]]
    np.testing.assert_allclose(coarse_matrix(4, tf.constant(0.5)), expected, atol=1e-6)


def test_all_voxels_kept_change_nothing_and_one_is_everywhere() -> None:
    np.testing.assert_array_equal(coarse_matrix(5, tf.constant(1.0)), np.eye(5))
    only = np.zeros((5, 5))
    only[:, 2] = 1
    np.testing.assert_array_equal(coarse_matrix(5, tf.constant(0.01)), only)


def test_splines_by_hand() -> None:
    """Voxel 0 of 1 lies in the middle of its only cell: 1/48, 23/48, 23/48, 1/48."""
    np.testing.assert_allclose(spline_matrix(1, 1), [[1 / 48, 23 / 48, 23 / 48, 1 / 48]], rtol=1e-5)


def test_splines_keep_constants_and_straight_lines() -> None:
    """Control points at -1 ... 5 of 4 cells: the spline of a line is the line, (i + 0.5) 4 / 16."""
    matrix = np.asarray(spline_matrix(16, 4))
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(matrix @ np.arange(-1, 6), (np.arange(16) + 0.5) / 4, atol=1e-5)
