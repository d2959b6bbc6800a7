"""The network config: its errors, and its shape arithmetic by the figures of the papers."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from trainer.model_config import ModelConfig
from trainer.presets import PRESETS

MEDICAL = PRESETS["unet2d-medical"]
TINY = PRESETS["unet3d-tiny"]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("rank", 4, "model.rank must be one of 2, 3, got 4"),
        (
            "in_channels",
            -1,
            "model.in_channels must be above 0, or 0 for what the dataset has, got -1",
        ),
        ("classes", -1, "model.classes must be above 0, or 0 for what the dataset has, got -1"),
        ("filters", (8,), r"model.filters must be two or more numbers above 0, got \(8,\)"),
        ("filters", (8, 0), r"model.filters must be two or more numbers above 0, got \(8, 0\)"),
        (
            "norm",
            "layer",
            "model.norm must be one of 'none', 'instance', 'group', 'batch', got 'layer'",
        ),
        ("group_norm_groups", 0, "model.group_norm_groups must be above 0, got 0"),
        ("activation", "elu", "model.activation must be one of 'relu', 'leaky_relu', got 'elu'"),
        ("up_kernel", 1, "model.up_kernel must be at least 2, the stride, got 1"),
        ("head_kernel", 2, "model.head_kernel must be odd and above 0, got 2"),
        ("dropout", 1.0, "model.dropout must be at least 0 and below 1, got 1.0"),
        (
            "deep_supervision",
            2,
            "model.deep_supervision must be 0 to 1, by the 3 levels of model.filters, got 2",
        ),
        (
            "deep_supervision",
            -1,
            "model.deep_supervision must be 0 to 1, by the 3 levels of model.filters, got -1",
        ),
        (
            "padding",
            "valid",
            "model.downsample must be 'max-pool' where model.padding is 'valid', got 'stride'",
        ),
    ],
)
def test_error_names_field_value_and_what_is_allowed(
    field: str, value: object, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        replace(TINY, **{field: value})


def test_deep_supervision_needs_same_padding() -> None:
    message = "model.deep_supervision must be 0 where model.padding is 'valid', got 1"
    with pytest.raises(ValueError, match=f"^{message}$"):
        replace(MEDICAL, deep_supervision=1)


def test_groups_must_divide_filters() -> None:
    assert replace(TINY, norm="group", group_norm_groups=8).norm == "group"
    with pytest.raises(ValueError, match=r"model.filters must be multiples of 16 .*, got \(8, 16,"):
        replace(TINY, norm="group", group_norm_groups=16)


def test_halved_decoder_needs_even_filters() -> None:
    with pytest.raises(ValueError, match=r"model.filters must be multiples of 2 .*, got \(8, 15\)"):
        replace(TINY, filters=(8, 15), halve_decoder=True)


def test_downscale() -> None:
    assert PRESETS["unet3d"].downscale == 32
    assert MEDICAL.downscale == 16
    assert TINY.downscale == 4


def test_same_padding_keeps_sizes() -> None:
    assert PRESETS["unet3d"].output_size((128, 128, 128)) == (128, 128, 128)
    assert PRESETS["unet3d"].output_size((224, 224, 160)) == (224, 224, 160)


def test_valid_padding_follows_figure_1_of_the_paper() -> None:
    assert MEDICAL.output_size((572, 572)) == (388, 388)
    assert [MEDICAL.skip_crop(level) for level in range(4)] == [88, 40, 16, 4]
    assert TINY.skip_crop(0) == 0


def layer_by_layer(size: int, levels: int) -> int | None:
    """Output size of a valid UNet with a 1-wide head, or None where a size does not fit."""
    for _ in range(levels - 1):
        size -= 4
        if size % 2:
            return None
        size //= 2
    size -= 4
    for _ in range(levels - 1):
        if size <= 0:
            return None
        size = 2 * size - 4
    return size if size > 0 else None


@pytest.mark.parametrize("levels", [2, 3, 4, 5])
def test_valid_padding_agrees_with_the_layers(levels: int) -> None:
    config = replace(MEDICAL, filters=(8,) * levels)
    for size in range(1, 300):
        expected = layer_by_layer(size, levels)
        if expected is None:
            with pytest.raises(ValueError, match=r"^input size\[1\] must be"):
                config.output_size((572, size))
        else:
            assert config.output_size((size, size)) == (expected, expected)


@pytest.mark.parametrize("config", [TINY, MEDICAL, replace(MEDICAL, head_kernel=3)])
def test_smallest_input_that_covers_an_output(config: ModelConfig) -> None:
    """No smaller one fits: by trying all."""
    fitting = []
    for size in range(1, 400):
        with suppress(ValueError):
            fitting.append((config.output_size((size,) * config.rank)[0], size))
    for output in range(1, 150):
        expected = min(size for covered, size in fitting if covered >= output)
        assert config.input_size(output) == expected
    found = config.input_size(np.array([1, 40, 41]))
    assert found.tolist() == [config.input_size(n) for n in (1, 40, 41)]


@pytest.mark.parametrize(
    ("config", "voxels", "side"),
    [
        (TINY, 4**3, 4),
        (TINY, 8**3 - 1, 4),
        (TINY, 8**3, 8),
        (PRESETS["unet3d"], 6_000_000, 160),  # 192^3 is 7.1 million
        (PRESETS["unet2d-dagm"], 6_000_000, 2448),  # 2449^2, and a multiple of 8
        (MEDICAL, 188**2, 188),
        (MEDICAL, 572**2, 572),
        (MEDICAL, 572**2 - 1, 556),
    ],
)
def test_largest_cube(config: ModelConfig, voxels: int, side: int) -> None:
    assert config.largest_cube(voxels) == side
    assert config.output_size((side,) * config.rank)


@pytest.mark.parametrize(("config", "least"), [(TINY, 4**3), (MEDICAL, 188**2)])
def test_no_cube_is_small_enough(config: ModelConfig, least: int) -> None:
    message = f"^voxels at once must be at least {least}, the smallest .*, got {least - 1}$"
    with pytest.raises(ValueError, match=message):
        config.largest_cube(least - 1)


def test_head_of_a_valid_network_takes_its_pixels() -> None:
    assert replace(MEDICAL, head_kernel=3).output_size((572, 572)) == (386, 386)


@pytest.mark.parametrize(
    ("config", "size", "message"),
    [
        (
            PRESETS["unet3d"],
            (128, 128, 155),
            r"input size\[2\] must be a multiple of 32, at least 32 \(nearest: 128, 160\), got 155",
        ),
        (
            TINY,
            (0, 4, 4),
            r"input size\[0\] must be a multiple of 4, at least 4 \(nearest: 4\), got 0",
        ),
        (
            MEDICAL,
            (572, 570),
            r"input size\[1\] must be .* plus 12, at least 188 \(nearest: 556, 572\), got 570",
        ),
        (
            MEDICAL,
            (172, 572),
            r"input size\[0\] must be .* 16 plus 12, at least 188 \(nearest: 188\), got 172",
        ),
        (TINY, (64, 64), r"input size must be 3 sizes \(model.rank\), got \(64, 64\)"),
    ],
)
def test_size_error_names_rule_and_nearest(
    config: ModelConfig, size: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        config.output_size(size)


def test_decoder_filters() -> None:
    assert PRESETS["unet3d"].decoder_filters(4) == (320, 320, 320)
    industrial = PRESETS["unet2d-industrial"]
    halved = [industrial.decoder_filters(level) for level in range(4)]
    assert halved == [(16, 32, 32), (32, 32, 16), (64, 64, 32), (128, 128, 64)]
