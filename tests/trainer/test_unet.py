"""The network: golden parameter counts, shapes, seeds, precision, residual and deep outputs."""

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.presets import PRESETS
from trainer.unet import build_unet

ROOT = Path(__file__).parents[2]
TINY_2D = PRESETS["unet2d-tiny"]
TINY_3D = PRESETS["unet3d-tiny"]

GROUPED = replace(TINY_2D, norm="group", group_norm_groups=4, residual=True, deep_supervision=1)


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
        {"residual": True, "conv_bias": False},
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
    assert half.get_layer("decoder0_conv2_act").compute_dtype == dtype_policy.removeprefix("mixed_")
    x = image(1, 8, 8, 8, 4)
    assert half(x).dtype == "float32"
    error = np.linalg.norm(half(x) - model(x)) / np.linalg.norm(model(x))
    assert error < tolerance  # some ten rounding errors, of 2^-8 or 2^-11: 0.037 and 0.0049
    assert np.abs(half(x) - model(x)).max() < 4 * tolerance


@pytest.mark.parametrize(("flags", "compute"), [({"avx2"}, "float32"), ({"bf16"}, "bfloat16")])
def test_convolutions_are_float32_where_the_cpu_has_no_bfloat16(
    flags: set[str], compute: str, monkeypatch
) -> None:
    monkeypatch.setattr("trainer.layers.cpu_flags", lambda: frozenset(flags))
    model = build_unet(TINY_3D, dtype_policy="mixed_bfloat16")
    for name in ("encoder1_conv1", "decoder0_up", "head"):
        assert model.get_layer(name).compute_dtype == compute
    assert model.get_layer("encoder1_conv1_norm").compute_dtype == "bfloat16"


def test_dtype_policy_is_local() -> None:
    build_unet(TINY_2D, dtype_policy="mixed_bfloat16")
    assert keras.config.dtype_policy().name == "float32"
    assert build_unet(TINY_2D).get_layer("encoder0_conv1_act").compute_dtype == "float32"


