"""Many numbers, one per case -> mean, spread and the interval that the mean lies in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from trainer.metrics.config import StatisticsConfig

DRAWN_AT_ONCE = 4_000_000
"""Numbers, 8 bytes each."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One score over cases, each of which weighs the same.

    Attributes:
      n: Cases with a value.
      n_nan: Cases without: NaN, left out of all that follows.
      mean, median, q25, q75: None without a case; quartiles between two values are interpolated.
      std: Standard deviation of these cases (divided by n), None without a case.
      low, high: Ends of the bootstrap interval of the mean, None with fewer than two cases.
    """

    n: int
    n_nan: int
    mean: float | None = None
    median: float | None = None
    std: float | None = None
    q25: float | None = None
    q75: float | None = None
    low: float | None = None
    high: float | None = None


def summarise(values: Sequence[float], config: StatisticsConfig) -> Summary:
    """Sums up one score of many cases.

    Args:
      values: A number per case, NaN for none.
      config: Level, draws and seed of the interval.
    """
    array = np.asarray(values, np.float64)
    known = array[~np.isnan(array)]
    if not len(known):
        return Summary(n=0, n_nan=len(array))
    q25, median, q75 = np.percentile(known, [25, 50, 75]).tolist()
    low, high = mean_interval(known, config)
    return Summary(
        n=len(known),
        n_nan=len(array) - len(known),
        mean=float(np.mean(known)),
        median=median,
        std=float(np.std(known)),
        q25=q25,
        q75=q75,
        low=low,
        high=high,
    )


def mean_interval(
    values: NDArray[np.float64], config: StatisticsConfig
) -> tuple[float | None, float | None]:
    """Bootstrap interval of the mean, by percentiles; None and None of fewer than two values.

    Percentiles stay within the values, and exist where all are the same, which is usual for a dice
    of 1; the BCa interval does not then (its acceleration is 0 / 0).
    """
    if len(values) < 2:
        return None, None
    interval = bootstrap(
        (values,),
        np.mean,
        n_resamples=config.resamples,
        batch=max(1, DRAWN_AT_ONCE // len(values)),
        confidence_level=config.level,
        method="percentile",
        random_state=np.random.default_rng(config.seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)
