"""The keys of the references, from figures that tests/trainer/benchmark/test_figures.py has."""

import pytest

from trainer.benchmark.figures import figures
from trainer.reference.benchmark import benchmark_keys

SECONDS = [0.1, 0.2, 0.3, 0.4]


def test_keys_name_the_figures() -> None:
    found = figures(SECONDS, samples=2)
    ours, theirs = found["latency_ms"], found["references"]["latency_ms"]
    made = benchmark_keys(SECONDS, samples=2, mode="train")
    assert made == {
        "samples_per_second_train": pytest.approx(8.0),
        "throughput_train": found["references"]["samples_per_s"],
        "latency_train_mean": ours["mean"],
        "latency_train_90": ours["p90"],
        "latency_train_95": ours["p95"],
        "latency_train_99": ours["p99"],
        "latency_train:": theirs["mean"],
        "Latency_train 90%:": theirs["p90"],
        "Latency_train 95%:": theirs["p95"],
        "Latency_train 99%:": theirs["p99"],
    }
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
