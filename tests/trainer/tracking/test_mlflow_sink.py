"""MLflow's runs, in a real store in a file."""

import json
from pathlib import Path

import pytest

from trainer.run_folder import RunFolder
from trainer.tracking.mlflow_sink import MlflowSink, flat
from trainer.tracking_config import TrackingConfig

pytestmark = pytest.mark.slow
CONFIG = TrackingConfig(mlflow="scans")
MANIFEST = {
    "model": {"filters": [2, 4]},
    "trainer": {"loss": {"name": "dice", "options": "x" * 900}, "samples": 16},
    "data": {"cases": 3},
    "strategy": {"workers": 1},
    "code": {"version": "0.1.0", "revision": "abc", "dirty": False},
}


@pytest.fixture(scope="module")
def client(services: Path):
    from mlflow.tracking import MlflowClient

    return MlflowClient()


@pytest.fixture
def folder(tmp_path: Path, client) -> RunFolder:
    found = RunFolder(path=tmp_path, title="Trainer-fold-0")
    found.manifest.write_text(json.dumps(MANIFEST))
    return found


def opened(folder: RunFolder, *, resumed: bool = False) -> MlflowSink:
    return MlflowSink(CONFIG, folder, MANIFEST, resumed=resumed)


def run_ids(folder: RunFolder) -> list[str]:
    return list(json.loads(folder.run_ids.read_text()).values())


def test_run_has_parameters_metrics_and_the_manifest(
    folder: RunFolder, client, tmp_path: Path
) -> None:
    sink = opened(folder)
    sink.write(2, {"loss": 1.5, "validation_dice/1": 0.25})
    sink.write(4, {"loss": 0.5})
    sink.close(None)
    [run_id] = run_ids(folder)
    run = client.get_run(run_id)
    assert run.info.run_name == "Trainer-fold-0" and run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == "scans"
    assert run.data.params == {
        "model.filters": "[2, 4]",
        "trainer.loss.name": "dice",
        "trainer.loss.options": "x" * 500,
        "trainer.samples": "16",
        "data.cases": "3",
        "strategy.workers": "1",
    }
    assert run.data.tags["mlflow.source.git.commit"] == "abc"
    losses = client.get_metric_history(run_id, "loss")
    assert sorted((m.step, m.value) for m in losses) == [(2, 1.5), (4, 0.5)]
    assert run.data.metrics["validation_dice/1"] == 0.25
    copy = client.download_artifacts(run_id, "manifest.json", str(tmp_path))
    assert json.loads(Path(copy).read_text()) == MANIFEST


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("x"), "FAILED"), (SystemExit(143), "KILLED")]
)
def test_resumed_training_goes_on_in_its_run(folder, client, error, status) -> None:
    first = opened(folder)
    first.write(1, {"loss": 1.5})
    first.close(error)
    before = run_ids(folder)
    assert client.get_run(before[0]).info.status == status
    second = opened(folder, resumed=True)
    assert run_ids(folder) == before and client.get_run(before[0]).info.status == "RUNNING"
    second.write(2, {"loss": 0.5})
    second.close(None)
    steps = [m.step for m in client.get_metric_history(before[0], "loss")]
    assert sorted(steps) == [1, 2] and client.get_run(before[0]).info.status == "FINISHED"


def test_training_from_the_start_is_a_run_of_its_own(folder: RunFolder) -> None:
    opened(folder).close(None)
    [first] = run_ids(folder)
    opened(folder).close(None)
    assert run_ids(folder) != [first]


def test_deleted_run_is_not_missed(folder: RunFolder, client) -> None:
    opened(folder).close(None)
    [first] = run_ids(folder)
    client.delete_run(first)
    opened(folder, resumed=True).close(None)
    [second] = run_ids(folder)
    assert second != first and client.get_run(second).info.status == "FINISHED"


def test_many_parameters_are_written_in_parts(folder: RunFolder, client) -> None:
    many = MANIFEST | {"model": {f"field_{n}": n for n in range(250)}}
    MlflowSink(CONFIG, folder, many, resumed=False).close(None)
    assert len(client.get_run(run_ids(folder)[0]).data.params) == 255


def test_flat_names_what_is_nested() -> None:
    assert flat({"a": {"b": {"c": 1}}, "d": [1, 2]}) == {"a.b.c": "1", "d": "[1, 2]"}