@pytest.mark.parametrize(
    "config",
    [
        TINY_2D,
        TINY_3D,
        replace(TINY_2D, norm="none"),
        GROUPED,
    ],
)
@pytest.mark.parametrize("dtype_policy", ["float32", "mixed_bfloat16"])
def test_gradient_reaches_every_variable(config, dtype_policy: str) -> None:
    model = build_unet(config, dtype_policy=dtype_policy)
    x = image(2, *(12,) * config.rank, config.in_channels)  # bottleneck 3, see RunConfig

    @tf.function(autograph=False)
    def gradients(x: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            outputs = tf.nest.flatten(model(x, training=True))
            loss = sum(tf.reduce_mean(tf.square(y - 1.0)) for y in outputs)
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
    np.testing.assert_allclose(served.serve(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("norm", ["none", "instance", "group", "batch"])
def test_every_allowed_combination_has_the_size_that_its_config_says(rank: int, norm: str) -> None:
    base = replace(TINY_2D, rank=rank, norm=norm, group_norm_groups=2, filters=(2, 4, 4))
    choices = product(["same", "valid"], ["stride", "max-pool"], [False, True], [0, 1])
    for padding, downsample, residual, outputs in choices:
        if padding == "valid" and (downsample == "stride" or outputs):
            continue  # see test_model_config.py
        options = {"padding": padding, "downsample": downsample, "residual": residual}
        config = replace(base, **options, deep_supervision=outputs)
        inputs = keras.KerasTensor((1, *(44,) * rank, 1))
        output = build_unet(config).compute_output_spec(inputs)
        assert output.shape == (1, *config.output_size((44,) * rank), 1), config


def test_parameters_of_residual_blocks() -> None:
    """Filters 8, 16, 32 of 2D, no bias: a 1-wide projection wherever a block changes the channels.

    Encoder 1 -> 8 -> 16 -> 32: 8 + 128 + 512; decoder 32 -> 16 and 16 -> 8 (after the skips, which
    double the channels of the level): 512 + 128. Norms of 2 per channel: 2 (8 + 16 + 32 + 16 + 8).
    """
    plain, residual = build_unet(TINY_2D), build_unet(replace(TINY_2D, residual=True))
    more = residual.count_params() - plain.count_params()
    assert more == (8 + 128 + 512) + (512 + 128) + 2 * 80 == 1_448


def test_residual_block_adds_its_input_before_the_activation() -> None:
    """One channel throughout, all kernels zero: a block is the LeakyReLU of its input's pool."""
    config = replace(TINY_2D, filters=(1, 1), norm="none", residual=True)
    model = build_unet(config)
    x = np.array([[1, -3], [5, -7]], np.float32).reshape(1, 2, 2, 1)
    layers = {layer.name: layer.output for layer in model.layers}
    blocks = keras.Model(model.input, [layers["encoder0_conv2_act"], layers["encoder1_conv2_act"]])
    blocks.set_weights([np.zeros_like(w) for w in blocks.get_weights()])
    first, second = blocks(x)
    np.testing.assert_allclose(np.ravel(first), [1, -0.03, 5, -0.07], rtol=1e-6)
    np.testing.assert_allclose(np.ravel(second), [5.9 / 4], rtol=1e-6)


DEEP = replace(
    TINY_2D, filters=(4, 8, 8, 8), classes=4, norm="group", group_norm_groups=2, deep_supervision=2
)


def test_deep_supervision_gives_a_list_in_training_alone() -> None:
    model, x = build_unet(DEEP), image(1, 8, 16, 1)
    outputs = model(x, training=True)
    assert isinstance(outputs, list)
    shapes = [tuple(y.shape) for y in outputs]
    assert shapes == [(1, 8, 16, 4), (1, 4, 8, 4), (1, 2, 4, 4)]
    assert {y.dtype for y in outputs} == {tf.float32}
    np.testing.assert_allclose(model(x), outputs[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(model(x, training=False), model(x))
    compiled = tf.function(lambda x, training: model(x, training=training))
    assert [y.shape for y in compiled(x, True)] == [y.shape for y in outputs]
    np.testing.assert_allclose(compiled(x, False), outputs[0], rtol=1e-4, atol=1e-5)


def test_deep_supervision_adds_one_head_per_output_and_nothing_else() -> None:
    """Heads from 8 channels to 4 classes, 1-wide, with bias: 36 each. All else is the same."""
    deep, plain = build_unet(DEEP), build_unet(replace(DEEP, deep_supervision=0))
    assert deep.count_params() - plain.count_params() == 2 * 36
    np.testing.assert_array_equal(deep(image(1, 8, 8, 1)), plain(image(1, 8, 8, 1)))


def test_deeply_supervised_model_survives_saving(tmp_path: Path) -> None:
    model, x = build_unet(DEEP, seed=3), image(1, 8, 8, 1)
    expected = np.asarray(model(x))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), expected)
    assert len(loaded(x, training=True)) == 3
    module = tf.Module()
    module.variables_ = [v.value for v in model.variables]
    module.serve = tf.function(
        lambda x: model(x, training=False),
        input_signature=[tf.TensorSpec((None, None, None, 1))],
    )
    tf.saved_model.save(module, str(tmp_path / "saved"))
    served = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(served.serve(x), expected, rtol=1e-4, atol=1e-5)


ON_JAX = """
import sys
import jax, keras, numpy as np
from dataclasses import replace
from trainer.presets import PRESETS
from trainer.unet import build_unet

assert keras.backend.backend() == "jax"
for norm in sys.argv[1:]:
    config = replace(
        PRESETS["unet2d-tiny"], norm=norm, group_norm_groups=4, residual=True, deep_supervision=1
    )
    model = build_unet(config)
    arrays = np.load(f"{norm}.npz")
    model.set_weights([arrays[f"w{n}"] for n in range(len(model.weights))])
    fixed = [v.value for v in model.non_trainable_variables]

    def loss(weights):
        outputs, _ = model.stateless_call(weights, fixed, arrays["x"], training=True)
        return sum((y**2).mean() for y in outputs)

    gradients = jax.grad(loss)([v.value for v in model.trainable_variables])
    named = {f"g{n}": np.asarray(g) for n, g in enumerate(gradients)}
    np.savez(f"{norm}-found.npz", y=np.asarray(model(arrays["x"])), **named)
"""


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_jax_gives_the_same_logits_and_gradients(tmp_path: Path) -> None:
    """In a process with Keras's JAX backend, with the same weights."""
    x, norms = image(2, 16, 12, 1), ("instance", "group", "batch")
    models = {norm: build_unet(replace(GROUPED, norm=norm)) for norm in norms}
    for norm, model in models.items():
        weights = {f"w{n}": w for n, w in enumerate(model.get_weights())}
        np.savez(tmp_path / f"{norm}.npz", x=x, **weights)
    environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", ON_JAX, *norms]
    options = {"cwd": tmp_path, "env": environment, "text": True, "timeout": 300}
    run = subprocess.run(command, capture_output=True, check=False, **options)
    assert run.returncode == 0, run.stderr

    for norm, model in models.items():
        found = np.load(tmp_path / f"{norm}-found.npz")
        np.testing.assert_allclose(found["y"], model(x), rtol=1e-3, atol=1e-4, err_msg=norm)
        with tf.GradientTape() as tape:
            loss = sum(tf.reduce_mean(tf.square(y)) for y in model(x, training=True))
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        for number, gradient in enumerate(gradients):
            message = f"{norm}, {model.trainable_variables[number].path}"
            np.testing.assert_allclose(
                found[f"g{number}"], gradient, rtol=1e-2, atol=1e-4, err_msg=message
            )
