"""Normalisation and LeakyReLU: values and gradients against float64, in every precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.layers import (
    GroupNorm,
    LeakyRelu,
    convolution_policy,
    group_norm,
    leaky_relu,
    spatial_mean,
)

CHANNELS = 6
HALF = {"float32": 0.0, "bfloat16": 2**-8, "float16": 2**-11}
"""Type -> relative error of a number stored in it; float32's is in the tests' other tolerance."""


def image(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def plain_norm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, groups: int) -> tf.Tensor:
    """The formula, word by word: [B, X, Y, C] in float64."""
    grouped = tf.reshape(x, (*x.shape[:-1], groups, -1))
    mean = tf.reduce_mean(grouped, (1, 2, 4), keepdims=True)
    variance = tf.reduce_mean((grouped - mean) ** 2, (1, 2, 4), keepdims=True)
    z = tf.reshape((grouped - mean) / tf.sqrt(variance + 1e-6), x.shape)
    return gamma * z + beta


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("groups", [CHANNELS, 3, 1])
@pytest.mark.parametrize("mean", [0.5, 1000])
@pytest.mark.parametrize("sizes", [(16, 24), (7, 5)])
def test_group_norm_and_its_gradients_against_float64(
    dtype: str, groups: int, mean: float, sizes: tuple[int, int]
) -> None:
    """A mean 1,000 times the deviation costs float32 three of its seven digits, and no more."""
    x = tf.cast(mean + image(2, *sizes, CHANNELS), dtype)
    g = tf.cast(image(2, *sizes, CHANNELS, seed=1), dtype)
    gamma, beta = (tf.constant(image(1, 1, 1, CHANNELS, seed=seed)) for seed in (2, 3))
    wide = [tf.cast(v, tf.float64) for v in (x, gamma, beta)]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, gamma, beta, *wide])
        y = group_norm(x, gamma, beta, groups=groups, epsilon=1e-6)
        expected = plain_norm(*wide, groups=groups)
    assert y.dtype == dtype
    tolerance = HALF[dtype] + (1e-5 if mean < 1 else 2e-3)
    close(y, expected, tolerance)
    ours = tape.gradient(y, [x, gamma, beta], output_gradients=g)
    theirs = tape.gradient(expected, wide, output_gradients=tf.cast(g, tf.float64))
    assert [v.dtype for v in ours] == [dtype, "float32", "float32"]
    for found, gradient in zip(ours, theirs, strict=True):
        close(found, gradient, tolerance)


def close(found: tf.Tensor, expected: tf.Tensor, tolerance: float) -> None:
    """Fails where an error is above `tolerance` times the greatest number expected."""
    error = np.abs(np.asarray(tf.cast(found, tf.float64)) - expected.numpy()).max()
    assert error <= tolerance * np.abs(expected.numpy()).max()


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(
    "make",
    [GroupNorm, lambda **k: GroupNorm(groups=2, **k), keras.layers.BatchNormalization],
    ids=["instance", "group", "batch"],
)
def test_statistics_are_float32_in_every_precision(make, policy: str) -> None:
    """bfloat16 has 8 bits: summed in it, 65,536 voxels of mean 10 would lose mean and variance."""
    x = 10 + image(1, 256, 256, 4)
    layer = make(dtype=policy)
    y = layer(x, training=True)
    assert {weight.dtype for weight in layer.weights} == {"float32"}
    assert y.dtype == layer.compute_dtype == policy.removeprefix("mixed_")
    values = np.asarray(tf.cast(y, tf.float32)).reshape(-1, 4)
    np.testing.assert_allclose(values.mean(0), 0, atol=1e-2)  # groups: 2 means of 4 channels each
    np.testing.assert_allclose(values.std(0), 1, atol=1e-2)


def test_new_norm_is_the_plain_one() -> None:
    layer = GroupNorm()
    layer.build((None, None, None, 6))
    np.testing.assert_array_equal(layer.gamma, np.ones(6))
    np.testing.assert_array_equal(layer.beta, np.zeros(6))
    assert GroupNorm.from_config(GroupNorm(groups=3).get_config()).groups == 3


def test_norm_of_a_constant_is_the_offset() -> None:
    assert not np.any(GroupNorm()(np.full((1, 4, 4, 2), 7.0, np.float32)))
    assert not np.any(GroupNorm(groups=1)(np.full((1, 8, 8, 2), 7.0, np.float32)))


def test_group_norm_is_keras_own() -> None:
    x = 3 + 2 * image(2, 8, 12, 4, 32)
    expected = keras.layers.GroupNormalization(16, epsilon=1e-6)(x)
    np.testing.assert_allclose(GroupNorm(groups=16)(x), expected, atol=1e-5)


@pytest.mark.parametrize("groups", [None, 2])
def test_norm_of_unknown_sizes(groups: int | None) -> None:
    layer, x = GroupNorm(groups=groups), tf.constant(image(2, 8, 6, 4))
    expected = layer(x)
    compiled = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 4))])
    np.testing.assert_allclose(compiled(x), expected, atol=1e-5)


@pytest.mark.parametrize("sizes", [(96, 20), (16, 3), (5, 7), (1, 1), (8, 4, 6), (21, 9, 17)])
def test_spatial_mean(sizes: tuple[int, ...]) -> None:
    x = 3 + image(2, *sizes, 4)
    axes = tuple(range(1, len(sizes) + 1))
    expected = x.astype(np.float64).mean(axes, keepdims=True)
    np.testing.assert_allclose(spatial_mean(tf.constant(x)), expected, rtol=3e-6)
    signature = [tf.TensorSpec([2, *[None] * len(sizes), 4])]
    of_unknown = tf.function(spatial_mean, input_signature=signature)
    np.testing.assert_allclose(of_unknown(tf.constant(x)), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", HALF)
def test_leaky_relu_and_its_gradient(dtype: str) -> None:
    x = tf.constant([-200.0, -1.0, 0.0, 2**-14, 3.0], dtype)
    g = tf.constant([1.0, -2.0, 4.0, 8.0, -16.0], dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = leaky_relu(x)
    gradient = tape.gradient(y, x, output_gradients=g)
    assert y.dtype == gradient.dtype == dtype
    tolerance = HALF[dtype] + 1e-6
    np.testing.assert_allclose(tf.cast(y, "float64"), [-2, -0.01, 0, 2**-14, 3], rtol=tolerance)
    expected = [0.01, -0.02, 0.04, 8, -16]
    np.testing.assert_allclose(tf.cast(gradient, "float64"), expected, rtol=tolerance)


def test_leaky_relu_layer_keeps_type_and_shape() -> None:
    y = LeakyRelu(dtype="mixed_bfloat16")(image(1, 2, 3, 4))
    assert (y.dtype, y.shape) == ("bfloat16", (1, 2, 3, 4))


@pytest.mark.parametrize(
    ("policy", "flags", "convolutions"),
    [
        ("float32", {"avx512_bf16"}, "float32"),
        ("mixed_bfloat16", {"avx2", "avx512_fp16"}, "float32"),
        ("mixed_bfloat16", {"avx2", "avx512_bf16"}, "mixed_bfloat16"),
        ("mixed_float16", {"avx2", "avx512_bf16"}, "float32"),
        ("mixed_float16", {"avx2", "avx512_fp16"}, "mixed_float16"),
    ],
)
def test_convolutions_take_what_the_cpu_can_multiply(
    policy: str, flags: set[str], convolutions: str, monkeypatch
) -> None:
    monkeypatch.setattr("trainer.layers.cpu_flags", lambda: frozenset(flags))
    assert convolution_policy(policy) == convolutions
