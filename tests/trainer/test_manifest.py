"""The manifest: what it says, what it leaves out, and what a resumption adds."""

import json
import platform
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from trainer import manifest as module
from trainer.batches import Part, RecordInfo
from trainer.config import TrainerConfig
from trainer.job import TrainingJob
from trainer.manifest import code, gpu_memory, write_manifest
from trainer.model_config import ModelConfig
from trainer.run_folder import RunFolder
from trainer.staging import StagedCase, data_fingerprint
from trainer.tracking_config import TrackingConfig

ONE = SimpleNamespace(workers=1, rank=0, part=Part())


@pytest.fixture
def job(tmp_path: Path) -> TrainingJob:
    cases = [
        StagedCase(case_id=f"case-{n}", group=f"patient-{n // 2}", sha256=str(n), path="/x")
        for n in range(3)
    ]
    return TrainingJob(
        cases=tuple(cases),
        info=RecordInfo(rank=2, channels=1, foreground="all"),
        model=ModelConfig(rank=2, in_channels=1, classes=1, filters=(2, 4)),
        config=TrainerConfig(samples=8, batch_size=2, crop=(8, 8), seed=5),
        folder=RunFolder(path=tmp_path / "run", title="Trainer-fold-0"),
    )


def written(job: TrainingJob) -> dict:
    return json.loads(job.folder.manifest.read_text())


def test_manifest_says_what_was_trained_with_what_on_what(job: TrainingJob) -> None:
    returned = write_manifest(job, ONE, start=0)
    found = written(job)
    assert found == returned
    assert found["title"] == "Trainer-fold-0" and found["seed"] == 5 and found["resumed"] == []
    assert found["data"] == {"fingerprint": data_fingerprint(job.cases), "cases": 3, "patients": 2}
    assert found["model"]["filters"] == [2, 4] and found["trainer"]["crop"] == [8, 8]
    assert found["strategy"] == {"name": "one-device", "workers": 1, "replicas": 1}
    assert found["code"]["version"] == found["versions"]["unet-tfx"]
    assert {"python", "tensorflow", "keras", "numpy", "tfx"} <= set(found["versions"])
    hardware = found["hardware"]
    assert hardware["processor"] and hardware["cores"] >= 1 and hardware["memory_bytes"] > 2**30
    assert len(found["started"]) == 20 and found["started"].endswith("Z")


def test_manifest_names_no_patient_and_no_machine(job: TrainingJob) -> None:
    tracking = TrackingConfig(mlflow="scans", mlflow_uri="sqlite:////home/someone/runs.db")
    write_manifest(replace(job, config=replace(job.config, tracking=tracking)), ONE, start=0)
    text = job.folder.manifest.read_text()
    assert "scans" in text
    for private in ("case-0", "patient-0", "someone", platform.node()):
        assert private not in text


def test_resumption_keeps_the_first_and_notes_what_is_different(job: TrainingJob) -> None:
    first = write_manifest(job, ONE, start=0)
    write_manifest(job, ONE, start=2)
    other = replace(job, config=replace(job.config, log_steps=1))
    two = SimpleNamespace(workers=2, rank=0, part=Part(replicas=2))
    found = write_manifest(other, two, start=3)
    assert found | {"resumed": []} == first
    one, other_time = found["resumed"]
    assert one["after_step"] == 2 and one["different"] == {}
    assert other_time["after_step"] == 3 and set(other_time["different"]) == {"trainer", "strategy"}
    assert other_time["different"]["strategy"]["workers"] == 2
    assert other_time["different"]["trainer"]["log_steps"] == 1


def test_training_from_the_start_has_a_manifest_of_its_own(job: TrainingJob) -> None:
    write_manifest(job, ONE, start=0)
    write_manifest(replace(job, config=replace(job.config, seed=6)), ONE, start=0)
    assert written(job)["seed"] == 6 and written(job)["resumed"] == []


def test_checkout_has_a_revision_and_may_be_dirty(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        command = ["git", "-C", str(tmp_path), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    (tmp_path / "a.py").write_text("a = 1\n")
    git("add", ".")
    git("commit", "-qm", "one", "--no-verify")
    clean = {"version": code(tmp_path)["version"], "revision": git("rev-parse", "HEAD")}
    (tmp_path / "results.txt").write_text("")
    assert code(tmp_path) == clean | {"dirty": False}
    (tmp_path / "a.py").write_text("a = 2\n")
    assert code(tmp_path) == clean | {"dirty": True}
    (tmp_path / "below").mkdir()
    assert set(code(tmp_path / "below")) == {"version"}


def test_no_git_and_no_driver_is_no_error(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    assert set(code(tmp_path)) == {"version"} and gpu_memory() == []


def test_gpus_are_told_by_the_driver(monkeypatch) -> None:
    lines = "NVIDIA H100 80GB HBM3, 81559 MiB\nNVIDIA H100 80GB HBM3, 81559 MiB\n"
    monkeypatch.setattr(module.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    done = SimpleNamespace(stdout=lines, returncode=0)
    monkeypatch.setattr(module.subprocess, "run", lambda *_, **__: done)
    assert gpu_memory() == ["NVIDIA H100 80GB HBM3, 81559 MiB"] * 2
    done.returncode = 9
    assert gpu_memory() == []
