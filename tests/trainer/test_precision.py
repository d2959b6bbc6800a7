"""The same small problem learned in each precision: the dice of patients that were kept out."""

from dataclasses import replace
from pathlib import Path

import pytest

from trainer.config import TrainerConfig, ValidationConfig
from trainer.loop import train
from trainer.model_config import ModelConfig
from trainer.progress import read_history
from trainer.run_folder import RunFolder
from trainer.tracking_config import TrackingConfig

NETWORK = ModelConfig(rank=3, in_channels=2, classes=3, filters=(4, 8))
CONFIG = TrainerConfig(
    tracking=TrackingConfig(image_steps=0),
    samples=240,
    batch_size=2,
    crop=(8, 8, 8),
    learning_rate=1e-2,
    validation=ValidationConfig(share=0.3, mode="whole", every_steps=120),
    checkpoint_steps=120,
)


@pytest.fixture(scope="module")
def learn(tmp_path_factory, volumes, volume_info):
    """A function: changes of the config -> the last report of the training."""

    def last_report(**changes: object) -> dict[str, float]:
        folder = RunFolder(path=Path(tmp_path_factory.mktemp("run")))
        train(volumes, volume_info, NETWORK, replace(CONFIG, **changes), folder)
        reports = read_history(folder.logs)
        return {k: v for report in reports for k, v in report.items()}

    return last_report


@pytest.fixture(scope="module")
def in_float32(learn) -> dict[str, float]:
    report = learn()
    assert report["validation_dice"] > 0.8
    return report


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "bfloat16"},
        {"precision": "float16"},
        {"xla": True},
    ],
    ids=lambda changes: ",".join(f"{k}={v}" for k, v in changes.items()),
)
def test_every_precision_learns_the_same(learn, in_float32, changes) -> None:
    report = learn(**changes)
    assert report["validation_dice"] == pytest.approx(in_float32["validation_dice"], abs=0.05)
    assert ("skipped_steps" in report) == (changes.get("precision") == "float16")
