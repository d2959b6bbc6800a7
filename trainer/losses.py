"""Losses: labels and logits of a batch -> one float32 number.

Shapes: B batch, S spatial axes (H W or X Y Z), K classes. Labels are class indices [B, *S], logits
[B, *S, K] in float32.

Every loss is a mean over the samples of the batch: the mean of the losses of equal parts of a batch
is the loss of the batch, so replicas with equal batches average to what one process computes.
"""

from collections.abc import Callable
from typing import Any, Literal

from keras import ops

LossName = Literal["dice+ce", "dice", "ce", "bce"]
Loss = Callable[[Any, Any], Any]

PROBABILITY_CLIP = 1e-7
DICE_EPSILON = 1e-5


def make_loss(name: LossName) -> Loss:
    """The loss `name` as a function of (labels, logits).

    `dice`, `ce` and their sum `dice+ce` are for softmax networks, `bce` is for one-logit networks.

    Raises:
      ValueError: if there is no loss of that name.
    """
    losses: dict[str, Loss] = {
        "dice+ce": reference_dice_ce,
        "dice": reference_dice,
        "ce": reference_ce,
        "bce": sigmoid_ce,
    }
    if name not in losses:
        raise ValueError(f"loss must be one of {', '.join(map(repr, losses))}, got {name!r}")
    return losses[name]


def reference_dice_ce(labels: Any, logits: Any) -> Any:
    """`reference_dice` + `reference_ce`, as in NVIDIA UNet_3D_Medical and its ports."""
    truth, probability = _foreground(labels, logits)
    return _dice(truth, probability) + _ce(truth, probability)


def reference_dice(labels: Any, logits: Any) -> Any:
    """Sum over foreground classes of 1 - dice, the soft dice of a sample averaged over the batch.

    dice = 2 sum(p t) / (sum(p) + sum(t) + 1e-5), the sums over the voxels of one sample (NVIDIA
    UNet_3D_Medical). A class that a sample lacks has dice 0: it adds a constant 1 and no gradient.
    """
    return _dice(*_foreground(labels, logits))


def reference_ce(labels: Any, logits: Any) -> Any:
    """Sum over foreground classes of the mean binary cross-entropy of the softmax probability.

    -t ln(p) - (1 - t) ln(1 - p), p clipped to [1e-7, 1 - 1e-7], mean over batch and voxels (NVIDIA
    UNet_3D_Medical). The background counts through the softmax only.
    """
    return _ce(*_foreground(labels, logits))


def sigmoid_ce(labels: Any, logits: Any) -> Any:
    """Mean over batch and pixels of the sigmoid cross-entropy of one logit per pixel.

    Labels [B, *S] are 0 or 1, logits [B, *S, 1]. Computed from the logit: nothing is clipped.

    Raises:
      ValueError: if the shapes are others.
    """
    _require_shapes(labels, logits, logits.shape[-1] == 1, "1 channel")
    truth = ops.cast(labels, logits.dtype)
    return ops.mean(ops.binary_crossentropy(truth, logits[..., 0], from_logits=True))


def _foreground(labels: Any, logits: Any) -> tuple[Any, Any]:
    """Labels [B, *S] and logits [B, *S, K] -> one-hot truth and softmax, without class 0."""
    classes = logits.shape[-1]
    _require_shapes(labels, logits, classes > 1, "2 or more channels")
    truth = ops.one_hot(labels, classes, dtype=logits.dtype)
    return truth[..., 1:], ops.softmax(logits, axis=-1)[..., 1:]


def _dice(truth: Any, probability: Any) -> Any:
    voxels = tuple(range(1, len(probability.shape) - 1))
    overlap = ops.sum(probability * truth, voxels)
    total = ops.sum(probability, voxels) + ops.sum(truth, voxels)
    dice_bk = 2 * overlap / (total + DICE_EPSILON)
    return ops.sum(1 - ops.mean(dice_bk, axis=0))


def _ce(truth: Any, probability: Any) -> Any:
    p = ops.clip(probability, PROBABILITY_CLIP, 1 - PROBABILITY_CLIP)
    entropy = -truth * ops.log(p) - (1 - truth) * ops.log(1 - p)
    return ops.sum(ops.mean(entropy, tuple(range(len(p.shape) - 1))))


def _require_shapes(labels: Any, logits: Any, channels_fit: bool, channels: str) -> None:
    """Raises ValueError for shapes that would broadcast to a wrong loss without a word."""
    if not channels_fit or len(labels.shape) != len(logits.shape) - 1:
        raise ValueError(
            f"labels must have shape [B, *S] and logits [B, *S, K] with {channels}, "
            f"got {tuple(labels.shape)} and {tuple(logits.shape)}"
        )
