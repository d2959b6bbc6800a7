"""Mean, spread and interval of numbers, by hand."""

from math import nan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.metrics.config import StatisticsConfig
from trainer.metrics.summary import Summary, summarise

CONFIG = StatisticsConfig(resamples=400)


def test_by_hand() -> None:
    """Quartiles of 1, 2, 4, 9 lie at 0.75, 1.5 and 2.25 of the way from the first to the last."""
    found = summarise([9, nan, 1, 4, 2], CONFIG)
    assert (found.n, found.n_nan) == (4, 1)
    assert (found.mean, found.median) == (4, 3)
    assert found.std == pytest.approx(sqrt((25 + 0 + 9 + 4) / 4))
    assert (found.q25, found.q75) == (1.75, 5.25)


def test_the_interval_by_hand() -> None:
    """Of 0 and 1 the mean of two draws is 0, 1/2 or 1, with 1/4, 1/2 and 1/4."""
    wide = summarise([0, 1], CONFIG)
    assert (wide.low, wide.high) == (0, 1)
    narrow = summarise([0, 1], StatisticsConfig(resamples=400, level=0.4))
    assert (narrow.low, narrow.high) == (0.5, 0.5)


def test_the_interval_is_that_of_the_normal_distribution_for_many() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    found = summarise(values.tolist(), StatisticsConfig())
    half = 1.96 * np.std(values) / 20
    assert found.low == pytest.approx(np.mean(values) - half, abs=0.04)
    assert found.high == pytest.approx(np.mean(values) + half, abs=0.04)


def test_drawn_in_parts_it_is_an_interval_too(monkeypatch) -> None:
    monkeypatch.setattr("trainer.metrics.summary.DRAWN_AT_ONCE", 20)
    found = summarise([1, 2, 4, 9], CONFIG)
    assert 1 <= found.low < 4 < found.high <= 9


@pytest.mark.parametrize("values", [[], [nan], [nan, nan]])
def test_nothing(values: list[float]) -> None:
    assert summarise(values, CONFIG) == Summary(n=0, n_nan=len(values))


def test_one_case_has_no_interval() -> None:
    found = summarise([0.5, nan], CONFIG)
    assert (found.mean, found.median, found.std, found.q25, found.q75) == (0.5, 0.5, 0, 0.5, 0.5)
    assert found.low is None and found.high is None


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_the_interval_holds_the_mean_and_is_the_same_again(values: list[float]) -> None:
    found = summarise(values, CONFIG)
    assert min(values) - 1e-12 <= found.low <= found.mean + 1e-12
    assert found.mean - 1e-12 <= found.high <= max(values) + 1e-12
    assert found == summarise(values, CONFIG)


def test_another_seed_draws_others() -> None:
    values = np.random.default_rng(0).random(20).tolist()
    other = summarise(values, StatisticsConfig(resamples=400, seed=1))
    assert other.mean == summarise(values, CONFIG).mean
    assert other.low != summarise(values, CONFIG).low
