"""Deep supervision: the loss of a network with outputs at several resolutions.

Shapes: B batch, S spatial axes (H W or X Y Z), K classes. Output number i has S / 2^i.
"""

from collections.abc import Callable, Sequence
from typing import Any

from trainer.loss.losses import Loss


def deep_supervision_loss(loss: Loss) -> Callable[[Any, Any], Any]:
    """Makes `loss` one of all outputs of a network, as nnU-Net does (Isensee et al. 2021).

    Args:
      loss: Of one output.

    Returns:
      A function of labels [B, *S] and a list of logits, full resolution first: float32
      [B, *S, K], [B, *S/2, K], [B, *S/4, K] ... Their losses are summed with `output_weights`, each
      against `labels_at_level`. Logits that are no list, of a network with one output, pass through
      to `loss`. It raises ValueError where an output is not half as large as the one before.
    """

    def supervised_loss(labels: Any, logits: Any) -> Any:
        if not isinstance(logits, Sequence):
            return loss(labels, logits)
        _require_halves(labels, logits)
        losses = [loss(labels_at_level(labels, i), output) for i, output in enumerate(logits)]
        return sum(w * x for w, x in zip(output_weights(len(losses)), losses, strict=True))

    return supervised_loss


def output_weights(count: int) -> tuple[float, ...]:
    """Weights 1, 1/2, 1/4 ... of `count` outputs, divided by their sum; three: 4/7, 2/7, 1/7."""
    total = 2**count - 1
    return tuple(2 ** (count - 1 - i) / total for i in range(count))


def labels_at_level(labels: Any, level: int) -> Any:
    """Labels [B, *S] -> [B, *S / 2^level], by nearest neighbour.

    A block of f = 2^level voxels per axis is represented by its voxel f // 2: the centre of the
    block lies on the edge between f // 2 - 1 and f // 2, and the larger one is taken, as by nnU-Net
    (PyTorch's interpolation "nearest-exact"). Of eight voxels, level 1 keeps 1 3 5 7, level 2 keeps
    2 6, level 3 keeps 4.
    """
    factor = 2**level
    spatial = [slice(factor // 2, None, factor)] * (len(labels.shape) - 1)
    index = (slice(None), *spatial)
    return labels[index]


def _require_halves(labels: Any, logits: Sequence[Any]) -> None:
    """Raises ValueError unless output i is 2^i times smaller than the labels along every axis."""
    for level, output in enumerate(logits):
        for large, small in zip(labels.shape[1:], output.shape[1:-1], strict=True):
            if large is not None and small is not None and large != small * 2**level:
                raise ValueError(
                    f"output {level} of {len(logits)} must be {2**level} times smaller than the"
                    f" labels {tuple(labels.shape)} along every spatial axis, got"
                    f" {tuple(output.shape)}: take sizes that halve at every level,"
                    " and model.padding 'same'"
                )
