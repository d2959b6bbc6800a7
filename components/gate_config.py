"""Config of the gate: what a model must reach to be pushed."""

from dataclasses import dataclass, field

from beam_preprocess.validation import require


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """When a model is blessed, and which fold's model it is.

    Attributes:
      select: The score that chooses the model: the fold with the largest mean.
      thresholds: Score -> the smallest cross-validated mean. Without any, no run is blessed.
    """

    select: str
    thresholds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, bound in self.thresholds.items():
            require(0 <= bound <= 1, f"gate.thresholds.{name}", bound, "between 0 and 1")
