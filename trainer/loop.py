"""The training loop: one for every strategy and precision. Resumes at its last checkpoint.

`keras.Model.fit` is not used: with Keras 3 it fails under multi-worker strategies.
"""

import logging
import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.batches import Part, RecordInfo, cases_of_step, training_batches
from trainer.checkpoints import Checkpoints
from trainer.config import TrainerConfig
from trainer.distribution import Distribution, prepare
from trainer.job import TrainingJob
from trainer.memory import training_fits_in_memory
from trainer.model_config import ModelConfig
from trainer.progress import Progress
from trainer.run_folder import RunFolder
from trainer.schedule import rate_at
from trainer.staging import StagedCase
from trainer.state import POLICIES, TrainingState, new_state
from trainer.step import Scalars, make_step
from trainer.stopping import EXIT_PREEMPTED, StopRequest, stop_on_sigterm
from trainer.tracking.watch import Watch, watched
from trainer.tracking_config import require_libraries
from trainer.unet import build_unet
from trainer.validation import BestScore, Example, Validator, mean_dice, split_validation

_log = logging.getLogger(__name__)


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
    require_libraries(config.tracking)
    config.validation.require_classes(model.classes)
    distribution = prepare(config)
    training, held_out = split_validation(cases, config.validation.share, seed=config.seed)
    with distribution.scope():
        state = new_state(model, config)
    validator = Validator(
        network=tf.function(lambda x: state.network(x, training=False), autograph=False),
        cases=held_out[distribution.rank :: distribution.workers],
        info=info,
        model=model,
        config=config,
    )
    job = TrainingJob(cases=tuple(cases), info=info, model=model, config=config, folder=folder)
    with training_fits_in_memory(config):
        _Loop(distribution, state, job, training, validator).run()
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
        job: TrainingJob,
        cases: Sequence[StagedCase],
        validator: Validator,
    ):
        self._distribution, self._state, self._job = distribution, state, job
        self._config, self._folder = job.config, job.folder
        self._cases, self._validator = cases, validator
        self._replicas = distribution.part.replicas
        self._steps = self._config.steps(self._replicas)
        keep = self._config.keep_checkpoints
        self._checkpoints = Checkpoints(self._folder.checkpoints, keep=keep)
        self._record = BestScore()
        self._saved_at = time.monotonic()

    def run(self) -> None:
        """Trains from the last checkpoint to the end, or until SIGTERM."""
        start = self._restore()
        with stop_on_sigterm() as request:
            if start < self._steps and not self._is_over():
                self._run_from(start, request)
            self._wait_for_all()

    def _run_from(self, start: int, request: StopRequest) -> None:
        batches = training_batches(
            self._cases,
            self._job.info,
            self._config,
            start_step=start,
            part=self._distribution.part,
        )
        step = make_step(self._distribution, self._state, self._config)
        source = self._distribution.batches(batches)
        with watched(self._job, self._distribution, self._state.network, start=start) as watch:
            for number in range(start, self._steps):
                self._set_rate(number)
                stop = tf.constant(float(request.is_set))
                with watch.step(number + 1):
                    scalars = step(next(source), stop)
                self._after(number, scalars, watch)
                if self._is_over():
                    break

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
        """Until the chief has written: a worker that ends before is taken for dead.

        Raises:
          RuntimeError: The workers' weights differ.
        """
        own = sum(float(np.abs(v, dtype=np.float64).sum()) for v in self._state.arrays().values())
        mean = float(self._distribution.sum(np.array([own]))[0]) / self._distribution.workers
        if not math.isclose(own, mean, rel_tol=1e-12):
            raise RuntimeError(
                f"all workers must have the same weights, the sum of their sizes is {own!r} in"
                f" worker {self._distribution.rank} and {mean!r} in the mean: the connection"
                " between the machines loses data, or they run different versions"
            )

    def _after(self, number: int, scalars: Scalars, watch: Watch) -> None:
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
        watch.progress.step(done, values | {"learning_rate": rate})
        last = done == self._steps
        if self._config.validation.share and _falls_on(
            done, self._config.validation.every_steps, last=last
        ):
            self._validate(done, watch.progress)
            last = last or self._is_over()
        stopping = float(scalars["stop"]) > 0
        if stopping or last or self._is_due(done):
            self._save(done)
        if not stopping and _falls_on(done, self._config.tracking.image_steps, last=last):
            self._draw(done, watch)
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

    def _restore(self) -> int:
        """Restores the newest checkpoint, and gives all workers the chief's state.

        Returns:
          The steps that are done.
        """
        arrays = self._checkpoints.newest() if self._distribution.rank == 0 else None
        samples = np.array(0)
        if arrays is not None:
            samples = arrays.pop("samples")
            self._record = BestScore.from_json(str(arrays.pop("record")))
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
        self._record = BestScore(best=float(record[0]), since=int(record[1]))
        return samples

    def _save(self, done: int) -> None:
        self._saved_at = time.monotonic()
        if self._distribution.rank > 0:
            return
        samples = done * self._config.batch_size * self._replicas
        head = {"samples": np.array(samples), "record": np.array(self._record.to_json())}
        self._checkpoints.save(samples, head | self._state.arrays())

    def _averaged(self) -> AbstractContextManager[None]:
        """Inside, the network has its average of weights, where there is one."""
        average = self._state.average
        return average.swapped() if average else nullcontext()

    def _validate(self, done: int, progress: Progress) -> None:
        with self._averaged():
            sums = self._distribution.sum(self._validator())
            score, per_class = mean_dice(sums, self._config.validation.classes)
        if self._record.take(score) and self._distribution.rank == 0:
            self._checkpoints.save_best(self._state.arrays())
        names = {f"validation_dice/{i}": v for i, v in enumerate(per_class, 1)}
        progress.note(done, {"validation_dice": score} | names)

    def _draw(self, done: int, watch: Watch) -> None:
        """Shows what the network makes of its first validation case, or of a crop of this step."""
        with self._averaged():
            if self._distribution.rank > 0:
                return
            try:
                watch.picture(done, self._example(done))
            except Exception as e:  # whatever it is: a training of days does not end for a picture
                _log.warning(
                    "%s: no picture after step %d (%s: %s); trainer.tracking.image_steps 0 draws"
                    " none",
                    *(self._folder.title, done, type(e).__name__, e),
                )

    def _example(self, done: int) -> Example:
        """Image [*S, C], classes [*S] in truth and by the network."""
        if self._validator.cases:
            return self._validator.example(self._validator.cases[0])
        part = Part(replicas=self._replicas)
        batches = training_batches(
            self._cases, self._job.info, self._config, start_step=done - 1, part=part
        )
        images, labels = next(iter(batches.take(1)))
        return images[0], labels[0], self._validator.predict(images[0])


def _falls_on(done: int, every: int, *, last: bool) -> bool:
    """Whether something that is due every so many steps, and after the last one, is due."""
    return every > 0 and (done % every == 0 or last)
