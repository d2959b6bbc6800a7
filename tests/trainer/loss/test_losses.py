"""Losses against values worked out by hand on images of four pixels, and what holds for all."""

import importlib.util
import json
import os
import subprocess
import sys
from math import log
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.loss.config import LOSSES, LossConfig
from trainer.loss.losses import make_loss
from trainer.loss.reference import reference_losses

ROOT = Path(__file__).parents[3]

# One image of 2x2 pixels, three classes, softmax probabilities (class 0, class 1, class 2):
LABELS = np.array([[[1, 0], [0, 2]]], np.uint8)
PROBABILITIES = np.array(
    [[[[0.25, 0.5, 0.25], [0.5, 0.25, 0.25]], [[0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]]], np.float32
)
LOGITS = np.log(PROBABILITIES) + 3.0  # softmax does not see the offset
EMPTY = np.zeros_like(LABELS)

# dice = 2 sum(p t) / (sum(p) + sum(t))
DICE = (2 * 0.75 / (1.25 + 2), 2 * 0.5 / (1.5 + 1), 2 * 0.5 / (1.25 + 1))
# p of the true class: 0.5, 0.5, 0.25, 0.5
CE = -(3 * log(0.5) + log(0.25)) / 4
# (1 - p)^2: 0.25, 0.25, 0.5625, 0.25
FOCAL = -(3 * 0.25 * log(0.5) + 0.5625 * log(0.25)) / 4

# One image of one logit: p = 0.5 at logit 0, 0.75 at ln 3, 0.25 at -ln 3
ONE_LABELS = np.array([[[1, 1], [0, 0]]])
ONE_LOGITS = np.array([[[[0.0], [log(3)]], [[-log(3)], [log(3)]]]])
# foreground: sum(p t) = 1.25, sum(p) = 2.25; background: 0.75 + 0.25 = 1 and 4 - 2.25 = 1.75
ONE_DICE = (2 * 1 / (1.75 + 2), 2 * 1.25 / (2.25 + 2))
# p of the true class: 0.5, 0.75, 0.75, 0.25
ONE_CE = -(log(0.5) + 2 * log(0.75) + log(0.25)) / 4
ONE_FOCAL = -(0.25 * log(0.5) + 2 * 0.0625 * log(0.75) + 0.5625 * log(0.25)) / 4

ALL_LOSSES = [
    pytest.param(
        LossConfig(name=name, profile=profile, include_background=background),
        classes,
        id=f"{profile}-{name}-{'all' if background else 'foreground'}-{classes}",
    )
    for profile, losses in LOSSES.items()
    for name, traits in losses.items()
    for background in ([False, True] if traits.background else [False])
    for classes in [3] * traits.softmax + [1] * traits.one_logit
]
NO_MEANS = {"bce-sum", "l2", "sorensen", "jaccard", "adaptive"}


def loss_of(labels: np.ndarray, logits: np.ndarray, **options: object) -> float:
    config = LossConfig(**options)
    value = make_loss(config)(labels, keras.ops.convert_to_tensor(logits, "float32"))
    assert value.shape == () and value.dtype == "float32"
    return float(value)


def random_batch(classes: int, batch: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, max(classes, 2), (batch, 2, 2))
    labels[0] = 0  # a sample without foreground
    return labels, rng.normal(size=(batch, 2, 2, classes)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "background", "expected"),
    [
        ("dice", False, 1 - (DICE[1] + DICE[2]) / 2),
        ("dice", True, 1 - sum(DICE) / 3),
        ("ce", False, CE),
        ("dice+ce", False, 1 - (DICE[1] + DICE[2]) / 2 + CE),
        ("focal", False, FOCAL),
        ("dice+focal", True, 1 - sum(DICE) / 3 + FOCAL),
        # classes 1 and 2 have one voxel each: w = 1; class 0 has two: w = 1/4
        ("generalised-dice", False, 1 - 2 * (0.5 + 0.5) / (2.5 + 2.25)),
        ("generalised-dice", True, 1 - 2 * (0.75 / 4 + 0.5 + 0.5) / (3.25 / 4 + 2.5 + 2.25)),
    ],
)
def test_softmax_by_hand(name: str, background: bool, expected: float) -> None:
    found = loss_of(LABELS, LOGITS, name=name, include_background=background)
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "background", "expected"),
    [
        ("dice", False, 1 - ONE_DICE[1]),
        ("dice", True, 1 - sum(ONE_DICE) / 2),
        ("ce", False, ONE_CE),
        ("dice+ce", False, 1 - ONE_DICE[1] + ONE_CE),
        ("focal", False, ONE_FOCAL),
        ("dice+focal", False, 1 - ONE_DICE[1] + ONE_FOCAL),
        ("generalised-dice", False, 1 - ONE_DICE[1]),  # of one class, the weight cancels
        ("generalised-dice", True, 1 - 2 * (1 + 1.25) / (3.75 + 4.25)),  # two voxels each
    ],
)
def test_one_logit_by_hand(name: str, background: bool, expected: float) -> None:
    found = loss_of(ONE_LABELS, ONE_LOGITS, name=name, include_background=background)
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES["corrected"])
def test_one_logit_is_a_softmax_with_a_background_logit_of_zero(name: str) -> None:
    two = np.concatenate([np.zeros_like(ONE_LOGITS), ONE_LOGITS], axis=-1)
    found = loss_of(ONE_LABELS, ONE_LOGITS, name=name)
    assert found == pytest.approx(loss_of(ONE_LABELS, two, name=name), abs=1e-6)


