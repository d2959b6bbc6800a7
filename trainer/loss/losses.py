"""Losses: labels and logits of a batch -> one float32 number.

Shapes: B batch, S spatial axes (H W or X Y Z), K classes. Labels are class indices [B, *S], logits
[B, *S, K] in float32. A network of one sigmoid logit z per voxel, K = 1, has two classes like any
other: the softmax of (0, z) is (1 - sigmoid(z), sigmoid(z)).

Here are the losses of profile `corrected`. Each is a mean over the samples of the batch: the mean
of the losses of equal parts of a batch is the loss of the batch, so replicas with equal batches
average to what one process computes. Those of profile `reference` are in `trainer.loss.reference`.
"""

import math
from collections.abc import Callable
from typing import Any

from keras import ops

from trainer.loss.config import LossConfig
from trainer.loss.reference import reference_losses
from trainer.loss.voxel_sums import sum_over_voxels

Loss = Callable[[Any, Any], Any]
"""Labels int [B, *S] and logits float32 [B, *S, K] -> float32 scalar."""

Term = Callable[[Any, Any], Any]
"""One-hot truth and log-probability, both float32 [B, *S, K] -> float32 scalar."""

FOCAL_FLOOR = 1e-7


def make_loss(config: LossConfig) -> Loss:
    """The loss that `config` names, as a function of (labels, logits).

    The function raises ValueError for a network that the loss is not for, and for shapes that do
    not fit each other.
    """
    reference = config.profile == "reference"
    loss = reference_losses(config)[config.name] if reference else _corrected_loss(config)

    def checked_loss(labels: Any, logits: Any) -> Any:
        config.require_network(logits.shape[-1])
        _require_shapes(labels, logits)
        return loss(labels, ops.cast(logits, "float32"))

    return checked_loss


def _require_shapes(labels: Any, logits: Any) -> None:
    """Raises ValueError for shapes that would broadcast to a wrong loss without a word."""
    size, other = tuple(labels.shape), tuple(logits.shape[:-1])
    same = all(a == b or a is None or b is None for a, b in zip(size, other, strict=False))
    if len(size) != len(other) or not same:
        raise ValueError(
            "labels must have shape [B, *S] and logits [B, *S, K], "
            f"got {size} and {tuple(logits.shape)}"
        )


def _corrected_loss(config: LossConfig) -> Loss:
    """The sum of the terms that `config.name` joins with a plus."""
    first = 0 if config.include_background else 1
    terms: dict[str, Term] = {
        "dice": lambda t, log_p: soft_dice(t[..., first:], ops.exp(log_p[..., first:])),
        "ce": cross_entropy,
        "focal": lambda t, log_p: focal(t, log_p, gamma=config.focal_gamma),
        "generalised-dice": lambda t, log_p: generalised_dice(
            t[..., first:], ops.exp(log_p[..., first:])
        ),
    }
    chosen = [terms[name] for name in config.name.split("+")]

    def loss(labels: Any, logits: Any) -> Any:
        truth, log_probability = _truth_and_log_probability(labels, logits)
        return sum(term(truth, log_probability) for term in chosen)

    return loss


def _truth_and_log_probability(labels: Any, logits: Any) -> tuple[Any, Any]:
    """Labels [B, *S] and logits [B, *S, K] -> both [B, *S, max(K, 2)]."""
    if logits.shape[-1] == 1:
        logits = ops.concatenate([ops.zeros_like(logits), logits], axis=-1)
    truth = ops.one_hot(labels, logits.shape[-1], dtype="float32")
    return truth, ops.log_softmax(logits, axis=-1)


def cross_entropy(truth: Any, log_probability: Any) -> Any:
    """Mean over batch and voxels of -ln p of the true class: [B, *S, K] twice -> scalar.

    The categorical one, over all classes, from log-probabilities: nothing is clipped.
    """
    return -ops.mean(ops.sum(truth * log_probability, axis=-1))


