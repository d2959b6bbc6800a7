"""Times of steps -> figures, ours and beside them those of the published tables.

Two things differ in those tables. Their throughput is the mean of the rates of single steps, which
is never below all samples over all time. And what NVIDIA (June 2020), Habana and Ascend call a
percentile is a bound of the mean: mean + z std / sqrt(n).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from beam_preprocess.validation import require

BOUNDS: Mapping[int, float] = MappingProxyType({90: 1.645, 95: 1.960, 99: 2.576})
"""Confidence in percent -> z of the references."""
PERCENTILES = (50, *BOUNDS)


@dataclass(frozen=True, kw_only=True)
class Times:
    """Durations of equal steps, each to its end on the device.

    Attributes:
      seconds: Of every step, those of the warm-up first.
      warmup_steps: How many of them are in no figure.
      samples: In a step, all replicas together.
    """

    seconds: tuple[float, ...]
    warmup_steps: int
    samples: int

    @property
    def timed(self) -> tuple[float, ...]:
        """Seconds of the steps after the warm-up."""
        return self.seconds[self.warmup_steps :]


def figures(seconds: Sequence[float], *, samples: int) -> dict[str, Any]:
    """The figures of a benchmark.

    Args:
      seconds: Duration of every step after the warm-up.
      samples: In a step, all replicas together.

    Returns:
      `steps`, `samples` and `seconds` in all, `samples_per_s`: all samples over all time;
      `latency_ms` of a step: `mean`, `min`, `max`, and the percentiles `p50` to `p99`;
      `references`: `samples_per_s`, the mean of the rates of the steps, and `latency_ms`, with the
      bounds of the mean that they call percentiles.

    Raises:
      ValueError: There is no step, or one without a duration.
    """
    timed = len(seconds) > 0 and min(seconds) > 0
    require(timed, "seconds", list(seconds), "durations above 0 of at least one step")
    ms = 1000 * np.asarray(seconds, np.float64)
    mean, error = float(ms.mean()), float(ms.std() / np.sqrt(ms.size))
    total = float(np.sum(seconds))
    percentiles = {f"p{p}": float(np.percentile(ms, p)) for p in PERCENTILES}
    return {
        "steps": int(ms.size),
        "samples": samples * int(ms.size),
        "seconds": total,
        "samples_per_s": samples * ms.size / total,
        "latency_ms": {"mean": mean, "min": float(ms.min()), "max": float(ms.max())} | percentiles,
        "references": {
            "samples_per_s": float(np.mean(1000 * samples / ms)),
            "latency_ms": {"mean": mean} | {f"p{p}": mean + z * error for p, z in BOUNDS.items()},
        },
    }


def measured(times: Times) -> dict[str, Any]:
    """The figures of the steps after the warm-up, and what they were made from."""
    return {
        "warmup_steps": times.warmup_steps,
        "first_step_s": times.seconds[0],
        "samples_per_step": times.samples,
        **figures(times.timed, samples=times.samples),
        "step_seconds": list(times.timed),
    }
