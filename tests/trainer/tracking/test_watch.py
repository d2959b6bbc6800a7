"""A training that is watched in all ways, killed and resumed, against one that nobody watches."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.config import TrainerConfig, ValidationConfig
from trainer.loop import train
from trainer.loss.config import LossConfig
from trainer.model_config import ModelConfig
from trainer.optimizer_config import OptimizerConfig
from trainer.progress import Progress, read_history
from trainer.run_folder import RunFolder
from trainer.tracking_config import TrackingConfig

NETWORK = ModelConfig(
    **{"rank": 2, "in_channels": 1, "classes": 1, "filters": (2, 4)},
    **{"norm": "batch", "dropout": 0.5, "padding": "valid", "downsample": "max-pool"},
)
CONFIG = TrainerConfig(
    samples=16,
    batch_size=2,
    crop=(20, 20),
    loss=LossConfig(name="ce"),
    optimizer=OptimizerConfig(ema_decay=0.9),
    checkpoint_steps=3,
    log_steps=2,
    validation=ValidationConfig(share=0.25, every_steps=4),
    tracking=TrackingConfig(image_steps=0),
)
ALL = TrackingConfig(image_steps=3, graph=True, profile_steps=(2, 3), mlflow="x", wandb="x")


@dataclass(frozen=True, kw_only=True)
class Both:
    """Networks and folders of the two trainings; the tracked one crashed in step 5."""

    plain: keras.Model
    tracked: keras.Model
    plain_folder: RunFolder
    folder: RunFolder


@pytest.fixture(scope="module")
def both(services: Path, photographs, photograph_info) -> Both:
    plain_folder = RunFolder(path=services / "plain")
    folder = RunFolder(path=services / "tracked", title="Trainer-fold-0")
    plain = train(photographs, photograph_info, NETWORK, CONFIG, plain_folder)
    arguments = (photographs, photograph_info, NETWORK, replace(CONFIG, tracking=ALL), folder)
    original = Progress.step

    def crash(self: Progress, number: int, values: dict[str, float]) -> None:
        if number == 5:
            raise KeyboardInterrupt
        original(self, number, values)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Progress, "step", crash)
        train(*arguments)
    tracked = train(*arguments)
    train(*arguments)  # it is finished: nothing happens
    return Both(plain=plain, tracked=tracked, plain_folder=plain_folder, folder=folder)


def tags(folder: RunFolder) -> dict[str, set[int]]:
    """TensorBoard's tag -> its steps."""
    found: dict[str, set[int]] = {}
    for path in folder.logs.glob("events.*"):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            for value in event.summary.value:
                found.setdefault(value.tag, set()).add(event.step)
            if event.graph_def:
                found.setdefault("graph", set()).add(event.step)
    return found


@pytest.mark.slow
def test_watching_does_not_change_the_weights(both: Both) -> None:
    for one, other in zip(both.tracked.variables, both.plain.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(one.value), np.asarray(other.value))
    names = ("samples-000000000016.npz", "best.npz")
    for name in names:
        pair = [np.load(f.checkpoints / name) for f in (both.folder, both.plain_folder)]
        assert pair[0].files == pair[1].files
        for key in set(pair[0].files) - {"record"}:
            np.testing.assert_array_equal(pair[0][key], pair[1][key])


@pytest.mark.slow
def test_all_that_was_asked_for_is_there_and_else_nothing(both: Both) -> None:
    """Pictures at 3, at 6 and after the last step; validations at 4 and 8; 2 and 3 are profiled."""
    shown = tags(both.folder)
    assert shown["prediction"] == {3, 6, 8} and shown["graph"] == {0}
    assert shown["loss"] == {2, 4, 6, 8} and shown["validation_dice/1"] == {4, 8}
    assert list(both.folder.logs.glob("plugins/profile/*/*.xplane.pb"))
    assert not {"prediction", "graph"} & set(tags(both.plain_folder))
    assert {p.name for p in both.plain_folder.path.iterdir()} == {
        *("checkpoints", "logs", "manifest.json")
    }


@pytest.mark.slow
def test_services_have_one_run_with_the_scalars_of_the_history(both: Both) -> None:
    from mlflow.tracking import MlflowClient

    ids = json.loads(both.folder.run_ids.read_text())
    [run_id] = [value for key, value in ids.items() if key.startswith("mlflow x ")]
    client = MlflowClient()
    [run] = client.search_runs([client.get_experiment_by_name("x").experiment_id])
    assert run.info.run_id == run_id and run.info.status == "FINISHED"
    assert run.data.params["trainer.loss.name"] == "ce" and run.data.params["data.cases"] == "4"
    assert [a.path for a in client.list_artifacts(run_id)] == ["manifest.json"]
    for name in ("loss", "learning_rate", "validation_dice/1"):
        history = {r["step"]: r[name] for r in read_history(both.folder.logs) if name in r}
        taken = {m.step: m.value for m in client.get_metric_history(run_id, name)}
        assert taken == history and len(taken) >= 2
    files = list(both.folder.path.glob(f"wandb/offline-run-*-{ids['wandb x']}/*.wandb"))
    assert len(files) == 2  # of the run that crashed, and of the one that went on


@pytest.mark.slow
def test_manifest_notes_the_one_resumption(both: Both) -> None:
    manifest = json.loads(both.folder.manifest.read_text())
    [again] = manifest["resumed"]
    assert again["after_step"] == 3 and again["different"] == {}
    assert manifest["trainer"]["tracking"]["image_steps"] == 3
    assert json.loads(both.plain_folder.manifest.read_text())["resumed"] == []


def test_missing_library_is_told_before_the_training(
    photographs, photograph_info, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("trainer.tracking_config._is_installed", lambda _: False)
    config = replace(CONFIG, tracking=TrackingConfig(wandb="scans"))
    with pytest.raises(ValueError, match=r"^trainer\.tracking\.wandb 'scans' needs the Python"):
        train(photographs, photograph_info, NETWORK, config, RunFolder(path=tmp_path))
    assert not list(tmp_path.iterdir())


def test_service_that_does_not_answer_is_told_before_the_first_step(
    photographs, photograph_info, tmp_path: Path, services: Path
) -> None:
    tracking = TrackingConfig(mlflow="x", mlflow_uri="nonsense://host")
    config = replace(CONFIG, tracking=tracking)
    with pytest.raises(RuntimeError, match=r"^trainer\.tracking\.mlflow 'x' must take reports"):
        train(photographs, photograph_info, NETWORK, config, RunFolder(path=tmp_path))
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("rank", [2, 3])
def test_without_validation_a_crop_of_the_step_is_drawn(request, rank: int, tmp_path) -> None:
    """Augmented as the network saw it. The picture is as high as the crop, enlarged to 256."""
    names = ("photographs", "photograph_info") if rank == 2 else ("volumes", "volume_info")
    cases, info = (request.getfixturevalue(name) for name in names)
    network = ModelConfig(rank=rank, in_channels=info.channels, classes=rank, filters=(2, 4))
    config = replace(
        CONFIG,
        samples=2,
        crop=(8,) * rank,
        loss=LossConfig(),
        validation=ValidationConfig(),
        tracking=TrackingConfig(image_steps=1),
    )
    folder = RunFolder(path=tmp_path)
    train(cases, info, network, config, folder)
    pictures = [
        tf.make_ndarray(value.tensor)
        for path in folder.logs.glob("events.*")
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
        for value in tf.compat.v1.Event.FromString(record).summary.value
        if value.tag == "prediction"
    ]
    assert [p.tolist()[:2] for p in pictures] == [[b"776", b"256"]]
