"""One training step on one replica: loss, gradients, their mean over all replicas, update."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from trainer.config import TrainerConfig
from trainer.distribution import Distribution
from trainer.loss.deep_supervision import deep_supervision_loss
from trainer.loss.losses import make_loss
from trainer.loss_scale import all_finite
from trainer.optimizer import apply_reduced, mean_over_parts, prepare_gradients
from trainer.state import TrainingState

Scalars = dict[str, tf.Tensor]
Step = Callable[..., Scalars]


def make_step(distribution: Distribution, state: TrainingState, config: TrainerConfig) -> Step:
    """A compiled function (batch, stop) -> scalars of the whole batch, one update done.

    The batch is what `Distribution.batches` gives: images [B, *crop, C] and labels [B, *crop] of
    every replica. `stop` is 1.0 where this worker was asked to end, else 0.0. The scalars are
    `loss`, `gradient_norm` (before clipping) and `stop`, the share of workers asked to end: equal
    on all workers.
    """
    compute = _make_compute(state, config)
    variables = state.network.trainable_variables

    def replica_step(images: tf.Tensor, labels: tf.Tensor, stop: tf.Tensor) -> Scalars:
        scale = state.loss_scale.value if state.loss_scale else tf.ones([])

        def part(images: tf.Tensor, labels: tf.Tensor) -> list[tf.Tensor]:
            return compute(images, labels, scale)

        parts = config.optimizer.accumulate_parts
        reduced = [*mean_over_parts(part, (images, labels), parts=parts), stop]
        loss, *gradients, stop = distribution.mean(reduced)
        gradients = [g / scale for g in gradients] if state.loss_scale else gradients
        finite = all_finite(gradients) if state.loss_scale else None
        gradients, norm = prepare_gradients(gradients, variables, config.optimizer)
        apply_reduced(state.optimizer, gradients, variables, when=finite)
        _average_statistics(distribution, state.network)
        if state.loss_scale:
            state.loss_scale.update(finite=finite)
        if state.average:
            state.average.update(when=finite)
        return {"loss": loss, "gradient_norm": norm, "stop": stop}

    @tf.function(reduce_retracing=True, autograph=False)
    def step(batch: tuple[Any, Any], stop: tf.Tensor) -> Scalars:
        return distribution.run(replica_step, (*batch, stop))

    return step


def _make_compute(
    state: TrainingState, config: TrainerConfig
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], list[tf.Tensor]]:
    """A function (images, labels, scale) -> loss, and the gradients of scale times the loss."""
    loss_fn = deep_supervision_loss(make_loss(config.loss))
    variables = [v.value for v in state.network.trainable_variables]

    def compute(images: tf.Tensor, labels: tf.Tensor, scale: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = state.network(images, training=True)
            loss = loss_fn(central_part(labels, logits), logits)
            scaled = loss * scale
        return [loss, *tape.gradient(scaled, variables)]

    return tf.function(compute, jit_compile=True, autograph=False) if config.xla else compute


def _average_statistics(distribution: Distribution, network: keras.Model) -> None:
    """Moving means and variances of batch norm, alike on all replicas."""
    if distribution.part.replicas == 1:
        return
    moving = [v for v in network.non_trainable_variables if v.name.startswith("moving_")]
    values = [tf.convert_to_tensor(v) for v in moving]
    for variable, value in zip(moving, distribution.mean(values) if values else [], strict=True):
        variable.assign(value)


def central_part(labels: tf.Tensor, logits: tf.Tensor | list[tf.Tensor]) -> tf.Tensor:
    """The labels of the pixels that the logits are for: what a `valid` network loses is cut off.

    Args:
      labels: [B, *S].
      logits: [B, *o, K], as many pixels smaller on either side; of several outputs the first.

    Returns:
      [B, *o].
    """
    size = (logits[0] if isinstance(logits, list) else logits).shape[1:-1]
    begin = [(s - o) // 2 for s, o in zip(labels.shape[1:], size, strict=True)]
    return tf.slice(labels, [0, *begin], [-1, *size])
