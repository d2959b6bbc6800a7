"""Averages over flips and over networks, by networks whose answer is known."""

from itertools import product

import numpy as np
import pytest
import tensorflow as tf

from trainer.inference.average import average_probabilities
from trainer.model_config import ModelConfig
from trainer.unet import build_unet

SIGMOID = ModelConfig(rank=2, in_channels=1, classes=1, filters=(2, 4), norm="none")
SOFTMAX = ModelConfig(rank=3, in_channels=2, classes=3, filters=(2, 4))
VALID = ModelConfig(
    rank=2, in_channels=1, classes=2, filters=(2, 4), padding="valid", downsample="max-pool"
)


def batch(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(1, *shape)).astype(np.float32)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def running_sum(x: tf.Tensor) -> tf.Tensor:
    """Not symmetric: every pixel adds up what lies before it along both axes."""
    return tf.cumsum(tf.cumsum(x, axis=1), axis=2)


def average(networks, x: np.ndarray, model: ModelConfig, *mirror: int) -> np.ndarray:
    return average_probabilities(networks, tf.constant(x), model, mirror=mirror).numpy()


def test_without_flips_it_is_what_the_network_says() -> None:
    x = batch(4, 6, 1)
    np.testing.assert_allclose(average([tf.identity], x, SIGMOID), sigmoid(x), rtol=1e-6)


def test_two_pixels_by_hand() -> None:
    """Pixels 1 and 2: sums 1, 3; flipped 2, 3, so back 3, 2. Probabilities are averaged."""
    x = np.array([1.0, 2.0], np.float32).reshape(1, 1, 2, 1)
    expected = (sigmoid(np.array([1.0, 3.0])) + sigmoid(np.array([3.0, 2.0]))) / 2
    found = average([running_sum], x, SIGMOID, 1)
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-6)


@pytest.mark.parametrize("mirror", [(0,), (1,), (0, 1), (1, 0)])
def test_mean_over_all_flips(mirror: tuple[int, ...]) -> None:
    x, answers = batch(5, 7, 1), []
    for chosen in product([False, True], repeat=len(mirror)):
        axes = tuple(a + 1 for a, flip in zip(mirror, chosen, strict=True) if flip)
        logits = np.flip(x, axes).cumsum(axis=1).cumsum(axis=2)
        answers.append(np.flip(sigmoid(logits), axes))
    assert len(answers) == 2 ** len(mirror)
    found = average([running_sum], x, SIGMOID, *mirror)
    np.testing.assert_allclose(found, np.mean(answers, axis=0), rtol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flipped_volume_gives_the_flipped_answer(axis: int) -> None:
    """Of any network, along every axis that is averaged over; and along no other."""
    network, x = build_unet(SOFTMAX, seed=3), batch(4, 6, 8, 2)
    flipped = np.flip(x, axis + 1).copy()
    with_axis = average([network], x, SOFTMAX, *{0, axis})
    found = average([network], flipped, SOFTMAX, *{0, axis})
    np.testing.assert_allclose(np.flip(found, axis + 1), with_axis, atol=1e-6)
    without = [
        np.flip(average([network], v, SOFTMAX), n) for v, n in ((x, ()), (flipped, axis + 1))
    ]
    assert np.abs(without[0] - without[1]).max() > 1e-3


def test_symmetric_network_gives_the_same_with_flips_and_without() -> None:
    def symmetric(x: tf.Tensor) -> tf.Tensor:
        return 3 * x - tf.reduce_mean(x, axis=(1, 2), keepdims=True)

    x = batch(6, 4, 1)
    plain = average([symmetric], x, SIGMOID)
    np.testing.assert_allclose(average([symmetric], x, SIGMOID, 0, 1), plain, rtol=1e-6)


def test_networks_are_averaged_by_their_probabilities() -> None:
    networks = [lambda x, n=n: x * n for n in (1.0, -2.0, 5.0)]
    x = batch(3, 4, 1)
    expected = (sigmoid(x) + sigmoid(-2 * x) + sigmoid(5 * x)) / 3
    np.testing.assert_allclose(average(networks, x, SIGMOID), expected, rtol=1e-5)


def test_networks_and_flips_together() -> None:
    networks = [running_sum, lambda x: tf.cumsum(x, axis=1)]
    x = batch(3, 4, 1)
    members = [average([network], x, SIGMOID, 0, 1) for network in networks]
    found = average(networks, x, SIGMOID, 0, 1)
    np.testing.assert_allclose(found, np.mean(members, axis=0), rtol=1e-6)


def test_valid_network_is_flipped_about_the_centre() -> None:
    network, x = build_unet(VALID, seed=2), batch(20, 22, 1)
    found = average([network], x, VALID, 0, 1)
    assert found.shape == (1, 4, 6, 2)
    turned = average([network], np.flip(x, (1, 2)).copy(), VALID, 0, 1)
    np.testing.assert_allclose(np.flip(turned, (1, 2)), found, atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 6), (None, None)])
def test_one_pass_is_in_memory_at_a_time(shape: tuple) -> None:
    """In a graph: no pass begins before the one before it has ended."""
    running, most, passes = [0], [0], [0]

    def begin(x: np.ndarray) -> np.ndarray:
        running[0] += 1
        most[0] = max(most[0], running[0])
        return x

    def end(x: np.ndarray) -> np.ndarray:
        running[0] -= 1
        passes[0] += 1
        return x

    def network(x: tf.Tensor) -> tf.Tensor:
        assert x.shape.as_list() == [1, *shape, 1]
        begun = tf.ensure_shape(tf.numpy_function(begin, [x], tf.float32), x.shape)
        return tf.ensure_shape(tf.numpy_function(end, [begun + 1], tf.float32), x.shape)

    @tf.function(input_signature=[tf.TensorSpec([1, *shape, 1])])
    def in_graph(x: tf.Tensor) -> tf.Tensor:
        return average_probabilities([network] * 3, x, SIGMOID, mirror=(0, 1))

    x = batch(4, 6, 1)
    np.testing.assert_allclose(in_graph(tf.constant(x)), sigmoid(x + 1), rtol=1e-6)
    assert most == [1] and passes == [3 * 4] and running == [0]
