"""The network's own layers: normalisation and LeakyReLU, right in mixed precision, fast on a CPU.

Shapes: B batch, S spatial axes (H W or X Y Z), C channels; channels are last.
"""

import math
from typing import Any

import keras
from keras import ops

from trainer.hardware import cpu_flags

NORM_EPSILON = 1e-6
LEAKY_SLOPE = 0.01
_BLOCK = 8
"""Side of the blocks of voxels whose means are taken first, see `spatial_mean`."""
_INSTRUCTIONS = {
    "mixed_bfloat16": {"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"},
    "mixed_float16": {"avx512_fp16", "amx_fp16", "avx_ne_convert"},
}
"""Dtype policy -> what a CPU has, any of it, that multiplies such numbers; `bf16` is ARM's."""


def convolution_policy(policy: str) -> str:
    """The dtype policy of the convolutions in a network of dtype policy `policy`.

    TensorFlow's convolutions in 16 bits take more than twenty times as long as those in float32 on
    a CPU without instructions for them (a training step on a crop of 32^3: 14 s and 0.6 s). There
    they compute in float32, on inputs and outputs that the layers around them keep in 16 bits.
    """
    slow = policy in _INSTRUCTIONS and not _INSTRUCTIONS[policy] & cpu_flags()
    return "float32" if slow and _is_tensorflow_on_cpu() else policy


