"""Probabilities and classes of logits, by hand."""

import numpy as np
import tensorflow as tf

from trainer.inference.classes import to_classes, to_probabilities


def test_probabilities_are_softmax_or_sigmoid() -> None:
    logits = np.log(np.array([[1.0, 3.0, 4.0]], np.float32))
    np.testing.assert_allclose(to_probabilities(tf.constant(logits)), [[0.125, 0.375, 0.5]])
    logits = np.log(np.array([[3.0], [1.0]], np.float32))
    np.testing.assert_allclose(to_probabilities(tf.constant(logits)), [[0.75], [0.5]])


def test_classes_of_softmax_are_the_largest() -> None:
    """Also where none reaches one half; the first of equals."""
    p = tf.constant([[0.3, 0.36, 0.34], [0.2, 0.2, 0.6], [0.4, 0.2, 0.4]])
    classes = to_classes(p, threshold=0.9)
    assert classes.dtype == tf.uint8 and classes.numpy().tolist() == [1, 2, 0]


def test_classes_of_one_logit_reach_the_threshold() -> None:
    p = tf.constant([[0.25], [0.5], [0.49], [0.75]])
    assert to_classes(p, threshold=0.5).numpy().tolist() == [0, 1, 0, 1]
    assert to_classes(p, threshold=0.25).numpy().tolist() == [1, 1, 1, 1]
    assert to_classes(p, threshold=0.75).dtype == tf.uint8
