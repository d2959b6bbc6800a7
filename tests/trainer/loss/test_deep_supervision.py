"""The loss of several outputs: its weights, and which voxel stands for a block."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.loss.config import LossConfig
from trainer.loss.deep_supervision import deep_supervision_loss, labels_at_level, output_weights
from trainer.loss.losses import make_loss


@pytest.mark.parametrize(
    ("count", "weights"),
    [(1, (1,)), (2, (2 / 3, 1 / 3)), (4, (8 / 15, 4 / 15, 2 / 15, 1 / 15))],
)
def test_weights_halve_and_sum_to_one(count: int, weights: tuple[float, ...]) -> None:
    assert output_weights(count) == pytest.approx(weights)


@pytest.mark.parametrize(
    ("level", "kept"), [(0, range(8)), (1, [1, 3, 5, 7]), (2, [2, 6]), (3, [4])]
)
def test_voxel_behind_the_centre_is_kept(level: int, kept: list[int]) -> None:
    assert labels_at_level(np.arange(8)[None], level)[0].tolist() == list(kept)


def test_every_axis_is_halved_the_same_way() -> None:
    """Of 4 x 4, row by row 0 to 15: rows 1 and 3, columns 1 and 3."""
    image = np.arange(16).reshape(1, 4, 4)
    assert labels_at_level(image, 1).tolist() == [[[5, 7], [13, 15]]]
    volume = labels_at_level(tf.reshape(tf.range(64), (1, 4, 4, 4)), 1)
    assert volume.numpy()[0, 0].tolist() == [[21, 23], [29, 31]]  # 16 + 4 + 1 and on


def outputs_of(size: int, count: int) -> tuple[np.ndarray, list[np.ndarray]]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (2, size, size))
    sizes = [size // 2**i for i in range(count)]
    return labels, [rng.normal(size=(2, n, n, 3)).astype(np.float32) for n in sizes]


def test_sum_of_the_weighted_losses() -> None:
    labels, outputs = outputs_of(8, 3)
    loss = make_loss(LossConfig())
    small = [labels, labels[:, 1::2, 1::2], labels[:, 2::4, 2::4]]
    values = [float(loss(y, z)) for y, z in zip(small, outputs, strict=True)]
    expected = (4 * values[0] + 2 * values[1] + values[2]) / 7
    found = tf.function(deep_supervision_loss(loss))(tf.constant(labels), outputs)
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_single_output_passes_through() -> None:
    labels, (output,) = outputs_of(4, 1)
    loss = make_loss(LossConfig())
    expected = float(loss(labels, output))
    assert float(deep_supervision_loss(loss)(labels, output)) == expected
    assert float(deep_supervision_loss(loss)(labels, [output])) == expected


def test_gradient_reaches_every_output() -> None:
    labels, outputs = outputs_of(8, 3)
    outputs = [tf.constant(z) for z in outputs]
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        loss = deep_supervision_loss(make_loss(LossConfig()))(labels, outputs)
    assert all(np.any(g != 0) for g in tape.gradient(loss, outputs))


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([1, 0], r"output 0 of 2 must be 1 times smaller than the labels \(2, 8, 8\)"),
        ([0, 2], r"output 1 of 2 must be 2 times smaller .* got \(2, 2, 2, 3\)"),
    ],
)
def test_outputs_that_do_not_halve(order: list[int], message: str) -> None:
    labels, outputs = outputs_of(8, 3)
    with pytest.raises(ValueError, match=message):
        deep_supervision_loss(make_loss(LossConfig()))(labels, [outputs[i] for i in order])
