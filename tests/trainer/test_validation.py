"""Validation: who is kept out, what is scored, and dice against counts by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from trainer.config import TrainerConfig, ValidationConfig
from trainer.model_config import ModelConfig
from trainer.staging import StagedCase
from trainer.validation import BestScore, Validator, mean_dice, split_validation

CONFIG = TrainerConfig(samples=8, batch_size=1, crop=(8, 8))
NETWORK = ModelConfig(rank=2, in_channels=1, classes=3, filters=(2, 4))


def case(number: int, group: str) -> StagedCase:
    return StagedCase(case_id=f"c{number}", group=group, sha256="", path="")


def test_patients_are_kept_whole_and_the_split_is_the_same_in_any_order() -> None:
    cases = [case(n, f"patient-{n // 2}") for n in range(20)]
    training, held_out = split_validation(cases, 0.3, seed=1)
    assert len(training) == 14 and len(held_out) == 6
    assert not {c.group for c in training} & {c.group for c in held_out}
    again = split_validation(cases[::-1], 0.3, seed=1)
    assert [sorted(part) for part in again] == [sorted(training), sorted(held_out)]
    assert sorted(split_validation(cases, 0.3, seed=2)[1]) != sorted(held_out)


def test_no_share_validates_on_nobody_and_a_small_one_on_somebody() -> None:
    cases = [case(n, f"p{n}") for n in range(4)]
    assert split_validation(cases, 0.0, seed=0) == (cases, [])
    assert len(split_validation(cases, 0.01, seed=0)[1]) == 1


def test_nobody_left_to_train_on_is_an_error() -> None:
    with pytest.raises(
        ValueError, match=r"^trainer.validation.share must leave .* 0.5 of 1 leaves"
    ):
        split_validation([case(0, "p")], 0.5, seed=0)


def by_brightness(batch: tf.Tensor) -> tf.Tensor:
    """Logits of class 1 where the pixel is above 0, of class 0 elsewhere; never of class 2."""
    bright = tf.cast(batch[..., 0] > 0, tf.float32)
    return tf.stack([1 - bright, bright, tf.zeros_like(bright) - 1], axis=-1)


@pytest.mark.parametrize("mode", ["whole", "patch"])
def test_dice_by_hand(mode: str, stage_arrays, photograph_info) -> None:
    """8 x 8 pixels: 16 are class 1, of them 8 are bright, as are 8 of class 0; and none of class 2.

    Class 1: 2 * 8 / (16 + 16). Class 2 is neither in truth nor in prediction: it does not count.
    """
    x, y = np.full((8, 8, 1), 50, np.uint8), np.zeros((8, 8), np.uint8)
    y[:2], x[1:3] = 1, 150
    cases = stage_arrays({"a": (x, y)}, mean=[100.0], stdev=[50.0], foreground="all")
    config = replace(CONFIG, validation=ValidationConfig(mode=mode))
    assert config.augment.enabled  # of the training; it has no part in this
    validator = Validator(
        network=by_brightness, cases=cases, info=photograph_info, model=NETWORK, config=config
    )
    np.testing.assert_array_equal(validator(), [[0.5, 1], [0, 0]])


def test_mean_of_the_classes_that_some_case_has() -> None:
    mean, per_class = mean_dice(np.array([[1.5, 2], [0.0, 0], [0.25, 1]]))
    assert mean == (0.75 + 0.25) / 2
    assert per_class[0] == 0.75 and math.isnan(per_class[1]) and per_class[2] == 0.25
    assert math.isnan(mean_dice(np.zeros((2, 2)))[0])
    assert mean_dice(np.array([[1.5, 2], [0.0, 0], [0.25, 1]]), [3])[0] == 0.25


def test_best_score_counts_what_followed_it_and_comes_back_from_a_checkpoint() -> None:
    """An equal score is none that is better, nor is NaN."""
    score = BestScore()
    assert [score.take(s) for s in (0.5, 0.7, 0.7, math.nan)] == [True, True, False, False]
    again = BestScore.from_json(score.to_json())
    assert (again.best, again.since) == (0.7, 2)
