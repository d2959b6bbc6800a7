"""What a training shows: a bar on a terminal, else lines; TensorBoard scalars, a history file."""

import json
import logging
import math
import sys
import time
from pathlib import Path

import tensorflow as tf
from tqdm import tqdm

from beam_preprocess.atomic import write_text

HISTORY = "history.jsonl"
_log = logging.getLogger(__name__)


class Progress:
    """Reports the steps of one training.

    Args:
      title: What is trained, such as `Trainer-fold-0`.
      steps: Steps of the whole training.
      start: Steps that are done already.
      log_dir: Folder of the TensorBoard events and of the history.
      every: Steps between two reports.
    """

    def __init__(self, title: str, *, steps: int, start: int, log_dir: Path, every: int):
        self._title, self._steps, self._every = title, steps, every
        self._losses: list[tf.Tensor] = []
        self._since = time.monotonic()
        self._history = log_dir / HISTORY
        _cut_history(self._history, start)
        self._writer = tf.summary.create_file_writer(str(log_dir))
        self._bar = (
            tqdm(total=steps, initial=start, desc=title, unit="step", dynamic_ncols=True)
            if sys.stderr.isatty()
            else None
        )

    def step(self, number: int, loss: tf.Tensor) -> None:
        """Takes the loss of step `number` (1-based); reports every so many steps and at the last.

        Raises:
          FloatingPointError: The loss is NaN or infinite.
        """
        self._losses.append(loss)
        if self._bar:
            self._bar.update()
        if number % self._every == 0 or number == self._steps:
            self._report(number)

    def check(self, number: int) -> None:
        """Raises FloatingPointError where a loss since the last report is NaN or infinite."""
        if self._losses:
            self._mean_loss(number)

    def _mean_loss(self, number: int) -> float:
        mean = float(tf.reduce_mean(tf.stack(self._losses)))
        if not math.isfinite(mean):
            first = number - len(self._losses) + 1
            raise FloatingPointError(
                f"{self._title}: the loss must be finite, it is {mean} in steps {first} to"
                f" {number}: lower trainer.learning_rate, or set trainer.precision to float32"
            )
        return mean

    def _report(self, number: int) -> None:
        mean = self._mean_loss(number)
        rate = len(self._losses) / max(time.monotonic() - self._since, 1e-9)
        self._losses, self._since = [], time.monotonic()
        self._write(number, {"loss": mean, "steps_per_second": rate})
        self._show(number, mean, rate)

    def _write(self, number: int, scalars: dict[str, float]) -> None:
        with self._writer.as_default(step=number):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
        with self._history.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": number} | scalars) + "\n")

    def _show(self, number: int, loss: float, rate: float) -> None:
        if self._bar:
            self._bar.set_postfix(loss=f"{loss:.4f}")
            return
        left = (self._steps - number) / rate
        _log.info(
            "%s: step %d of %d, loss %.4f, %.2f steps/s, %d s left",
            *(self._title, number, self._steps, loss, rate, round(left)),
        )

    def close(self) -> None:
        """Flushes what was written."""
        self._writer.close()
        if self._bar:
            self._bar.close()


def read_history(folder: Path) -> list[dict[str, float]]:
    """The reports of a training, oldest first: step, loss, steps_per_second."""
    path = folder / HISTORY
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]  # the last may be cut off


def _cut_history(path: Path, last_step: int) -> None:
    """Drops the reports of steps that a resumed training does again."""
    kept = [r for r in read_history(path.parent) if r["step"] <= last_step]
    write_text(path, "".join(json.dumps(r) + "\n" for r in kept))
