"""Mean probabilities over flips of the image and over several networks.

Flips and networks follow one another: the activations of one forward pass are in memory at a time.

Shapes: w spatial shape of the window, o of what a network returns for it, C channels, K classes.
"""

from collections.abc import Callable, Sequence
from itertools import product

import tensorflow as tf

from trainer.inference.classes import to_probabilities
from trainer.model_config import ModelConfig

Network = Callable[[tf.Tensor], tf.Tensor]


def average_probabilities(
    networks: Sequence[Network], window: tf.Tensor, model: ModelConfig, *, mirror: Sequence[int]
) -> tf.Tensor:
    """Mean over networks and over all 2^n flips along the n axes of `mirror`, flipped back.

    nnU-Net averages logits over its flips; here probabilities are averaged, over both.

    Args:
      networks: Each float32 [1, *w, C] -> logits [1, *o, K], all of the config `model`.
      window: float32 [1, *w, C].
      model: Tells o and K.
      mirror: Spatial axes, the first is 0; none leaves the window as it is.

    Returns:
      float32 [1, *o, K].
    """
    size = tf.shape(window)[1:-1] - model.margin
    total = tf.zeros(tf.concat([[1], size, [model.classes]], axis=0))
    flips = [
        [axis + 1 for axis, flip in zip(mirror, chosen, strict=True) if flip]
        for chosen in product([False, True], repeat=len(mirror))
    ]
    for network in networks:
        with tf.control_dependencies([total]):
            total = _add_flips(network, window, total, flips)
    return total / (len(networks) * len(flips))


def _add_flips(
    network: Network, window: tf.Tensor, total: tf.Tensor, flips: Sequence[Sequence[int]]
) -> tf.Tensor:
    """Adds a network's probabilities to `total`, once for every list of axes to flip.

    A loop of the graph, not of Python: it holds the network once, and runs it once at a time.
    """
    axes = tf.ragged.constant(flips, dtype=tf.int32, ragged_rank=1)

    def add(index: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        flipped = tf.ensure_shape(tf.reverse(window, axes[index]), window.shape)
        probabilities = to_probabilities(network(flipped))
        back = tf.ensure_shape(tf.reverse(probabilities, axes[index]), total.shape)
        return index + 1, total + back

    _, total = tf.while_loop(
        lambda index, _: index < len(flips), add, [tf.constant(0), total], parallel_iterations=1
    )
    return total
