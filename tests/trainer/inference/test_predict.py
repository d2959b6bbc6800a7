"""The sliding window, by networks whose answer on the whole image is known."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import tensorflow as tf

from trainer.config import InferenceConfig
from trainer.inference.classes import to_probabilities
from trainer.inference.predict import predict_probabilities
from trainer.inference.windows import window_weights
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
    return predict_probabilities([network], tf.constant(x), model, config).numpy()


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
        weights = window_weights((4, 2, 6), "gaussian").numpy()
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
        result = predict_probabilities([network], x, SOFTMAX, WINDOW)
        assert result.shape.as_list()[-1] == 3
        return result

    for shape in [(11, 13), (4, 6), (2, 9)]:
        x = image(*shape, 2)
        eager = predict(network, x, SOFTMAX, WINDOW)
        np.testing.assert_allclose(in_graph(tf.constant(x)), eager, atol=1e-6)
        assert eager.shape == (*shape, 3)


DEEP = replace(SOFTMAX, filters=(2, 3, 4))  # pads to multiples of 4
INSTANCE = replace(DEEP, norm="instance")
DEEP_VALID = replace(DEEP, padding="valid", downsample="max-pool")  # loses 40, of 44, 48 ...
VOLUME = replace(INSTANCE, rank=3, classes=1)
WHOLE = InferenceConfig(window=(4, 4), mode="whole")


@pytest.mark.parametrize(
    ("model", "shape", "padded"),
    [
        (INSTANCE, (9, 14), (12, 16)),
        (INSTANCE, (8, 4), (8, 4)),
        (DEEP_VALID, (5, 8), (48, 48)),
        (DEEP_VALID, (4, 3), (44, 44)),
        (VOLUME, (5, 8, 3), (8, 8, 4)),
    ],
)
def test_whole_image_is_what_the_network_says_of_it_padded_with_zeros(
    model: ModelConfig, shape: tuple[int, ...], padded: tuple[int, ...]
) -> None:
    """And what a window of that size gives. The margin of a valid network is on both sides."""
    network, x = build_unet(model, seed=4), image(*shape, 2)
    before = model.margin // 2
    paddings = [(before, p - n - before) for n, p in zip(shape, padded, strict=True)]
    logits = network(np.pad(x, [*paddings, (0, 0)])[None])[0]
    expected = to_probabilities(logits).numpy()[tuple(slice(n) for n in shape)]
    found = predict(network, x, model, WHOLE)
    assert found.shape == (*shape, model.classes)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    window = predict(network, x, model, InferenceConfig(window=padded))
    np.testing.assert_allclose(window, found, atol=1e-6)


def test_whole_image_above_the_limit_is_covered_by_squares_of_the_limit() -> None:
    """64 pixels: windows of 8 x 8, as mode `window` has them."""
    network, x = build_unet(INSTANCE, seed=4), image(9, 14, 2)
    limited = predict(network, x, INSTANCE, replace(WHOLE, whole_limit=8 * 8))
    windows = predict(network, x, INSTANCE, InferenceConfig(window=(8, 8)))
    np.testing.assert_allclose(limited, windows, atol=1e-6)
    assert np.abs(limited - predict(network, x, INSTANCE, WHOLE)).max() > 1e-4


@pytest.mark.parametrize("limit", [8 * 8, 2**22])
def test_whole_image_inside_a_tf_function_that_knows_no_sizes(limit: int) -> None:
    network = build_unet(INSTANCE, seed=4)
    config = replace(WHOLE, whole_limit=limit, mirror=(1,))

    @tf.function(input_signature=[tf.TensorSpec([None, None, 2])])
    def in_graph(x: tf.Tensor) -> tf.Tensor:
        return predict_probabilities([network], x, INSTANCE, config)

    for shape in [(11, 13), (4, 8), (2, 9)]:
        x = image(*shape, 2)
        expected = predict(network, x, INSTANCE, config)
        np.testing.assert_allclose(in_graph(tf.constant(x)), expected, atol=1e-6)


@pytest.mark.parametrize("config", [WINDOW, WHOLE])
def test_several_networks_give_the_mean_of_their_probabilities(config: InferenceConfig) -> None:
    networks = [build_unet(SOFTMAX, seed=n) for n in range(3)]
    x = tf.constant(image(7, 9, 2))
    members = [predict_probabilities([n], x, SOFTMAX, config).numpy() for n in networks]
    found = predict_probabilities(networks, x, SOFTMAX, config)
    np.testing.assert_allclose(found, np.mean(members, axis=0), atol=1e-6)


@pytest.mark.parametrize("config", [WINDOW, WHOLE])
def test_flips_are_averaged_over_the_image(config: InferenceConfig) -> None:
    """Of a network that flips change. Windows start at 0, 2, 4 and 0, 3, 6: the same flipped."""
    network, x = build_unet(SOFTMAX, seed=1), image(8, 12, 2)
    plain = predict(network, x, SOFTMAX, config)
    back = np.flip(predict(network, np.flip(x, 1).copy(), SOFTMAX, config), 1)
    assert np.abs(plain - back).max() > 1e-2
    found = predict(network, x, SOFTMAX, replace(config, mirror=(1,)))
    np.testing.assert_allclose(found, (plain + back) / 2, atol=1e-6)
