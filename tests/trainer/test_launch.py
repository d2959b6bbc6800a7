"""Trainings in several worker processes of this machine, for real, and how they end."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from trainer.batches import RecordInfo
from trainer.checkpoints import read
from trainer.config import TrainerConfig, ValidationConfig
from trainer.job import TrainingJob, read_job
from trainer.launch import launch, run_job
from trainer.loss.config import LossConfig
from trainer.model_config import ModelConfig
from trainer.progress import read_history
from trainer.run_folder import RunFolder
from trainer.staging import StagedCase
from trainer.tracking_config import TrackingConfig

# No bias before a norm: its gradient is rounding noise, which Adam would make a full step of.
NETWORK = ModelConfig(rank=2, in_channels=1, classes=1, filters=(2, 4), conv_bias=False)
CONFIG = TrainerConfig(
    tracking=TrackingConfig(image_steps=0),
    samples=24,
    batch_size=2,
    crop=(8, 8),
    loss=LossConfig(name="ce"),
    learning_rate=1e-2,
    checkpoint_steps=2,
    log_steps=2,
    strategy="one-device",
    validation=ValidationConfig(share=0.25, every_steps=3),
)
STRATEGIES = [
    pytest.param("multi-worker", marks=pytest.mark.distributed),
    pytest.param(
        "horovod",
        marks=[
            pytest.mark.horovod,
            pytest.mark.skipif(
                importlib.util.find_spec("horovod") is None, reason="Horovod is not installed"
            ),
        ],
    ),
]
Jobs = Callable[..., TrainingJob]


@pytest.fixture
def job(tmp_path: Path, photographs: list[StagedCase], photograph_info: RecordInfo) -> Jobs:
    """A function: changes of the config -> a job in a folder of its own."""

    def make(name: str, **changes: object) -> TrainingJob:
        return TrainingJob(
            cases=tuple(photographs),
            info=photograph_info,
            model=NETWORK,
            config=replace(CONFIG, **changes),
            folder=RunFolder(path=tmp_path / name, title="Trainer-fold-2"),
        )

    return make


def weights(network: keras.Model) -> list[np.ndarray]:
    return [np.asarray(w) for w in network.weights]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_workers_train_what_one_does(job: Jobs, strategy: str, caplog) -> None:
    """Batches of 2 on two workers are batches of 4 on one; 24 samples are 6 steps."""
    caplog.set_level("INFO")
    two = job("two", workers=2, strategy=strategy)
    found = weights(run_job(two))
    one = job("one", batch_size=4)
    for a, b in zip(found, weights(run_job(one)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)

    histories = [read_history(j.folder.logs) for j in (two, one)]
    assert [r["step"] for r in histories[0]] == [2, 3, 4, 6, 6]
    for ours, theirs in zip(*histories, strict=True):
        shared = set(ours) - {"steps_per_second", "crops_per_second"}
        assert {k: ours[k] for k in shared} == pytest.approx({k: theirs[k] for k in shared}, 1e-4)
    names = sorted(p.name for p in two.folder.checkpoints.iterdir())
    assert names == ["best.npz", "samples-000000000016.npz", "samples-000000000024.npz"]


@pytest.mark.slow
@pytest.mark.distributed
def test_worker_that_dies_ends_all_and_is_named(job: Jobs) -> None:
    """Worker 1 is killed when it has made its first step; worker 0 would wait for it for ever."""
    training = job("dies", workers=2, strategy="multi-worker", samples=4000)
    script = (
        "import json, os, signal, sys\n"
        "from trainer import progress, worker\n"
        "rank = json.loads(os.environ['TF_CONFIG'])['task']['index']\n"
        "def step(self, number, values):\n"
        "    if rank == 1:\n"
        "        print('about to die', flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "progress.Progress.step = step\n"
        "worker.main()\n"
    )
    training.write(training.folder.path / "job.json")
    command = [sys.executable, "-c", script, str(training.folder.path / "job.json")]
    with pytest.raises(RuntimeError) as e:
        launch(command, training)
    message = str(e.value)
    assert message.startswith(
        "Trainer-fold-2 worker 1 died (signal SIGKILL), all workers were ended"
    )
    assert "about to die" in message
    left = subprocess.run(["pgrep", "-f", str(training.folder.path)], check=False)
    assert left.returncode == 1  # no process is left


@pytest.mark.slow
@pytest.mark.distributed
def test_sigterm_saves_and_the_same_job_goes_on(job: Jobs, tmp_path: Path) -> None:
    """Two workers of a launched training; the weights are those of an undisturbed one."""
    changes = {"workers": 2, "strategy": "multi-worker", "checkpoint_steps": 1000, "samples": 120}
    training = job("preempted", **changes)
    training.write(tmp_path / "job.json")
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from trainer.job import read_job\n"
        "from trainer.launch import run_job\n"
        "run_job(read_job(Path(sys.argv[1])))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "job.json")]
    history = training.folder.logs / "history.jsonl"
    with subprocess.Popen(command, start_new_session=True) as process:
        while not (history.exists() and len(history.read_text().splitlines()) > 3):
            assert process.poll() is None
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(timeout=120) == 128 + signal.SIGTERM
    [saved] = training.folder.checkpoints.glob("samples-*.npz")
    assert 0 < int(read(saved)["samples"]) < 120

    resumed = weights(run_job(training))
    undisturbed = weights(run_job(job("undisturbed", **changes)))
    for a, b in zip(resumed, undisturbed, strict=True):
        np.testing.assert_array_equal(a, b)


def test_job_survives_its_file(job: Jobs, tmp_path: Path) -> None:
    one = job("x", workers=2, strategy="horovod")
    one.write(tmp_path / "job.json")
    assert read_job(tmp_path / "job.json") == one


@pytest.mark.skipif(importlib.util.find_spec("horovod") is not None, reason="Horovod is there")
def test_missing_horovod_is_told(job: Jobs) -> None:
    with pytest.raises(
        ValueError, match="needs the Python package horovod, it is missing: install"
    ):
        run_job(job("x", workers=2, strategy="horovod"))
