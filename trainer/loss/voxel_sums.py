"""Sums over the voxels of large volumes that keep their digits in float32.

Shapes: B batch, S spatial axes (H W or X Y Z), K classes.
"""

from typing import Any

from keras import ops


def sum_over_voxels(x: Any) -> Any:
    """[B, *S, K] -> [B, K], one axis after the other.

    TensorFlow on a CPU adds all voxels of a class to one number, in which small probabilities are
    lost: 0.17 % of a sum over 128^3 was missing. Axis by axis only the numbers of one line meet,
    and 2e-7 was missing; with the inner axis first it is faster too.
    """
    while len(x.shape) > 2:
        x = ops.sum(x, axis=-2)
    return x
