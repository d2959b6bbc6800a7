"""AUROC and average precision, by hand and against scikit-learn, and their intervals."""

from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from trainer.metrics.config import StatisticsConfig
from trainer.metrics.ranking import image_scores, weighted_ranking

CONFIG = StatisticsConfig(resamples=300)
DEFECTIVE = [True, False, True, False, False]
SCORES = [0.9, 0.1, 0.4, 0.5, 0.4]


def test_by_hand() -> None:
    """Of 6 pairs 4 are right and one is a tie: 4.5 / 6.

    From the highest down: 0.9 is defective (recall 1/2, precision 1), 0.5 is not, and at 0.4 come
    one of each (recall 1, precision 2/4): 1/2 * 1 + 1/2 * 2/4.
    """
    scores = image_scores(DEFECTIVE, SCORES, CONFIG)
    assert (scores.n, scores.defective) == (5, 2)
    assert scores.auroc.value == pytest.approx(4.5 / 6)
    assert scores.average_precision.value == pytest.approx(0.75)


def test_weights_are_images_drawn_several_times() -> None:
    """The 0.9 twice and the 0.4 not at all, 0.5 three times: all of 2 * 3 pairs are right.

    Without the 0.5 but with the 0.4 of a good image thrice, and 0.4 twice: 6 ties of 6 pairs.
    """
    weights = np.array([[2, 0, 0, 3, 0], [0, 0, 2, 0, 3]], float)
    made = weighted_ranking(np.array(DEFECTIVE), np.array(SCORES), weights)
    np.testing.assert_allclose(made, [[1, 1], [0.5, 2 / 5]])


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 30))
def test_draws_score_as_scikit_learn_does(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    truth, values = np.arange(n) < rng.integers(1, n), rng.integers(0, 8, n) / 8
    weights = rng.integers(0, 3, (4, n)).astype(float)
    weights[:, [0, -1]] += 1  # one defective image at least, and one without
    made = weighted_ranking(truth, values, weights)
    for row, weight in zip(made, weights, strict=True):
        drawn = np.repeat(np.arange(n), weight.astype(int))
        expected = [
            m(truth[drawn], values[drawn]) for m in (roc_auc_score, average_precision_score)
        ]
        np.testing.assert_allclose(row, expected)


def test_the_interval_holds_the_value_and_is_the_same_again() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(80) < 0.3
    values = rng.random(80) + 0.4 * truth
    scores = image_scores(truth, values, CONFIG)
    for estimate in (scores.auroc, scores.average_precision):
        assert 0 < estimate.low < estimate.value < estimate.high <= 1
    assert scores == image_scores(truth, values, CONFIG)
    narrow = image_scores(truth, values, StatisticsConfig(resamples=300, level=0.5)).auroc
    assert scores.auroc.low < narrow.low < narrow.high < scores.auroc.high
    assert image_scores(truth, values, StatisticsConfig(resamples=300, seed=1)) != scores


def test_draws_in_parts_are_as_many(monkeypatch) -> None:
    monkeypatch.setattr("trainer.metrics.ranking.DRAWN_AT_ONCE", 35)  # 7 draws of 5 images
    parts = image_scores(DEFECTIVE, SCORES, CONFIG).auroc
    assert 0 <= parts.low < parts.high == 1


def test_a_perfect_ranking_has_no_width() -> None:
    scores = image_scores([True, False, True], [0.9, 0.1, 0.8], CONFIG)
    for estimate in (scores.auroc, scores.average_precision):
        assert (estimate.value, estimate.low, estimate.high) == (1, 1, 1)


@pytest.mark.parametrize("defective", [[True, True], [False, False], []])
def test_one_kind_of_images_has_no_value(defective: list[bool]) -> None:
    scores = image_scores(defective, [0.5] * len(defective), CONFIG)
    assert scores.n == len(defective)
    assert isnan(scores.auroc.value) and isnan(scores.average_precision.high)


def test_every_image_needs_a_score() -> None:
    with pytest.raises(ValueError, match="a truth and a score, got 2 and 1"):
        image_scores([True, False], [0.5], CONFIG)
