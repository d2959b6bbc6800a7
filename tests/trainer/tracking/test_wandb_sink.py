"""W&B's runs, offline: what its own library wrote to its files."""

import json
import time
from pathlib import Path

import pytest

from trainer.run_folder import RunFolder
from trainer.tracking.wandb_sink import WandbSink
from trainer.tracking_config import TrackingConfig

pytestmark = pytest.mark.slow
CONFIG = TrackingConfig(wandb="scans")
MANIFEST = {"title": "Trainer-fold-0", "trainer": {"samples": 16}, "seed": 3}


def records(path: Path, kind: str) -> list:
    """What the file of a finished run holds of one kind."""
    [file] = path.glob("wandb/offline-run-*/*.wandb")
    deadline = time.monotonic() + 60  # W&B's service writes on when `finish` has returned
    while not (found := _scan(file)).get("exit"):
        assert time.monotonic() < deadline, f"{file} has no exit record, but {list(found)}"
        time.sleep(0.1)
    return found.get(kind, [])


def _scan(file: Path) -> dict[str, list]:
    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal.datastore import DataStore

    store, found = DataStore(), {}
    store.open_for_scan(str(file))
    while (data := store.scan_data()) is not None:
        record = wandb_internal_pb2.Record.FromString(data)
        kind = record.WhichOneof("record_type")
        found.setdefault(kind, []).append(getattr(record, kind))
    return found


def history(path: Path) -> list[dict[str, float]]:
    """Reports, with W&B's own step."""
    reports = [
        {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in h.item}
        for h in records(path, "history")
    ]
    return [{k: r[k] for k in ("_step", "loss")} for r in reports]


@pytest.mark.usefixtures("services")
def test_run_has_the_manifest_as_its_config_and_the_scalars(tmp_path: Path) -> None:
    folder = RunFolder(path=tmp_path, title="Trainer-fold-0")
    sink = WandbSink(CONFIG, folder, MANIFEST, resumed=False)
    sink.write(2, {"loss": 1.5})
    sink.write(4, {"loss": 0.5})
    sink.close(None)
    [run] = records(tmp_path, "run")
    config = {u.key: json.loads(u.value_json) for u in run.config.update}
    assert {name: config[name] for name in MANIFEST} == MANIFEST
    assert (run.project, run.display_name) == ("scans", "Trainer-fold-0")
    assert json.loads(folder.run_ids.read_text()) == {"wandb scans": run.run_id}
    assert history(tmp_path) == [{"_step": 2, "loss": 1.5}, {"_step": 4, "loss": 0.5}]
    assert [e.exit_code for e in records(tmp_path, "exit")] == [0]


@pytest.mark.usefixtures("services")
def test_resumed_training_has_the_id_of_its_run_and_a_new_one_has_not(
    tmp_path: Path, monkeypatch
) -> None:
    """W&B keeps a file for each time; `wandb sync` makes one run of what has one id."""
    folder, ids = RunFolder(path=tmp_path), []
    for name, resumed in (("first", False), ("second", True), ("third", False)):
        monkeypatch.setenv("WANDB_DIR", str(tmp_path / name))
        (tmp_path / name).mkdir()
        sink = WandbSink(CONFIG, folder, MANIFEST, resumed=resumed)
        sink.close(ValueError("x"))
        [run] = records(tmp_path / name, "run")
        ids.append(run.run_id)
        assert [e.exit_code for e in records(tmp_path / name, "exit")] == [1]
    assert ids[0] == ids[1] != ids[2]
