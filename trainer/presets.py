"""Complete network configs by name: the published systems, and tiny ones for tests and demos."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from trainer.model_config import ModelConfig

# NVIDIA UNet_3D_Medical of June 2020, and its ports to Habana and Ascend: 31,200,036 parameters.
_UNET3D = ModelConfig(
    rank=3,
    in_channels=4,
    classes=4,
    filters=(32, 64, 128, 256, 320, 320),
    head_kernel=3,
)

# NVIDIA UNet_3D_Medical of 2021: no bias before a normalisation, 31,196,196 parameters.
_UNET3D_2021 = replace(_UNET3D, conv_bias=False)

# Cerebras modelzoo R_1.6.0 `unet/tf` on DAGM 2007: 1,925,025 parameters.
_UNET2D_DAGM = ModelConfig(
    rank=2,
    in_channels=1,
    classes=1,
    filters=(32, 64, 128, 256),
    norm="none",
    activation="relu",
    downsample="max-pool",
)

# NVIDIA UNet_Medical (TF2) on ISBI 2012, 572 -> 388 pixels: 34,512,258 parameters.
_UNET2D_MEDICAL = ModelConfig(
    rank=2,
    in_channels=1,
    classes=2,
    filters=(64, 128, 256, 512, 1024),
    norm="none",
    activation="relu",
    padding="valid",
    downsample="max-pool",
    up_kernel=3,
    up_activation=True,
    dropout=0.5,
)

# NVIDIA UNet_Industrial, variant tinyUNet, on DAGM 2007: 1,850,305 parameters.
_UNET2D_INDUSTRIAL = ModelConfig(
    rank=2,
    in_channels=1,
    classes=1,
    filters=(32, 32, 64, 128, 256),
    norm="none",
    activation="relu",
    downsample="max-pool",
    upsample="nearest-conv",
    up_activation=True,
    halve_decoder=True,
    initializer="he_normal",
)

_UNET3D_TINY = ModelConfig(rank=3, in_channels=4, classes=4, filters=(8, 16, 32))

_UNET2D_TINY = replace(_UNET3D_TINY, rank=2, in_channels=1, classes=1)

PRESETS: Mapping[str, ModelConfig] = MappingProxyType(
    {
        "unet3d": _UNET3D,
        "unet3d-2021": _UNET3D_2021,
        "unet3d-tiny": _UNET3D_TINY,
        "unet2d-dagm": _UNET2D_DAGM,
        "unet2d-medical": _UNET2D_MEDICAL,
        "unet2d-industrial": _UNET2D_INDUSTRIAL,
        "unet2d-tiny": _UNET2D_TINY,
    }
)
"""Name of a preset -> its config."""
