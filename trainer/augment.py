"""Random crops and changes of one case: equal for equal seeds, eagerly and in tf.data.

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
    stack: tf.Tensor,
    label: tf.Tensor,
    size: Sequence[int],
    seed: tf.Tensor,
    *,
    foreground_fraction: float,
) -> tf.Tensor:
    """Cuts a crop out of stacked channels; volumes smaller than the crop are padded with zeros.

    All offsets from 0 to S - c are possible. With probability `foreground_fraction` the crop is
    placed on a labelled voxel drawn at random: as near to its middle as the volume allows.

    Args:
      stack: [*S, C]: image, label and whatever has to be cut out together.
      label: [*S], tells where the foreground is (> 0).
      size: c.
      seed: int32 [2].
      foreground_fraction: 0 to 1; has no effect on a case without labelled voxels.

    Returns:
      [*c, C].
    """
    channels = stack.shape[-1]
    stack = pad_to(stack, size)
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 3))
    span = tf.shape(stack)[:-1] - tf.constant(size) + 1
    start = _uniform_below(span, seeds[0])
    if foreground_fraction:
        wanted = tf.random.stateless_uniform([], seeds[1]) < foreground_fraction
        start = tf.cond(
            wanted, lambda: _start_on_foreground(label, size, start, span, seeds[2]), lambda: start
        )
    begin = tf.concat([start, [0]], axis=0)
    return tf.ensure_shape(tf.slice(stack, begin, [*size, -1]), [*size, channels])


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


def random_flips(stack: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mirrors every spatial axis of [*c, C] with probability 1/2."""
    rank = stack.shape.rank - 1
    chosen = tf.random.stateless_uniform([rank], seed) < 0.5
    for axis in range(rank):
        stack = tf.where(chosen[axis], tf.reverse(stack, [axis]), stack)
    return stack


def random_rotation(stack: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Turns [*c, C] by 0, 90, 180 or 270 degrees (0 or 180 where the first two sizes differ)."""
    square = stack.shape[0] == stack.shape[1]
    turns = tf.random.stateless_uniform([], seed, maxval=4 if square else 2, dtype=tf.int32)
    half = tf.reverse(stack, [0, 1])
    if not square:
        return tf.where(turns == 1, half, stack)
    swap = [1, 0, *range(2, stack.shape.rank)]
    quarter = tf.reverse(tf.transpose(stack, swap), [0])
    options = [lambda: stack, lambda: quarter, lambda: half, lambda: tf.reverse(quarter, [0, 1])]
    return tf.ensure_shape(tf.switch_case(turns, options), stack.shape)


def random_brightness(image: tf.Tensor, seed: tf.Tensor, *, change: float) -> tf.Tensor:
    """Multiplies each channel of a standardised [*c, C] by its own 1 - change to 1 + change."""
    factors = tf.random.stateless_uniform([image.shape[-1]], seed, 1 - change, 1 + change)
    return image * factors


def augment_geometry(stack: tf.Tensor, config: AugmentConfig, seed: tf.Tensor) -> tf.Tensor:
    """Flips and turns image and label together: [*c, C]."""
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    if config.flips:
        stack = random_flips(stack, seeds[0])
    return random_rotation(stack, seeds[1]) if config.rotations else stack
