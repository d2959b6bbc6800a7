"""The config of a whole run: one section per layer, and the rules that hold between them."""

import re
from dataclasses import dataclass, field

from beam_preprocess.config import DataConfig, PreprocessingConfig
from beam_preprocess.validation import require
from components.gate_config import GateConfig
from trainer.config import EvaluationConfig, InferenceConfig, TrainerConfig
from trainer.model_config import ModelConfig

BEAM_NODES = ("CaseGen", "StatisticsGen", "Transform", "Evaluator")
"""The nodes that run on Beam."""


@dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """Where the nodes run.

    Attributes:
      beam_args: Node (CaseGen, StatisticsGen, Transform, Evaluator) -> the options of Apache Beam
        that it gets in place of our own: another runner, more workers. See docs/runners.md.
    """

    beam_args: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node, args in self.beam_args.items():
            allowed = f"of a node that runs on Beam: {', '.join(BEAM_NODES)}"
            require(node in BEAM_NODES, "pipeline.beam_args", node, allowed)
            wrong = [a for a in args if not a.startswith("--")]
            name = f"pipeline.beam_args.{node}"
            require(not wrong, name, wrong, "options that start with --")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that decides a run.

    Attributes:
      name: Name of the pipeline: lower-case letters, digits and hyphens.
      output: Run folder: metadata, artifacts, checkpoints, report, pushed models (`serving/`).
      data: The cohort.
      preprocessing: Intensities to 8 bits.
      model: The network.
      trainer: How each fold is trained.
      inference: How whole cases are segmented.
      evaluation: How they are scored.
      gate: What a model must reach to be pushed.
      pipeline: Where the nodes run.
    """

    name: str
    output: str
    data: DataConfig
    model: ModelConfig
    trainer: TrainerConfig
    inference: InferenceConfig
    gate: GateConfig
    preprocessing: PreprocessingConfig = field(default_factory=PreprocessingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    pipeline: PipelineConfig = field(default_factory=PipelineConfig)

    def __post_init__(self) -> None:
        allowed = "lower-case letters, digits and hyphens, a letter first"
        require(bool(re.fullmatch("[a-z][a-z0-9-]*", self.name)), "name", self.name, allowed)
        require(not set(self.output) & set("*?[]"), "output", self.output, "a path without * ? [ ]")
        self._check_size("trainer.crop", self.trainer.crop)
        self._check_size("inference.window", self.inference.window)
        self._check_limit()
        self._check_bottleneck()
        self.trainer.loss.require_network(self.model.classes)
        if self.model.classes:  # 0: as the dataset has
            self.trainer.validation.require_classes(self.model.classes)

    def _check_bottleneck(self) -> None:
        """In bfloat16, TensorFlow's CPU kernel of the 3-wide convolution's gradient returns NaN now
        and then where the bottleneck is 2 voxels wide (seen in 12 of 80 steps; never at 3 or more).
        """
        least = 3 * self.model.downscale
        require(
            self.trainer.precision != "bfloat16" or min(self.trainer.crop) >= least,
            "trainer.crop",
            list(self.trainer.crop),
            f"at least {least} along every axis with trainer.precision 'bfloat16', so that the"
            " bottleneck is 3 voxels wide",
        )

    def _check_limit(self) -> None:
        """Mode `whole` must be allowed the smallest input of the network."""
        limit = self.inference.whole_limit
        try:
            if self.inference.mode == "whole":
                self.model.largest_cube(limit)
        except ValueError as e:
            raise ValueError(f"inference.whole_limit {limit} does not suit the network: {e}") from e

    def _check_size(self, name: str, size: tuple[int, ...]) -> None:
        """A crop or window must suit the network."""
        try:
            self.model.output_size(size)
        except ValueError as e:
            raise ValueError(f"{name} {list(size)} does not suit the network: {e}") from e
