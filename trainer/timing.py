"""Times of single training steps and forward passes, for benchmarks: nothing is kept of them."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from trainer.batches import RecordInfo, training_batches
from trainer.config import TrainerConfig
from trainer.distribution import make_distribution
from trainer.model_config import ModelConfig
from trainer.staging import StagedCase
from trainer.state import POLICIES, new_state
from trainer.step import make_step
from trainer.unet import build_unet


def time_training(
    cases: Sequence[StagedCase],
    info: RecordInfo,
    model: ModelConfig,
    config: TrainerConfig,
    *,
    warmup_steps: int,
) -> tuple[list[float], int]:
    """Trains for `config.samples` samples and times every step, to its end on the device.

    Returns:
      Seconds of the steps after the first `warmup_steps`, and samples per step of all workers.
    """
    distribution = make_distribution(config.strategy)
    with distribution.scope():
        state = new_state(model, config)
    step = make_step(distribution, state, config)
    part = distribution.part
    source = distribution.batches(training_batches(cases, info, config, part=part))
    go_on = tf.constant(0.0)

    def run() -> None:
        float(step(next(source), go_on)["loss"])  # waits for the device

    return _seconds(run, config.steps(part.replicas), warmup_steps), (
        config.batch_size * part.replicas
    )


def time_forward(
    model: ModelConfig,
    size: Sequence[int],
    *,
    batch_size: int,
    precision: str,
    steps: int,
    warmup_steps: int,
) -> list[float]:
    """Times forward passes of a new network on random images [batch_size, *size, C].

    Returns:
      Seconds of the passes after the first `warmup_steps`.
    """
    network = build_unet(model, dtype_policy=POLICIES[precision])
    forward = tf.function(lambda x: network(x, training=False), autograph=False)
    shape = (batch_size, *size, model.in_channels)
    image = tf.constant(np.random.default_rng(0).normal(size=shape), tf.float32)
    return _seconds(lambda: forward(image).numpy(), steps, warmup_steps)


def _seconds(run: Callable[[], object], steps: int, warmup_steps: int) -> list[float]:
    times = []
    for _ in range(steps):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return times[warmup_steps:]
