"""Where a training crop lies in its case, and cutting it out.

Shapes: S is the spatial shape ([X, Y, Z] or [H, W]), c the crop's, C channels, R = len(S).
"""

from collections.abc import Sequence

import tensorflow as tf

from trainer.augment.draws import happens, split, uniform_below


def place_crop(
    label: tf.Tensor,
    size: Sequence[int],
    seed: tf.Tensor,
    *,
    foreground_fraction: float,
    last_place: bool = True,
) -> tf.Tensor:
    """The corner of a random crop; 0 along an axis on which the case is smaller than the crop.

    All offsets from 0 to S - c are possible. With probability `foreground_fraction` the crop is
    placed on a labelled voxel drawn at random: as near to its middle as the case allows.

    Args:
      label: [*S], tells where the foreground is (> 0).
      size: c.
      seed: int32 [2].
      foreground_fraction: 0 to 1; has no effect on a case without labelled voxels.
      last_place: Whether a random offset may be S - c. The 3D reference systems never reach it.

    Returns:
      int32 [R].
    """
    seeds = split(seed, 3)
    free = tf.maximum(tf.shape(label) - tf.constant(size), 0)
    start = uniform_below(free + 1 if last_place else tf.maximum(free, 1), seeds[0])
    if not foreground_fraction:
        return start
    return tf.cond(
        happens(seeds[1], foreground_fraction),
        lambda: _start_on_foreground(label, size, start, free, seeds[2]),
        lambda: start,
    )


def _start_on_foreground(
    y: tf.Tensor, size: Sequence[int], default: tf.Tensor, free: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    voxels = tf.where(y > 0)
    count = tf.shape(voxels)[0]

    def centred() -> tf.Tensor:
        index = uniform_below(tf.reshape(count, [1]), seed)[0]
        middle = tf.cast(voxels[index], tf.int32) - tf.constant(size) // 2
        return tf.clip_by_value(middle, 0, free)

    return tf.cond(count > 0, centred, lambda: default)


def cut(volume: tf.Tensor, start: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
    """Cuts [*c, C] at `start` out of [*S, C], padded with zeros at the end where S is smaller."""
    count = tf.minimum(tf.shape(volume)[:-1] - start, tf.constant(size))
    return tf.ensure_shape(pad_to(box_of(volume, start, count), size), [*size, volume.shape[-1]])


def cut_marks(label: tf.Tensor, start: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
    """Cuts `marks` at `start` out of a label [*S], padded with zeros: [*c, 2]."""
    count = tf.minimum(tf.shape(label) - start, tf.constant(size))
    return tf.ensure_shape(pad_to(marks(tf.slice(label, start, count)), size), [*size, 2])


def marks(label: tf.Tensor) -> tf.Tensor:
    """A label [*S] beside ones, which tell it from the zeros of padding: [*S, 2]."""
    return tf.stack([label, tf.ones_like(label)], axis=-1)


def box_of(volume: tf.Tensor, corner: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Part of [*S, C] with all channels, from its corner and size [R]."""
    part = tf.slice(volume, tf.concat([corner, [0]], axis=0), tf.concat([count, [-1]], axis=0))
    return tf.ensure_shape(part, [*[None] * (volume.shape.rank - 1), volume.shape[-1]])


def pad_to(image: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
    """Pads [*S, C] with zeros at the end of every axis that is smaller than `size`."""
    missing = tf.maximum(tf.constant(size) - tf.shape(image)[:-1], 0)
    paddings = tf.stack([tf.zeros_like(missing), missing], axis=1)
    return tf.pad(image, tf.concat([paddings, [[0, 0]]], axis=0))
