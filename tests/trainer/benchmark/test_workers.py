"""A training that is timed in two worker processes, for real."""

from pathlib import Path

import pytest

from trainer.benchmark.plan import BenchmarkPlan
from trainer.benchmark.run import run_benchmark
from trainer.config import InferenceConfig, TrainerConfig
from trainer.loss.config import LossConfig
from trainer.model_config import ModelConfig


@pytest.mark.slow
@pytest.mark.distributed
def test_two_workers_are_one_benchmark(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    config = {"batch_size": 2, "crop": (8, 8), "loss": LossConfig(name="ce")}
    plan = BenchmarkPlan(
        kind="train",
        model=ModelConfig(rank=2, in_channels=1, classes=1, filters=(2, 4)),
        trainer=TrainerConfig(samples=4, workers=2, strategy="multi-worker", **config),
        inference=InferenceConfig(window=(8, 8)),
        steps=3,
        warmup_steps=1,
    )
    found = run_benchmark(plan)
    train = found["measured"]["train"]
    assert (found["workers"], found["replicas"], found["strategy"]) == (2, 2, "multi-worker")
    assert (train["steps"], train["samples_per_step"], train["samples"]) == (3, 4, 12)
    assert found["config"]["trainer"]["samples"] == (3 + 1) * 4
    assert not list(tmp_path.iterdir())  # nothing is left
