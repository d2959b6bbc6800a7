"""Linear filters of one channel that work axis by axis: a matrix per axis.

A crop of 128 voxels times a dense matrix of 128 x 128 is less work than it looks: matrix products
are what a CPU does best, and blur, coarser resolution and splines are all one operation.

Shapes: c is the crop's spatial shape, n one of its sizes, k another size.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf


def along_axes(values: tf.Tensor, matrices: Sequence[tf.Tensor]) -> tf.Tensor:
    """Multiplies every axis of a tensor of static shape with its matrix [to, from].

    [k0, k1] with [n0, k0] and [n1, k1] -> [n0, n1].
    """
    for axis, matrix in enumerate(matrices):
        before, (size, *after) = values.shape[:axis], values.shape[axis:]
        rows = tf.reshape(values, [before.num_elements(), size, -1])
        if axis == len(matrices) - 1:  # one product instead of many with a vector
            product = tf.matmul(rows[..., 0], matrix, transpose_b=True)
        else:
            product = tf.matmul(matrix, rows)
        values = tf.reshape(product, [*before, matrix.shape[0], *after])
    return values


def blur_matrix(size: int, sigma: tf.Tensor) -> tf.Tensor:
    """A Gaussian of `sigma` voxels, cut off and normalised at the borders: float32 [n, n]."""
    index = tf.range(size, dtype=tf.float32)
    weights = tf.exp(-0.5 * tf.square((index[:, None] - index) / sigma))
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)


def coarse_matrix(size: int, share: tf.Tensor) -> tf.Tensor:
    """Keeps a share of the voxels, the nearest ones, and interpolates back: float32 [n, n].

    Size 4, share 1/2: voxels 1 and 3 are kept, and lie at 0.5 and 2.5. The four voxels lie at
    -0.25, 0.25, 0.75 and 1.25 of the kept ones, and get 1, 0.75 + 0.25, 0.25 + 0.75 and 1 of them.
    """
    kept = tf.maximum(tf.round(size * share), 1.0)
    position = (tf.range(size, dtype=tf.float32) + 0.5) * kept / size - 0.5
    position = tf.clip_by_value(position, 0.0, kept - 1)
    low = tf.floor(position)
    high = tf.minimum(low + 1, kept - 1)

    def pick(index: tf.Tensor) -> tf.Tensor:
        return tf.one_hot(tf.cast((index + 0.5) * size / kept, tf.int32), size)

    fraction = (position - low)[:, None]
    return (1 - fraction) * pick(low) + fraction * pick(high)


def spline_matrix(size: int, cells: int) -> tf.Tensor:
    """Uniform cubic B-splines on `cells` equal cells of an axis: float32 [n, cells + 3].

    Rows sum to 1: equal control points give the same value everywhere.
    """
    position = (np.arange(size) + 0.5) * cells / size
    distance = np.abs(position[:, None] - np.arange(-1, cells + 2))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.maximum(2 - distance, 0) ** 3 / 6
    return tf.constant(np.where(distance < 1, near, far), tf.float32)
