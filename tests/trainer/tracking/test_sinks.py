"""Sinks that fail: before the first step that is an error, after it a warning."""

import json
import logging
from pathlib import Path

import pytest

from trainer.run_folder import RunFolder
from trainer.tracking import sinks
from trainer.tracking.run_ids import read_run_id, write_run_id
from trainer.tracking.sinks import Forgiving, remote_sinks
from trainer.tracking_config import TrackingConfig


class Service:
    """A sink that keeps what it takes, and fails at step 3."""

    def __init__(self, *_: object, resumed: bool = False):
        self.taken: list[object] = [resumed]

    def write(self, number: int, scalars: dict[str, float]) -> None:
        if number == 3:
            raise ConnectionError("no route")
        self.taken.append((number, scalars))

    def close(self, error: BaseException | None) -> None:
        self.taken.append(error)


class Refusing:
    def __init__(self, *_: object, resumed: bool):
        raise PermissionError("no such account")


def test_failing_sink_is_warned_of_once_and_left_alone(caplog) -> None:
    service = Service()
    sink = Forgiving(service, "mlflow")
    for number in range(2, 6):
        sink.write(number, {"loss": 1.0})
    sink.close(None)
    assert service.taken == [False, (2, {"loss": 1.0})]
    [line] = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert line.startswith("mlflow did not take the report of step 3, and gets no more of this run")
    assert "ConnectionError: no route" in line and "history file" in line


def test_end_is_passed_on_and_may_fail(caplog, monkeypatch) -> None:
    service, error = Service(), KeyboardInterrupt()
    sink = Forgiving(service, "wandb")
    sink.close(error)
    assert service.taken == [False, error]
    monkeypatch.setattr(service, "close", lambda _: 1 / 0)
    sink.close(None)
    assert caplog.messages[0].startswith("wandb did not take the end, and")


def test_only_what_is_asked_for_is_opened(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sinks, "MlflowSink", Service)
    monkeypatch.setattr(sinks, "WandbSink", Refusing)
    folder = RunFolder(path=tmp_path)
    assert remote_sinks(TrackingConfig(), folder, {}, resumed=False) == []
    [sink] = remote_sinks(TrackingConfig(mlflow="scans"), folder, {}, resumed=True)
    assert isinstance(sink, Forgiving)


def test_sink_that_cannot_be_opened_is_an_error_and_closes_the_others(
    monkeypatch, tmp_path: Path
) -> None:
    service = Service()
    monkeypatch.setattr(sinks, "MlflowSink", lambda *_, resumed: service)
    monkeypatch.setattr(sinks, "WandbSink", Refusing)
    config = TrackingConfig(mlflow="scans", wandb="scans")
    message = (
        r"^trainer\.tracking\.wandb 'scans' must take reports, and does not \(PermissionError: no"
        r" such account\): look at its address and account, or leave the option empty$"
    )
    with pytest.raises(RuntimeError, match=message):
        remote_sinks(config, RunFolder(path=tmp_path), {}, resumed=False)
    assert isinstance(service.taken[-1], PermissionError)


def test_ids_of_several_services_are_kept(tmp_path: Path) -> None:
    folder = RunFolder(path=tmp_path)
    assert read_run_id(folder, "mlflow scans") is None
    write_run_id(folder, "mlflow scans", "a")
    write_run_id(folder, "wandb scans", "b")
    write_run_id(folder, "mlflow scans", "c")
    assert read_run_id(folder, "mlflow scans") == "c"
    assert json.loads(folder.run_ids.read_text()) == {"mlflow scans": "c", "wandb scans": "b"}
