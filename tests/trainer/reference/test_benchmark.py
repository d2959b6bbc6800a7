"""The figures of a benchmark of four steps, by hand."""

import re
from math import sqrt

import pytest

from trainer.reference.benchmark import benchmark_keys

SECONDS = [0.1, 0.2, 0.3, 0.4]


def test_figures_of_four_steps_of_two_samples() -> None:
    error = sqrt((150**2 + 50**2 + 50**2 + 150**2) / 4) / sqrt(4)  # population deviation / sqrt(n)
    expected = {
        "samples_per_second_train": 8 / 1.0,
        "throughput_train": (20 + 10 + 20 / 3 + 5) / 4,
        "latency_train_mean": 250,
        "latency_train_90": 370,  # 0.9 * 3 = 2.7: between 300 and 400
        "latency_train_95": 385,
        "latency_train_99": 397,
        "latency_train:": 250,
        "Latency_train 90%:": 250 + 1.645 * error,
        "Latency_train 95%:": 250 + 1.960 * error,
        "Latency_train 99%:": 250 + 2.576 * error,
    }
    made = benchmark_keys(SECONDS, samples=2, mode="train")
    assert made == pytest.approx(expected)
    assert made["throughput_train"] > made["samples_per_second_train"]


def test_predict_is_called_test() -> None:
    made = benchmark_keys([0.5], samples=1, mode="test")
    assert made["throughput_test"] == made["samples_per_second_test"] == 2
    assert made["Latency_test 99%:"] == made["latency_test_99"] == 500


def test_published_bounds_follow_from_one_error() -> None:
    """(90 % - mean) / 1.645 = (99 % - mean) / 2.576, as in NVIDIA's tables of June 2020."""
    made = benchmark_keys(SECONDS, samples=1, mode="test")
    bounds = [made[f"Latency_test {p}%:"] - made["latency_test:"] for p in (90, 99)]
    assert bounds[0] / 1.645 == pytest.approx(bounds[1] / 2.576)


@pytest.mark.parametrize("seconds", [[], [0.1, 0.0]])
def test_steps_must_have_durations(seconds: list[float]) -> None:
    message = f"seconds must be durations above 0 of at least one step, got {seconds}"
    with pytest.raises(ValueError, match=re.escape(message)):
        benchmark_keys(seconds, samples=1, mode="train")
