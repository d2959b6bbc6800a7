"""The references' losses against values worked out by hand on images of four pixels."""

from math import log

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.loss.config import LossConfig
from trainer.loss.losses import make_loss

# One image of 2x2 pixels, three classes, softmax probabilities (class 0, class 1, class 2):
LABELS = np.array([[[1, 0], [0, 2]]], np.uint8)
PROBABILITIES = np.array(
    [[[[0.25, 0.5, 0.25], [0.5, 0.25, 0.25]], [[0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]]], np.float32
)
LOGITS = np.log(PROBABILITIES) + 3.0  # softmax does not see the offset

# 2 sum(p t) / (sum(p) + sum(t) + 1e-5); class 0: sum(p t) = 0.75, sum(p) = 1.25, sum(t) = 2
DICE_0 = 2 * 0.75 / (1.25 + 2 + 1e-5)
DICE_1 = 2 * 0.5 / (1.5 + 1 + 1e-5)
DICE_2 = 2 * 0.5 / (1.25 + 1 + 1e-5)
# class 0, pixel by pixel: t 0 p 0.25, t 1 p 0.5, t 1 p 0.25, t 0 p 0.25
CE_0 = -(log(0.75) + log(0.5) + log(0.25) + log(0.75)) / 4
# class 1: t 1 p 0.5, t 0 p 0.25, t 0 p 0.5, t 0 p 0.25
CE_1 = -(log(0.5) + log(0.75) + log(0.5) + log(0.75)) / 4
# class 2: t 0 p 0.25 three times, t 1 p 0.5
CE_2 = -(3 * log(0.75) + log(0.5)) / 4
# the squares: sum(p^2) + sum(t^2) per class; smoothing 1e-6
SQUARED_0 = (2 * 0.75 + 1e-6) / (3 * 0.0625 + 0.25 + 2 + 1e-6)
SQUARED_1 = (2 * 0.5 + 1e-6) / (2 * 0.25 + 2 * 0.0625 + 1 + 1e-6)
SQUARED_2 = (2 * 0.5 + 1e-6) / (3 * 0.0625 + 0.25 + 1 + 1e-6)
# p of the true class: 0.5, 0.5, 0.25, 0.5
SOFTMAX_CE = -(3 * log(0.5) + log(0.25)) / 4

# One image of one logit: p = 0.5 at logit 0, 0.75 at ln 3, 0.25 at -ln 3
ONE_LABELS = np.array([[[1, 1], [0, 0]]])
ONE_LOGITS = np.array([[[[0.0], [log(3)]], [[-log(3)], [log(3)]]]])
BCE = -(log(0.5) + log(0.75) + log(0.75) + log(0.25)) / 4
# sum(p t) = 1.25, sum(p) = 2.25, sum(t) = 2, smoothing 1
SORENSEN = 1 - (2 * 1.25 + 1) / (2.25 + 2 + 1)  # 0.33: above 0.3


def loss_of(
    name: str, labels: np.ndarray, logits: np.ndarray, *, background: bool = False
) -> float:
    config = LossConfig(name=name, profile="reference", include_background=background)
    value = make_loss(config)(labels, keras.ops.convert_to_tensor(logits, "float32"))
    assert value.shape == () and value.dtype == "float32"
    return float(value)


@pytest.mark.parametrize(
    ("name", "background", "expected"),
    [
        ("dice", False, 2 - DICE_1 - DICE_2),
        ("dice", True, 3 - DICE_0 - DICE_1 - DICE_2),
        ("ce", False, CE_1 + CE_2),
        ("ce", True, CE_0 + CE_1 + CE_2),
        ("dice+ce", False, 2 - DICE_1 - DICE_2 + CE_1 + CE_2),
        ("dice+ce", True, 3 - DICE_0 - DICE_1 - DICE_2 + CE_0 + CE_1 + CE_2),
        ("ce+squared-dice", False, SOFTMAX_CE + 1 - (SQUARED_0 + SQUARED_1 + SQUARED_2) / 3),
    ],
)
def test_softmax_by_hand(name: str, background: bool, expected: float) -> None:
    found = loss_of(name, LABELS, LOGITS, background=background)
    assert found == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bce", BCE),
        ("bce-sum", 4 * BCE),
        ("x-entropy", BCE),
        ("sorensen", SORENSEN),
        # sum(p^2) = 0.25 + 0.5625 + 0.0625 + 0.5625
        ("jaccard", 1 - (2 * 1.25 + 1) / (1.4375 + 2 + 1)),
        ("adaptive", BCE),
        # (p - t)^2: 0.25, 0.0625, 0.0625, 0.5625
        ("l2", 0.9375 / 2),
    ],
)
def test_one_logit_by_hand(name: str, expected: float) -> None:
    assert loss_of(name, ONE_LABELS, ONE_LOGITS) == pytest.approx(expected, abs=1e-6)


