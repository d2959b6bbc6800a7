"""Optimisers, L2, clipping, accumulation and averages by hand; two replicas against one process.

Logical devices have to be set before TensorFlow starts: run as a script, this file is the process
that has two of them.
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.model_config import ModelConfig
from trainer.optimizer import (
    WeightAverage,
    apply_reduced,
    is_kernel,
    make_optimizer,
    mean_over_parts,
    prepare_gradients,
)
from trainer.optimizer_config import OptimizerConfig
from trainer.unet import build_unet

CONFIG = OptimizerConfig()
ALL_THINGS = {"clip_norm": 1.0, "accumulate_parts": 2, "ema_decay": 0.5}
ADAM = OptimizerConfig(name="adam", weight_decay=0.1, **ALL_THINGS)
ADAMW = replace(ADAM, name="adamw")
SGD = replace(ADAM, name="sgd", weight_decay=0.0)
STEPS, BATCH, SKIPPED = 4, 8, 1


def variables(value: float = 2.0) -> list[keras.Variable]:
    """A kernel and a bias of one number each."""
    start = keras.initializers.Constant(value)
    layer = keras.layers.Dense(1, kernel_initializer=start, bias_initializer=start)
    layer.build((None, 1))
    return layer.trainable_variables


def numbers(values: list) -> list[float]:
    return [float(np.ravel(v)[0]) for v in values]


def like(variables: list[keras.Variable], *values: float) -> list[tf.Tensor]:
    return [tf.fill(v.shape, value) for v, value in zip(variables, values, strict=True)]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize(
    ("config", "kernel", "bias"),
    [
        # mean 0.05, mean square 0.00025, both unbiased: 2 - 0.1 * 0.5 / sqrt(0.25) = 1.9; then
        # -0.055 / 0.19 = -0.2894737, 0.00124975 / 0.001999 = 0.6251876, its root 0.7906881:
        # 1.9 + 0.1 * 0.2894737 / 0.7906881 = 1.9366104
        (replace(CONFIG, name="adam"), [1.9, 1.9366104], [1.9, 1.9366104]),
        # the kernel loses 0.1 * 0.1 of itself before: 1.98 - 0.1 = 1.88; 1.8612 + 0.0366104
        (replace(CONFIG, name="adamw", weight_decay=0.1), [1.88, 1.8978104], [1.9, 1.9366104]),
        # -0.1 * 0.5 = -0.05; 0.9 * -0.05 + 0.1 * 1 = 0.055
        (replace(CONFIG, name="sgd"), [1.95, 2.005], [1.95, 2.005]),
        # 0.9 * -0.05 - 0.05 = -0.095; 0.9 * 0.055 + 0.1 = 0.1495
        (replace(CONFIG, name="sgd", nesterov=True), [1.905, 2.0545], [1.905, 2.0545]),
        # 0.05 / sqrt(0.1 * 0.25) = 0.3162278; -0.1 / sqrt(0.0225 + 0.1) = -0.2857143
        (
            replace(CONFIG, name="rmsprop", momentum=0.0),
            [1.6837722, 1.9694865],
            [1.6837722, 1.9694865],
        ),
        # 0.05 / sqrt(0.025 - 0.05^2) = 0.3333333; -0.1 / sqrt(0.1225 - 0.055^2) = -0.2893086,
        # and with momentum 0.8 * 0.3333333 - 0.2893086 = -0.0226419
        (
            replace(CONFIG, name="rmsprop", momentum=0.8, centred=True),
            [1.6666667, 1.6893086],
            [1.6666667, 1.6893086],
        ),
    ],
    ids=lambda x: x.name if isinstance(x, OptimizerConfig) else "",
)
def test_two_updates(
    config: OptimizerConfig, kernel: list[float], bias: list[float], compiled: bool
) -> None:
    """Rate 0.1, gradients 0.5 and -1."""
    both = variables()
    optimizer = make_optimizer(config, 3.0)
    optimizer.build(both)
    optimizer.learning_rate.assign(0.1)

    def step(gradient: tf.Tensor) -> None:
        apply_reduced(optimizer, like(both, gradient, gradient), both)

    step = tf.function(step) if compiled else step
    for number, gradient in enumerate([0.5, -1.0]):
        step(tf.constant(gradient))
        assert numbers(both) == pytest.approx([kernel[number], bias[number]], rel=1e-6)
    assert optimizer.iterations.numpy() == 2


def test_decoupled_decay_is_that_of_keras() -> None:
    """One device: what Keras's own `apply` does, with the same variables left out."""
    results = []
    for apply in (apply_reduced, lambda o, g, v: o.apply(g, v)):
        both = variables()
        optimizer = make_optimizer(ADAMW, 0.1)
        optimizer.build(both)
        apply(optimizer, like(both, 0.5, -0.5), both)
        results.append(numbers(both))
    assert results[0] == pytest.approx(results[1], rel=1e-6)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (CONFIG, [0.5, -1.0]),
        (replace(CONFIG, weight_decay=0.1), [0.7, -1.0]),
        (replace(CONFIG, name="sgd", weight_decay=0.1, decay_all=True), [0.7, -0.8]),
        (replace(CONFIG, name="adamw", weight_decay=0.1), [0.5, -1.0]),
    ],
)
def test_l2(config: OptimizerConfig, expected: list[float]) -> None:
    """0.1 * 2 is added to the gradient of the kernel; to the bias's only where asked."""
    both = variables(2.0)
    gradients, _ = prepare_gradients(like(both, 0.5, -1.0), both, config)
    assert numbers(gradients) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("config", "expected", "norm"),
    [
        (CONFIG, [3.0, 4.0], 5.0),
        (replace(CONFIG, clip_norm=10.0), [3.0, 4.0], 5.0),
        (replace(CONFIG, clip_norm=1.0), [0.6, 0.8], 5.0),
        # L2 is part of the loss: (3 + 2.5 * 2, 4) has norm sqrt(64 + 16) = 8.944272
        (replace(CONFIG, clip_norm=1.0, weight_decay=2.5), [0.8944272, 0.4472136], 8.944272),
    ],
)
def test_clipping(config: OptimizerConfig, expected: list[float], norm: float) -> None:
    both = variables(2.0)
    gradients, found = prepare_gradients(like(both, 3.0, 4.0), both, config)
    assert numbers(gradients) == pytest.approx(expected)
    assert float(found) == pytest.approx(norm)


