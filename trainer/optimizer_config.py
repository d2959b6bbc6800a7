"""Config of the optimiser and of its learning rate. Without TensorFlow: the command line reads it.

Times are shares of the whole training, so that they hold whatever the budget and the workers.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from beam_preprocess.validation import require, require_choices, require_positive


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """How the learning rate goes over a training: in multiples of `trainer.learning_rate`.

    Attributes:
      name: `constant`; `piecewise` constant; `polynomial` and `cosine` fall to 0; `step-decay`
        multiplies by `decay_factor` again and again.
      scale_with_workers: Multiply the rate by the number of workers (arXiv:1706.02677, with a
        warm-up). Right where every worker adds to the batch, wrong where they share one batch.
      warmup: Share of the training, from its start, in which the rate climbs from 0 in a line.
      boundaries: Of `piecewise`: shares of the training at which the rate changes.
      factors: Of `piecewise`: multiples of the rate before, between and after the boundaries.
      power: Of `polynomial`: exponent; 1 is a straight line.
      decay_factor: Of `step-decay`: what the rate is multiplied by each time.
      decay_interval: Of `step-decay`: share of the training between two times.
    """

    name: Literal["constant", "piecewise", "polynomial", "cosine", "step-decay"] = "constant"
    scale_with_workers: bool = False
    warmup: float = 0.0
    boundaries: tuple[float, ...] = ()
    factors: tuple[float, ...] = ()
    power: float = 0.9
    decay_factor: float = 0.8
    decay_interval: float = 0.2

    def __post_init__(self) -> None:
        section = "trainer.schedule"
        require_choices(self, section)
        require_positive(self, section, ["power"])
        _require_share("trainer.schedule.warmup", self.warmup)
        factor, interval = self.decay_factor, self.decay_interval
        require(0 < factor <= 1, f"{section}.decay_factor", factor, "above 0 and at most 1")
        require(0 < interval <= 1, f"{section}.decay_interval", interval, "above 0 and at most 1")
        self._require_pieces(section)

    def _require_pieces(self, section: str) -> None:
        boundaries, factors = self.boundaries, self.factors
        if self.name != "piecewise":
            for name in ("boundaries", "factors"):
                value = getattr(self, name)
                rule = f"empty where trainer.schedule.name is {self.name!r}, not 'piecewise'"
                require(not value, f"{section}.{name}", value, rule)
            return
        rising = all(a < b for a, b in pairwise((0.0, *boundaries, 1.0)))
        rule = "one or more shares, each above the one before, above 0 and below 1"
        require(bool(boundaries) and rising, f"{section}.boundaries", boundaries, rule)
        count = len(boundaries) + 1
        rule = f"{count} numbers above 0, one more than trainer.schedule.boundaries"
        fits = len(factors) == count and min(factors) > 0
        require(fits, f"{section}.factors", factors, rule)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """What is done with the gradients of a step.

    Attributes:
      name: Keras's optimiser of that name.
      betas: Of `adam` and `adamw`: decay of the mean and of the mean square of gradients, per step.
      epsilon: Of `adam`, `adamw` and `rmsprop`: keeps the division from zero.
      momentum: Of `sgd` and `rmsprop`: share of the last update that the next one keeps.
      nesterov: Of `sgd`: Nesterov's momentum.
      rho: Of `rmsprop`: decay of the mean square of gradients, per step.
      centred: Of `rmsprop`: divide by the variance of gradients, not by their mean square.
      weight_decay: `adamw`: share, times the rate, that kernels lose per step (arXiv:1711.05101).
        Others: L2, as if weight_decay / 2 * sum of squares were part of the loss.
      decay_all: L2 on biases and norms too, as the references have it. Not for `adamw`.
      clip_norm: Largest norm of all gradients together; 0 does not clip.
      accumulate_parts: Parts that a device's share of the batch is computed in, one after another:
        less memory, the same gradient. Batch norm sees a part at a time.
      ema_decay: Decay per step of the average of the weights, which is validated and exported
        instead of them; 0 keeps none. 0.999 averages over about the last 1000 steps.
    """

    name: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    momentum: float = 0.9
    nesterov: bool = False
    rho: float = 0.9
    centred: bool = False
    weight_decay: float = 0.0
    decay_all: bool = False
    clip_norm: float = 0.0
    accumulate_parts: int = 1
    ema_decay: float = 0.0

    def __post_init__(self) -> None:
        section = "trainer.optimizer"
        require_choices(self, section)
        require_positive(self, section, ["epsilon", "accumulate_parts"])
        for name in ("weight_decay", "clip_norm"):
            require(
                getattr(self, name) >= 0, f"{section}.{name}", getattr(self, name), "0 or above"
            )
        for name in ("momentum", "rho", "ema_decay"):
            _require_share(f"{section}.{name}", getattr(self, name))
        for index, beta in enumerate(self.betas):
            _require_share(f"{section}.betas[{index}]", beta)
        rule = "False where trainer.optimizer.name is 'adamw', which decays kernels only"
        both = self.decay_all and self.name == "adamw"
        require(not both, f"{section}.decay_all", self.decay_all, rule)


def _require_share(field: str, value: float) -> None:
    require(0 <= value < 1, field, value, "at least 0 and below 1")
