"""Inference on a whole case by a sliding window, as a TensorFlow graph.

Shapes: S spatial shape of the case, w of the window, o of what the network returns for it (o = w
  for
`same` convolutions, less for `valid` ones), C channels, K classes.
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
    size = tf.constant(model.output_size(config.window))
    margin = (tf.constant(config.window) - size) // 2
    spatial = tf.shape(image)[:-1]
    grid = tf.maximum(spatial, size)
    padded = _pad(image, before=margin, after=grid - spatial + margin)
    starts = window_starts(grid, model.output_size(config.window), overlap=config.overlap)
    weights = tf.constant(window_weights(model.output_size(config.window), config.weights))

    def add_window(index: tf.Tensor, total: tf.Tensor, mass: tf.Tensor) -> tuple[tf.Tensor, ...]:
        start = starts[index]
        window = tf.slice(padded, _with(start, 0), [*config.window, -1])
        window = tf.ensure_shape(window, [*config.window, image.shape[-1]])
        probabilities = to_probabilities(network(window[tf.newaxis]))[0]
        after = grid - start - size
        total += _pad(probabilities * weights, before=start, after=after)
        return index + 1, total, mass + _pad(weights, before=start, after=after)

    axes = [None] * model.rank
    _, total, mass = tf.while_loop(
        lambda index, *_: index < tf.shape(starts)[0],
        add_window,
        [tf.constant(0), tf.zeros(_with(grid, model.classes)), tf.zeros(_with(grid, 1))],
        shape_invariants=[
            tf.TensorShape([]),
            tf.TensorShape([*axes, model.classes]),
            tf.TensorShape([*axes, 1]),
        ],
        parallel_iterations=1,
    )
    return tf.slice(total / mass, [0] * (model.rank + 1), _with(spatial, model.classes))


def _with(spatial: tf.Tensor, last: int) -> tf.Tensor:
    return tf.concat([spatial, [last]], axis=0)


def _pad(x: tf.Tensor, *, before: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    """Pads the spatial axes of [*S, C] with zeros."""
    paddings = tf.stack([before, after], axis=1)
    padded = tf.pad(x, tf.concat([paddings, [[0, 0]]], axis=0))
    return tf.ensure_shape(padded, [None] * (len(x.shape) - 1) + [x.shape[-1]])


def to_probabilities(logits: tf.Tensor) -> tf.Tensor:
    """Softmax over the last axis; the sigmoid where it has one entry."""
    return tf.sigmoid(logits) if logits.shape[-1] == 1 else tf.nn.softmax(logits, axis=-1)


def window_starts(grid: tf.Tensor, size: Sequence[int], *, overlap: float) -> tf.Tensor:
    """First voxels of windows that cover `grid`, evenly spaced, the last one flush with the end.

    On one axis, grid 10, size 4, overlap 0.5: stride 2 -> starts 0, 2, 4, 6.

    Returns:
      int32 [N, rank].
    """
    axes = []
    for axis, length in enumerate(size):
        stride = max(1, int(length * (1 - overlap)))
        span = grid[axis] - length
        count = -(-span // stride) + 1
        even = tf.linspace(0.0, tf.cast(span, tf.float32), count)
        axes.append(tf.cast(tf.round(even), tf.int32))
    return tf.reshape(tf.stack(tf.meshgrid(*axes, indexing="ij"), axis=-1), [-1, len(size)])


def window_weights(size: Sequence[int], kind: str) -> NDArray[np.float32]:
    """Weights of the voxels of a window: float32 [*size, 1], largest 1, never 0."""
    if kind == "constant":
        return np.ones((*size, 1), np.float32)
    axes = [np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (n * GAUSSIAN_SIGMA)) ** 2) for n in size]
    product = np.prod(np.stack(np.meshgrid(*axes, indexing="ij")), axis=0)
    return np.maximum(product / product.max(), 1e-6).astype(np.float32)[..., np.newaxis]


def to_classes(probabilities: tf.Tensor, *, threshold: float) -> tf.Tensor:
    """Probabilities [*S, K] -> class indices [*S], uint8: the largest, or p >= threshold where K
    is 1.
    """
    if probabilities.shape[-1] == 1:
        return tf.cast(probabilities[..., 0] >= threshold, tf.uint8)
    return tf.cast(tf.argmax(probabilities, axis=-1, output_type=tf.int32), tf.uint8)
