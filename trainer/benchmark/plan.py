"""What a benchmark is to measure. Errors name fields by the options of `unet-tfx benchmark`."""

from dataclasses import dataclass
from typing import Literal, get_args

from beam_preprocess.validation import require
from trainer.config import InferenceConfig, TrainerConfig
from trainer.model_config import ModelConfig

Kind = Literal["train", "infer", "input"]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True, kw_only=True)
class BenchmarkPlan:
    """What to measure, with what.

    Attributes:
      kind: `train`: steps of a training, the wait for their crops in it. `infer`: forward passes of
        the network, and whole cases by the sliding window. `input`: reading and augmenting crops.
      model: The network, with channels and classes.
      trainer: How it is trained; its budget has no effect.
      inference: Sliding window, of `infer`.
      steps: Steps, passes or batches that are timed.
      warmup_steps: Those before, which are not.
      size: Spatial size of the image of a forward pass; empty takes the crop.
      whole_cases: Cases that `infer` segments whole; 0 for none.
      records: Folder of normalised records, or of those of a reference; empty makes cases up.
    """

    kind: Kind
    model: ModelConfig
    trainer: TrainerConfig
    inference: InferenceConfig
    steps: int = 20
    warmup_steps: int = 3
    size: tuple[int, ...] = ()
    whole_cases: int = 1
    records: str = ""

    def __post_init__(self) -> None:
        require(self.kind in KINDS, "what to measure", self.kind, f"one of {', '.join(KINDS)}")
        require(self.steps > 0, "--steps", self.steps, "above 0")
        rule = "above 0: the first step builds the graph"
        require(self.warmup_steps > 0, "--warmup", self.warmup_steps, rule)
        require(self.whole_cases >= 0, "--whole-cases", self.whole_cases, "0 or more")
        for name in ("in_channels", "classes"):
            value = getattr(self.model, name)
            rule = "above 0 where no run's records tell it"
            require(value > 0, f"model.{name}", value, rule)
        self._require_kind()

    def _require_kind(self) -> None:
        """What one kind alone can use."""
        if self.kind != "infer":
            require(not self.size, "--size", [*self.size], "left out: trainer.crop is the size")
        if self.kind != "train":
            rule = f"1: {self.kind!r} runs in one process"
            require(self.trainer.workers == 1, "trainer.workers", self.trainer.workers, rule)
        try:
            self.model.output_size(self.image_size)
        except ValueError as e:
            name = "--size" if self.size else "trainer.crop"
            raise ValueError(f"{name} {[*self.image_size]} does not suit the network: {e}") from e

    @property
    def image_size(self) -> tuple[int, ...]:
        """Spatial size of a sample: of the crop, or of the image of a forward pass."""
        return self.size or self.trainer.crop
