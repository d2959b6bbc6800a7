"""From the gradients of a step to new weights: L2, clipping, update, average of weights.

Keras's `global_clipnorm` clips before gradients are summed over replicas, and its
`gradient_accumulation_steps` fails in a replica. Here whoever computes gradients reduces them,
once; what follows is the same on every replica of a strategy, on every worker of Horovod, and
without either. Call it in the replica.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.optimizer_config import OptimizerConfig

_NOT_KERNELS = r"^(?!.*kernel(:0)?$)"  # Keras takes a pattern of what is not decayed
_Kwargs = dict[str, Any]


def make_optimizer(config: OptimizerConfig, rate: float) -> keras.optimizers.Optimizer:
    """Keras's optimiser, to be used with `apply_reduced`.

    Args:
      config: L2, clipping, accumulation and averages are left to this file's functions.
      rate: The learning rate. `optimizer.learning_rate.assign` sets it before each step.
    """
    adam: _Kwargs = {"beta_1": config.betas[0], "beta_2": config.betas[1]}
    adam |= {"epsilon": config.epsilon}
    if config.name == "adam":
        return keras.optimizers.Adam(rate, **adam)
    if config.name == "adamw":
        optimizer = keras.optimizers.AdamW(rate, weight_decay=config.weight_decay, **adam)
        optimizer.exclude_from_weight_decay(var_names=[_NOT_KERNELS])
        return optimizer
    if config.name == "sgd":
        return keras.optimizers.SGD(rate, momentum=config.momentum, nesterov=config.nesterov)
    rms: _Kwargs = {"rho": config.rho, "momentum": config.momentum, "centered": config.centred}
    return keras.optimizers.RMSprop(rate, epsilon=config.epsilon, **rms)


def is_kernel(variable: keras.Variable) -> bool:
    """Whether it is the kernel of a layer, and not a bias or the gain or offset of a norm."""
    return variable.name.endswith("kernel")


def mean_over_parts(compute: Callable[..., Any], batch: Sequence[tf.Tensor], *, parts: int) -> Any:
    """Gradient accumulation: computes a batch part by part and averages the results.

    Args:
      compute: Takes what `batch` holds, for fewer samples; returns a nest of tensors (loss,
        gradients) that are means over samples.
      batch: Tensors [B, ...].
      parts: Must divide B.

    Returns:
      The mean of what `compute` returned: equal to `compute(*batch)` to rounding.
    """
    if parts == 1:
        return compute(*batch)
    pieces = list(zip(*(tf.split(x, parts) for x in batch), strict=True))
    total = compute(*pieces[0])
    for piece in pieces[1:]:
        # or else TensorFlow may compute the parts side by side, and no memory is saved
        with tf.control_dependencies(tf.nest.flatten(total)):
            inputs = [tf.identity(x) for x in piece]
        total = tf.nest.map_structure(tf.add, total, compute(*inputs))
    return tf.nest.map_structure(lambda x: x / parts, total)


def prepare_gradients(
    gradients: Sequence[tf.Tensor], variables: Sequence[keras.Variable], config: OptimizerConfig
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """L2 and clipping, as `config` has them.

    The global norm is the root of the sum of squares over all gradients (arXiv:1211.5063). Where it
    is not finite, clipped gradients are all NaN: clipping hides no overflow.

    Args:
      gradients: Of the mean loss of the whole batch, reduced over replicas or workers.
      variables: What they belong to.
      config: `adamw` gets no L2: its decay is part of the update.

    Returns:
      The gradients to apply, and their global norm before it was clipped: float32 [].
    """
    gradients = list(gradients)
    if config.weight_decay and config.name != "adamw":
        gradients = _l2_gradients(gradients, variables, config)
    if not config.clip_norm:
        return gradients, tf.linalg.global_norm(gradients)
    return tf.clip_by_global_norm(gradients, config.clip_norm)


def _l2_gradients(
    gradients: Sequence[tf.Tensor], variables: Sequence[keras.Variable], config: OptimizerConfig
) -> list[tf.Tensor]:
    """Adds weight_decay * v, the gradient of weight_decay / 2 * sum of squares."""

    def l2(gradient: tf.Tensor, variable: keras.Variable) -> tf.Tensor:
        if not (config.decay_all or is_kernel(variable)):
            return gradient
        return gradient + config.weight_decay * tf.convert_to_tensor(variable)

    return [l2(g, v) for g, v in zip(gradients, variables, strict=True)]


def apply_reduced(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[keras.Variable],
    *,
    when: tf.Tensor | None = None,
) -> None:
    """One update, with gradients that are the same on all replicas: nothing is summed again.

    Args:
      optimizer: Of `make_optimizer`, built on `variables`.
      gradients: One per variable.
      variables: What is updated. `adamw` decays the kernels among them.
      when: bool [], the same on all replicas. Where it is False nothing changes: so a step is
        skipped that overflowed in float16.
    """
    strategy = tf.distribute.get_strategy()
    for number, (variable, gradient) in enumerate(zip(variables, gradients, strict=True)):
        decay = optimizer.weight_decay if is_kernel(variable) else None
        change = _change(optimizer, number, decay=decay)
        arguments = (gradient,) if when is None else (gradient, when)
        strategy.extended.update(variable.value, change, args=arguments, group=False)
    done = 1 if when is None else tf.cast(when, optimizer.iterations.dtype)
    optimizer.iterations.assign_add(done)


def _change(
    optimizer: keras.optimizers.Optimizer, number: int, *, decay: float | None
) -> Callable[..., None]:
    """A function that updates one device's copy of the optimiser's variable `number`."""

    def always(variable: tf.Variable, gradient: tf.Tensor) -> None:
        if decay:
            rate = tf.convert_to_tensor(optimizer.learning_rate)
            variable.assign_sub(variable * (decay * rate))
        if isinstance(optimizer, keras.optimizers.Adam):
            _adam(optimizer, number, variable, gradient)
        else:
            optimizer.update_step(gradient, variable, optimizer.learning_rate)

    def change(variable: tf.Variable, gradient: tf.Tensor, when: tf.Tensor | None = None) -> None:
        if when is None:
            always(variable, gradient)
        else:
            tf.cond(when, lambda: always(variable, gradient), lambda: None)

    return change


def _adam(
    optimizer: keras.optimizers.Adam, number: int, variable: tf.Variable, gradient: tf.Tensor
) -> None:
    """Adam's update (arXiv:1412.6980, end of section 2) by TensorFlow's kernel for it.

    Keras's update is a graph of 41 operations for each variable, all to be traced, and several
    passes over memory; this one is 18 operations, and one pass.
    """
    step = tf.cast(tf.convert_to_tensor(optimizer.iterations) + 1, variable.dtype)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=optimizer._momentums[number].value.handle,
        v=optimizer._velocities[number].value.handle,
        beta1_power=tf.pow(tf.cast(optimizer.beta_1, variable.dtype), step),
        beta2_power=tf.pow(tf.cast(optimizer.beta_2, variable.dtype), step),
        lr=tf.convert_to_tensor(optimizer.learning_rate),
        beta1=optimizer.beta_1,
        beta2=optimizer.beta_2,
        epsilon=optimizer.epsilon,
        grad=gradient,
    )


class WeightAverage:
    """Exponential moving average of weights, each update weighted exactly: no start to forget.

    After n updates the value is (1 - d) / (1 - d^n) * sum of d^(n - i) w_i over i = 1 to n, as
    Adam's means are (arXiv:1412.6980, section 3). Make it in the strategy's scope.

    Attributes:
      variables: For the checkpoint: the number of updates, and the averages.
    """

    def __init__(self, variables: Sequence[keras.Variable], decay: float) -> None:
        aggregation = tf.VariableAggregation.ONLY_FIRST_REPLICA
        self._of = list(variables)
        self._decay = decay
        self._count = tf.Variable(0, dtype=tf.int64, trainable=False, aggregation=aggregation)
        self._averages = [
            tf.Variable(tf.convert_to_tensor(v), trainable=False, aggregation=aggregation)
            for v in variables
        ]
        self.variables = [self._count, *self._averages]

    def update(self, *, when: tf.Tensor | None = None) -> None:
        """Takes in the weights of now, after `apply_reduced` with the same `when`."""
        self._count.assign_add(1 if when is None else tf.cast(when, tf.int64))
        count = tf.cast(self._count, tf.float64)
        share = (1 - self._decay) / (1 - tf.pow(tf.constant(self._decay, tf.float64), count))
        if when is not None:
            share = tf.where(when, share, 0.0)
        strategy = tf.distribute.get_strategy()
        for average, variable in zip(self._averages, self._of, strict=True):
            arguments = (tf.convert_to_tensor(variable), tf.cast(share, average.dtype))
            strategy.extended.update(average, _approach, args=arguments, group=False)

    def averaged(self) -> list[NDArray[np.generic]]:
        """The averages, or the initial weights before the first update."""
        return [average.numpy() for average in self._averages]

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Inside, the variables hold their averages: to validate and to export."""
        own = [np.array(v) for v in self._of]
        _assign(self._of, self.averaged())
        try:
            yield
        finally:
            _assign(self._of, own)


def _approach(average: tf.Variable, value: tf.Tensor, share: tf.Tensor) -> None:
    average.assign_add(share * (value - average))


def _assign(variables: Sequence[keras.Variable], values: Sequence[NDArray[np.generic]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
