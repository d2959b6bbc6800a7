"""Scores of many cases: folds put together, a summary of each region, and bins of cases."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isnan

from trainer.metrics.config import StatisticsConfig
from trainer.metrics.region_scores import RegionScores
from trainer.metrics.summary import Summary, summarise

Cases = Mapping[str, Mapping[str, RegionScores]]
"""Case id -> name of a label or region -> scores."""


@dataclass(frozen=True, kw_only=True)
class RegionSummary:
    """One label or region over cases.

    Attributes:
      n: Cases.
      no_truth, no_prediction, neither: Cases in which only the truth is empty, only the prediction,
        or both: what the policy for empty cases bears upon.
      scores: Name of a score -> its summary.
    """

    n: int
    no_truth: int
    no_prediction: int
    neither: int
    scores: dict[str, Summary]


def pool(folds: Sequence[Cases]) -> Cases:
    """The cases of all folds together: each weighs the same, however large its fold is.

    Raises:
      ValueError: A case is in two folds.
    """
    times = Counter(case_id for fold in folds for case_id in fold)
    twice = sorted(case_id for case_id, n in times.items() if n > 1)
    if twice:
        raise ValueError(
            f"a case must be held out in one fold only, {len(twice)} are in several: {twice[:5]}:"
            " take the folds of one cross-validation"
        )
    return {case_id: scores for fold in folds for case_id, scores in fold.items()}


def summarise_cases(cases: Cases, config: StatisticsConfig) -> dict[str, RegionSummary]:
    """Name of a label or region -> its summary over the cases that have it."""
    regions: dict[str, list[RegionScores]] = {}
    for case in cases.values():
        for name, scores in case.items():
            regions.setdefault(name, []).append(scores)
    return {name: _summarise_region(scores, config) for name, scores in regions.items()}


def _summarise_region(scores: Sequence[RegionScores], config: StatisticsConfig) -> RegionSummary:
    empty = Counter(s.empty for s in scores)
    names = dict.fromkeys(name for s in scores for name in s.values)
    summaries = {
        n: summarise([s.values[n] for s in scores if n in s.values], config) for n in names
    }
    return RegionSummary(
        n=len(scores),
        no_truth=empty["truth"],
        no_prediction=empty["prediction"],
        neither=empty["both"],
        scores=summaries,
    )


def bin_values(values: Mapping[str, float], edges: Sequence[float], *, unit: str) -> dict[str, str]:
    """Makes a column to slice cases by of a number per case, the bins from the lowest on.

    >>> bin_values({"a": 10.0, "b": 0.5, "c": 9.9}, [1, 10], unit="ml")
    {'b': 'below 1 ml', 'c': '1 to below 10 ml', 'a': '10 ml and more'}

    Args:
      values: Case id -> volume, age ...; NaN is `unknown`, which comes last.
      edges: Where one bin ends and the next begins, which has the edge itself.
      unit: Behind the numbers in the names of the bins.

    Raises:
      ValueError: There is no edge, or they do not ascend.
    """
    if not edges or any(low >= high for low, high in pairwise(edges)):
        raise ValueError(f"edges of bins must be there and ascend, got {list(edges)}")
    inner = [f"{low:g} to below {high:g} {unit}" for low, high in pairwise(edges)]
    names = [f"below {edges[0]:g} {unit}", *inner, f"{edges[-1]:g} {unit} and more"]

    def name_of(value: float) -> str:
        return "unknown" if isnan(value) else names[sum(value >= edge for edge in edges)]

    order = sorted(values, key=lambda case_id: (isnan(values[case_id]), values[case_id]))
    return {case_id: name_of(values[case_id]) for case_id in order}


def values_of(cases: Cases, region: str, score: str) -> Iterator[tuple[str, float]]:
    """Case id and value of one score, of the cases that have it, NaN among them."""
    for case_id, case in cases.items():
        if region in case and score in case[region].values:
            yield case_id, case[region].values[score]
