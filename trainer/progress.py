"""What a training shows: a bar on a terminal, else lines; and the same numbers to all its sinks.

The history file is the sink that every training has. The others are in `trainer.tracking`.
"""

import json
import logging
import math
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from beam_preprocess.atomic import write_text

HISTORY = "history.jsonl"
Scalars = dict[str, float]
_log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where the numbers of a training go."""

    def write(self, number: int, scalars: Scalars) -> None:
        """Takes what was measured after step `number` (1-based)."""

    def close(self, error: BaseException | None) -> None:
        """Takes the end of the training, and what ended it too early, if anything did."""


class History:
    """The sink that `read_history` reads: a file of one JSON object per report.

    Args:
      folder: Of the file.
      start: Steps that are done already. Later ones of the file are done again: they are dropped.
    """

    def __init__(self, folder: Path, *, start: int):
        self._path = folder / HISTORY
        _cut_history(self._path, start)

    def write(self, number: int, scalars: Scalars) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": number} | _no_nan(scalars)) + "\n")

    def close(self, error: BaseException | None) -> None:
        """Every report is whole already."""


class Progress:
    """Reports the steps of one training.

    Args:
      title: What is trained, such as `Trainer-fold-0`.
      steps: Steps of the whole training.
      start: Steps that are done already.
      sinks: Where reports go; none shows nothing either, as in every worker but the chief.
      every: Steps between two reports.
      crops_per_step: Crops of all devices together.
    """

    def __init__(
        self,
        title: str,
        *,
        steps: int,
        start: int,
        sinks: Sequence[Sink],
        every: int,
        crops_per_step: int,
    ):
        self._title, self._steps, self._every = title, steps, every
        self._crops_per_step = crops_per_step
        self._values: list[Scalars] = []
        self._seconds = 0.0
        self._since = time.monotonic()
        self._sinks = sinks
        self._bar = None
        if sinks and sys.stderr.isatty():
            self._bar = tqdm(
                total=steps, initial=start, desc=title, unit="step", dynamic_ncols=True
            )

    def step(self, number: int, values: Scalars) -> None:
        """Takes the scalars of step `number` (1-based); reports every so many steps, and the last.

        A report has the mean `loss` and `gradient_norm` since the one before, and the others as
        they are now.
        """
        self._values.append(values)
        self._seconds += time.monotonic() - self._since
        self._since = time.monotonic()
        if self._bar:
            self._bar.update()
        if number % self._every == 0 or number == self._steps:
            self._report(number)

    def note(self, number: int, values: Scalars) -> None:
        """Reports what was measured after step `number`, such as a validation."""
        self._write(number, values)
        if self._sinks:
            shown = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
            _log.info("%s: step %d of %d, %s", self._title, number, self._steps, shown)
        self.skip_time()

    def skip_time(self) -> None:
        """What took the time since the last step was no step: it does not count in the rates."""
        self._since = time.monotonic()

    def _report(self, number: int) -> None:
        rate = len(self._values) / max(self._seconds, 1e-9)
        means = {
            name: statistics.fmean(v[name] for v in self._values)
            for name in ("loss", "gradient_norm")
        }
        rates = {"steps_per_second": rate, "crops_per_second": rate * self._crops_per_step}
        self._write(number, self._values[-1] | means | rates)
        self._values, self._seconds = [], 0.0
        self._show(number, means["loss"], rate)

    def _write(self, number: int, scalars: Scalars) -> None:
        for sink in self._sinks:
            sink.write(number, scalars)

    def _show(self, number: int, loss: float, rate: float) -> None:
        if self._bar:
            self._bar.set_postfix(loss=f"{loss:.4f}")
            return
        if not self._sinks:
            return
        left = (self._steps - number) / rate
        _log.info(
            "%s: step %d of %d, loss %.4f, %.2f steps/s, %d s left",
            *(self._title, number, self._steps, loss, rate, round(left)),
        )

    def close(self, error: BaseException | None = None) -> None:
        """Closes bar and sinks, and tells them what ended the training too early, if anything."""
        if self._bar:
            self._bar.close()
        for sink in self._sinks:
            sink.close(error)


def _no_nan(scalars: Scalars) -> dict[str, float | None]:
    """JSON has no NaN: None stands for it."""
    return {name: value if math.isfinite(value) else None for name, value in scalars.items()}


def read_history(folder: Path) -> list[dict[str, float]]:
    """The reports of a training, oldest first: step, and what `Progress` was given and measured."""
    path = folder / HISTORY
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]  # the last may be cut off


def _cut_history(path: Path, last_step: int) -> None:
    """Drops the reports of steps that a resumed training does again."""
    kept = [r for r in read_history(path.parent) if r["step"] <= last_step]
    write_text(path, "".join(json.dumps(r) + "\n" for r in kept))
