"""Probabilities of a whole case: windows over it, each by all networks and flips, averaged.

Shapes: S spatial shape of the case, w of the window, o of what the network returns for it (o = w
for `same` convolutions, less for `valid` ones), C channels, K classes.
"""

from collections.abc import Sequence

import tensorflow as tf

from trainer.config import InferenceConfig
from trainer.inference.average import Network, average_probabilities
from trainer.inference.windows import pad, sum_windows, tile, window_weights
from trainer.model_config import ModelConfig


def predict_probabilities(
    networks: Sequence[Network],
    image: tf.Tensor,
    model: ModelConfig,
    config: InferenceConfig,
) -> tf.Tensor:
    """Averages the probabilities of overlapping windows, flips and networks.

    Mode `whole` is one window of the size of the image, padded with zeros to what the network
    takes. What a norm of the network takes for the image's mean and deviation is what it is shown:
    instance and group norm see a window in mode `window`, and the whole image in mode `whole`.
    The two modes are equal where one window covers the image, and near each other else.

    Args:
      networks: Each float32 [1, *w, C] -> logits float32 [1, *o, K].
      image: float32 [*S, C], standardised; any S, smaller ones are padded with zeros.
      model: Config of the networks; tells o and K.
      config: Mode, window, overlap, weights, flips.

    Returns:
      float32 [*S, K]: softmax over K classes, or the sigmoid where K is 1.

    Raises:
      ValueError: The window, or the limit of mode `whole`, does not suit the network.
    """
    spatial = tf.shape(image)[:-1]
    tiling = tile(spatial, model, config)
    margin = (tf.stack(tiling.window) - tf.stack(tiling.size)) // 2
    padded = pad(image, before=margin, after=tiling.grid - spatial + margin)
    weights = window_weights(tiling.size, config.weights)
    static = [n if isinstance(n, int) else None for n in tiling.window]

    def weighted_window(start: tf.Tensor) -> tf.Tensor:
        window = tf.slice(padded, append(start, 0), tf.stack([*tiling.window, -1]))
        batch = tf.ensure_shape(window, [*static, image.shape[-1]])[tf.newaxis]
        mean = average_probabilities(networks, batch, model, mirror=config.mirror)[0]
        return tf.concat([mean * weights, weights], axis=-1)

    total = sum_windows(weighted_window, tiling, model.classes + 1)
    mean = total[..., :-1] / total[..., -1:]
    return tf.slice(mean, [0] * (model.rank + 1), append(spatial, model.classes))


def append(spatial: tf.Tensor, last: int) -> tf.Tensor:
    """A shape or position int32 [rank] with one more number at its end."""
    return tf.concat([spatial, [last]], axis=0)
