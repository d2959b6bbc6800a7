"""Where windows lie, how large they are and what their voxels weigh, by hand."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import tensorflow as tf

from trainer.config import InferenceConfig
from trainer.inference.windows import axis_starts, tile, window_weights
from trainer.model_config import ModelConfig

SAME = ModelConfig(rank=2, in_channels=1, classes=2, filters=(2, 4, 8))
VALID = replace(SAME, padding="valid", downsample="max-pool")  # margin 40, sizes 44, 48 ...


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.6, 0.9])
@pytest.mark.parametrize("size", [1, 2, 5, 8, 13])
def test_starts_cover_the_axis(size: int, overlap: float) -> None:
    least = int(size * overlap)  # voxels that neighbours share
    for length in range(size, size + 20):
        starts = axis_starts(tf.constant(length), size, overlap=overlap).numpy()
        steps = np.diff(starts)
        assert starts[0] == 0 and starts[-1] == length - size
        assert all(0 < step <= max(1, size - least) for step in steps)
        assert np.ptp(steps) <= 1 if len(steps) else length == size


@pytest.mark.parametrize(
    ("length", "size", "overlap", "starts"),
    [
        (10, 4, 0.5, [0, 2, 4, 6]),
        (10, 4, 0.0, [0, 3, 6]),
        (9, 4, 0.5, [0, 2, 3, 5]),  # 0, 5/3, 10/3, 5
        (4, 4, 0.5, [0]),
        (155, 128, 0.5, [0, 27]),
        (240, 128, 0.5, [0, 56, 112]),
    ],
)
def test_starts_by_hand(length: int, size: int, overlap: float, starts: list[int]) -> None:
    found = axis_starts(tf.constant(length), size, overlap=overlap)
    assert found.dtype == tf.int32 and found.numpy().tolist() == starts


def test_gaussian_weights_by_hand() -> None:
    """Window 4, sigma 4 / 8: centres at -1.5, -0.5, 0.5, 1.5 give exp(-4.5) and exp(-0.5)."""
    weights = window_weights((4, 4), "gaussian").numpy()
    axis = np.array([np.exp(-4.0), 1.0, 1.0, np.exp(-4.0)])
    assert weights.shape == (4, 4, 1) and weights.dtype == np.float32
    np.testing.assert_allclose(weights[..., 0], np.outer(axis, axis), rtol=1e-6)


def test_weights_are_never_zero_and_at_most_one() -> None:
    volume = window_weights((16, 16, 16), "gaussian").numpy()
    assert volume.min() > 0 and volume.max() == 1
    np.testing.assert_array_equal(window_weights((2, 3), "constant"), np.ones((2, 3, 1)))


WHOLE = InferenceConfig(window=(4, 4), mode="whole", whole_limit=8 * 12)


@pytest.mark.parametrize(
    ("model", "shape", "limit", "window", "starts"),
    [
        # downscale 4: 5 x 12 is padded to 8 x 12
        (SAME, (5, 12), 96, (8, 12), ([0], [0])),
        # one voxel less: squares of 8 x 8; 12 wide takes two with half of them in common
        (SAME, (5, 12), 95, (8, 8), ([0], [0, 4])),
        # an axis that is shorter than the square cuts it
        (SAME, (3, 30), 95, (4, 8), ([0], [0, 4, 7, 11, 15, 18, 22])),
        (SAME, (1, 1), 16, (4, 4), ([0], [0])),
        # loses 40 of 44, 48 ...: 5 x 8 needs 48 x 48
        (VALID, (5, 8), 48**2, (48, 48), ([0], [0])),
        (VALID, (5, 8), 48**2 - 1, (44, 44), ([0, 1], [0, 2, 4])),
    ],
)
def test_windows_of_whole_images(
    model: ModelConfig, shape: tuple, limit: int, window: tuple, starts: tuple
) -> None:
    config = replace(WHOLE, whole_limit=limit)
    tiling = tile(tf.constant(shape), model, config)
    assert tuple(int(n) for n in tiling.window) == window
    assert model.output_size(window) == tuple(int(n) for n in tiling.size)
    assert tuple(s.numpy().tolist() for s in tiling.starts) == starts


def test_windows_of_whole_images_are_never_above_the_limit() -> None:
    """And what the network takes, and together all of the image."""
    rng = np.random.default_rng(0)
    for model, limit in product([SAME, VALID, replace(SAME, rank=3)], [44**2, 5000, 12345]):
        shape = rng.integers(1, 90, model.rank)
        tiling = tile(tf.constant(shape, tf.int32), model, replace(WHOLE, whole_limit=limit))
        window = [int(n) for n in tiling.window]
        size = model.output_size(window)
        assert np.prod(window) <= limit
        for n, length, starts in zip(size, shape, tiling.starts, strict=True):
            first = starts.numpy()
            assert first[0] == 0 and first[-1] + n >= length and (np.diff(first) <= n).all()


def test_limit_below_the_smallest_input_is_an_error() -> None:
    message = r"^voxels at once must be at least 1936, the smallest input .*, got 1935$"
    with pytest.raises(ValueError, match=message):
        tile(tf.constant([9, 9]), VALID, replace(WHOLE, whole_limit=44**2 - 1))
