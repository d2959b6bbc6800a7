"""What a benchmark refuses to measure."""

import re
from dataclasses import replace

import pytest

from trainer.benchmark.plan import BenchmarkPlan
from trainer.config import InferenceConfig, TrainerConfig
from trainer.model_config import ModelConfig

PLAN = BenchmarkPlan(
    kind="train",
    model=ModelConfig(rank=2, in_channels=1, classes=2, filters=(2, 4)),
    trainer=TrainerConfig(samples=2, batch_size=2, crop=(8, 8)),
    inference=InferenceConfig(window=(8, 8)),
)
TWO_WORKERS = replace(PLAN.trainer, samples=4, workers=2, strategy="multi-worker")


def test_image_is_as_large_as_the_crop_unless_a_size_is_given() -> None:
    assert PLAN.image_size == (8, 8)
    assert replace(PLAN, kind="infer", size=(10, 12)).image_size == (10, 12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "fly"}, "what to measure must be one of train, infer, input, got 'fly'"),
        ({"steps": 0}, "--steps must be above 0, got 0"),
        ({"warmup_steps": 0}, "--warmup must be above 0: the first step builds the graph, got 0"),
        ({"whole_cases": -1}, "--whole-cases must be 0 or more, got -1"),
        ({"size": (8, 8)}, "--size must be left out: trainer.crop is the size, got [8, 8]"),
        ({"kind": "infer", "size": (9, 8)}, "--size [9, 8] does not suit the network"),
        ({"kind": "infer", "size": (8,)}, "--size [8] does not suit the network"),
        (
            {"kind": "input", "trainer": TWO_WORKERS},
            "trainer.workers must be 1: 'input' runs in one process, got 2",
        ),
        (
            {"model": replace(PLAN.model, in_channels=0)},
            "model.in_channels must be above 0 where no run's records tell it, got 0",
        ),
    ],
)
def test_what_cannot_be_measured_is_told(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(PLAN, **changes)


def test_training_may_have_workers() -> None:
    assert replace(PLAN, trainer=TWO_WORKERS).trainer.workers == 2
