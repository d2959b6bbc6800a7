"""Config of the gate: what a model must reach to be pushed, and what is pushed then."""

from dataclasses import dataclass
from typing import Literal

from beam_preprocess.validation import require, require_choices
from trainer.metrics.definitions import DEFINITIONS

_NAME = "REGION/SCORE, such as WT/dice, mean/dice or images/auroc"


@dataclass(frozen=True, kw_only=True)
class GateRule:
    """A bound on a score of the cross-validation.

    Attributes:
      score: REGION/SCORE: WT/dice, WT/hd95, mean/dice, defect/dice, images/auroc ...
      bound: In the unit of the score. Scores of which much is good must be at least this, others
        (distances in mm, missed lesions) at most.
      of: `mean` of all cases; `confidence` takes the end of the interval of that mean that is worse
        (its level is evaluation.statistics.level); `worst-fold` the mean of the fold that is worst.
      slice: COLUMN=VALUE counts only the cases of which a column says so (stratum=HGG); empty for
        all. Columns are those of evaluation.slices.
    """

    score: str
    bound: float
    of: Literal["mean", "confidence", "worst-fold"] = "mean"
    slice: str = ""

    def __post_init__(self) -> None:
        require_score(self.score, "gate.rules.score")
        require_choices(self, "gate.rules")
        name, value = f"gate.rules.bound of {self.score}", self.bound
        if best(self.score) == "high":
            require(0 <= value <= 1, name, value, "between 0 and 1")
        else:
            require(0 <= value < float("inf"), name, value, "0 or more, and finite")
        column, _, wanted = self.slice.partition("=")
        known = not self.slice or (bool(column) and bool(wanted))
        require(known, "gate.rules.slice", self.slice, "COLUMN=VALUE, or empty for all cases")


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """When a model is blessed, and which model it is.

    Attributes:
      select: The score that tells the best fold, and that max_drop compares: REGION/SCORE.
      rules: What must hold, all of it: a list of score, bound, of and slice. Without any, no run is
        blessed.
      max_drop: How much worse than the model that is deployed now the mean of select may be, on the
        same held-out cases and in the unit of the score; null does not compare.
      deploy: `best-fold` pushes the model of the best fold; `ensemble` one that averages those of
        all folds; `refit` one that is trained on all folds, for the samples that the folds needed.
    """

    select: str
    rules: tuple[GateRule, ...] = ()
    max_drop: float | None = None
    deploy: Literal["best-fold", "ensemble", "refit"] = "best-fold"

    def __post_init__(self) -> None:
        require_score(self.select, "gate.select")
        require_choices(self, "gate")
        drop = 0.0 if self.max_drop is None else self.max_drop
        require(0 <= drop < float("inf"), "gate.max_drop", drop, "0 or more, and finite, or null")


def best(score: str) -> str:
    """Where good values of REGION/SCORE are: `high`, `low`, `zero` or `none`."""
    return DEFINITIONS[score.partition("/")[2]].best


def require_score(name: str, field: str) -> None:
    """Raises ValueError unless a name is REGION/SCORE, of a score with a good end."""
    region, _, score = name.partition("/")
    require(bool(region) and score in DEFINITIONS, field, name, _NAME)
    ends = [s for s, d in DEFINITIONS.items() if d.best in ("high", "low")]
    allowed = (
        f"a score that is best when high or low ({', '.join(ends)}): {score!r} has no such end"
    )
    require(score in ends, field, name, allowed)
