"""Two runs over the same cases: differences case by case, and whether they can be chance.

Under the policy `nan` for empty cases a run has no value where there is nothing to find and it
found nothing. It must not fall out where the other run found something all the same: those are the
very cases that tell the two apart. There it counts as the best value.
"""

from dataclasses import dataclass
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
      rightly_empty: Of those, the cases in which one run has no value, as there is nothing to find
        and it found nothing: it counts as the best value (dice 1, HD95 0 mm).
      unpaired: Cases that only one run has a value of, for another reason: left out.
      higher, lower, same: Cases in which B is above A, below, or the same.
      p: Of Wilcoxon's signed-rank test, two-sided: how likely differences as lopsided as these are
        where neither run is better. 1 where all are the same, NaN without a pair. It is for one
        question: of twenty scores that are looked at, one is below 0.05 by chance.
    """

    difference: Summary
    rightly_empty: int
    unpaired: int
    higher: int
    lower: int
    same: int
    p: float


def compare(a: Cases, b: Cases, config: StatisticsConfig, *, region: str, score: str) -> Comparison:
    """Compares one score of two runs.

    Args:
      a, b: Cases of the runs, with the same ids for the same cases.
      config: Level, draws and seed of the interval of the mean difference.
      region: Name of a label or region.
      score: Name of a score.
    """
    pairs = pair_values(a, b, region=region, score=score)
    differences = np.array([second - first for first, second in pairs.values()], np.float64)
    known = [{c for c, v in values_of(run, region, score) if not isnan(v)} for run in (a, b)]
    return Comparison(
        difference=summarise(differences.tolist(), config),
        rightly_empty=len(pairs.keys() - (known[0] & known[1])),
        unpaired=len((known[0] | known[1]) - pairs.keys()),
        higher=int(np.sum(differences > 0)),
        lower=int(np.sum(differences < 0)),
        same=int(np.sum(differences == 0)),
        p=signed_rank(differences),
    )


def pair_values(a: Cases, b: Cases, *, region: str, score: str) -> dict[str, tuple[float, float]]:
    """Case id -> values in both runs, in the order of the ids; see the module for what is empty.

    Arguments as of `compare`.
    """
    first, second = (dict(values_of(run, region, score)) for run in (a, b))
    best = _BEST.get(DEFINITIONS[score].best, nan) if score in DEFINITIONS else nan
    shared = {c: (first[c], second[c]) for c in sorted(first.keys() & second.keys())}
    known = {c: pair for c, pair in shared.items() if not (isnan(pair[0]) and isnan(pair[1]))}
    filled = {c: (_or(one, best), _or(other, best)) for c, (one, other) in known.items()}
    return {c: pair for c, pair in filled.items() if not isnan(sum(pair))}


def _or(value: float, best: float) -> float:
    return best if isnan(value) else value


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
