"""Two runs over the same cases: differences case by case, and whether they can be chance."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from trainer.metrics.cases import Cases, values_of
from trainer.metrics.config import StatisticsConfig
from trainer.metrics.summary import Summary, summarise


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One score of run B against run A.

    Attributes:
      difference: B - A over the cases that both have a value of.
      unpaired: Cases that only one run has a value of: left out.
      higher, lower, same: Cases in which B is above A, below, or the same.
      p: Of Wilcoxon's signed-rank test, two-sided: how likely differences as lopsided as these are
        where neither run is better. 1 where all are the same, NaN without a pair. It is for one
        question: of twenty scores that are looked at, one is below 0.05 by chance.
    """

    difference: Summary
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
    return compare_values(
        dict(values_of(a, region, score)), dict(values_of(b, region, score)), config
    )


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
