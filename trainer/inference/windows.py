"""Windows over an image: how large, where, with which weights, and the sum of what they give.

Shapes: S spatial shape of the image, w of the window, o of what the network returns for it (o = w
for `same` convolutions, less for `valid` ones), C channels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import tensorflow as tf

from trainer.config import InferenceConfig
from trainer.model_config import ModelConfig

GAUSSIAN_SIGMA = 1 / 8
"""Standard deviation of the gaussian weights, as a share of the window (nnU-Net's value)."""
Size = Sequence[int | tf.Tensor]
"""A size per spatial axis: numbers where they are known before the image is, else tensors."""


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """The windows that cover an image.

    Attributes:
      window: w.
      size: o.
      grid: What the windows cover, int32 [rank]: S, or more where o is larger.
      starts: First voxels of o in the grid, int32 [n] per axis; all combinations are windows.
    """

    window: Size
    size: Size
    grid: tf.Tensor
    starts: Sequence[tf.Tensor]


def tile(spatial: tf.Tensor, model: ModelConfig, config: InferenceConfig) -> Tiling:
    """The windows over an image of spatial shape S, int32 [rank]; see `InferenceConfig`.

    Raises:
      ValueError: The window, or the limit of mode `whole`, does not suit the network.
    """
    if config.mode == "whole":
        window = _whole(spatial, model, config.whole_limit)
        size: Size = [n - model.margin for n in window]
    else:
        window, size = config.window, model.output_size(config.window)
    grid = tf.maximum(spatial, tf.stack(size))
    starts = [axis_starts(grid[a], n, overlap=config.overlap) for a, n in enumerate(size)]
    return Tiling(window=window, size=size, grid=grid, starts=starts)


def _whole(spatial: tf.Tensor, model: ModelConfig, limit: int) -> Size:
    """The whole padded image where that is at most `limit` voxels, else a cube of at most so many.

    The cube is cut to the padded image along axes where that is shorter.
    """
    side = model.largest_cube(limit)
    needed = model.input_size(spatial)
    fits = tf.reduce_prod(tf.cast(needed, tf.int64)) <= limit
    return tf.unstack(tf.where(fits, needed, tf.minimum(needed, side)))


def axis_starts(length: tf.Tensor, size: int | tf.Tensor, *, overlap: float) -> tf.Tensor:
    """First voxels of windows that cover an axis, evenly spaced, the last one flush with the end.

    Length 10, size 4, overlap 0.5: stride 2 -> starts 0, 2, 4, 6.

    Returns:
      int32 [n].
    """
    share = tf.cast(size, tf.float64) * (1 - overlap)
    stride = tf.maximum(1, tf.cast(share + 1e-6, tf.int32))  # 10 * (1 - 0.8) is a hair below 2
    span = length - size
    count = -(-span // stride) + 1
    return tf.cast(tf.round(tf.linspace(0.0, tf.cast(span, tf.float32), count)), tf.int32)


def window_weights(size: Size, kind: str) -> tf.Tensor:
    """Weights of the voxels of a window: float32 [*size, 1], largest 1, never 0."""
    if kind == "constant":
        return tf.ones(tf.stack([*size, 1]))
    product = tf.ones([1], tf.float64)
    for axis, n in enumerate(size):
        length = tf.cast(n, tf.float64)
        offset = tf.range(length, dtype=tf.float64) - (length - 1) / 2
        weights = tf.exp(-0.5 * (offset / (length * GAUSSIAN_SIGMA)) ** 2)
        shape = [-1 if a == axis else 1 for a in range(len(size))]
        product = product * tf.reshape(weights / tf.reduce_max(weights), [*shape, 1])
    return tf.cast(tf.maximum(product, 1e-6), tf.float32)


def sum_windows(
    window: Callable[[tf.Tensor], tf.Tensor],
    tiling: Tiling,
    channels: int,
    begin: tuple[tf.Tensor, ...] = (),
) -> tf.Tensor:
    """Adds up what all windows of a tiling give, one axis inside the other.

    The windows of the last axis are added to a bar, bars to a slab, slabs to the volume: every
    window costs the additions of a bar, not of the whole volume.

    Args:
      window: First voxel of a window, int32 [rank] -> float32 [*o, channels].
      tiling: The windows.
      channels: Of what a window gives.
      begin: First voxels along the axes that are dealt with already.

    Returns:
      The sum: as long as the window along the axes of `begin`, as the grid along the others.
    """
    axis, rank = len(begin), len(tiling.size)
    if axis == rank:
        return window(tf.stack(begin))
    size, grid, starts = tiling.size, tiling.grid, tiling.starts[axis]

    def add(index: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        part = sum_windows(window, tiling, channels, (*begin, starts[index]))
        before = [starts[index] if a == axis else 0 for a in range(rank)]
        length = grid[axis] - starts[index] - size[axis]
        after = [length if a == axis else 0 for a in range(rank)]
        return index + 1, total + pad(part, before=tf.stack(before), after=tf.stack(after))

    static = [n if isinstance(n, int) else None for n in size[:axis]] + [None] * (rank - axis)
    _, total = tf.while_loop(
        lambda index, _: index < tf.shape(starts)[0],
        add,
        [tf.constant(0), tf.zeros(tf.stack([*size[:axis], *tf.unstack(grid)[axis:], channels]))],
        shape_invariants=[tf.TensorShape([]), tf.TensorShape([*static, channels])],
        parallel_iterations=1,
    )
    return total


def pad(x: tf.Tensor, *, before: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    """Pads the spatial axes of [*S, C] with zeros."""
    paddings = tf.stack([before, after], axis=1)
    padded = tf.pad(x, tf.concat([paddings, [[0, 0]]], axis=0))
    return tf.ensure_shape(padded, [None] * (len(x.shape) - 1) + [x.shape[-1]])