def test_absent_class_is_charged_for_its_false_positives() -> None:
    """N = 4 voxels without foreground: sum(p) / (sum(p) + N), sum(p) = 1.5 and 1.25."""
    expected = (1.5 / 5.5 + 1.25 / 5.25) / 2
    assert loss_of(EMPTY, LOGITS, name="dice") == pytest.approx(expected, abs=1e-6)
    # all classes share one smoothing in the generalised dice: sum(p) = 2.75
    found = loss_of(EMPTY, LOGITS, name="generalised-dice")
    assert found == pytest.approx(2.75 / 6.75, abs=1e-6)


def test_absent_class_beside_a_present_one() -> None:
    """Class 1 on the first voxel alone: sum(p t) = 0.5, sum(p) = 1.5; class 2: sum(p) = 1.25."""
    labels = np.array([[[1, 0], [0, 0]]])
    expected = (1 - 2 * 0.5 / 2.5 + 1.25 / 5.25) / 2
    assert loss_of(labels, LOGITS, name="dice") == pytest.approx(expected, abs=1e-6)
    # the absent class takes the weight of class 1
    found = loss_of(labels, LOGITS, name="generalised-dice")
    assert found == pytest.approx(1 - 2 * 0.5 / (2.5 + 1.25), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "classes", "expected"),
    [
        # sum(p) = 2: the slope of sum(p) / (sum(p) + 4) is 4 / 6^2, that of the sigmoid 1 / 4
        ("dice", 1, 4 / 6**2 / 4),
        ("generalised-dice", 1, 4 / 6**2 / 4),
        # sum(p) = 4/3 for each of two classes, softmax: p (1 - p) - p p = 1/9 by both of them
        ("dice", 3, 4 / (4 / 3 + 4) ** 2 / 2 / 9),
        ("generalised-dice", 3, 4 / (8 / 3 + 4) ** 2 / 9),
    ],
)
def test_absent_class_is_trained_away(name: str, classes: int, expected: float) -> None:
    """From undecided logits, every voxel of an empty sample lowers the foreground."""
    gradient = gradient_of(LossConfig(name=name), EMPTY, np.zeros((1, 2, 2, classes), np.float32))
    np.testing.assert_allclose(gradient[..., -1], np.full((1, 2, 2), expected), rtol=1e-5)


@pytest.mark.parametrize(
    ("labels", "dice", "generalised"),
    [
        (LABELS, 1.0, 1.0),
        # all of the sample is class 2 and taken for class 0: class 1 is absent, rightly
        (np.full_like(LABELS, 2), 0.5, 1.0),
        # all is background and taken for class 1: 4 / (4 + 4); 0 for class 2
        (EMPTY, 0.25, 0.5),
    ],
)
def test_dice_losses_of_a_right_and_a_wrong_answer(
    labels: np.ndarray, dice: float, generalised: float
) -> None:
    for name, expected in (("dice", dice), ("generalised-dice", generalised)):
        right, wrong = 100.0 * np.eye(3)[labels], 100.0 * np.eye(3)[(labels + 1) % 3]
        assert loss_of(labels, right, name=name) == pytest.approx(0.0, abs=1e-6)
        assert loss_of(labels, wrong, name=name) == pytest.approx(expected, abs=1e-6)


def test_focal_with_gamma_0_is_cross_entropy() -> None:
    found = loss_of(LABELS, LOGITS, name="focal", focal_gamma=0.0)
    assert found == pytest.approx(CE, abs=1e-6)


def test_focal_keeps_its_digits_near_certainty() -> None:
    """Of one logit z = 10: 1 - p = 1 / (1 + e^10) = 4.5397868e-5, -ln p = 4.5398899e-5."""
    found = loss_of(np.ones((1, 1, 1), np.int32), np.full((1, 1, 1, 1), 10.0), name="focal")
    assert found == pytest.approx(4.5397868e-5**2 * 4.5398899e-5, rel=1e-4)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_gradient_is_finite_for_any_gamma(gamma: float) -> None:
    logits = np.array([1e4, -1e4, 20.0, 0.0], np.float32).reshape(1, 2, 2, 1)
    config = LossConfig(name="focal", focal_gamma=gamma)
    gradient = gradient_of(config, np.array([[[1, 1], [1, 0]]]), logits)
    assert np.all(np.isfinite(gradient)) and gradient[0, 0, 1, 0] == pytest.approx(-1 / 4)


def test_reference_has_the_losses_of_the_config() -> None:
    assert list(reference_losses(LossConfig())) == list(LOSSES["reference"])


