"""Dynamic loss scaling for float16, whose gradients would vanish below 6e-8 or overflow at 65504.

The loss is multiplied by a scale before, the gradients are divided by it after differentiation. A
step whose gradients overflowed is skipped and halves the scale; 2000 good ones in a row double it
(Micikevicius et al., arXiv:1710.03740, section 3.2).
"""

import tensorflow as tf

INITIAL_SCALE = 2.0**15
GROWTH_STEPS = 2000
LARGEST_SCALE = 2.0**24


class LossScale:
    """The scale and what it is decided by; make it in the distribution's scope.

    Args:
      constant: The scale, where it is not to change.

    Attributes:
      variables: scale, good steps in a row, skipped steps in all; a checkpoint has to hold them.
    """

    def __init__(self, constant: float | None = None) -> None:
        self._constant = constant
        self._scale = _variable(constant or INITIAL_SCALE, tf.float32)
        self._good = _variable(0, tf.int64)
        self._skipped = _variable(0, tf.int64)
        self.variables = [self._scale, self._good, self._skipped]

    @property
    def value(self) -> tf.Tensor:
        """The scale."""
        return self._scale.read_value()

    @property
    def skipped(self) -> int:
        """Steps that were skipped so far."""
        return int(self._skipped.numpy())

    def update(self, *, finite: tf.Tensor) -> None:
        """Takes note of a step; in a step, with the same `finite` on all replicas."""
        good = tf.where(finite, self._good + 1, tf.zeros([], tf.int64))
        grows = good >= GROWTH_STEPS
        factor = tf.where(finite, tf.where(grows, 2.0, 1.0), 0.5)
        if self._constant is None:
            self._scale.assign(tf.clip_by_value(self._scale * factor, 1.0, LARGEST_SCALE))
        self._good.assign(tf.where(grows, tf.zeros_like(good), good))
        self._skipped.assign_add(tf.where(finite, tf.zeros_like(good), tf.ones_like(good)))


def all_finite(tensors: list[tf.Tensor]) -> tf.Tensor:
    """Whether no number of the tensors is NaN or infinite: bool []."""
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(t)) for t in tensors])


def _variable(value: float, dtype: tf.DType) -> tf.Variable:
    aggregation = tf.VariableAggregation.ONLY_FIRST_REPLICA  # all replicas assign the same
    return tf.Variable(value, dtype=dtype, trainable=False, aggregation=aggregation)
