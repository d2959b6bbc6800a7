"""Times of training steps, forward passes, whole cases and batches of crops. Nothing is kept of
what they compute.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from trainer.batches import RecordInfo, training_batches
from trainer.benchmark.figures import Times
from trainer.config import InferenceConfig, TrainerConfig
from trainer.distribution import Distribution, choose_strategy, prepare
from trainer.hardware import peak_memory
from trainer.inference.predict import predict_probabilities
from trainer.memory import fits_in_memory, training_fits_in_memory
from trainer.model_config import ModelConfig
from trainer.staging import StagedCase
from trainer.state import new_state
from trainer.step import make_step
from trainer.tracking_config import TrackingConfig

_AHEAD = 64
"""Batches after the last timed one. The threads that make crops work ahead; where they came to an
end of the data, the last batches would be made by fewer hands than the others.
"""


@dataclass(frozen=True, kw_only=True)
class TrainingTimes:
    """What one worker measured of a training.

    Attributes:
      times: Of the steps, which all workers end together.
      waits: Seconds of every step in which this worker waited for its crops, part of `times`.
      parameters: Of the network.
      workers, replicas: That trained together.
      rank: Number of this worker; 0 is the chief.
      strategy: That they trained with; what `auto` took.
      memory: See `peak_memory`.
    """

    times: Times
    waits: tuple[float, ...]
    parameters: int
    workers: int
    replicas: int
    rank: int
    strategy: str
    memory: dict[str, int | None]


def time_training(
    cases: Sequence[StagedCase],
    info: RecordInfo,
    model: ModelConfig,
    config: TrainerConfig,
    *,
    steps: int,
    warmup_steps: int,
) -> TrainingTimes:
    """Trains as `trainer.loop.train` does and times every step, together with the other workers.

    Args:
      cases: To train on, over and over.
      info: Of their records.
      model: The network.
      config: All of it holds, but the budget: every worker takes `steps` after `warmup_steps`.

    Raises:
      MemoryError: The device's memory does not suffice.
    """
    distribution = prepare(config)
    part = distribution.part
    samples = config.batch_size * part.replicas
    budget = samples * (warmup_steps + steps + _AHEAD)
    config = replace(config, samples=budget, tracking=TrackingConfig())
    with distribution.scope():
        state = new_state(model, config)
    step = make_step(distribution, state, config)
    source = distribution.batches(training_batches(cases, info, config, part=part))
    waits: list[float] = []

    def run() -> None:
        started = time.perf_counter()
        batch = next(source)
        waits.append(time.perf_counter() - started)
        float(step(batch, tf.constant(0.0))["loss"])  # waits for the device

    with training_fits_in_memory(config):
        times = _times(run, steps, warmup_steps, samples=samples, shown=distribution.rank == 0)
    _wait_for_all(distribution)
    return TrainingTimes(
        times=times,
        waits=tuple(waits),
        parameters=state.network.count_params(),
        workers=distribution.workers,
        replicas=part.replicas,
        rank=distribution.rank,
        strategy=choose_strategy(config.strategy),
        memory=peak_memory(),
    )


def _wait_for_all(distribution: Distribution) -> None:
    """Until all have made their last step: a worker that ends before is taken for dead."""
    distribution.sum(np.zeros(1))


def time_forward(network: keras.Model, image: tf.Tensor, *, steps: int, warmup_steps: int) -> Times:
    """Times forward passes of a network on a batch that is on the device already.

    Args:
      network: [B, *S, C] -> logits, which stay on the device.
      image: float32 [B, *S, C].

    Raises:
      MemoryError: The device's memory does not suffice.
    """
    forward = tf.function(lambda x: network(x, training=False), autograph=False)
    remedy = (
        "lower trainer.batch_size, trainer.crop or --size, or set trainer.precision to bfloat16"
    )
    with fits_in_memory(f"a forward pass of shape {tuple(image.shape)}", remedy):
        return _times(lambda: _end(forward(image)), steps, warmup_steps, samples=len(image))


def time_whole_cases(
    network: keras.Model,
    images: Iterable[tf.Tensor],
    model: ModelConfig,
    config: InferenceConfig,
) -> Times:
    """Times inference on whole cases, after one case of the size of a window.

    Args:
      network: [1, *w, C] -> logits.
      images: float32 [*S, C] each, standardised.
      model: Config of the network.
      config: Mode, window, overlap, flips.

    Returns:
      Times of the first case, which builds the graph, and of every other one.

    Raises:
      MemoryError: The device's memory does not suffice.
    """
    rank, channels = model.rank, model.in_channels
    spec = tf.TensorSpec([*[None] * rank, channels], tf.float32)

    def probabilities(image: tf.Tensor) -> tf.Tensor:
        return predict_probabilities([partial(network, training=False)], image, model, config)

    predict = tf.function(probabilities, input_signature=[spec], autograph=False)
    single = tf.zeros([*model.output_size(config.window), channels])
    remedy = "lower inference.window, or set trainer.precision to bfloat16"
    with fits_in_memory(f"a window of {config.window}", remedy):
        seconds = [
            _seconds(lambda image: _end(predict(image)), image)
            for image in chain([single], _bar(images, unit="case"))
        ]
    return Times(seconds=tuple(seconds), warmup_steps=1, samples=1)


def time_input(
    cases: Sequence[StagedCase],
    info: RecordInfo,
    config: TrainerConfig,
    *,
    steps: int,
    warmup_steps: int,
) -> Times:
    """Times the batches of augmented crops of one process, as fast as they come.

    Raises:
      MemoryError: That of the CPU does not suffice.
    """
    total = warmup_steps + steps + _AHEAD
    config = replace(config, samples=total * config.batch_size, tracking=TrackingConfig())

    def crops() -> Iterator[Any]:
        yield from training_batches(cases, info, config)

    source = crops()  # the first step makes the graph
    what = f"batch_size {config.batch_size} with crop {config.crop}"
    with fits_in_memory(what, "lower trainer.batch_size or trainer.crop"):
        return _times(lambda: next(source), steps, warmup_steps, samples=config.batch_size)


def _end(result: tf.Tensor) -> float:
    """Waits for the device, by one number of a result: all of it would be copied."""
    return float(tf.reshape(result, [-1])[0])


def _times(
    run: Callable[[], object], steps: int, warmup_steps: int, *, samples: int, shown: bool = True
) -> Times:
    count = range(warmup_steps + steps)
    seconds = tuple(_seconds(run) for _ in (_bar(count, unit="step") if shown else count))
    return Times(seconds=seconds, warmup_steps=warmup_steps, samples=samples)


def _seconds(run: Callable[..., object], *arguments: object) -> float:
    started = time.perf_counter()
    run(*arguments)
    return time.perf_counter() - started


def _bar(steps: Iterable[Any], *, unit: str) -> Iterable[Any]:
    """A bar on stderr, where that is a terminal."""
    return tqdm(steps, unit=unit, disable=None, leave=False, file=sys.stderr)
