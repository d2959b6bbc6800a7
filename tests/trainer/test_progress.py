"""What a training reports: means, files, log lines, and an error where the loss is no number."""

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from trainer import progress as module
from trainer.progress import HISTORY, History, Progress, read_history

NAMES = {"loss", "gradient_norm", "learning_rate", "steps_per_second", "crops_per_second"}


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Progress]:
    """A function that starts a training of 5 steps, reported every 2."""

    def make(**changes: int) -> Progress:
        options = {"steps": 5, "start": 0, "every": 2, "crops_per_step": 4} | changes
        sinks = [History(tmp_path / "logs", start=options["start"])]
        return Progress("Trainer-fold-0", sinks=sinks, **options)

    return make


def take(progress: Progress, losses: list[float], first: int = 1) -> None:
    for number, loss in enumerate(losses, first):
        progress.step(number, values(loss))
    progress.close()


def values(loss: float) -> dict[str, float]:
    return {"loss": loss, "gradient_norm": 2 * loss, "learning_rate": 0.1}


def history(tmp_path: Path) -> list[tuple[int, float]]:
    return [(r["step"], r["loss"]) for r in read_history(tmp_path / "logs")]


def test_reports_means_every_so_many_steps_and_at_the_last(tmp_path: Path, start) -> None:
    take(start(), [4.0, 2.0, 1.0, 2.0, 0.5])
    assert history(tmp_path) == [(2, 3.0), (4, 1.5), (5, 0.5)]
    for report in read_history(tmp_path / "logs"):
        assert report["gradient_norm"] == 2 * report["loss"] and report["learning_rate"] == 0.1
        assert report["crops_per_second"] == pytest.approx(4 * report["steps_per_second"])
        assert report["steps_per_second"] > 0


def test_validations_and_what_is_skipped_do_not_count_in_the_rates(
    tmp_path: Path, start, monkeypatch
) -> None:
    """Steps take 1 s, a validation after the first one 10 s, a picture after the second one 5 s."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    progress = start(every=3, steps=3)
    for number, after in enumerate((10.0, 5.0, 0.0), 1):
        now[0] += 1
        progress.step(number, values(1.0))
        now[0] += after
        progress.note(number, {}) if number == 1 else progress.skip_time()
    reports = [r for r in read_history(tmp_path / "logs") if "loss" in r]
    assert [r["steps_per_second"] for r in reports] == [1.0]


def test_sinks_are_told_how_it_ended() -> None:
    told: list[object] = []

    class Sink:
        def write(self, number: int, scalars: dict[str, float]) -> None:
            told.append((number, scalars["loss"]))

        def close(self, error: BaseException | None) -> None:
            told.append(error)

    progress = Progress("x", steps=1, start=0, sinks=[Sink()] * 2, every=1, crops_per_step=1)
    progress.step(1, values(3.0))
    error = KeyboardInterrupt()
    progress.close(error)
    assert told == [(1, 3.0), (1, 3.0), error, error]


def test_resumed_training_goes_on_with_the_history_up_to_its_step(tmp_path: Path, start) -> None:
    take(start(), [4.0, 2.0, 1.0, 2.0])
    take(start(start=3), [8.0, 6.0], first=4)
    assert history(tmp_path) == [(2, 3.0), (4, 8.0), (5, 6.0)]


def test_history_of_the_step_that_is_resumed_at_stays(tmp_path: Path, start) -> None:
    take(start(), [4.0, 2.0, 1.0, 2.0])
    take(start(start=4), [6.0], first=5)
    assert history(tmp_path) == [(2, 3.0), (4, 1.5), (5, 6.0)]


def test_new_training_starts_an_empty_history(tmp_path: Path, start) -> None:
    take(start(), [4.0, 2.0])
    start()
    assert (tmp_path / "logs" / HISTORY).read_text() == ""


def test_history_is_one_json_object_per_line(tmp_path: Path, start) -> None:
    take(start(), [4.0, 2.0, 1.0])
    [line] = (tmp_path / "logs" / HISTORY).read_text().splitlines()
    assert set(json.loads(line)) == NAMES | {"step"}


def test_notes_stand_beside_the_reports_and_nan_is_null(tmp_path: Path, start) -> None:
    progress = start()
    progress.note(3, {"validation_dice": 0.5, "validation_dice/1": float("nan")})
    progress.close()
    found = read_history(tmp_path / "logs")
    assert found == [{"step": 3, "validation_dice": 0.5, "validation_dice/1": None}]


def test_other_workers_than_the_chief_report_nothing(tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.INFO)
    progress = Progress("x", steps=2, start=0, every=1, crops_per_step=1, sinks=[])
    take(progress, [1.0, 2.0])
    progress.note(2, {"validation_dice": 0.5})
    assert caplog.messages == [] and not list(tmp_path.iterdir())


def test_no_history_is_an_empty_list(tmp_path: Path) -> None:
    assert read_history(tmp_path) == []


def test_log_has_plain_lines_where_there_is_no_terminal(start, caplog, capsys) -> None:
    with caplog.at_level(logging.INFO, "trainer.progress"):
        take(start(), [4.0, 2.0, 1.0])
    [line] = caplog.messages
    assert line.startswith("Trainer-fold-0: step 2 of 5, loss 3.0000, ")
    assert "steps/s" in line and line.endswith(" s left")
    assert capsys.readouterr().err == ""


def test_terminal_shows_a_bar_and_no_lines(start, caplog, capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with caplog.at_level(logging.INFO, "trainer.progress"):
        take(start(start=1), [4.0, 2.0, 1.0, 3.0], first=2)
    shown = capsys.readouterr().err
    assert caplog.messages == []
    assert "Trainer-fold-0: " in shown
    assert "1/5" in shown and "5/5" in shown and "loss=1.5000" in shown
