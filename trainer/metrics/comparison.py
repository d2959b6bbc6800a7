"""Two runs over the same cases: differences case by case, and whether they can be chance.

Under the policy `nan` for empty cases a run has no value where there is nothing to find and it
found nothing. It must not fall out where the other run found something all the same: those are the
very cases that tell the two apart. There it counts as the best value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isnan, nan

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from trainer.metrics.cases import Cases, values_of
from trainer.metrics.config import StatisticsConfig
from trainer.metrics.definitions import DEFINITIONS
from trainer.metrics.summary import Summary, summarise

_BEST = {"high": 1.0, "low": 0.0}
"""The best value of a score, by its `Definition.best`."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One score of run B against run A.

    Attributes:
      difference: B - A over the cases that both have a value of, or count as having one.
      unpaired: Cases that only one run has a value of, for another reason: left out.
      higher, lower, same: Cases in which B is above A, below, or the same.
      p: Of Wilcoxon's signed-rank test, two-sided: how likely differences as lopsided as these are
        where neither run is better. 1 where all are the same, NaN without a pair. It is for one
        question: of twenty scores that are looked at, one is below 0.05 by chance.
      rightly_empty: Of the cases of `difference`, those in which one run has no value, as there is
        nothing to find and it found nothing: it counts as the best value (dice 1, HD95 0).
    """

    difference: Summary
    unpaired: int
    higher: int
    lower: int
    same: int
    p: float
    rightly_empty: int = 0


def compare(a: Cases, b: Cases, config: StatisticsConfig, *, region: str, score: str) -> Comparison:
    """Compares one score of two runs.

    Args:
      a, b: Cases of the runs, with the same ids for the same cases.
      config: Level, draws and seed of the interval of the mean difference.
      region: Name of a label or region.
      score: Name of a score.
    """
    known = [dict(values_of(run, region, score)) for run in (a, b)]
    filled = fill_empty(a, b, region=region, score=score)
    of_both = zip(known, filled, strict=True)
    n = sum(
        isnan(v) and not isnan(after[c]) for before, after in of_both for c, v in before.items()
    )
    return replace(compare_values(*filled, config), rightly_empty=n)


def compare_values(
    a: Mapping[str, float], b: Mapping[str, float], config: StatisticsConfig
) -> Comparison:
    """Compares one number per case, NaN for none: case id -> number, in two runs."""
    first, second = (
        {case_id: v for case_id, v in run.items() if not np.isnan(v)} for run in (a, b)
    )
    pairs = sorted(set(first) & set(second))
    differences = np.array([second[c] - first[c] for c in pairs], np.float64)
    return Comparison(
        difference=summarise(differences.tolist(), config),
        unpaired=len(set(first) ^ set(second)),
        higher=int(np.sum(differences > 0)),
        lower=int(np.sum(differences < 0)),
        same=int(np.sum(differences == 0)),
        p=signed_rank(differences),
    )


def fill_empty(
    a: Cases, b: Cases, *, region: str, score: str
) -> tuple[dict[str, float], dict[str, float]]:
    """Case id -> value in A, and in B, the best one where only the other run has a value.

    Arguments as of `compare`; see the module for the reason.
    """
    first, second = (dict(values_of(run, region, score)) for run in (a, b))
    best = _BEST.get(DEFINITIONS[score].best, nan) if score in DEFINITIONS else nan
    return _fill(first, second, best), _fill(second, first, best)


def _fill(own: Mapping[str, float], other: Mapping[str, float], best: float) -> dict[str, float]:
    return {c: best if isnan(v) and not isnan(other.get(c, nan)) else v for c, v in own.items()}


def signed_rank(differences: NDArray[np.float64]) -> float:
    """Two-sided p of Wilcoxon's signed-rank test, differences of 0 left out (Wilcoxon 1945)."""
    if not len(differences):
        return nan
    apart = differences[differences != 0]
    return float(wilcoxon(apart).pvalue) if len(apart) else 1.0


def compare_all(a: Cases, b: Cases, config: StatisticsConfig) -> dict[str, dict[str, Comparison]]:
    """Name of a region -> name of a score -> comparison, of all that both runs have."""
    shared = [_names(run) for run in (a, b)]
    return {
        region: {
            score: compare(a, b, config, region=region, score=score)
            for score in scores
            if score in shared[1].get(region, {})
        }
        for region, scores in shared[0].items()
        if region in shared[1]
    }


def _names(cases: Cases) -> dict[str, dict[str, None]]:
    """Regions and their scores in the order of the cases."""
    names: dict[str, dict[str, None]] = {}
    for case in cases.values():
        for region, scores in case.items():
            names.setdefault(region, {}).update(dict.fromkeys(scores.values))
    return names
