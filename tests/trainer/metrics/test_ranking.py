"""AUROC and average precision, by hand and against scikit-learn, and their intervals."""

from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from trainer.metrics.config import StatisticsConfig
from trainer.metrics.ranking import bootstrap_ranking, rank_images, weighted_ranking

CONFIG = StatisticsConfig(resamples=300)
DEFECTIVE = [True, False, True, False, False]
SCORES = [0.9, 0.1, 0.4, 0.5, 0.4]


def test_by_hand() -> None:
    """Of 6 pairs 4 are right and one is a tie: 4.5 / 6.

    From the highest down: 0.9 is defective (recall 1/2, precision 1), 0.5 is not, and at 0.4 come
    one of each (recall 1, precision 2/4): 1/2 * 1 + 1/2 * 2/4.
    """
    assert rank_images(DEFECTIVE, SCORES) == pytest.approx((4.5 / 6, 0.75))


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


def test_the_value_lies_among_the_draws_which_are_the_same_again() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(80) < 0.3
    values = rng.random(80) + 0.4 * truth
    drawn = bootstrap_ranking(truth, values, CONFIG)
    assert drawn.shape == (300, 2)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    for column, value in enumerate(rank_images(truth, values)):
        assert 0 < low[column] < value < high[column] <= 1
    np.testing.assert_array_equal(bootstrap_ranking(truth, values, CONFIG), drawn)
    other = bootstrap_ranking(truth, values, StatisticsConfig(resamples=300, seed=1))
    assert np.any(other != drawn)


def test_draws_in_parts_are_as_many(monkeypatch) -> None:
    monkeypatch.setattr("trainer.metrics.ranking.DRAWN_AT_ONCE", 35)  # 7 draws of 5 images
    drawn = bootstrap_ranking(DEFECTIVE, SCORES, CONFIG)
    assert drawn.shape == (300, 2)
    assert 0 <= drawn[:, 0].min() < drawn[:, 0].max() == 1


def test_a_perfect_ranking_has_no_width() -> None:
    images = [True, False, True], [0.9, 0.1, 0.8]
    assert rank_images(*images) == (1, 1)
    assert np.all(bootstrap_ranking(*images, CONFIG) == 1)


@pytest.mark.parametrize("defective", [[True, True], [False, False], []])
def test_one_kind_of_images_has_no_value(defective: list[bool]) -> None:
    assert all(isnan(value) for value in rank_images(defective, [0.5] * len(defective)))


def test_every_image_needs_a_score() -> None:
    with pytest.raises(ValueError, match="a truth and a score, got 2 and 1"):
        rank_images([True, False], [0.5])
