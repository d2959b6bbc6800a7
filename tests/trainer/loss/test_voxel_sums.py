"""Sums of a whole crop against float64."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.loss.voxel_sums import sum_over_voxels


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (2, 3, 5, 7, 4)])
def test_sums_every_sample_and_class_by_itself(shape: tuple[int, ...]) -> None:
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    expected = x.reshape(2, -1, 4).sum(1)
    np.testing.assert_array_equal(sum_over_voxels(tf.constant(x)), expected)
    np.testing.assert_array_equal(tf.function(sum_over_voxels)(x), expected)


def test_a_large_crop_keeps_its_digits() -> None:
    """Many small probabilities beside some large ones, as of a rare class."""
    x = np.random.default_rng(0).random((1, 128, 128, 128, 2), np.float32) ** 8
    expected = x.sum((1, 2, 3), dtype=np.float64)
    np.testing.assert_allclose(sum_over_voxels(tf.constant(x)), expected, rtol=1e-6)
