"""The UNet, 2D and 3D, as a Keras graph: a batch of normalised images in, float32 logits out.

It is written for any Keras backend.

Shapes: B batch, S spatial axes (H W or X Y Z), C channels, K classes; channels are last.
"""

import zlib
from dataclasses import dataclass
from typing import Any, Literal

import keras

from trainer.layers import GroupNorm, LeakyRelu, convolution_policy
from trainer.model_config import ModelConfig

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
      Model from [B, *S, C] to logits [B, *S', K], where S' = `config.output_size(S)`. With
      `config.deep_supervision` it returns a list of logits where it is called with training=True:
      [B, *S, K], [B, *S/2, K], [B, *S/4, K] ...
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
    logits: list[Any] = []
    for level in reversed(range(len(config.filters) - 1)):
        x = make.decoder_level(x, skips[level], level)
        if level <= config.deep_supervision:
            logits.insert(0, make.head(x, level))

    name = f"unet{config.rank}d"
    if config.deep_supervision > 0:
        return DeeplySupervised(inputs, logits, name=name)
    return keras.Model(inputs, logits[0], name=name)


@keras.saving.register_keras_serializable(package="unet_tfx")
class DeeplySupervised(keras.Model):
    """Gives all of its outputs where it is called with training=True, and else the first alone.

    The variables are the same either way.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        outputs = super().call(inputs, training=training, mask=mask)
        return outputs if training else outputs[0]

    def compute_output_spec(
        self, inputs: Any, training: bool | None = None, mask: Any = None
    ) -> Any:
        outputs = super().compute_output_spec(inputs, training=training, mask=mask)
        return outputs if training else outputs[0]


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
        return self._block(x, name, (filters, filters), strides=strides)

    def decoder_level(self, x: Any, skip: Any, level: int) -> Any:
        """[B, *S, C], skip [B, *2S, C'] -> [B, *2S, C''] (valid: skip larger, result smaller)."""
        up, first, second = self.config.decoder_filters(level)
        name, crop = f"decoder{level}", self.config.skip_crop(level)
        x = self._up_sample(x, f"{name}_up", up)
        if crop > 0:
            skip = self._ranked("Cropping{}D", f"{name}_crop", cropping=crop)(skip)
        x = keras.layers.Concatenate(name=f"{name}_concat", dtype=self.dtype)([x, skip])
        return self._block(x, name, (first, second))

    def head(self, x: Any, level: int) -> Any:
        """Logits of decoder `level`: [B, *S, C] -> float32 [B, *S, K]. Below level 0 1-wide."""
        kernel, after = (self.config.head_kernel, "") if level == 0 else (1, f"{level}")
        x = self.conv(f"head{after}", self.config.classes, kernel)(x)
        return keras.layers.Activation("linear", dtype="float32", name=f"logits{after}")(x)

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

    def _block(self, x: Any, name: str, filters: tuple[int, int], *, strides: int = 1) -> Any:
        """Two convolutions, each with its norm and activation; residual: see `_shortcut`."""
        options = {"strides": strides, "use_bias": self.config.conv_bias}
        y = self._normed_conv(x, f"{name}_conv1", filters[0], 3, **options)
        y = self._activation(f"{name}_conv1_act")(y)
        y = self._normed_conv(y, f"{name}_conv2", filters[1], 3, use_bias=self.config.conv_bias)
        if self.config.residual:
            shortcut = self._shortcut(x, name, filters[1], strides=strides)
            y = keras.layers.Add(name=f"{name}_add", dtype=self.dtype)([y, shortcut])
        return self._activation(f"{name}_conv2_act")(y)

    def _shortcut(self, x: Any, name: str, filters: int, *, strides: int) -> Any:
        """What a residual block adds before its second activation, as in nnU-Net's ResEnc.

        Where the block has a stride, x is average-pooled (ResNet-D, arXiv:1812.01187); where it
        changes the channels, projected by a 1-wide convolution without bias and a norm.
        """
        if strides > 1:
            x = self._ranked("AveragePooling{}D", f"{name}_shortcut_pool", pool_size=strides)(x)
        if self.config.padding == "valid":  # the block's convolutions lose two pixels per side
            x = self._ranked("Cropping{}D", f"{name}_shortcut_crop", cropping=2)(x)
        if x.shape[-1] != filters:
            x = self._normed_conv(x, f"{name}_shortcut", filters, 1, use_bias=False)
        return x

    def _normed_conv(self, x: Any, name: str, filters: int, kernel: int, **options: Any) -> Any:
        x = self.conv(name, filters, kernel, **options)(x)
        return x if self.config.norm == "none" else self._norm(f"{name}_norm")(x)

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
        if self.config.norm == "batch":
            return keras.layers.BatchNormalization(name=name, dtype=self.dtype)
        groups = self.config.group_norm_groups if self.config.norm == "group" else None
        return GroupNorm(groups=groups, name=name, dtype=self.dtype)

    def _activation(self, name: str) -> Any:
        if self.config.activation == "relu":
            return keras.layers.ReLU(name=name, dtype=self.dtype)
        return LeakyRelu(name=name, dtype=self.dtype)

    def _ranked(self, kind: str, name: str, **options: Any) -> Any:
        """The layer `kind` of the network's rank: "Conv{}D" is Conv3D where the rank is 3."""
        layer = getattr(keras.layers, kind.format(self.config.rank))
        dtype = convolution_policy(self.dtype) if kind.startswith("Conv") else self.dtype
        return layer(name=name, dtype=dtype, **options)

    def _initializer(self, name: str) -> Any:
        return _INITIALIZERS[self.config.initializer](seed=self._layer_seed(name))

    def _layer_seed(self, name: str) -> int:
        return zlib.crc32(f"{self.seed}/{name}".encode()) & 0x7FFFFFFF
