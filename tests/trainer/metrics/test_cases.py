"""Folds put together, and bins of cases."""

from math import nan

import pytest

from trainer.metrics.cases import bin_values, pool, summarise_cases, values_of
from trainer.metrics.config import StatisticsConfig
from trainer.metrics.region_scores import RegionScores
from trainer.overlap import Overlap

CONFIG = StatisticsConfig(resamples=100)


def case(dice: float, *, truth: int = 5, prediction: int = 5) -> dict[str, RegionScores]:
    counts = Overlap(intersection=0, truth=truth, prediction=prediction)
    return {"WT": RegionScores(counts=counts, values={"dice": dice})}


def test_cases_of_unequal_folds_weigh_the_same() -> None:
    """(0.2 + 0.4 + 0.9) / 3, not the mean of 0.3 and 0.9."""
    cases = pool([{"a": case(0.2), "b": case(0.4)}, {"c": case(0.9)}])
    summary = summarise_cases(cases, CONFIG)["WT"]
    assert summary.n == 3
    assert summary.scores["dice"].mean == pytest.approx(0.5)


def test_a_case_in_two_folds_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"in one fold only, 1 are in several: \['b'\]"):
        pool([{"a": case(1), "b": case(1)}, {"b": case(1)}])


def test_empty_cases_are_counted() -> None:
    cases = {
        "a": case(1, truth=0, prediction=0),
        "b": case(0, truth=0),
        "c": case(0, prediction=0),
        "d": case(0, prediction=0),
        "e": case(nan),
    }
    summary = summarise_cases(cases, CONFIG)["WT"]
    assert (summary.n, summary.neither, summary.no_truth, summary.no_prediction) == (5, 1, 1, 2)
    assert (summary.scores["dice"].n, summary.scores["dice"].n_nan) == (4, 1)
    assert summary.scores["dice"].mean == 0.25


def test_a_case_without_the_score_is_no_nan() -> None:
    """Images without defect have no dice at all."""
    without = {"WT": RegionScores(counts=case(0)["WT"].counts, values={})}
    summary = summarise_cases({"a": without, "b": case(0.5)}, CONFIG)["WT"]
    assert summary.n == 2
    assert (summary.scores["dice"].n, summary.scores["dice"].n_nan) == (1, 0)


def test_no_cases_have_no_summary() -> None:
    assert summarise_cases({}, CONFIG) == {}


def test_bins_by_size_in_their_order() -> None:
    column = bin_values({"a": 10, "b": nan, "c": 0.5, "d": 1, "e": 9.9}, [1, 10], unit="ml")
    assert list(column.items()) == [
        ("c", "below 1 ml"),
        ("d", "1 to below 10 ml"),
        ("e", "1 to below 10 ml"),
        ("a", "10 ml and more"),
        ("b", "unknown"),
    ]


@pytest.mark.parametrize("edges", [[], [2, 1], [1, 1]])
def test_edges_must_ascend(edges: list[float]) -> None:
    with pytest.raises(ValueError, match="edges of bins must be there and ascend, got"):
        bin_values({"a": 1.0}, edges, unit="ml")


def test_values_of_a_score() -> None:
    cases = {"a": case(0.2), "b": {}, "c": case(nan)}
    assert [case_id for case_id, _ in values_of(cases, "WT", "dice")] == ["a", "c"]
    assert list(values_of(cases, "WT", "hd95")) == []