@pytest.mark.parametrize(("config", "classes"), ALL_LOSSES)
def test_volume_gives_what_its_slice_gives(config: LossConfig, classes: int) -> None:
    labels, logits = random_batch(classes)
    loss = make_loss(config)
    flat = float(loss(labels, logits))
    assert float(loss(labels[:, None], logits[:, None])) == pytest.approx(flat, rel=1e-6)


@pytest.mark.parametrize(("config", "classes"), ALL_LOSSES)
def test_mean_over_equal_parts_is_the_loss_of_the_batch(config: LossConfig, classes: int) -> None:
    labels, logits = random_batch(classes)
    loss = make_loss(config)
    parts = np.mean([float(loss(labels[i : i + 2], logits[i : i + 2])) for i in (0, 2)])
    whole = float(loss(labels, logits))
    decomposes = config.profile == "corrected" or config.name not in NO_MEANS
    assert (parts == pytest.approx(whole, abs=1e-6)) == decomposes


@pytest.mark.parametrize(("config", "classes"), ALL_LOSSES)
def test_gradient_leads_downwards(config: LossConfig, classes: int) -> None:
    labels = np.minimum(LABELS, max(classes - 1, 1))
    logits = np.zeros((1, 2, 2, classes), np.float32)
    loss, gradient = make_loss(config), gradient_of(config, labels, logits)
    assert np.all(np.isfinite(gradient)) and np.all(np.any(gradient != 0, axis=-1))
    assert float(loss(labels, logits - 0.1 * gradient)) < float(loss(labels, logits))


@pytest.mark.parametrize("classes", [1, 3])
def test_inside_a_tf_function_of_unknown_sizes(classes: int) -> None:
    labels, logits = random_batch(classes)
    signature = [
        tf.TensorSpec([None, None, None], tf.int32),
        tf.TensorSpec([None, None, None, classes], tf.float32),
    ]
    loss = make_loss(LossConfig(name="dice+focal", include_background=True))
    inside = tf.function(loss, input_signature=signature)(labels.astype(np.int32), logits)
    assert float(inside) == pytest.approx(float(loss(labels, logits)), abs=1e-6)


@pytest.mark.parametrize(("config", "classes"), ALL_LOSSES)
def test_finite_where_the_network_is_sure(config: LossConfig, classes: int) -> None:
    labels, signs = random_batch(classes)
    labels[1] = 1  # full, beside an empty sample and two mixed ones
    logits = np.where(signs > 0, 1e4, -1e4).astype(np.float32)
    for part in (slice(0, 1), slice(0, 4)):
        assert np.isfinite(float(make_loss(config)(labels[part], logits[part])))
        assert np.all(np.isfinite(gradient_of(config, labels[part], logits[part])))


def gradient_of(config: LossConfig, labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    variable = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        loss = make_loss(config)(labels, variable)
    return tape.gradient(loss, variable).numpy()


def test_low_precision_logits_give_a_float32_loss() -> None:
    loss = make_loss(LossConfig())(LABELS, tf.cast(LOGITS, tf.bfloat16))
    assert loss.dtype == "float32"


@pytest.mark.parametrize(
    ("name", "labels", "logits", "message"),
    [
        ("ce", (1, 2, 2), (1, 2, 2, 1), "must be one of .* for one-logit networks .* 1 output"),
        ("bce", (1, 2, 2), (1, 2, 2, 2), "must be one of .* for softmax networks .* 2 output"),
        ("dice", (1, 2, 2, 1), (1, 2, 2, 3), r"got \(1, 2, 2, 1\) and \(1, 2, 2, 3\)"),
        ("dice", (1, 2, 1), (1, 2, 2, 3), r"got \(1, 2, 1\) and \(1, 2, 2, 3\)"),
    ],
)
def test_shapes_that_do_not_fit(
    name: str, labels: tuple[int, ...], logits: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        loss_of(np.zeros(labels, np.int32), np.zeros(logits), name=name, profile="reference")


_JAX_PROGRAM = """
import json, sys
import jax, numpy as np
from trainer.loss.config import LossConfig
from trainer.loss.losses import make_loss

def loss_and_gradient_norm(case):
    loss = make_loss(LossConfig(**case["config"]))
    labels, logits = np.array(case["labels"]), np.array(case["logits"], np.float32)
    value, gradient = jax.jit(jax.value_and_grad(lambda z: loss(labels, z)))(logits)
    return [float(value), float(abs(gradient).sum())]

print(json.dumps([loss_and_gradient_norm(case) for case in json.load(sys.stdin)]))
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_jax_gives_what_tensorflow_gives() -> None:
    cases, expected = [], []
    for config, classes in (p.values for p in ALL_LOSSES):
        labels, logits = random_batch(classes)
        cases.append({"config": vars(config), "labels": labels.tolist(), "logits": logits.tolist()})
        gradient = gradient_of(config, labels, logits)
        expected.append([float(make_loss(config)(labels, logits)), np.abs(gradient).sum()])
    result = subprocess.run(
        [sys.executable, "-c", _JAX_PROGRAM],
        input=json.dumps(cases),
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    np.testing.assert_allclose(json.loads(result.stdout), expected, rtol=1e-5, atol=1e-6)