def test_clipping_leaves_no_gradient_as_it_is() -> None:
    both = variables()
    gradients, norm = prepare_gradients(like(both, 0.0, 0.0), both, SGD)
    assert numbers([*gradients, norm]) == [0, 0, 0]


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_clipping_hides_no_overflow(bad: float) -> None:
    both = variables()
    gradients, norm = prepare_gradients(like(both, 1.0, bad), both, SGD)
    assert not np.isfinite(norm)
    assert np.isnan(numbers(gradients)).all()


@pytest.mark.parametrize("norm", ["instance", "group", "batch"])
def test_kernels_of_a_network_are_told_from_the_rest(norm: str) -> None:
    config = ModelConfig(
        rank=2, in_channels=1, classes=2, filters=(2, 4), norm=norm, group_norm_groups=1
    )
    weights = build_unet(config).trainable_variables
    assert {v.name for v in weights if is_kernel(v)} == {"kernel"}
    assert {v.name for v in weights if not is_kernel(v)} == {"bias", "gamma", "beta"}
    assert all(is_kernel(v) == (len(v.shape) == 4) for v in weights)


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "sgd"])
def test_skipped_step_changes_nothing(name: str) -> None:
    both = variables()
    optimizer = make_optimizer(replace(ADAM, name=name), 0.1)
    optimizer.build(both)
    average = WeightAverage(both, 0.5)

    @tf.function
    def step(gradient: tf.Tensor) -> None:
        good = tf.math.is_finite(gradient)
        apply_reduced(optimizer, like(both, gradient, gradient), both, when=good)
        average.update(when=good)

    def state() -> list[np.ndarray]:
        return [np.array(v) for v in [*both, *optimizer.variables, *average.variables]]

    start = state()
    step(tf.constant(np.inf))
    np.testing.assert_equal(state(), start)
    step(tf.constant(1.0))
    first = state()
    assert optimizer.iterations.numpy() == 1
    assert first[0] != start[0]
    step(tf.constant(np.inf))
    np.testing.assert_equal(state(), first)


