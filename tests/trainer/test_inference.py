"""The sliding window, by networks whose answer on the whole image is known."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import tensorflow as tf

from trainer.config import InferenceConfig
from trainer.inference import (
    axis_starts,
    predict_probabilities,
    to_classes,
    to_probabilities,
    window_weights,
)
from trainer.model_config import ModelConfig
from trainer.unet import build_unet

SOFTMAX = ModelConfig(rank=2, in_channels=2, classes=3, filters=(2, 4), norm="none")
SIGMOID = replace(SOFTMAX, in_channels=1, classes=1)
VALID = replace(SOFTMAX, padding="valid", downsample="max-pool")  # loses 16: 20 -> 4
WINDOW = InferenceConfig(window=(4, 6))


def image(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def by_voxel(x: tf.Tensor) -> tf.Tensor:
    """Three logits that depend on the two channels of their own voxel only."""
    return tf.stack([x[..., 0], 2 * x[..., 1], x[..., 0] * x[..., 1]], axis=-1)


def by_voxel_in_numpy(x: np.ndarray) -> np.ndarray:
    return softmax(np.stack([x[..., 0], 2 * x[..., 1], x[..., 0] * x[..., 1]], axis=-1))


def predict(network, x: np.ndarray, model: ModelConfig, config: InferenceConfig) -> np.ndarray:
    return predict_probabilities(network, tf.constant(x), model, config).numpy()


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
    weights = window_weights((4, 4), "gaussian")
    axis = np.array([np.exp(-4.0), 1.0, 1.0, np.exp(-4.0)])
    assert weights.shape == (4, 4, 1) and weights.dtype == np.float32
    np.testing.assert_allclose(weights[..., 0], np.outer(axis, axis), rtol=1e-6)


def test_weights_are_never_zero_and_at_most_one() -> None:
    volume = window_weights((16, 16, 16), "gaussian")
    assert volume.min() > 0 and volume.max() == 1
    np.testing.assert_array_equal(window_weights((2, 3), "constant"), np.ones((2, 3, 1)))


def test_single_window_is_what_the_network_says() -> None:
    network = build_unet(SOFTMAX)
    x = image(8, 12, 2)
    config = InferenceConfig(window=(8, 12), weights="constant")
    expected = softmax(network(x[None]).numpy())[0]
    np.testing.assert_allclose(predict(network, x, SOFTMAX, config), expected, atol=1e-6)
    gaussian = replace(config, weights="gaussian")
    np.testing.assert_allclose(predict(network, x, SOFTMAX, gaussian), expected, atol=1e-6)


@pytest.mark.parametrize("weights", ["gaussian", "constant"])
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.8])
def test_constant_network_gives_a_constant(weights: str, overlap: float) -> None:
    config = InferenceConfig(window=(4, 6), overlap=overlap, weights=weights)
    logits = tf.constant([0.0, 1.0, -2.0])
    result = predict(
        lambda x: tf.zeros_like(x[..., :1]) + logits, image(11, 13, 2), SOFTMAX, config
    )
    expected = np.broadcast_to(softmax(logits.numpy()), (11, 13, 3))
    np.testing.assert_allclose(result, expected, atol=1e-6)


@pytest.mark.parametrize("weights", ["gaussian", "constant"])
@pytest.mark.parametrize("shape", [(11, 13), (4, 6), (5, 6), (3, 20), (1, 1)])
def test_network_of_single_voxels_gives_the_result_on_the_whole_image(
    shape: tuple[int, int], weights: str
) -> None:
    x = image(*shape, 2)
    result = predict(by_voxel, x, SOFTMAX, replace(WINDOW, weights=weights))
    assert result.shape == (*shape, 3)
    np.testing.assert_allclose(result, by_voxel_in_numpy(x), atol=1e-6)


def test_volume() -> None:
    model, config = replace(SOFTMAX, rank=3), InferenceConfig(window=(4, 4, 6), overlap=0.25)
    x = image(9, 4, 7, 2)
    np.testing.assert_allclose(predict(by_voxel, x, model, config), by_voxel_in_numpy(x), atol=1e-6)


def test_volume_in_windows_is_the_weighted_mean_of_all_windows() -> None:
    """By three plain loops; the network subtracts the mean of its window, so windows differ."""
    model, config = replace(SIGMOID, rank=3), InferenceConfig(window=(4, 2, 6))
    x = image(7, 5, 10, 1)
    total, mass = np.zeros_like(x), np.zeros_like(x)
    for i, j, k in product([0, 2, 3], [0, 1, 2, 3], [0, 2, 4]):
        part = (slice(i, i + 4), slice(j, j + 2), slice(k, k + 6))
        weights = window_weights((4, 2, 6), "gaussian")
        total[part] += weights / (1 + np.exp(x[part].mean() - x[part]))
        mass[part] += weights
    result = predict(lambda w: w - tf.reduce_mean(w), x, model, config)
    np.testing.assert_allclose(result, total / mass, rtol=1e-5)


def test_overlapping_windows_are_averaged() -> None:
    """Windows of columns 0-3 and 2-5: columns 2 and 3 get the mean of the two answers."""
    x = np.zeros((2, 6, 1), np.float32)
    x[:, 0], x[:, 5] = 4.0, -8.0
    config = InferenceConfig(window=(2, 4), weights="constant")
    result = predict(
        lambda w: tf.zeros_like(w) + tf.reduce_mean(w, axis=(1, 2), keepdims=True),
        x,
        SIGMOID,
        config,
    )
    left, right = 1 / (1 + np.exp(-1.0)), 1 / (1 + np.exp(2.0))
    middle = (left + right) / 2
    expected = [left, left, middle, middle, right, right]
    np.testing.assert_allclose(result[..., 0], [expected, expected], rtol=1e-5)


def test_gaussian_trusts_the_centres() -> None:
    """Column 2 is next to the left window's centre and at the right window's edge."""
    x = np.zeros((2, 6, 1), np.float32)
    x[:, 0], x[:, 5] = 4.0, -8.0
    result = predict(
        lambda w: tf.zeros_like(w) + tf.reduce_mean(w, axis=(1, 2), keepdims=True),
        x,
        SIGMOID,
        InferenceConfig(window=(2, 4)),
    )
    left, right, edge = 1 / (1 + np.exp(-1.0)), 1 / (1 + np.exp(2.0)), np.exp(-4.0)
    expected = (left + edge * right) / (1 + edge)
    np.testing.assert_allclose(result[:, 2, 0], [expected] * 2, rtol=1e-5)


def test_image_smaller_than_the_window_is_padded_with_zeros() -> None:
    network, x = build_unet(SOFTMAX), image(3, 9, 2)
    padded = np.zeros((1, 8, 12, 2), np.float32)
    padded[0, :3, :9] = x
    expected = softmax(network(padded).numpy())[0, :3, :9]
    result = predict(network, x, SOFTMAX, InferenceConfig(window=(8, 12)))
    np.testing.assert_allclose(result, expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 6), (12, 9), (2, 3), (5, 30)])
def test_valid_network_covers_every_voxel_with_the_centre_of_its_window(
    shape: tuple[int, int],
) -> None:
    def network(x: tf.Tensor) -> tf.Tensor:
        assert x.shape == (1, 20, 22, 2)
        return by_voxel(x[:, 8:-8, 8:-8])

    x = image(*shape, 2)
    result = predict(network, x, VALID, InferenceConfig(window=(20, 22)))
    np.testing.assert_allclose(result, by_voxel_in_numpy(x), atol=1e-6)


def test_valid_network_gives_in_windows_what_it_gives_on_the_whole_image() -> None:
    """Windows start at even voxels, so they meet the max-pools as the whole image does."""
    network, x = build_unet(VALID, seed=1), image(12, 8, 2)
    whole = np.pad(x, ((8, 8), (8, 8), (0, 0)))
    expected = softmax(network(whole[None]).numpy())[0]
    assert expected.shape == (12, 8, 3)
    result = predict(network, x, VALID, InferenceConfig(window=(20, 20)))
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_same_result_inside_a_tf_function_that_knows_no_sizes() -> None:
    network = build_unet(SOFTMAX)

    @tf.function(input_signature=[tf.TensorSpec([None, None, 2])])
    def in_graph(x: tf.Tensor) -> tf.Tensor:
        result = predict_probabilities(network, x, SOFTMAX, WINDOW)
        assert result.shape.as_list()[-1] == 3
        return result

    for shape in [(11, 13), (4, 6), (2, 9)]:
        x = image(*shape, 2)
        eager = predict(network, x, SOFTMAX, WINDOW)
        np.testing.assert_allclose(in_graph(tf.constant(x)), eager, atol=1e-6)
        assert eager.shape == (*shape, 3)


def test_probabilities_are_softmax_or_sigmoid() -> None:
    logits = np.log(np.array([[1.0, 3.0, 4.0]], np.float32))
    np.testing.assert_allclose(to_probabilities(tf.constant(logits)), [[0.125, 0.375, 0.5]])
    logits = np.log(np.array([[3.0], [1.0]], np.float32))
    np.testing.assert_allclose(to_probabilities(tf.constant(logits)), [[0.75], [0.5]])


def test_classes_of_softmax_are_the_largest() -> None:
    """Also where none reaches one half; the first of equals."""
    p = tf.constant([[0.3, 0.36, 0.34], [0.2, 0.2, 0.6], [0.4, 0.2, 0.4]])
    classes = to_classes(p, threshold=0.9)
    assert classes.dtype == tf.uint8 and classes.numpy().tolist() == [1, 2, 0]


def test_classes_of_one_logit_reach_the_threshold() -> None:
    p = tf.constant([[0.25], [0.5], [0.49], [0.75]])
    assert to_classes(p, threshold=0.5).numpy().tolist() == [0, 1, 0, 1]
    assert to_classes(p, threshold=0.25).numpy().tolist() == [1, 1, 1, 1]
    assert to_classes(p, threshold=0.75).dtype == tf.uint8
