"""The loss scale, step by step, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from trainer import loss_scale
from trainer.loss_scale import LossScale, all_finite


def states(scale: LossScale, steps: list[bool]) -> list[tuple[float, int]]:
    """Scale and skipped steps after every step, finite or not."""
    found = []
    for finite in steps:
        scale.update(finite=tf.constant(finite))
        found.append((float(scale.value), scale.skipped))
    return found


def test_overflow_halves_and_good_steps_in_a_row_double(monkeypatch) -> None:
    monkeypatch.setattr(loss_scale, "GROWTH_STEPS", 2)
    scale = LossScale()
    assert float(scale.value) == 32768
    assert states(scale, [False, True, False, True, True, True]) == [
        (16384, 1),
        (16384, 1),
        (8192, 2),
        (8192, 2),
        (16384, 2),
        (16384, 2),
    ]


def test_scale_stays_between_its_limits(monkeypatch) -> None:
    monkeypatch.setattr(loss_scale, "GROWTH_STEPS", 1)
    scale = LossScale()
    assert states(scale, [True] * 12)[-1] == (2.0**24, 0)
    assert states(scale, [False] * 30)[-1] == (1.0, 30)


def test_constant_scale_only_counts() -> None:
    assert states(LossScale(128.0), [False, True]) == [(128, 1), (128, 1)]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_bad_number_is_found(bad: float) -> None:
    good = tf.constant([[1.0, 65504.0]])
    assert bool(all_finite([good, tf.zeros([3])]))
    assert not bool(all_finite([good, tf.constant([0.0, bad])]))
