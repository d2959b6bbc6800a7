"""Config of the trainer: optimisation, batches, augmentation, and inference on whole cases."""

from dataclasses import dataclass, field
from typing import Literal

from beam_preprocess.validation import require, require_choices, require_positive


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Random changes of training crops. Every draw is a function of (seed, case, epoch).

    Attributes:
      flips: Mirror every spatial axis with probability 1/2.
      rotations: Turn by 0, 90, 180 or 270 degrees in the plane of the first two axes.
      brightness: Largest change b: intensities of a channel are multiplied by 1 - b to 1 + b.
    """

    flips: bool = True
    rotations: bool = True
    brightness: float = 0.1

    def __post_init__(self) -> None:
        require(
            0 <= self.brightness < 1,
            "trainer.augment.brightness",
            self.brightness,
            "at least 0 and below 1",
        )


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """How one fold's network is trained.

    Attributes:
      samples: Budget in crops: samples / batch_size steps, whatever the number of devices.
      batch_size: Crops per step, all devices together.
      crop: Size of the training crop per spatial axis, in voxels.
      foreground_fraction: Share of crops placed on a labelled voxel; 0 places all at random.
      learning_rate: Constant rate of Adam.
      loss: `dice+ce`, `dice` or `ce` for softmax networks; `bce` for one-logit networks.
      precision: Type of activations; weights, norms and losses stay float32.
      strategy: `one-device`, or `mirrored` over all devices of this machine.
      seed: Seed of weights, order and augmentation.
      deterministic: Only operations that give the same result twice. Costs some speed on GPUs.
      checkpoint_steps: Steps between two checkpoints.
      log_steps: Steps between two lines of the log.
      augment: Random changes of the crops.
    """

    samples: int
    batch_size: int
    crop: tuple[int, ...]
    foreground_fraction: float = 0.5
    learning_rate: float = 2e-4
    loss: Literal["dice+ce", "dice", "ce", "bce"] = "dice+ce"
    precision: Literal["float32", "bfloat16"] = "float32"
    strategy: Literal["one-device", "mirrored"] = "one-device"
    seed: int = 0
    deterministic: bool = True
    checkpoint_steps: int = 250
    log_steps: int = 25
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        require_choices(self, "trainer")
        names = ["samples", "batch_size", "learning_rate", "checkpoint_steps", "log_steps"]
        require_positive(self, "trainer", names)
        require(
            len(self.crop) in (2, 3) and min(self.crop) > 0,
            "trainer.crop",
            self.crop,
            "2 or 3 sizes above 0",
        )
        require(
            self.samples >= self.batch_size,
            "trainer.samples",
            self.samples,
            f"at least one batch ({self.batch_size})",
        )
        require(
            0 <= self.foreground_fraction <= 1,
            "trainer.foreground_fraction",
            self.foreground_fraction,
            "between 0 and 1",
        )
        require(0 <= self.seed < 2**31, "trainer.seed", self.seed, "between 0 and 2147483647")

    @property
    def steps(self) -> int:
        """Steps of the whole training, the last incomplete batch left out."""
        return self.samples // self.batch_size


@dataclass(frozen=True, kw_only=True)
class InferenceConfig:
    """Inference on whole cases by a sliding window.

    Attributes:
      window: Size of the window per spatial axis, in voxels.
      overlap: Share of a window that its neighbour covers too, 0 to below 1.
      weights: How overlapping windows are averaged: `gaussian` trusts their centres more.
      threshold: One-logit networks: probability from which a pixel is foreground.
    """

    window: tuple[int, ...]
    overlap: float = 0.5
    weights: Literal["gaussian", "constant"] = "gaussian"
    threshold: float = 0.5

    def __post_init__(self) -> None:
        require_choices(self, "inference")
        require(
            len(self.window) in (2, 3) and min(self.window) > 0,
            "inference.window",
            self.window,
            "2 or 3 sizes above 0",
        )
        require(0 <= self.overlap < 1, "inference.overlap", self.overlap, "at least 0 and below 1")
        require(0 < self.threshold < 1, "inference.threshold", self.threshold, "between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """How held-out cases are scored.

    Attributes:
      empty: Score where truth and prediction are both empty: `brats` 1, `nan` none, `reference` 0.
    """

    empty: Literal["brats", "nan", "reference"] = "brats"

    def __post_init__(self) -> None:
        require_choices(self, "evaluation")
