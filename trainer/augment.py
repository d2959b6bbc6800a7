"""Random crops and changes of one case. Stateless: the same seed gives the same crop, eagerly and in tf.data.

Shapes: S is the spatial shape ([X, Y, Z] or [H, W]), c the crop's, C channels. A seed is int32 [2].
"""

from collections.abc import Sequence

import tensorflow as tf

from trainer.config import AugmentConfig


def example_seed(run_seed: int, case_id: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
    """The seed of a case in an epoch: int32 [2]."""
    case = tf.strings.to_hash_bucket_fast(case_id, 2**31 - 1)
    seed = tf.stack([tf.cast(case, tf.int32), tf.constant(run_seed, tf.int32)])
    return tf.random.experimental.stateless_fold_in(seed, tf.cast(epoch, tf.int32))


def pad_to(image: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
    """Pads [*S, C] with zeros at the end of every axis that is smaller than `size`."""
    missing = tf.maximum(tf.constant(size) - tf.shape(image)[:-1], 0)
    paddings = tf.stack([tf.zeros_like(missing), missing], axis=1)
    return tf.pad(image, tf.concat([paddings, [[0, 0]]], axis=0))


def random_crop(
    x: tf.Tensor, y: tf.Tensor, size: Sequence[int], seed: tf.Tensor, *, foreground_fraction: float
) -> tf.Tensor:
    """Cuts a crop out of image and label; volumes smaller than the crop are padded with zeros.

    All offsets from 0 to S - c are possible. With probability `foreground_fraction` the crop is placed
    on a labelled voxel drawn at random: as near to the middle of the crop as the volume allows.

    Args:
      x: [*S, C].
      y: [*S].
      size: c.
      seed: int32 [2].
      foreground_fraction: 0 to 1; has no effect on a case without labelled voxels.

    Returns:
      x and y on one channel axis: [*c, C + 1], in the type of x.
    """
    both = pad_to(tf.concat([x, tf.cast(y, x.dtype)[..., tf.newaxis]], axis=-1), size)
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 3))
    span = tf.shape(both)[:-1] - tf.constant(size) + 1
    start = _uniform_below(span, seeds[0])
    if foreground_fraction:
        wanted = tf.random.stateless_uniform([], seeds[1]) < foreground_fraction
        start = tf.cond(
            wanted, lambda: _start_on_foreground(y, size, start, span, seeds[2]), lambda: start
        )
    start = tf.concat([start, [0]], axis=0)
    return tf.ensure_shape(tf.slice(both, start, [*size, -1]), [*size, x.shape[-1] + 1])


def _uniform_below(bounds: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """One integer per bound, uniform in 0 to bound - 1: int32 [n]."""
    unit = tf.random.stateless_uniform(tf.shape(bounds), seed, dtype=tf.float64)
    return tf.cast(unit * tf.cast(bounds, tf.float64), tf.int32)


def _start_on_foreground(
    y: tf.Tensor, size: Sequence[int], default: tf.Tensor, span: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    voxels = tf.where(y > 0)
    count = tf.shape(voxels)[0]

    def centred() -> tf.Tensor:
        index = _uniform_below(tf.reshape(count, [1]), seed)[0]
        middle = tf.cast(voxels[index], tf.int32) - tf.constant(size) // 2
        return tf.clip_by_value(middle, 0, span - 1)

    return tf.cond(count > 0, centred, lambda: default)


def random_flips(both: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mirrors every spatial axis of [*c, C] with probability 1/2."""
    rank = both.shape.rank - 1
    chosen = tf.random.stateless_uniform([rank], seed) < 0.5
    for axis in range(rank):
        both = tf.where(chosen[axis], tf.reverse(both, [axis]), both)
    return both


def random_rotation(both: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Turns [*c, C] by 0, 90, 180 or 270 degrees (0 or 180 where the first two sizes differ)."""
    square = both.shape[0] == both.shape[1]
    turns = tf.random.stateless_uniform([], seed, maxval=4 if square else 2, dtype=tf.int32)
    half = tf.reverse(both, [0, 1])
    if not square:
        return tf.where(turns == 1, half, both)
    swap = [1, 0, *range(2, both.shape.rank)]
    quarter = tf.reverse(tf.transpose(both, swap), [0])
    options = [lambda: both, lambda: quarter, lambda: half, lambda: tf.reverse(quarter, [0, 1])]
    return tf.ensure_shape(tf.switch_case(turns, options), both.shape)


def random_brightness(image: tf.Tensor, seed: tf.Tensor, *, change: float) -> tf.Tensor:
    """Multiplies every channel of a standardised image [*c, C] by its own factor in 1 - change to 1 + change."""
    factors = tf.random.stateless_uniform([image.shape[-1]], seed, 1 - change, 1 + change)
    return image * factors


def augment_geometry(both: tf.Tensor, config: AugmentConfig, seed: tf.Tensor) -> tf.Tensor:
    """Flips and turns image and label together: [*c, C + 1]."""
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    if config.flips:
        both = random_flips(both, seeds[0])
    return random_rotation(both, seeds[1]) if config.rotations else both
