"""Logits -> probabilities -> classes.

Shapes: S spatial shape, K classes.
"""

import tensorflow as tf


def to_probabilities(logits: tf.Tensor) -> tf.Tensor:
    """Softmax over the last axis; the sigmoid where it has one entry."""
    return tf.sigmoid(logits) if logits.shape[-1] == 1 else tf.nn.softmax(logits, axis=-1)


def to_classes(probabilities: tf.Tensor, *, threshold: float) -> tf.Tensor:
    """Probabilities [*S, K] -> classes uint8 [*S]: the largest, or p >= threshold if K is 1."""
    if probabilities.shape[-1] == 1:
        return tf.cast(probabilities[..., 0] >= threshold, tf.uint8)
    return tf.cast(tf.argmax(probabilities, axis=-1, output_type=tf.int32), tf.uint8)
