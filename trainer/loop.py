"""The training loop: one for every strategy and precision. Resumes at its last checkpoint.

`keras.Model.fit` is not used: with Keras 3 it fails under multi-worker strategies.
"""

import json
import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.batches import RecordInfo, cases_of_step, training_batches
from trainer.checkpoints import Checkpoints
from trainer.config import TrainerConfig
from trainer.distribution import Distribution, make_distribution
from trainer.model_config import ModelConfig
from trainer.progress import Progress
from trainer.schedule import rate_at
from trainer.staging import StagedCase
from trainer.state import POLICIES, TrainingState, new_state
from trainer.step import Scalars, make_step
from trainer.stopping import EXIT_PREEMPTED, stop_on_sigterm
from trainer.unet import build_unet
from trainer.validation import Validator, mean_dice, split_validation

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """Where a training keeps its state; the same folder resumes the same training.

    Attributes:
      path: Parent of `checkpoints/` and `logs/`.
      title: What the progress is headed with.
    """

    path: Path
    title: str = "training"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def logs(self) -> Path:
        """Folder of the TensorBoard events and the history."""
        return self.path / "logs"


def train(
    cases: Sequence[StagedCase],
    info: RecordInfo,
    model: ModelConfig,
    config: TrainerConfig,
    folder: RunFolder,
) -> keras.Model:
    """Trains a network on `cases`, from the last checkpoint in `folder` where there is one.

    In a process that is one worker of several, it trains together with them; the chief writes.

    Args:
      cases: Training cases; some of them are kept out where `config.validation` says so.
      info: What their records hold.
      model: The network.
      config: Budget, batch, loss, optimiser, precision, strategy, seed.
      folder: State and logs. Nothing in it is removed but older checkpoints.

    Returns:
      The best network by validation, or else the last one; the average of weights where there is
      one. Equal arguments give equal weights, interrupted or not. Workers other than the chief get
      the network as it is after the last step.

    Raises:
      FloatingPointError: The loss is NaN or infinite.
      MemoryError: The device's memory does not suffice.
      SystemExit: SIGTERM came: the state is saved, the same call goes on from there.
    """
    distribution = make_distribution(config.strategy)
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_tensor_float_32_execution(config.tf32)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    training, held_out = split_validation(cases, config.validation.share, seed=config.seed)
    with distribution.scope():
        state = new_state(model, config)
    loop = _Loop(distribution, state, config, folder, training)
    if held_out:
        loop.validator = Validator(
            network=tf.function(lambda x: state.network(x, training=False)),
            cases=held_out[distribution.rank :: distribution.workers],
            info=info,
            model=model,
            config=config,
        )
    with _memory_errors(config):
        loop.run(info)
    return trained_network(model, config, folder) if distribution.rank == 0 else state.network


def trained_network(model: ModelConfig, config: TrainerConfig, folder: RunFolder) -> keras.Model:
    """The result of the training in `folder`, as `train` returns it: on one device, in no strategy.

    Raises:
      ValueError: There is none yet.
    """
    checkpoints = Checkpoints(folder.checkpoints, keep=config.keep_checkpoints)
    arrays = (checkpoints.best() if config.validation.share else None) or checkpoints.newest()
    if arrays is None:
        raise ValueError(f"{folder.checkpoints} must hold checkpoints of a training, it has none")
    network = build_unet(model, dtype_policy=POLICIES[config.precision])
    for number, variable in enumerate(network.variables):
        variable.assign(arrays[f"network/{number:04d}"])
    if config.optimizer.ema_decay:
        for number, variable in enumerate(network.trainable_variables, 1):  # 0 is a counter
            variable.assign(arrays[f"average/{number:04d}"])
    return network