def test_adaptive_changes_to_dice_below_its_threshold() -> None:
    """p = 0.75 on the truth, 0.25 beside: sum(p t) = 1.5, sum(p) = 2, 1 - 4 / 5 = 0.2 < 0.3."""
    logits = log(3) * (2 * ONE_LABELS[..., None] - 1)
    assert loss_of("adaptive", ONE_LABELS, logits) == pytest.approx(0.2, abs=1e-6)


def test_soft_masks_of_one_logit_networks() -> None:
    """t = 0.25 at p = 0.5: -0.25 ln 0.5 - 0.75 ln 0.5 = ln 2; (0.5 - 0.25)^2 / 2."""
    labels, logits = np.full((1, 1, 1), 0.25, np.float32), np.zeros((1, 1, 1, 1))
    assert loss_of("bce", labels, logits) == pytest.approx(log(2), abs=1e-6)
    assert loss_of("l2", labels, logits) == pytest.approx(0.0625 / 2, abs=1e-6)


def test_dice_is_averaged_over_samples_not_pooled() -> None:
    labels = np.concatenate([LABELS, np.zeros_like(LABELS)])
    found = loss_of("dice", labels, np.concatenate([LOGITS, LOGITS]))
    assert found == pytest.approx(2 - DICE_1 / 2 - DICE_2 / 2, abs=1e-6)


def test_industrial_dice_is_pooled_over_the_batch() -> None:
    """The sums of both samples: sum(p t) = 1.25, sum(p) = 4.5, sum(t) = 2."""
    labels = np.concatenate([ONE_LABELS, np.zeros_like(ONE_LABELS)])
    found = loss_of("sorensen", labels, np.concatenate([ONE_LOGITS, ONE_LOGITS]))
    assert found == pytest.approx(1 - (2 * 1.25 + 1) / (4.5 + 2 + 1), abs=1e-6)


def test_ce_is_clipped() -> None:
    """p is 1e-7 after the clip, and has another 1e-7 added in the logarithm."""
    labels = np.ones((1, 1, 1), np.int32)
    sure_and_wrong = np.array([[[[100.0, 0.0]]]])
    assert loss_of("ce", labels, sure_and_wrong) == pytest.approx(-log(2e-7), rel=1e-5)
    sure_and_right = np.array([[[[0.0, 100.0]]]])
    assert loss_of("ce", labels, sure_and_right) == pytest.approx(0.0, abs=1e-6)


def test_absent_class_costs_one_whatever_is_predicted() -> None:
    """Classes 1 and 2 are absent: dice is 2 for any logits, and its gradient is zero."""
    labels = np.zeros((1, 2, 2), np.int32)
    loss = make_loss(LossConfig(name="dice", profile="reference"))
    for seed in range(3):
        logits = tf.constant(np.random.default_rng(seed).normal(size=(1, 2, 2, 3)), tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(labels, logits)
        assert float(value) == 2.0
        np.testing.assert_array_equal(tape.gradient(value, logits), np.zeros((1, 2, 2, 3)))


def test_bce_is_linear_for_large_logits() -> None:
    logits = np.array([1000.0, -1000.0]).reshape(1, 1, 2, 1)
    assert loss_of("bce", np.array([[[0, 1]]]), logits) == 1000.0
    assert loss_of("bce", np.array([[[1, 0]]]), logits) == 0.0
