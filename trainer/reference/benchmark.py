"""The figures of a benchmark under the keys that the references print, true ones beside theirs."""

from collections.abc import Sequence
from typing import Literal

from trainer.benchmark.figures import BOUNDS, figures


def benchmark_keys(
    seconds: Sequence[float], *, samples: int, mode: Literal["train", "test"]
) -> dict[str, float]:
    """The keys of a benchmark. How theirs differ from ours: see `trainer.benchmark.figures`.

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
    found = figures(seconds, samples=samples)
    ours, theirs = found["latency_ms"], found["references"]["latency_ms"]
    return {
        f"samples_per_second_{mode}": found["samples_per_s"],
        f"throughput_{mode}": found["references"]["samples_per_s"],
        f"latency_{mode}_mean": ours["mean"],
        **{f"latency_{mode}_{p}": ours[f"p{p}"] for p in BOUNDS},
        f"latency_{mode}:": theirs["mean"],
        **{f"Latency_{mode} {p}%:": theirs[f"p{p}"] for p in BOUNDS},
    }