def focal(truth: Any, log_probability: Any, *, gamma: float) -> Any:
    """Mean over batch and voxels of -(1 - p)^gamma ln p of the true class.

    The focal loss of arXiv:1708.02002, equation 4: without weights of the classes, and divided by
    the number of voxels, as a segmentation has no anchors. [B, *S, K] twice -> scalar.
    """
    log_p = ops.sum(truth * log_probability, axis=-1)
    # expm1 keeps the digits of 1 - p near p = 1. The floor bounds the slope of x^gamma at x = 0,
    # infinite for gamma < 1; where it holds, -ln p is below 1e-7 too.
    miss = ops.maximum(-ops.expm1(log_p), FOCAL_FLOOR)
    return -ops.mean(miss**gamma * log_p)


def soft_dice(truth: Any, probability: Any) -> Any:
    """1 - dice, averaged over the classes and then over the samples: in 0 to 1.

    dice = 2 sum(p t) / (sum(p) + sum(t)), the sums over the N voxels of one sample. There is no
    smoothing where a class is present. A class that the sample lacks has N added to numerator and
    denominator, its loss is sum(p) / (sum(p) + N): 0 without false positives, and with a gradient
    of 1 / N per voxel, as large as a cross-entropy's. Sample by sample, a negligible smoothing
    would teach nothing about empty classes, and a large one does (arXiv:2207.09521); the dice of
    the whole batch, which does too, would not average over replicas.

    Args:
      truth: One-hot [B, *S, K], of the classes that count.
      probability: [B, *S, K].

    Returns:
      Scalar.
    """
    overlap_bk, total_bk, size_bk = _sums(truth, probability)
    smoothing_bk = ops.where(size_bk > 0, 0.0, _voxels(truth))
    return ops.mean(1 - (2 * overlap_bk + smoothing_bk) / (total_bk + smoothing_bk))


def generalised_dice(truth: Any, probability: Any) -> Any:
    """1 - generalised dice, averaged over the samples: in 0 to 1 (arXiv:1707.03237).

    With the weight w = 1 / sum(t)^2 of a class in a sample, 1 - 2 sum_k(w sum(p t)) /
    sum_k(w (sum(p) + sum(t))). A class that the sample lacks takes the largest weight of those that
    it has, as in NiftyNet, the authors' own. A sample without any of them has equal weights, and
    its N voxels added to numerator and denominator, as in `soft_dice`.

    Args:
      truth: One-hot [B, *S, K], of the classes that count.
      probability: [B, *S, K].

    Returns:
      Scalar.
    """
    overlap_bk, total_bk, size_bk = _sums(truth, probability)
    voxels = _voxels(truth)
    smallest_b1 = ops.min(ops.where(size_bk > 0, size_bk, voxels), axis=1, keepdims=True)
    # a common factor of the weights cancels: relative to the smallest class they are 0 to 1
    weight_bk = (smallest_b1 / ops.where(size_bk > 0, size_bk, smallest_b1)) ** 2
    smoothing_b = ops.where(ops.any(size_bk > 0, axis=1), 0.0, voxels)
    overlap_b = 2 * ops.sum(weight_bk * overlap_bk, axis=1) + smoothing_b
    return ops.mean(1 - overlap_b / (ops.sum(weight_bk * total_bk, axis=1) + smoothing_b))


def _sums(truth: Any, probability: Any) -> tuple[Any, Any, Any]:
    """sum(p t), sum(p) + sum(t) and sum(t) over the voxels: [B, *S, K] twice -> [B, K] thrice."""
    size_bk = sum_over_voxels(truth)
    overlap_bk = sum_over_voxels(probability * truth)
    return overlap_bk, sum_over_voxels(probability) + size_bk, size_bk


def _voxels(truth: Any) -> Any:
    """Voxels of one sample of [B, *S, K]: scalar."""
    return ops.cast(math.prod(ops.shape(truth)[1:-1]), "float32")
