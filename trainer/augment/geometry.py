"""Mirroring and turning of crops [*c, C] by whole voxels: equal seeds do the same to any crop."""

import tensorflow as tf

from trainer.augment.draws import happens


def random_flips(crop: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mirrors every spatial axis of [*c, C] with probability 1/2."""
    rank = crop.shape.rank - 1
    chosen = tf.random.stateless_uniform([rank], seed) < 0.5
    return tf.reverse(crop, tf.boolean_mask(tf.range(rank), chosen))  # all axes in one pass


def random_flip(crop: tf.Tensor, seed: tf.Tensor, *, axis: int) -> tf.Tensor:
    """Mirrors one axis of [*c, C] with probability 1/2."""
    return tf.cond(happens(seed, 0.5), lambda: tf.reverse(crop, [axis]), lambda: crop)


def random_rotation(crop: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Turns [*c, C] by 0, 90, 180 or 270 degrees (0 or 180 where the first two sizes differ)."""
    square = crop.shape[0] == crop.shape[1]
    turns = tf.random.stateless_uniform([], seed, maxval=4 if square else 2, dtype=tf.int32)
    return turned(crop, turns if square else 2 * turns)


def turned(crop: tf.Tensor, quarters: tf.Tensor) -> tf.Tensor:
    """Turns [*c, C] by 0 to 3 quarters in the plane of the first two axes, as `np.rot90` does.

    Where the first two sizes differ, only by 0 and 2.
    """

    def half() -> tf.Tensor:
        return tf.reverse(crop, [0, 1])

    def quarter(mirrored: int) -> tf.Tensor:
        swapped = tf.transpose(crop, [1, 0, *range(2, crop.shape.rank)])
        return tf.ensure_shape(tf.reverse(swapped, [mirrored]), crop.shape)

    if crop.shape[0] != crop.shape[1]:
        return tf.cond(quarters == 2, half, lambda: crop)
    options = [lambda: crop, lambda: quarter(0), half, lambda: quarter(1)]
    return tf.switch_case(quarters, options)