@keras.saving.register_keras_serializable(package="unet_tfx")
class GroupNorm(keras.layers.Layer):
    """Normalises each group of channels of each sample (Wu and He, arXiv:1803.08494).

    [B, *S, C] -> [B, *S, C] of the policy's compute dtype. Statistics, gain and offset are float32.
    With one group per channel, the default, it is instance normalisation (arXiv:1607.08022).

    Args:
      groups: Groups of neighbouring channels; None is one per channel.
      epsilon: Added to the variance.
    """

    def __init__(
        self, *, groups: int | None = None, epsilon: float = NORM_EPSILON, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.groups, self.epsilon = groups, epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape, options = (input_shape[-1],), {"dtype": "float32", "autocast": False}
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones", **options)
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros", **options)

    def call(self, x: Any) -> Any:
        # Reshaping also makes them tensors: a custom gradient must not meet variables.
        shape = (1,) * (len(x.shape) - 1) + (-1,)
        gamma, beta = ops.reshape(self.gamma, shape), ops.reshape(self.beta, shape)
        groups = self.groups or x.shape[-1]
        return group_norm(x, gamma, beta, groups=groups, epsilon=self.epsilon)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "groups": self.groups, "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="unet_tfx")
class LeakyRelu(keras.layers.Layer):
    """The greater of x and 0.01 x, of any shape."""

    def call(self, x: Any) -> Any:
        return leaky_relu(x)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


def group_norm(x: Any, gamma: Any, beta: Any, *, groups: int, epsilon: float) -> Any:
    """Gamma * (x - mean) / sqrt(var + epsilon) + beta, mean and var over space and each group.

    x [B, *S, C], gamma and beta [1, ..., 1, C] -> [B, *S, C] of x's dtype.

    The gradient is written out because automatic differentiation is slower, and under mixed
    precision keeps a float32 copy of every activation. With z = (x - mean) / std, g the incoming
    gradient, and means over a group: dx = (gamma g - mean(gamma g) - z mean(gamma g z)) / std
    (Ioffe and Szegedy, arXiv:1502.03167, section 3). All means are first taken per channel.
    """

    @ops.custom_gradient
    def normalise(x: Any, gamma: Any, beta: Any) -> Any:
        x_32 = ops.cast(x, "float32")
        mean = _over_groups(spatial_mean(x_32), groups)
        centred = x_32 - mean
        variance = _over_groups(spatial_mean(ops.square(centred)), groups)
        inverse_std = ops.rsqrt(variance + epsilon)
        y = ops.cast(centred * (gamma * inverse_std) + beta, x.dtype)

        def gradient(*args: Any, upstream: Any = None) -> tuple[Any, Any, Any]:
            g = ops.cast(args[0] if upstream is None else upstream, "float32")
            centred = ops.cast(x, "float32") - mean
            mean_g = spatial_mean(g)
            mean_gz = spatial_mean(g * centred) * inverse_std
            # dx = g a - centred b - c, by numbers per sample and channel.
            a = gamma * inverse_std
            b = inverse_std * inverse_std * _over_groups(gamma * mean_gz, groups)
            c = inverse_std * _over_groups(gamma * mean_g, groups)
            dx = g * a - (centred * b + c)
            voxels = ops.cast(math.prod(ops.shape(x)[1:-1]), "float32")
            dgamma = voxels * ops.sum(mean_gz, axis=0, keepdims=True)
            dbeta = voxels * ops.sum(mean_g, axis=0, keepdims=True)
            return ops.cast(dx, x.dtype), dgamma, dbeta

        return y, gradient

    return normalise(x, gamma, beta)


def leaky_relu(x: Any) -> Any:
    """The greater of x and 0.01 x; any shape and float type.

    TensorFlow's own gradient in 16 bits is five times as slow on a CPU as this one (0.32 s against
    0.06 s for 96^3 voxels of 32 channels), which needs the result alone, and not x.
    """
    if x.dtype == "float32" or not _is_tensorflow_on_cpu():
        return ops.leaky_relu(x, LEAKY_SLOPE)

    @ops.custom_gradient
    def activate(x: Any) -> Any:
        y = ops.leaky_relu(x, LEAKY_SLOPE)

        def gradient(*args: Any, upstream: Any = None) -> Any:
            g = args[0] if upstream is None else upstream
            return g * ops.maximum(ops.cast(y > 0, g.dtype), LEAKY_SLOPE)

        return y, gradient

    return activate(x)


def spatial_mean(x: Any) -> Any:
    """Mean over the spatial axes: float32 [B, *S, C] -> [B, 1, ..., 1, C].

    TensorFlow's reduction over leading axes is three to seven times as slow on a CPU as its mean
    over blocks. Blocks of equal size divide the axes, so that the mean of their means is the mean,
    and the sums are more exact for being short: sizes (96, 20) are pooled by (8, 4).
    """
    axes = tuple(range(1, len(x.shape) - 1))
    if not _is_tensorflow_on_cpu():
        return ops.mean(x, axes, keepdims=True)
    if None in x.shape[1:-1]:
        return _mean_of_unknown_sizes(x)
    blocks = tuple(math.gcd(size, _BLOCK) for size in x.shape[1:-1])
    if max(blocks) > 1:
        x = ops.average_pool(x, blocks, strides=blocks, data_format="channels_last")
    return ops.mean(x, axes, keepdims=True)


def _mean_of_unknown_sizes(x: Any) -> Any:
    """`spatial_mean` in a graph that is made before the sizes are known.

    What is padded to whole blocks counts in no block's mean; the means are weighed by the share of
    the voxels that their block has. Size 21 is three blocks that begin at -1, 7 and 15: 7, 8 and 6
    voxels.
    """
    options = {"strides": _BLOCK, "padding": "same", "data_format": "channels_last"}
    means = ops.average_pool(x, _BLOCK, **options)
    rank = len(x.shape) - 2
    for axis, size in enumerate(ops.shape(x)[1:-1]):
        count = -(-size // _BLOCK)
        first = ops.arange(count) * _BLOCK - (count * _BLOCK - size) // 2
        voxels = ops.minimum(first + _BLOCK, size) - ops.maximum(first, 0)
        share = ops.cast(voxels, "float32") / ops.cast(size, "float32")
        means = means * ops.reshape(share, [-1 if a == axis else 1 for a in range(rank)] + [1])
    return ops.sum(means, tuple(range(1, rank + 1)), keepdims=True)


def _is_tensorflow_on_cpu() -> bool:
    """Whether it is TensorFlow that computes, without an accelerator: that needs other kernels."""
    devices = keras.distribution.list_devices()
    return keras.backend.backend() == "tensorflow" and all(d.startswith("cpu") for d in devices)


def _over_groups(means: Any, groups: int) -> Any:
    """Means per channel [B, 1, ..., 1, C] -> the mean of its group for each channel, same shape."""
    channels = means.shape[-1]
    if groups == channels:
        return means
    grouped = ops.reshape(means, (-1, groups, channels // groups))
    of_group = ops.mean(grouped, axis=-1, keepdims=True)
    return ops.reshape(ops.repeat(of_group, channels // groups, axis=-1), (-1, *means.shape[1:]))
