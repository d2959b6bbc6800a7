"""Which cases are shown: best, median, worst, and those asked for."""

import pytest

from components.report.ranking import choose_cases, rank_cases, ranking_score

from ..report_samples import make_folds, sum_up


def test_rank_cases():
    assert rank_cases({"b": 0.1, "a": 0.9, "c": 0.5}) == {"a": "best", "c": "median", "b": "worst"}
    assert rank_cases({"a": 0.9, "b": 0.1}) == {"a": "best", "b": "median, worst"}
    assert rank_cases({"a": 0.9}) == {"a": "best, median, worst"}
    assert rank_cases({}) == {}


def test_of_distances_the_lowest_is_best():
    ranks = rank_cases({"a": 1.0, "b": 30.0, "c": 4.0}, lowest_is_best=True)
    assert ranks == {"a": "best", "c": "median", "b": "worst"}


def test_rank_cases_breaks_ties_by_case_id():
    ranks = rank_cases({"c": 1.0, "d": 1.0, "a": 1.0, "b": 1.0})
    assert ranks == {"a": "best", "c": "median", "d": "worst"}


def test_chosen_cases_come_last_and_keep_their_rank():
    chosen = choose_cases(make_folds(), "WT/dice", chosen=["b", "a"])
    assert chosen == {"a": "best, chosen", "c": "median", "d": "worst", "b": "chosen"}


def test_chosen_case_that_was_not_scored():
    with pytest.raises(ValueError, match=r"--cases must name cases that the run scored.*\['x'\]"):
        choose_cases(make_folds(), "WT/dice", chosen=["a", "x"])


@pytest.mark.parametrize(
    ("select", "expected"), [("WT/hd95", "WT/hd95"), ("images/auroc", "ET/dice")]
)
def test_ranked_by_select_or_by_the_first_score_that_cases_have(select, expected):
    folds = make_folds()
    assert ranking_score(folds, select, sum_up(folds)) == expected
