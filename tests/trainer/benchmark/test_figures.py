"""The figures of four steps, by hand."""

import re
from math import sqrt

import pytest

from trainer.benchmark.figures import Times, figures, measured

SECONDS = [0.1, 0.2, 0.3, 0.4]
ERROR = sqrt((150**2 + 50**2 + 50**2 + 150**2) / 4) / sqrt(4)
"""Population deviation over the root of n, in ms."""


def test_rates_of_four_steps_of_two_samples() -> None:
    made = figures(SECONDS, samples=2)
    assert (made["steps"], made["samples"]) == (4, 8)
    assert made["seconds"] == pytest.approx(1.0)
    assert made["samples_per_s"] == pytest.approx(8.0)
    assert made["references"]["samples_per_s"] == pytest.approx((20 + 10 + 20 / 3 + 5) / 4)


def test_percentiles_and_the_bounds_of_the_references() -> None:
    made = figures(SECONDS, samples=2)
    ours = {"mean": 250, "min": 100, "max": 400, "p50": 250, "p90": 370, "p95": 385, "p99": 397}
    assert made["latency_ms"] == pytest.approx(ours)  # p90: 0.9 * 3 = 2.7, between 300 and 400
    theirs = {"mean": 250, "p90": 250 + 1.645 * ERROR, "p95": 250 + 1.960 * ERROR}
    theirs["p99"] = 250 + 2.576 * ERROR
    assert made["references"]["latency_ms"] == pytest.approx(theirs)


def test_warm_up_is_in_no_figure() -> None:
    made = measured(Times(seconds=(9.0, 5.0, *SECONDS), warmup_steps=2, samples=2))
    assert {k: v for k, v in made.items() if k in figures(SECONDS, samples=2)} == figures(
        SECONDS, samples=2
    )
    assert made["step_seconds"] == SECONDS
    assert (made["warmup_steps"], made["first_step_s"], made["samples_per_step"]) == (2, 9.0, 2)


@pytest.mark.parametrize("seconds", [[], [0.1, 0.0]])
def test_steps_must_have_durations(seconds: list[float]) -> None:
    message = f"seconds must be durations above 0 of at least one step, got {seconds}"
    with pytest.raises(ValueError, match=re.escape(message)):
        figures(seconds, samples=1)
