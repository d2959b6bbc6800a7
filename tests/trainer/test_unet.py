"""The network: golden parameter counts, shapes, seeds, precision, and its instance norm."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.presets import PRESETS
from trainer.unet import InstanceNorm, build_unet, instance_norm

TINY_2D = PRESETS["unet2d-tiny"]
TINY_3D = PRESETS["unet3d-tiny"]


def image(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def same_weights(one: keras.Model, other: keras.Model) -> bool:
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("preset", "parameters"),
    [
        ("unet3d", 31_200_036),
        ("unet3d-2021", 31_196_196),
        ("unet2d-dagm", 1_925_025),
        ("unet2d-medical", 34_512_258),
        ("unet2d-industrial", 1_850_305),
    ],
)
def test_golden_parameter_counts(preset: str, parameters: int) -> None:
    assert build_unet(PRESETS[preset]).count_params() == parameters


def test_golden_parameter_count_of_the_original_industrial_network() -> None:
    config = replace(PRESETS["unet2d-industrial"], filters=(64, 128, 256, 512, 1024))
    assert build_unet(config).count_params() == 29_137_793


def test_golden_parameter_counts_layer_by_layer() -> None:
    model = build_unet(PRESETS["unet3d"])
    counts = {layer.name: layer.count_params() for layer in model.layers}
    assert counts["encoder0_conv1"] + counts["encoder0_conv1_norm"] == 3_552
    assert counts["encoder5_conv2"] + counts["encoder5_conv2_norm"] == 2_765_760
    assert counts["decoder4_up"] == 819_520
    assert counts["decoder0_conv1"] + counts["decoder0_conv1_norm"] == 55_392
    assert counts["head"] == 3_460


def test_output_shapes() -> None:
    assert build_unet(TINY_2D)(image(2, 8, 12, 1)).shape == (2, 8, 12, 1)
    assert build_unet(TINY_3D)(image(1, 4, 8, 12, 4)).shape == (1, 4, 8, 12, 4)


def test_shape_of_the_published_valid_network() -> None:
    model = build_unet(PRESETS["unet2d-medical"])
    output = model.compute_output_spec(keras.KerasTensor((1, 572, 572, 1)))
    assert output.shape == (1, 388, 388, 2)


@pytest.mark.parametrize("head_kernel", [1, 3])
def test_valid_network_returns_the_size_that_its_config_says(head_kernel: int) -> None:
    config = replace(PRESETS["unet2d-medical"], filters=(4, 4, 8), head_kernel=head_kernel)
    output = build_unet(config)(image(1, 44, 52, 1))
    assert output.shape[1:3] == config.output_size((44, 52))


@pytest.mark.parametrize(
    "changes",
    [
        {"norm": "none"},
        {"norm": "group", "group_norm_groups": 4, "halve_decoder": True},
        {"norm": "batch", "conv_bias": False},
        {"upsample": "nearest-conv", "up_activation": True},
        {"downsample": "max-pool", "up_kernel": 3, "dropout": 0.5, "initializer": "he_uniform"},
    ],
)
def test_every_choice_runs_in_both_ranks(changes: dict) -> None:
    for config, shape in [(TINY_2D, (1, 8, 8, 1)), (TINY_3D, (1, 8, 8, 8, 4))]:
        output = build_unet(replace(config, **changes))(image(*shape), training=True)
        assert output.shape == (*shape[:-1], config.classes)
        assert np.all(np.isfinite(output))


def test_output_is_logits() -> None:
    output = np.asarray(build_unet(TINY_3D)(5 * image(1, 8, 8, 8, 4)))
    assert output.min() < 0
    assert not np.allclose(output.sum(-1), 1, atol=1e-2)


def test_equal_seeds_give_equal_weights_whatever_came_before() -> None:
    one = build_unet(TINY_3D, seed=7)
    keras.utils.set_random_seed(99)
    build_unet(TINY_2D, seed=1)
    assert same_weights(one, build_unet(TINY_3D, seed=7))
    assert same_weights(one, build_unet(TINY_3D, seed=7, dtype_policy="mixed_bfloat16"))


def test_other_seeds_and_other_layers_give_other_weights() -> None:
    one, other = build_unet(TINY_3D, seed=7), build_unet(TINY_3D, seed=8)
    kernels = [layer.kernel for layer in one.layers if hasattr(layer, "kernel")]
    others = [layer.kernel for layer in other.layers if hasattr(layer, "kernel")]
    assert len(kernels) == 13
    first_numbers = {float(np.ravel(kernel)[0]) for kernel in kernels + others}
    assert len(first_numbers) == 26


def test_layer_names_are_stable() -> None:
    names = [[layer.name for layer in build_unet(TINY_2D).layers] for _ in range(2)]
    assert names[0] == names[1]
    assert {"image", "encoder2_conv1_norm", "decoder0_up", "head", "logits"} <= set(names[0])


@pytest.mark.parametrize(
    ("dtype_policy", "tolerance"), [("mixed_bfloat16", 0.05), ("mixed_float16", 0.01)]
)
def test_logits_and_variables_stay_float32_under_mixed_precision(
    dtype_policy: str, tolerance: float
) -> None:
    model, half = build_unet(TINY_3D), build_unet(TINY_3D, dtype_policy=dtype_policy)
    assert {weight.dtype for weight in half.weights} == {"float32"}
    assert half.get_layer("head").compute_dtype == dtype_policy.removeprefix("mixed_")
    x = image(1, 8, 8, 8, 4)
    assert half(x).dtype == "float32"
    error = np.linalg.norm(half(x) - model(x)) / np.linalg.norm(model(x))
    assert error < tolerance  # some ten rounding errors, of 2^-8 or 2^-11: 0.037 and 0.0049
    assert np.abs(half(x) - model(x)).max() < 4 * tolerance


def test_dtype_policy_is_local() -> None:
    build_unet(TINY_2D, dtype_policy="mixed_bfloat16")
    assert keras.config.dtype_policy().name == "float32"
    assert build_unet(TINY_2D).get_layer("head").compute_dtype == "float32"


@pytest.mark.parametrize("config", [TINY_2D, TINY_3D, replace(TINY_2D, norm="none")])
@pytest.mark.parametrize("dtype_policy", ["float32", "mixed_bfloat16"])
def test_gradient_reaches_every_variable(config, dtype_policy: str) -> None:
    model = build_unet(config, dtype_policy=dtype_policy)
    x = image(2, *(12,) * config.rank, config.in_channels)  # bottleneck 3, see RunConfig

    @tf.function
    def gradients(x: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x, training=True) - 1.0))
        return tape.gradient(loss, model.trainable_variables)

    values = gradients(x)
    assert all(value is not None and np.all(np.isfinite(value)) for value in values)
    kernels = [v for v, w in zip(values, model.trainable_variables, strict=True) if w.ndim > 1]
    assert all(np.any(value != 0) for value in kernels)


def test_model_survives_saving(tmp_path: Path) -> None:
    model, x = build_unet(TINY_3D, seed=3), image(1, 8, 8, 8, 4)
    expected = np.asarray(model(x))
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(x), expected)
    model.export(tmp_path / "saved", verbose=False)
    served = tf.saved_model.load(tmp_path / "saved")
    np.testing.assert_allclose(served.serve(x), expected, rtol=1e-5, atol=1e-6)


def test_instance_norm_against_numpy() -> None:
    layer, x = InstanceNorm(), 5 + 3 * image(2, 3, 4, 5, 6)
    gamma, beta = image(6, seed=1), image(6, seed=2)
    layer.build(x.shape)
    np.testing.assert_array_equal(layer.gamma, np.ones(6))
    np.testing.assert_array_equal(layer.beta, np.zeros(6))
    layer.set_weights([gamma, beta])
    mean, variance = x.mean((1, 2, 3), keepdims=True), x.var((1, 2, 3), keepdims=True)
    expected = gamma * (x - mean) / np.sqrt(variance + 1e-6) + beta
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


def test_instance_norm_of_a_constant_is_the_offset() -> None:
    layer = InstanceNorm()
    np.testing.assert_allclose(
        layer(np.full((1, 4, 4, 2), 7.0, np.float32)), np.zeros((1, 4, 4, 2))
    )


def test_instance_norm_gradient_is_that_of_the_formula() -> None:
    x, weights = tf.constant(2 + image(2, 3, 4, 5)), image(2, 3, 4, 5, seed=1)
    gamma, beta = tf.constant(image(1, 1, 1, 5, seed=2)), tf.constant(image(1, 1, 1, 5, seed=3))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, gamma, beta])
        mean, variance = tf.nn.moments(x, [1, 2], keepdims=True)
        plain = tf.reduce_sum(weights * (gamma * (x - mean) / tf.sqrt(variance + 1e-6) + beta))
        ours = tf.reduce_sum(weights * instance_norm(x, gamma, beta, epsilon=1e-6))
    for source in (x, gamma, beta):
        expected = tape.gradient(plain, source)
        np.testing.assert_allclose(tape.gradient(ours, source), expected, rtol=1e-4, atol=1e-5)


def test_instance_norm_statistics_are_float32_under_bfloat16() -> None:
    """bfloat16 has 8 bits: summed in it, 65,536 voxels of mean 10 would lose mean and variance."""
    x = 10 + image(1, 256, 256, 2)
    layer = InstanceNorm(dtype="mixed_bfloat16")
    y = np.asarray(tf.cast(layer(x), tf.float32))
    assert layer.gamma.dtype == "float32"
    assert layer(x).dtype == "bfloat16"
    np.testing.assert_allclose(y.mean((1, 2)), 0, atol=2e-3)
    np.testing.assert_allclose(y.std((1, 2)), 1, atol=2e-3)
