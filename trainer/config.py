"""Config of the trainer: optimisation, batches, augmentation, and inference on whole cases."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from beam_preprocess.validation import require, require_choices, require_positive
from trainer.augment.config import AugmentConfig
from trainer.loss.config import LossConfig
from trainer.metrics.config import MetricsConfig, StatisticsConfig
from trainer.optimizer_config import OptimizerConfig, ScheduleConfig
from trainer.tracking_config import TrackingConfig

NOT_DECISIVE = (
    *("tracking", "log_steps", "checkpoint_steps", "checkpoint_minutes", "keep_checkpoints"),
)
"""Fields of `TrainerConfig` without an influence on the weights."""


@dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """Scores during a training, on patients that it keeps out; the held-out fold has no part in it.

    Attributes:
      share: Part of the training patients to validate on; 0 trains on all and does not validate.
      every_steps: Steps between two validations.
      mode: `patch` scores one crop per case, placed on foreground; `whole` scores whole cases.
      classes: Classes whose mean dice chooses the best checkpoint; empty for all but background.
      patience: Validations in a row without a better dice after which training ends; 0 never ends.
    """

    share: float = 0.0
    every_steps: int = 500
    mode: Literal["patch", "whole"] = "patch"
    classes: tuple[int, ...] = ()
    patience: int = 0

    def __post_init__(self) -> None:
        require_choices(self, "trainer.validation")
        require_positive(self, "trainer.validation", ["every_steps"])
        require(0 <= self.share < 1, "trainer.validation.share", self.share, "0 or more, below 1")
        require(self.patience >= 0, "trainer.validation.patience", self.patience, "0 or more")

    def require_classes(self, classes: int) -> None:
        """Raises ValueError unless a network of so many output channels has the `classes`."""
        most = max(2, classes) - 1
        rule = f"foreground classes of the network, 1 to {most}"
        fits = all(1 <= c <= most for c in self.classes)
        require(fits, "trainer.validation.classes", self.classes, rule)


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """How one fold's network is trained.

    Attributes:
      samples: Budget in crops: n devices take 1/n of the steps.
      batch_size: Crops per step and device.
      crop: Size of the training crop per spatial axis, in voxels.
      foreground_fraction: Share of crops placed on a labelled voxel; 0 places all at random.
      learning_rate: Largest rate of the schedule.
      loss: What is minimised.
      optimizer: How the weights follow the gradients.
      schedule: How the learning rate goes over the training.
      augment: Random changes of the crops.
      precision: Type of activations; weights, norms and losses stay float32. `float16` scales the
        loss, and skips the steps that overflow.
      loss_scale: Of `float16`: constant factor of the loss; 0 finds one and adapts it.
      tf32: Whether GPUs may round the operands of float32 products to TF32.
      xla: Compile forward and backward pass with XLA. On a CPU it makes 3D ten times slower.
      strategy: Devices to run on: `auto` takes what is there, see `make_distribution`.
      workers: Processes to start on this machine; 1 trains in this one.
      seed: Seed of weights, order and augmentation.
      deterministic: Only operations that give the same result twice. Costs some speed on GPUs.
      checkpoint_steps: Steps between two checkpoints.
      checkpoint_minutes: Time after which a checkpoint is due as well; 0 goes by steps only.
      keep_checkpoints: How many of the last checkpoints stay; the best one stays besides.
      log_steps: Steps between two lines of the log.
      validation: Scores during the training, best checkpoint and early stopping.
      tracking: What is shown of the training, and where.
    """

    samples: int
    batch_size: int
    crop: tuple[int, ...]
    foreground_fraction: float = 0.5
    learning_rate: float = 2e-4
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    loss_scale: float = 0.0
    tf32: bool = True
    xla: bool = False
    strategy: Literal[
        "auto", "one-device", "mirrored", "multi-worker", "horovod", "tpu", "hpu", "npu"
    ] = "auto"
    workers: int = 1
    seed: int = 0
    deterministic: bool = True
    checkpoint_steps: int = 250
    checkpoint_minutes: float = 0.0
    keep_checkpoints: int = 2
    log_steps: int = 25
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    def __post_init__(self) -> None:
        require_choices(self, "trainer")
        names = ["samples", "batch_size", "workers", "checkpoint_steps", "keep_checkpoints"]
        require_positive(self, "trainer", [*names, "learning_rate", "log_steps"])
        self._require_rest()
        self._require_workers()

    def _require_rest(self) -> None:
        sizes = len(self.crop) in (2, 3) and min(self.crop) > 0
        require(sizes, "trainer.crop", self.crop, "2 or 3 sizes above 0")
        share, minutes = self.foreground_fraction, self.checkpoint_minutes
        require(0 <= share <= 1, "trainer.foreground_fraction", share, "between 0 and 1")
        require(minutes >= 0, "trainer.checkpoint_minutes", minutes, "0 or more")
        require(self.loss_scale >= 0, "trainer.loss_scale", self.loss_scale, "0 or more")
        require(0 <= self.seed < 2**31, "trainer.seed", self.seed, "between 0 and 2147483647")
        least = self.batch_size * self.workers
        rule = f"at least one batch ({least})"
        require(self.samples >= least, "trainer.samples", self.samples, rule)
        parts = self.optimizer.accumulate_parts
        rule = f"a divisor of trainer.batch_size, {self.batch_size}"
        fits = self.batch_size % parts == 0
        require(fits, "trainer.optimizer.accumulate_parts", parts, rule)
        profiled = self.tracking.profile_steps
        rule = f"no later than the last step, {self.steps(self.workers)}"
        fits = not profiled or profiled[-1] <= self.steps(self.workers)
        require(fits, "trainer.tracking.profile_steps", profiled, rule)

    def _require_workers(self) -> None:
        """Only two strategies know several processes on one machine."""
        fits = self.workers == 1 or self.strategy in ("multi-worker", "horovod")
        rule = f"'multi-worker' or 'horovod' with {self.workers} workers (trainer.workers)"
        require(fits, "trainer.strategy", self.strategy, rule)

    def steps(self, replicas: int) -> int:
        """Steps of the whole training on so many devices, the last incomplete batch left out."""
        return self.samples // (self.batch_size * replicas)


@dataclass(frozen=True, kw_only=True)
class InferenceConfig:
    """Inference on whole cases.

    Attributes:
      window: Size of the window of mode `window` per spatial axis, in voxels.
      mode: `window` slides a window of one size over the case. `whole` shows the network all of it
        at once: faster, as nothing is computed twice; norms then see more than they did in
        training, and memory grows with the case, up to `whole_limit`.
      whole_limit: Most voxels that `whole` shows the network at once, padding included; memory is
        in proportion. A larger case is covered by overlapping cubes (2D: squares) of at most so
        many, cut to the case where that is shorter. 6 million is about 182^3 or 2449^2.
      overlap: Share of a window that its neighbour covers too, 0 to below 1.
      weights: How overlapping windows are averaged: `gaussian` trusts their centres more.
      mirror: Axes (the first is 0) to flip the case along: probabilities are averaged over all 2^n
        combinations of n axes, which takes 2^n times as long.
      threshold: One-logit networks: probability from which a pixel is foreground.
      keep_largest: Groups of label values: of the union of each group the largest connected
        component stays, the others become background. `[[1, 2, 4]]` keeps one lesion of three
        classes, `[[1], [2]]` one component of each class. Of labels, not of probabilities.
      min_component: Connected components of the foreground, all labels together, that have fewer
        voxels become background; 0 keeps all.
    """

    window: tuple[int, ...]
    mode: Literal["window", "whole"] = "window"
    whole_limit: int = 6_000_000
    overlap: float = 0.5
    weights: Literal["gaussian", "constant"] = "gaussian"
    mirror: tuple[int, ...] = ()
    threshold: float = 0.5
    keep_largest: tuple[tuple[int, ...], ...] = ()
    min_component: int = 0

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
        require_positive(self, "inference", ["whole_limit"])
        least = self.min_component
        require(least >= 0, "inference.min_component", least, "0 or more voxels")
        rank, axes = len(self.window), self.mirror
        known = len({*axes}) == len(axes) and {*axes} <= {*range(rank)}
        allowed = f"different axes of 0 to {rank - 1}, by the sizes of inference.window"
        require(known, "inference.mirror", axes, allowed)
        groups = self.keep_largest
        allowed = "groups of label values, none of them empty, such as [[1], [2, 3]]"
        require(all(groups), "inference.keep_largest", groups, allowed)

    def require_labels(self, label_values: Sequence[int]) -> None:
        """Raises ValueError where `keep_largest` names a value that the dataset does not have.

        Args:
          label_values: Of the dataset, background first.
        """
        foreground = label_values[1:]
        known = {value for group in self.keep_largest for value in group} <= {*foreground}
        allowed = f"groups of the dataset's label values {', '.join(map(str, foreground))}"
        require(known, "inference.keep_largest", self.keep_largest, allowed)


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """How held-out cases are scored.

    Attributes:
      empty: Score where truth and prediction are both empty: `brats` 1, `nan` none, `reference` 0.
      metrics: What is scored beside the overlap of voxels.
      statistics: Intervals around means.
      slices: Columns to score parts of the cases by, value by value: `stratum`, `size` (of what is
        labelled in a case), `class` of DAGM, and the further columns of `data.case_table`.
      size_edges_ml: Volumes: what is labelled of all kinds together, in ml, where one bin of `size`
        ends and the next begins.
      size_edges_percent: Photographs: the same, in percent of the pixels of the image.
    """

    empty: Literal["brats", "nan", "reference"] = "brats"
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    statistics: StatisticsConfig = field(default_factory=StatisticsConfig)
    slices: tuple[str, ...] = ("stratum", "size")
    size_edges_ml: tuple[float, ...] = (1.0, 10.0, 100.0)
    size_edges_percent: tuple[float, ...] = (0.1, 1.0, 10.0)

    def __post_init__(self) -> None:
        require_choices(self, "evaluation")
        named = all(self.slices) and len({*self.slices}) == len(self.slices)
        require(named, "evaluation.slices", self.slices, "different names of columns")
        for name in ("size_edges_ml", "size_edges_percent"):
            edges = getattr(self, name)
            ascend = bool(edges) and all(a < b for a, b in pairwise((0, *edges)))
            require(ascend, f"evaluation.{name}", edges, "sizes above 0 that ascend, one or more")
