"""The UNet, 2D and 3D, as a Keras graph: a batch of normalised images in, float32 logits out.

Shapes: B batch, S spatial axes (H W or X Y Z), C channels, K classes; channels are last.
"""

import math
import zlib
from dataclasses import dataclass
from typing import Any, Literal

import keras
from keras import ops

from trainer.model_config import ModelConfig

NORM_EPSILON = 1e-6
LEAKY_SLOPE = 0.01

DtypePolicy = Literal["float32", "mixed_bfloat16", "mixed_float16"]

_INITIALIZERS = {
    "glorot_uniform": keras.initializers.GlorotUniform,
    "he_normal": keras.initializers.HeNormal,
    "he_uniform": keras.initializers.HeUniform,
}


def build_unet(
    config: ModelConfig, *, seed: int = 0, dtype_policy: DtypePolicy = "float32"
) -> keras.Model:
    """Builds the network with initial weights that depend on `config` and `seed` alone.

    Args:
      config: The network.
      seed: Seed of all initial kernels, and of the dropout.
      dtype_policy: Keras dtype policy of every layer; variables and logits are float32 in each.

    Returns:
      Model from [B, *S, C] to logits [B, *S', K], where S' = `config.output_size(S)`.
    """
    make = _Layers(config, seed, dtype_policy)
    sizes = (None,) * config.rank
    inputs = keras.Input((*sizes, config.in_channels), name="image", dtype="float32")

    x, skips = inputs, []
    for level in range(len(config.filters)):
        x = make.encoder_level(x, level)
        skips.append(x)
    if config.dropout > 0:
        x = make.dropout("bottleneck_dropout")(x)
    for level in reversed(range(len(config.filters) - 1)):
        x = make.decoder_level(x, skips[level], level)
    x = make.conv("head", config.classes, config.head_kernel)(x)

    logits = keras.layers.Activation("linear", dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=f"unet{config.rank}d")


@dataclass(frozen=True)
class _Layers:
    """Makes the layers of one network. A layer's name is its position, and seeds its kernel."""

    config: ModelConfig
    seed: int
    dtype: DtypePolicy

    def encoder_level(self, x: Any, level: int) -> Any:
        """[B, *S, C] -> [B, *S/2, filters[level]], or S where `level` is 0 (minus 4 if valid)."""
        filters, name, strides = self.config.filters[level], f"encoder{level}", 1
        if level > 0 and self.config.downsample == "stride":
            strides = 2
        elif level > 0:
            x = self._ranked("MaxPooling{}D", f"{name}_pool", pool_size=2)(x)
        x = self._conv_unit(x, f"{name}_conv1", filters, strides=strides)
        return self._conv_unit(x, f"{name}_conv2", filters)

    def decoder_level(self, x: Any, skip: Any, level: int) -> Any:
        """[B, *S, C], skip [B, *2S, C'] -> [B, *2S, C''] (valid: skip larger, result smaller)."""
        up, first, second = self.config.decoder_filters(level)
        name, crop = f"decoder{level}", self.config.skip_crop(level)
        x = self._up_sample(x, f"{name}_up", up)
        if crop > 0:
            skip = self._ranked("Cropping{}D", f"{name}_crop", cropping=crop)(skip)
        x = keras.layers.Concatenate(name=f"{name}_concat", dtype=self.dtype)([x, skip])
        x = self._conv_unit(x, f"{name}_conv1", first)
        return self._conv_unit(x, f"{name}_conv2", second)

    def conv(
        self, name: str, filters: int, kernel: int, *, strides: int = 1, use_bias: bool = True
    ) -> Any:
        """A convolution with the network's padding."""
        return self._ranked(
            "Conv{}D",
            name,
            filters=filters,
            kernel_size=kernel,
            strides=strides,
            padding=self.config.padding,
            use_bias=use_bias,
            kernel_initializer=self._initializer(name),
        )

    def dropout(self, name: str) -> Any:
        """The dropout of the bottleneck, with a seed of its own."""
        rate, seed = self.config.dropout, self._layer_seed(name)
        return keras.layers.Dropout(rate, seed=seed, name=name, dtype=self.dtype)

    def _conv_unit(self, x: Any, name: str, filters: int, *, strides: int = 1) -> Any:
        x = self.conv(name, filters, 3, strides=strides, use_bias=self.config.conv_bias)(x)
        if self.config.norm != "none":
            x = self._norm(f"{name}_norm")(x)
        return self._activation(f"{name}_act")(x)

    def _up_sample(self, x: Any, name: str, filters: int) -> Any:
        """[B, *S, C] -> [B, *2S, filters], for either padding of the network."""
        kind, strides = "Conv{}DTranspose", 2
        if self.config.upsample == "nearest-conv":
            kind, strides = "Conv{}D", 1
            x = self._ranked("UpSampling{}D", f"{name}_nearest", size=2)(x)
        x = self._ranked(
            kind,
            name,
            filters=filters,
            kernel_size=self.config.up_kernel,
            strides=strides,
            padding="same",
            kernel_initializer=self._initializer(name),
        )(x)
        return self._activation(f"{name}_act")(x) if self.config.up_activation else x

    def _norm(self, name: str) -> Any:
        options: dict[str, Any] = {"name": name, "dtype": self.dtype}
        if self.config.norm == "instance":
            return InstanceNorm(**options)
        if self.config.norm == "batch":
            return keras.layers.BatchNormalization(**options)
        groups = self.config.group_norm_groups
        return keras.layers.GroupNormalization(groups, epsilon=NORM_EPSILON, **options)

    def _activation(self, name: str) -> Any:
        if self.config.activation == "relu":
            return keras.layers.ReLU(name=name, dtype=self.dtype)
        return keras.layers.LeakyReLU(LEAKY_SLOPE, name=name, dtype=self.dtype)

    def _ranked(self, kind: str, name: str, **options: Any) -> Any:
        """The layer `kind` of the network's rank: "Conv{}D" is Conv3D where the rank is 3."""
        layer = getattr(keras.layers, kind.format(self.config.rank))
        return layer(name=name, dtype=self.dtype, **options)

    def _initializer(self, name: str) -> Any:
        return _INITIALIZERS[self.config.initializer](seed=self._layer_seed(name))

    def _layer_seed(self, name: str) -> int:
        return zlib.crc32(f"{self.seed}/{name}".encode()) & 0x7FFFFFFF


