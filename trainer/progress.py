"""What a training shows: a bar on a terminal, else lines; TensorBoard scalars, a history file."""

import json
import logging
import math
import statistics
import sys
import time
from pathlib import Path

import tensorflow as tf
from tqdm import tqdm

from beam_preprocess.atomic import write_text

HISTORY = "history.jsonl"
Scalars = dict[str, float]
_log = logging.getLogger(__name__)


class Progress:
    """Reports the steps of one training.

    Args:
      title: What is trained, such as `Trainer-fold-0`.
      steps: Steps of the whole training.
      start: Steps that are done already.
      log_dir: Folder of the TensorBoard events and of the history; None reports nothing, as in
        every worker but the chief.
      every: Steps between two reports.
      crops_per_step: Crops of all devices together.
    """

    def __init__(
        self,
        title: str,
        *,
        steps: int,
        start: int,
        log_dir: Path | None,
        every: int,
        crops_per_step: int,
    ):
        self._title, self._steps, self._every = title, steps, every
        self._crops_per_step = crops_per_step
        self._values: list[Scalars] = []
        self._since = time.monotonic()
        self._history = log_dir / HISTORY if log_dir else None
        self._writer = None
        self._bar = None
        if log_dir:
            _cut_history(log_dir / HISTORY, start)
            self._writer = tf.summary.create_file_writer(str(log_dir))
            if sys.stderr.isatty():
                self._bar = tqdm(
                    total=steps, initial=start, desc=title, unit="step", dynamic_ncols=True
                )

    def step(self, number: int, values: Scalars) -> None:
        """Takes the scalars of step `number` (1-based); reports every so many steps, and the last.

        A report has the mean `loss` and `gradient_norm` since the one before, and the others as
        they are now.
        """
        self._values.append(values)
        if self._bar:
            self._bar.update()
        if number % self._every == 0 or number == self._steps:
            self._report(number)

    def note(self, number: int, values: Scalars) -> None:
        """Reports what was measured after step `number`, such as a validation."""
        self._write(number, values)
        if self._history:
            shown = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
            _log.info("%s: step %d of %d, %s", self._title, number, self._steps, shown)
        self._since = time.monotonic()  # what took that time was no step

    def _report(self, number: int) -> None:
        rate = len(self._values) / max(time.monotonic() - self._since, 1e-9)
        means = {
            name: statistics.fmean(v[name] for v in self._values)
            for name in ("loss", "gradient_norm")
        }
        rates = {"steps_per_second": rate, "crops_per_second": rate * self._crops_per_step}
        self._write(number, self._values[-1] | means | rates)
        self._values, self._since = [], time.monotonic()
        self._show(number, means["loss"], rate)

    def _write(self, number: int, scalars: Scalars) -> None:
        if not self._history or not self._writer:
            return
        with self._writer.as_default(step=number):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
        with self._history.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": number} | _no_nan(scalars)) + "\n")

    def _show(self, number: int, loss: float, rate: float) -> None:
        if self._bar:
            self._bar.set_postfix(loss=f"{loss:.4f}")
            return
        if not self._history:
            return
        left = (self._steps - number) / rate
        _log.info(
            "%s: step %d of %d, loss %.4f, %.2f steps/s, %d s left",
            *(self._title, number, self._steps, loss, rate, round(left)),
        )

    def close(self) -> None:
        """Flushes what was written."""
        if self._writer:
            self._writer.close()
        if self._bar:
            self._bar.close()


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
