"""Times of steps -> the figures that a benchmark prints, ours and the references'.

Two things differ in the published tables. Their throughput is the mean of the rates of single
steps, which is never below all samples over all time. And what NVIDIA (June 2020), Habana and
Ascend call a percentile is a bound of the mean: mean + z std / sqrt(n).
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import numpy as np

from beam_preprocess.validation import require

BOUNDS: Mapping[int, float] = MappingProxyType({90: 1.645, 95: 1.960, 99: 2.576})
"""Confidence in percent -> z of the references."""


def benchmark_keys(
    seconds: Sequence[float], *, samples: int, mode: Literal["train", "test"]
) -> dict[str, float]:
    """The figures of a benchmark.

    Args:
      seconds: Duration of every step after the warm-up.
      samples: In a step, all workers together.
      mode: `train`, or `test` for predict.

    Returns:
      `samples_per_second_MODE`: all samples over all time, ours.
      `throughput_MODE`: mean of the rates of the steps, theirs, samples per second.
      `latency_MODE_mean`, `latency_MODE_90`, `_95`, `_99`: mean and percentiles in ms (2021).
      `latency_MODE:`, `Latency_MODE 90%:` ...: mean and its bounds in ms (2020).

    Raises:
      ValueError: There is no step, or one without a duration.
    """
    timed = len(seconds) > 0 and min(seconds) > 0
    require(timed, "seconds", list(seconds), "durations above 0 of at least one step")
    ms = 1000 * np.asarray(seconds, np.float64)
    mean, error = float(ms.mean()), float(ms.std() / np.sqrt(ms.size))
    rates = {
        f"samples_per_second_{mode}": samples * ms.size / ms.sum() * 1000,
        f"throughput_{mode}": float(np.mean(1000 * samples / ms)),
    }
    percentiles = {f"latency_{mode}_{p}": float(np.percentile(ms, p)) for p in BOUNDS}
    bounds = {f"Latency_{mode} {p}%:": mean + z * error for p, z in BOUNDS.items()}
    return (
        rates | {f"latency_{mode}_mean": mean} | percentiles | {f"latency_{mode}:": mean} | bounds
    )
