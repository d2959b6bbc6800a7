"""The learning rate of a step: a pure function of the step's number, the same after a resume."""

import math

from trainer.optimizer_config import ScheduleConfig


def rate_at(
    step: int,
    config: ScheduleConfig,
    *,
    learning_rate: float,
    steps: int,
    workers: int = 1,
) -> float:
    """The learning rate of a step.

    Args:
      step: Number of steps done before: 0 for the first, steps - 1 for the last.
      config: The schedule.
      learning_rate: What the schedule takes multiples of.
      steps: Of the whole training, not only of what is left after a resume.
      workers: How many devices add to the batch; counts where `config.scale_with_workers`.

    Returns:
      The rate, above 0. The warm-up reaches its full value with its last step.

    Raises:
      ValueError: There is no such step.
    """
    if not 0 <= step < steps:
        raise ValueError(
            f"step must be at least 0 and below the {steps} of the training, got {step}"
        )
    peak = learning_rate * (workers if config.scale_with_workers else 1)
    warmup = _step_at(config.warmup, steps)
    climb = (step + 1) / warmup if step < warmup else 1.0
    return peak * climb * _multiple(step, config, steps, warmup)


def _multiple(step: int, config: ScheduleConfig, steps: int, warmup: int) -> float:
    """The rate of a step over `learning_rate`, without the warm-up."""
    if config.name == "piecewise":
        return _piece(step, config, steps)
    if config.name == "step-decay":
        interval = max(1, _step_at(config.decay_interval, steps))
        return config.decay_factor ** (step // interval)
    done = max(0, step - warmup) / max(1, steps - warmup)  # 1 would come after the last step
    if config.name == "polynomial":
        return (1 - done) ** config.power
    if config.name == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    return 1.0


def _piece(step: int, config: ScheduleConfig, steps: int) -> float:
    """The step at a boundary still has the rate before it, as in tf.train.piecewise_constant."""
    passed = sum(step > _step_at(b, steps) for b in config.boundaries)
    return config.factors[passed]


def _step_at(share: float, steps: int) -> int:
    """`share` of `steps`, rounded down: 0.29 of 100 is 29, though 0.29 * 100 is 28.999999999999996.

    Rounding down is what the references' integer division does.
    """
    return math.floor(share * steps + 1e-6)
