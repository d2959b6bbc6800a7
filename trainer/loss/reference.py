"""The losses of the published systems, number for number, peculiarities included.

Shapes: B batch, S spatial axes (H W or X Y Z), K classes. Labels are class indices [B, *S], logits
float32 [B, *S, K]. Labels of one-logit networks may also be masks with soft edges, 0 to 1.

The mean over equal parts of a batch is the loss of the batch, but for these: `bce-sum` and `l2` are
sums over the batch, and `sorensen`, `jaccard` and `adaptive` take one dice of the whole batch. With
those, n replicas train on the mean of their own losses, as the references' Horovod does.

The weight decay (L2) that UNet_Medical and UNet_Industrial add is the optimiser's work.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from keras import ops

from trainer.loss.config import LossConfig
from trainer.loss.voxel_sums import sum_over_voxels

PROBABILITY_CLIP = 1e-7
DICE_EPSILON = 1e-5
SQUARED_DICE_EPSILON = 1e-6
BATCH_DICE_SMOOTHING = 1.0
ADAPTIVE_THRESHOLD = 0.3


def reference_losses(config: LossConfig) -> dict[str, Callable[[Any, Any], Any]]:
    """Name of `LOSSES["reference"]` -> function of (labels, logits)."""
    first = 0 if config.include_background else 1
    return {
        "dice+ce": partial(dice_ce, first_class=first),
        "dice": partial(dice, first_class=first),
        "ce": partial(ce, first_class=first),
        "ce+squared-dice": ce_squared_dice,
        "bce-sum": bce_sum,
        "bce": bce,
        "adaptive": adaptive,
        "sorensen": sorensen,
        "jaccard": jaccard,
        "x-entropy": bce,
        "l2": l2,
    }


def dice_ce(labels: Any, logits: Any, *, first_class: int) -> Any:
    """`dice` + `ce` (NVIDIA UNet_3D_Medical and its ports)."""
    truth, probability = _softmax(labels, logits)
    truth, probability = truth[..., first_class:], probability[..., first_class:]
    return _dice(truth, probability) + _ce(truth, probability)


def dice(labels: Any, logits: Any, *, first_class: int) -> Any:
    """Sum over the classes of 1 - dice, the soft dice of a sample averaged over the batch.

    dice = 2 sum(p t) / (sum(p) + sum(t) + 1e-5), the sums over the voxels of one sample (NVIDIA
    UNet_3D_Medical). A class that a sample lacks has dice 0: it adds a constant 1 and no gradient.
    """
    truth, probability = _softmax(labels, logits)
    return _dice(truth[..., first_class:], probability[..., first_class:])


def ce(labels: Any, logits: Any, *, first_class: int) -> Any:
    """Sum over the classes of the mean binary cross-entropy of the softmax probability.

    -t ln(p + 1e-7) - (1 - t) ln(1 - p + 1e-7), p clipped to [1e-7, 1 - 1e-7], mean over batch and
    voxels (NVIDIA UNet_3D_Medical; the 1e-7 twice over is from Keras in TensorFlow 1.15 to 2.15).
    Without the background, it counts through the softmax only.
    """
    truth, probability = _softmax(labels, logits)
    return _ce(truth[..., first_class:], probability[..., first_class:])


def ce_squared_dice(labels: Any, logits: Any) -> Any:
    """Softmax cross-entropy + 1 - dice, over all classes (NVIDIA UNet_Medical, TF2).

    dice = (2 sum(p t) + 1e-6) / (sum(p^2) + sum(t^2) + 1e-6), the sums over the pixels of one
    sample; mean over samples and classes.
    """
    truth, probability = _softmax(labels, logits)
    overlap_bk = sum_over_voxels(probability * truth)
    total_bk = sum_over_voxels(probability**2) + sum_over_voxels(truth**2)
    dice_bk = (2 * overlap_bk + SQUARED_DICE_EPSILON) / (total_bk + SQUARED_DICE_EPSILON)
    entropy = -ops.sum(truth * ops.log_softmax(logits, axis=-1), axis=-1)
    return ops.mean(entropy) + ops.mean(1 - dice_bk)


def bce(labels: Any, logits: Any) -> Any:
    """Mean over batch and pixels of the sigmoid cross-entropy, from the logit.

    The loss of Cerebras modelzoo `unet/tf`; `x-entropy` of NVIDIA UNet_Industrial too: it gives
    probabilities to Keras, which in TensorFlow 1.15 goes back to the logits of a sigmoid.
    """
    return ops.mean(_pixel_bce(labels, logits))


def bce_sum(labels: Any, logits: Any) -> Any:
    """Sum over batch and pixels of the sigmoid cross-entropy (UNet DAGM TF2)."""
    return ops.sum(_pixel_bce(labels, logits))


def sorensen(labels: Any, logits: Any) -> Any:
    """1 - (2 sum(p t) + 1) / (sum(p) + sum(t) + 1), sums over the batch (UNet_Industrial)."""
    truth, probability = _sigmoid(labels, logits)
    return _batch_dice(truth, probability, ops.sum(probability) + ops.sum(truth))


def jaccard(labels: Any, logits: Any) -> Any:
    """1 - (2 sum(p t) + 1) / (sum(p^2) + sum(t^2) + 1), sums over the batch (UNet_Industrial).

    A dice with squares, called Jaccard there.
    """
    truth, probability = _sigmoid(labels, logits)
    return _batch_dice(truth, probability, ops.sum(probability**2) + ops.sum(truth**2))


def adaptive(labels: Any, logits: Any) -> Any:
    """`sorensen` where that is below 0.3, otherwise `bce` (UNet_Industrial)."""
    dice_loss = sorensen(labels, logits)
    return ops.where(dice_loss < ADAPTIVE_THRESHOLD, dice_loss, bce(labels, logits))


def l2(labels: Any, logits: Any) -> Any:
    """Half of the sum over batch and pixels of (p - t)^2 (UNet_Industrial)."""
    truth, probability = _sigmoid(labels, logits)
    return ops.sum((probability - truth) ** 2) / 2


def _softmax(labels: Any, logits: Any) -> tuple[Any, Any]:
    """Labels [B, *S] and logits [B, *S, K] -> one-hot truth and softmax, both [B, *S, K]."""
    truth = ops.one_hot(labels, logits.shape[-1], dtype="float32")
    return truth, ops.softmax(logits, axis=-1)


def _sigmoid(labels: Any, logits: Any) -> tuple[Any, Any]:
    """Labels [B, *S] and logits [B, *S, 1] -> truth and sigmoid, both float32 [B, *S]."""
    return ops.cast(labels, "float32"), ops.sigmoid(logits[..., 0])


def _dice(truth: Any, probability: Any) -> Any:
    overlap_bk = sum_over_voxels(probability * truth)
    total_bk = sum_over_voxels(probability) + sum_over_voxels(truth)
    dice_bk = 2 * overlap_bk / (total_bk + DICE_EPSILON)
    return ops.sum(1 - ops.mean(dice_bk, axis=0))


def _ce(truth: Any, probability: Any) -> Any:
    p = ops.clip(probability, PROBABILITY_CLIP, 1 - PROBABILITY_CLIP)
    entropy = -truth * ops.log(p + PROBABILITY_CLIP)
    entropy -= (1 - truth) * ops.log(1 - p + PROBABILITY_CLIP)
    return ops.mean(ops.sum(entropy, axis=-1))


def _pixel_bce(labels: Any, logits: Any) -> Any:
    truth = ops.cast(labels, "float32")
    return ops.binary_crossentropy(truth, logits[..., 0], from_logits=True)


def _batch_dice(truth: Any, probability: Any, total: Any) -> Any:
    overlap = 2 * ops.sum(probability * truth)
    return 1 - (overlap + BATCH_DICE_SMOOTHING) / (total + BATCH_DICE_SMOOTHING)