class _Loop:
    """What happens around the steps of one training, in one worker."""

    def __init__(
        self,
        distribution: Distribution,
        state: TrainingState,
        config: TrainerConfig,
        folder: RunFolder,
        cases: Sequence[StagedCase],
    ):
        self.validator: Validator | None = None
        self._distribution, self._state, self._config = distribution, state, config
        self._folder, self._cases = folder, cases
        self._replicas = distribution.part.replicas
        self._steps = config.steps(self._replicas)
        self._checkpoints = Checkpoints(folder.checkpoints, keep=config.keep_checkpoints)
        self._record = _Record()
        self._saved_at = time.monotonic()

    def run(self, info: RecordInfo) -> None:
        """Trains from the last checkpoint to the end, or until SIGTERM."""
        start = self._restore()
        batches = training_batches(
            self._cases,
            info,
            self._config,
            start_step=start,
            part=self._distribution.part,
        )
        step = make_step(self._distribution, self._state, self._config)
        source = self._distribution.batches(batches)
        with self._progress(start) as progress, stop_on_sigterm() as request:
            for number in range(start, self._steps):
                if self._is_over():
                    break
                self._set_rate(number)
                stop = tf.constant(float(request.is_set))
                self._after(number, step(next(source), stop), progress)
            self._wait_for_all()

    def _set_rate(self, number: int) -> None:
        rate = rate_at(
            number,
            self._config.schedule,
            learning_rate=self._config.learning_rate,
            steps=self._steps,
            workers=self._replicas,
        )
        self._state.optimizer.learning_rate.assign(rate)

    def _wait_for_all(self) -> None:
        """Until the chief has written: a worker that ends before is taken for dead."""
        self._distribution.sum(np.zeros(1))

    def _after(self, number: int, scalars: Scalars, progress: Progress) -> None:
        """Checks, reports, validates and saves after step `number` (0-based)."""
        done = number + 1
        values = {k: float(scalars[k]) for k in ("loss", "gradient_norm")}
        checked = {"loss": values["loss"]} if self._state.loss_scale else values
        for name, value in checked.items():
            if not math.isfinite(value):
                raise FloatingPointError(self._not_finite(number, name.replace("_", " "), value))
        if self._state.loss_scale:
            values["skipped_steps"] = float(self._state.loss_scale.skipped)
        rate = float(self._state.optimizer.learning_rate.numpy())
        progress.step(done, values | {"learning_rate": rate})
        last = done == self._steps
        if self.validator and (done % self._config.validation.every_steps == 0 or last):
            self._validate(done, progress)
            last = last or self._is_over()
        stopping = float(scalars["stop"]) > 0
        if stopping or last or self._is_due(done):
            self._save(done)
        if stopping and not last:
            _log.warning(
                "%s: asked to end, saved after step %d: the same command goes on from there",
                *(self._folder.title, done),
            )
            self._wait_for_all()
            raise SystemExit(EXIT_PREEMPTED)

    def _is_over(self) -> bool:
        """Whether validations stopped getting better."""
        return 0 < self._config.validation.patience <= self._record.since

    def _is_due(self, done: int) -> bool:
        if done % self._config.checkpoint_steps == 0:
            return True
        minutes = self._config.checkpoint_minutes
        return bool(minutes) and time.monotonic() - self._saved_at >= 60 * minutes

    def _not_finite(self, number: int, name: str, value: float) -> str:
        ids = cases_of_step(self._cases, self._config, number, replicas=self._replicas)
        last = self._checkpoints.last_path()
        return (
            f"{self._folder.title}: the {name} must be finite, it is {value} in step {number + 1}"
            f" (cases {', '.join(ids)}): lower trainer.learning_rate, set"
            f" trainer.precision to float32, or look at these cases; last good checkpoint:"
            f" {last or 'none yet'}"
        )

    @contextmanager
    def _progress(self, start: int) -> Iterator[Progress]:
        progress = Progress(
            self._folder.title,
            steps=self._steps,
            start=start,
            log_dir=self._folder.logs if self._distribution.rank == 0 else None,
            every=self._config.log_steps,
            crops_per_step=self._config.batch_size * self._replicas,
        )
        try:
            yield progress
        finally:
            progress.close()

    def _restore(self) -> int:
        """Restores the newest checkpoint, and gives all workers the chief's state.

        Returns:
          The steps that are done.
        """
        arrays = self._checkpoints.newest() if self._distribution.rank == 0 else None
        samples = np.array(0)
        if arrays is not None:
            samples = arrays.pop("samples")
            self._record = _Record.from_json(str(arrays.pop("record")))
            self._state.assign(arrays)
        if self._distribution.workers > 1:
            samples = self._share(samples)
        start = int(samples) // (self._config.batch_size * self._replicas)
        if start:
            _log.info("%s: resumes at step %d", self._folder.title, start)
        return start

    def _share(self, samples: Any) -> Any:
        """Gives every worker the chief's state. Returns the chief's `samples`."""
        own = self._state.arrays()
        record = np.array([self._record.best, self._record.since], np.float64)
        head = [np.asarray(samples, np.int64), record]
        samples, record, *values = self._distribution.from_chief([*head, *own.values()])
        self._state.assign(dict(zip(own, values, strict=True)))
        self._record = _Record(best=float(record[0]), since=int(record[1]))
        return samples

    def _save(self, done: int) -> None:
        self._saved_at = time.monotonic()
        if self._distribution.rank > 0:
            return
        samples = done * self._config.batch_size * self._replicas
        head = {"samples": np.array(samples), "record": np.array(self._record.to_json())}
        self._checkpoints.save(samples, head | self._state.arrays())

    def _validate(self, done: int, progress: Progress) -> None:
        assert self.validator
        average = self._state.average
        with average.swapped() if average else nullcontext():
            sums = self._distribution.sum(self.validator())
            score, per_class = mean_dice(sums)
        if self._record.take(score) and self._distribution.rank == 0:
            self._checkpoints.save_best(self._state.arrays())
        names = {f"validation_dice/{i}": v for i, v in enumerate(per_class, 1)}
        progress.note(done, {"validation_dice": score} | names)


@dataclass
class _Record:
    """The best validation so far, and how many followed it without a better one."""

    best: float = -math.inf
    since: int = 0

    def take(self, score: float) -> bool:
        """Takes note of a score. Returns whether it is the best so far."""
        better = score > self.best
        self.best, self.since = (score, 0) if better else (self.best, self.since + 1)
        return better

    def to_json(self) -> str:
        """As text, for the checkpoint."""
        return json.dumps({"best": self.best, "since": self.since})

    @staticmethod
    def from_json(text: str) -> "_Record":
        """What `to_json` wrote."""
        return _Record(**json.loads(text))


@contextmanager
def _memory_errors(config: TrainerConfig) -> Iterator[None]:
    """Says what to lower where memory does not suffice."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as e:
        raise MemoryError(
            f"a step must fit in the device's memory, batch_size {config.batch_size} with crop"
            f" {config.crop} in {config.precision} does not: lower trainer.batch_size, raise"
            " trainer.optimizer.accumulate_parts, lower trainer.crop, or set trainer.precision"
            f" to bfloat16 ({str(e).splitlines()[0]})"
        ) from e
