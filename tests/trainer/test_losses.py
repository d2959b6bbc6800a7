"""Losses against values worked out by hand on images of four pixels."""

from math import log

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.losses import make_loss

# One image of 2x2 pixels, three classes, softmax probabilities (class 0, class 1, class 2):
LABELS = np.array([[[1, 0], [0, 2]]], np.uint8)
PROBABILITIES = np.array(
    [[[[0.25, 0.5, 0.25], [0.5, 0.25, 0.25]], [[0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]]], np.float32
)
LOGITS = np.log(PROBABILITIES) + 3.0  # softmax does not see the offset

# class 1: sum(p t) = 0.5, sum(p) = 1.5, sum(t) = 1; class 2: 0.5, 1.25, 1
DICE_1 = 2 * 0.5 / (1.5 + 1 + 1e-5)
DICE_2 = 2 * 0.5 / (1.25 + 1 + 1e-5)
# class 1, pixel by pixel: t 1 p 0.5, t 0 p 0.25, t 0 p 0.5, t 0 p 0.25
CE_1 = -(log(0.5) + log(0.75) + log(0.5) + log(0.75)) / 4
# class 2: t 0 p 0.25 three times, t 1 p 0.5
CE_2 = -(3 * log(0.75) + log(0.5)) / 4


def loss_of(name: str, labels: np.ndarray, logits: np.ndarray) -> float:
    value = make_loss(name)(labels, keras.ops.convert_to_tensor(logits, "float32"))
    assert value.shape == () and value.dtype == "float32"
    return float(value)


def test_dice_by_hand() -> None:
    assert loss_of("dice", LABELS, LOGITS) == pytest.approx(2 - DICE_1 - DICE_2, abs=1e-6)


def test_ce_by_hand() -> None:
    assert loss_of("ce", LABELS, LOGITS) == pytest.approx(CE_1 + CE_2, abs=1e-6)


def test_dice_ce_is_the_sum() -> None:
    expected = 2 - DICE_1 - DICE_2 + CE_1 + CE_2
    assert loss_of("dice+ce", LABELS, LOGITS) == pytest.approx(expected, abs=1e-6)


def test_volume_gives_what_its_slice_gives() -> None:
    volume = loss_of("dice+ce", LABELS[:, None], LOGITS[:, None])
    assert volume == pytest.approx(loss_of("dice+ce", LABELS, LOGITS), abs=1e-6)


def test_dice_is_averaged_over_samples_not_pooled() -> None:
    empty = np.zeros_like(LABELS)
    both = loss_of("dice", np.concatenate([LABELS, empty]), np.concatenate([LOGITS, LOGITS]))
    assert both == pytest.approx(2 - DICE_1 / 2 - DICE_2 / 2, abs=1e-6)


def test_ce_is_clipped() -> None:
    labels = np.ones((1, 1, 1), np.int32)
    sure_and_wrong = np.array([[[[100.0, 0.0]]]])
    assert loss_of("ce", labels, sure_and_wrong) == pytest.approx(-log(1e-7), rel=1e-5)
    sure_and_right = np.array([[[[0.0, 100.0]]]])
    assert loss_of("ce", labels, sure_and_right) == pytest.approx(0.0, abs=1e-6)


def test_absent_class_costs_one_whatever_is_predicted() -> None:
    """Classes 1 and 2 are absent: dice is 2 for any logits, and its gradient is zero."""
    labels = np.zeros((1, 2, 2), np.int32)
    for seed in range(3):
        logits = tf.constant(np.random.default_rng(seed).normal(size=(1, 2, 2, 3)), tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = make_loss("dice")(labels, logits)
        assert float(loss) == 2.0
        np.testing.assert_array_equal(tape.gradient(loss, logits), np.zeros((1, 2, 2, 3)))


def test_bce_by_hand() -> None:
    # p = 0.5 at logit 0, 0.75 at ln 3, 0.25 at -ln 3
    logits = np.array([[[0.0, log(3)], [-log(3), log(3)]]])[..., None]
    labels = np.array([[[1, 1], [0, 0]]])
    expected = -(log(0.5) + log(0.75) + log(0.75) + log(0.25)) / 4
    assert loss_of("bce", labels, logits) == pytest.approx(expected, abs=1e-6)


def test_bce_is_finite_and_linear_for_large_logits() -> None:
    logits = np.array([1000.0, -1000.0]).reshape(1, 1, 2, 1)
    assert loss_of("bce", np.array([[[0, 1]]]), logits) == 1000.0
    assert loss_of("bce", np.array([[[1, 0]]]), logits) == 0.0


@pytest.mark.parametrize(("name", "classes"), [("dice+ce", 3), ("dice", 3), ("ce", 3), ("bce", 1)])
def test_mean_over_equal_parts_is_the_loss_of_the_batch(name: str, classes: int) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4, 2, 2, classes))
    labels = rng.integers(0, max(classes, 2), (4, 2, 2))
    parts = [loss_of(name, labels[i : i + 2], logits[i : i + 2]) for i in (0, 2)]
    assert np.mean(parts) == pytest.approx(loss_of(name, labels, logits), abs=1e-6)


@pytest.mark.parametrize(("name", "classes"), [("dice+ce", 3), ("dice", 3), ("ce", 3), ("bce", 1)])
def test_gradient_points_to_the_labels_inside_a_tf_function(name: str, classes: int) -> None:
    labels = np.minimum(LABELS, max(classes - 1, 1))
    loss = tf.function(make_loss(name))
    logits = tf.zeros((1, 2, 2, classes))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        before = loss(labels, logits)
    gradient = tape.gradient(before, logits)
    assert np.all(np.isfinite(gradient)) and np.all(np.any(gradient != 0, axis=-1))
    assert float(loss(labels, logits - 0.1 * gradient)) < float(before)


def test_unknown_name() -> None:
    message = "loss must be one of 'dice.ce', 'dice', 'ce', 'bce', got 'focal'"
    with pytest.raises(ValueError, match=message):
        make_loss("focal")


@pytest.mark.parametrize(
    ("name", "labels", "logits", "message"),
    [
        ("ce", (1, 2, 2), (1, 2, 2, 1), r"with 2 or more channels, got \(1, 2, 2\) and"),
        ("bce", (1, 2, 2), (1, 2, 2, 2), r"with 1 channel, got \(1, 2, 2\) and \(1, 2, 2, 2\)"),
        ("dice", (1, 2, 2, 1), (1, 2, 2, 3), r"got \(1, 2, 2, 1\) and \(1, 2, 2, 3\)"),
    ],
)
def test_shapes_that_do_not_fit(
    name: str, labels: tuple[int, ...], logits: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        loss_of(name, np.zeros(labels, np.int32), np.zeros(logits))
