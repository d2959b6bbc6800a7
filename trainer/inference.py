"""Inference on a whole case by a sliding window, as a TensorFlow graph.

Shapes: S spatial shape of the case, w of the window, o of what the network returns for it (o = w
for `same` convolutions, less for `valid` ones), C channels, K classes.
"""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.config import InferenceConfig
from trainer.model_config import ModelConfig

GAUSSIAN_SIGMA = 1 / 8
"""Standard deviation of the gaussian weights, as a share of the window (nnU-Net's value)."""


def predict_probabilities(
    network: Callable[[tf.Tensor], tf.Tensor],
    image: tf.Tensor,
    model: ModelConfig,
    config: InferenceConfig,
) -> tf.Tensor:
    """Averages the probabilities of overlapping windows.

    Args:
      network: float32 [1, *w, C] -> logits float32 [1, *o, K].
      image: float32 [*S, C], standardised; any S, smaller ones are padded with zeros.
      model: Config of the network; tells o and K.
      config: Window, overlap, weights.

    Returns:
      float32 [*S, K]: softmax over K classes, or the sigmoid where K is 1.
    """
    size = model.output_size(config.window)
    margin = (tf.constant(config.window) - size) // 2
    spatial = tf.shape(image)[:-1]
    grid = tf.maximum(spatial, size)
    padded = _pad(image, before=margin, after=grid - spatial + margin)
    starts = [axis_starts(grid[a], size[a], overlap=config.overlap) for a in range(model.rank)]
    weights = tf.constant(window_weights(size, config.weights))

    def weighted_window(start: Sequence[tf.Tensor]) -> tf.Tensor:
        window = tf.slice(padded, tf.stack([*start, 0]), [*config.window, -1])
        window = tf.ensure_shape(window, [*config.window, image.shape[-1]])
        probabilities = to_probabilities(network(window[tf.newaxis]))[0]
        return tf.concat([probabilities * weights, weights], axis=-1)

    total = _sum_windows(weighted_window, starts, grid, (*size, model.classes + 1))
    mean = total[..., :-1] / total[..., -1:]
    return tf.slice(mean, [0] * (model.rank + 1), append(spatial, model.classes))


def _sum_windows(
    window: Callable[[Sequence[tf.Tensor]], tf.Tensor],
    starts: Sequence[tf.Tensor],
    grid: tf.Tensor,
    shape: tuple[int, ...],
    begin: tuple[tf.Tensor, ...] = (),
) -> tf.Tensor:
    """Adds up windows at all combinations of `starts`, one axis inside the other.

    The windows of the last axis are added to a bar, bars to a slab, slabs to the volume: every
    window costs the additions of a bar, not of the whole volume.

    Args:
      window: First voxel of a window, a number per axis -> the window, of shape `shape`.
      starts: int32 [n] per axis.
      grid: Spatial shape of the whole, int32 [rank].
      shape: Static shape of a window, channels last.
      begin: First voxels along the axes that are dealt with already.

    Returns:
      The sum: as long as the window along the axes of `begin`, as the grid along the others.
    """
    axis = len(begin)
    if axis == len(starts):
        return window(begin)
    rest = tf.concat([grid[axis:], shape[-1:]], axis=0)

    def add(index: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        start = starts[axis][index]
        part = _sum_windows(window, starts, grid, shape, (*begin, start))
        before = [start if a == axis else 0 for a in range(len(starts))]
        length = grid[axis] - start - shape[axis]
        after = [length if a == axis else 0 for a in range(len(starts))]
        return index + 1, total + _pad(part, before=tf.stack(before), after=tf.stack(after))

    static = tf.TensorShape([*shape[:axis], *[None] * (len(starts) - axis), shape[-1]])
    _, total = tf.while_loop(
        lambda index, _: index < tf.shape(starts[axis])[0],
        add,
        [tf.constant(0), tf.zeros(tf.concat([shape[:axis], rest], axis=0))],
        shape_invariants=[tf.TensorShape([]), static],
        parallel_iterations=1,
    )
    return total


def append(spatial: tf.Tensor, last: int) -> tf.Tensor:
    """A shape or position int32 [rank] with one more number at its end."""
    return tf.concat([spatial, [last]], axis=0)


def _pad(x: tf.Tensor, *, before: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    """Pads the spatial axes of [*S, C] with zeros."""
    paddings = tf.stack([before, after], axis=1)
    padded = tf.pad(x, tf.concat([paddings, [[0, 0]]], axis=0))
    return tf.ensure_shape(padded, [None] * (len(x.shape) - 1) + [x.shape[-1]])


def to_probabilities(logits: tf.Tensor) -> tf.Tensor:
    """Softmax over the last axis; the sigmoid where it has one entry."""
    return tf.sigmoid(logits) if logits.shape[-1] == 1 else tf.nn.softmax(logits, axis=-1)


def axis_starts(length: tf.Tensor, size: int, *, overlap: float) -> tf.Tensor:
    """First voxels of windows that cover an axis, evenly spaced, the last one flush with the end.

    Length 10, size 4, overlap 0.5: stride 2 -> starts 0, 2, 4, 6.

    Returns:
      int32 [n].
    """
    stride = max(1, int(size * (1 - overlap) + 1e-6))  # 10 * (1 - 0.8) is a hair below 2
    span = length - size
    count = -(-span // stride) + 1
    return tf.cast(tf.round(tf.linspace(0.0, tf.cast(span, tf.float32), count)), tf.int32)


def window_weights(size: Sequence[int], kind: str) -> NDArray[np.float32]:
    """Weights of the voxels of a window: float32 [*size, 1], largest 1, never 0."""
    if kind == "constant":
        return np.ones((*size, 1), np.float32)
    axes = [np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (n * GAUSSIAN_SIGMA)) ** 2) for n in size]
    product = np.prod(np.stack(np.meshgrid(*axes, indexing="ij")), axis=0)
    return np.maximum(product / product.max(), 1e-6).astype(np.float32)[..., np.newaxis]


def to_classes(probabilities: tf.Tensor, *, threshold: float) -> tf.Tensor:
    """Probabilities [*S, K] -> classes uint8 [*S]: the largest, or p >= threshold if K is 1."""
    if probabilities.shape[-1] == 1:
        return tf.cast(probabilities[..., 0] >= threshold, tf.uint8)
    return tf.cast(tf.argmax(probabilities, axis=-1, output_type=tf.int32), tf.uint8)