@keras.saving.register_keras_serializable(package="unet_tfx")
class InstanceNorm(keras.layers.Layer):
    """Normalises each channel of each sample over its spatial axes (arXiv:1607.08022).

    [B, *S, C] -> [B, *S, C] of the policy's compute dtype. Statistics, gain and offset are float32.
    """

    def __init__(self, *, epsilon: float = NORM_EPSILON, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape, options = (input_shape[-1],), {"dtype": "float32", "autocast": False}
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones", **options)
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros", **options)

    def call(self, x: Any) -> Any:
        # Reshaping also makes them tensors: a custom gradient must not meet variables.
        shape = (1,) * (len(x.shape) - 1) + (-1,)
        gamma, beta = ops.reshape(self.gamma, shape), ops.reshape(self.beta, shape)
        return instance_norm(x, gamma, beta, epsilon=self.epsilon)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon}


def instance_norm(x: Any, gamma: Any, beta: Any, *, epsilon: float) -> Any:
    """Gamma * (x - mean) / sqrt(var + epsilon) + beta, with mean and var over the spatial axes.

    x [B, *S, C], gamma and beta [1, ..., 1, C] -> [B, *S, C] of x's dtype.

    The gradient is written out because automatic differentiation is slower, and under mixed
    precision keeps a float32 copy of every activation. With z = (x - mean) / std and g the
    incoming gradient: dx = gamma / std * (g - mean(g) - z * mean(g * z)) (Ioffe and Szegedy,
    arXiv:1502.03167, section 3).
    """
    axes = tuple(range(1, len(x.shape) - 1))

    @ops.custom_gradient
    def normalise(x: Any, gamma: Any, beta: Any) -> Any:
        x_32 = ops.cast(x, "float32")
        mean, variance = ops.moments(x_32, axes, keepdims=True)
        inverse_std = ops.rsqrt(variance + epsilon)
        scale = gamma * inverse_std
        y = ops.cast(x_32 * scale + (beta - mean * scale), x.dtype)

        def gradient(*args: Any, upstream: Any = None) -> tuple[Any, Any, Any]:
            g = ops.cast(args[0] if upstream is None else upstream, "float32")
            centred = ops.cast(x, "float32") - mean
            mean_g = ops.mean(g, axes, keepdims=True)
            mean_gz = ops.mean(g * centred, axes, keepdims=True) * inverse_std
            dx = g * scale - centred * (scale * inverse_std * mean_gz) - scale * mean_g
            voxels = ops.cast(math.prod(ops.shape(x)[1:-1]), "float32")
            dgamma = voxels * ops.sum(mean_gz, axis=0, keepdims=True)
            dbeta = voxels * ops.sum(mean_g, axis=0, keepdims=True)
            return ops.cast(dx, x.dtype), dgamma, dbeta

        return y, gradient

    return normalise(x, gamma, beta)