def mean_and_square(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
    return tf.reduce_mean(x * y), [tf.reduce_mean(y**2)]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("parts", [1, 2, 4])
def test_parts_average_to_the_whole(parts: int, compiled: bool) -> None:
    """Mean of 1, 4, 9, 16 is 7.5; of the doubles squared 30."""
    x = tf.constant([1.0, 2.0, 3.0, 4.0])

    def compute() -> tuple[tf.Tensor, list[tf.Tensor]]:
        return mean_over_parts(mean_and_square, (x / 2, x * 2), parts=parts)

    mean, (square,) = tf.function(compute)() if compiled else compute()
    assert (float(mean), float(square)) == pytest.approx((7.5, 30.0))


def test_parts_wait_for_each_other() -> None:
    """Every input of parts 2 and 3 waits for the sums so far."""

    @tf.function
    def compute(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        return mean_over_parts(mean_and_square, (x, y), parts=3)

    spec = tf.TensorSpec([6])
    operations = compute.get_concrete_function(spec, spec).graph.get_operations()
    waiting = [op for op in operations if op.type == "Identity" and len(op.control_inputs) == 2]
    assert len(waiting) == 4


def test_average_of_weights() -> None:
    """Decay 0.5, weights 2, 8, 4.

    2; (0.25 * 2 + 0.5 * 8) / 0.75 = 6; (0.125 * 2 + 0.25 * 8 + 0.5 * 4) / 0.875 = 4.8571429.
    """
    weights = variables(7.0)[:1]
    average = WeightAverage(weights, 0.5)
    assert numbers(average.averaged()) == [7]
    update = tf.function(average.update)
    for weight, expected in ((2.0, 2.0), (8.0, 6.0), (4.0, 4.8571429)):
        weights[0].assign([[weight]])
        update()
        assert numbers(average.averaged()) == pytest.approx([expected])


def test_average_goes_on_from_its_variables() -> None:
    weights = variables(2.0)[:1]
    first, second = WeightAverage(weights, 0.5), WeightAverage(weights, 0.5)
    first.update()
    for old, new in zip(first.variables, second.variables, strict=True):
        new.assign(old)
    weights[0].assign([[8.0]])
    second.update()
    assert numbers(second.averaged()) == pytest.approx([6.0])


def test_variables_hold_their_averages_for_a_while() -> None:
    weights = variables(2.0)
    average = WeightAverage(weights, 0.5)
    for weight in weights:
        weight.assign(tf.fill(weight.shape, 5.0))
    with pytest.raises(KeyError), average.swapped():
        assert numbers(weights) == [2, 2]
        raise KeyError
    assert numbers(weights) == [5, 5]


def train(strategy: tf.distribute.Strategy, config: OptimizerConfig) -> list[np.ndarray]:
    """Four steps, one of them skipped. Weights, their averages, and the norms of gradients."""
    replicas = strategy.num_replicas_in_sync
    with strategy.scope():
        inputs = keras.Input((3,))
        start = keras.initializers.GlorotUniform(seed=0)
        network = keras.Model(inputs, keras.layers.Dense(2, kernel_initializer=start)(inputs))
        weights = network.trainable_variables
        optimizer = make_optimizer(config, 0.1)
        optimizer.build(weights)
        average = WeightAverage(weights, config.ema_decay)

    def compute(x: tf.Tensor, y: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((network(x) - y) ** 2) / replicas
        return tape.gradient(loss, [v.value for v in weights])

    def replica_step(x: tf.Tensor, y: tf.Tensor, when: tf.Tensor) -> tf.Tensor:
        gradients = mean_over_parts(compute, (x, y), parts=config.accumulate_parts)
        context = tf.distribute.get_replica_context()
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        gradients, norm = prepare_gradients(gradients, weights, config)
        apply_reduced(optimizer, gradients, weights, when=when)
        average.update(when=when)
        return norm

    @tf.function
    def step(x: tf.Tensor, y: tf.Tensor, when: tf.Tensor) -> tf.Tensor:
        return strategy.run(replica_step, args=(x, y, when))

    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(STEPS * BATCH, n)).astype(np.float32) for n in (3, 2))
    data = tf.data.Dataset.from_tensor_slices((x, 10 * y)).batch(BATCH)
    norms = []
    for number, batch in enumerate(strategy.experimental_distribute_dataset(data)):
        norm = step(*batch, tf.constant(number != SKIPPED))
        norms.append(strategy.experimental_local_results(norm)[0].numpy())
    return [*(v.numpy() for v in weights), *average.averaged(), np.array(norms)]


def main(path: Path) -> None:
    """Trains on two logical devices and saves the results."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    arrays = {}
    for config in (ADAM, ADAMW, SGD):
        results = enumerate(train(strategy, config))
        arrays |= {f"{config.name}/{n}": value for n, value in results}
    np.savez(path, replicas=strategy.num_replicas_in_sync, **arrays)


@pytest.mark.slow
@pytest.mark.distributed
def test_two_replicas_do_what_one_process_does(tmp_path: Path) -> None:
    path = tmp_path / "results.npz"
    no_gpus = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([sys.executable, __file__, str(path)], check=True, env=no_gpus)
    with np.load(path) as file:
        assert file["replicas"] == 2
        for config in (ADAM, ADAMW, SGD):
            whole = train(tf.distribute.get_strategy(), replace(config, accumulate_parts=1))
            assert whole[-1].min() > config.clip_norm  # all steps are clipped
            for number, expected in enumerate(whole):
                result = file[f"{config.name}/{number}"]
                np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
