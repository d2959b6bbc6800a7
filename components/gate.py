"""The gate: scores of the held-out cases -> a verdict on each rule, with its values, in words.

Pure: it reads and writes nothing. `CrossValidation` calls it and makes the blessing of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from beam_preprocess.case import DatasetInfo
from beam_preprocess.validation import require
from components.gate_config import GateConfig, GateRule, best
from trainer.config import EvaluationConfig
from trainer.metrics.alike import interval_caveat
from trainer.metrics.case_scores import CaseScores
from trainer.metrics.cohort_scores import (
    IMAGES,
    CohortScores,
    find_score,
    fold_thresholds,
    score_cohort,
    score_names,
    slice_folds,
)
from trainer.metrics.config import StatisticsConfig, level_words
from trainer.metrics.definitions import unit_of
from trainer.metrics.summary import Summary

Folds = Sequence[Sequence[CaseScores]]
NO_RULES = "No rules are set (gate.rules), so no model can be blessed."


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of a rule.

    Attributes:
      score, slice, of, bound: Of the rule; `of` is `drop` for gate.max_drop.
      value: What was measured; None where there is nothing to measure.
      n: Cases (of `images/...`: images) behind it.
      passed: Whether the rule holds.
      sentence: The same in words.
    """

    score: str
    slice: str
    of: str
    bound: float
    value: float | None
    n: int
    passed: bool
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The held-out cases that rules are judged by.

    Attributes:
      folds: Cases of every fold; in a slice a fold may have none.
      thresholds: Of every fold, the probability from which on an image is taken for defective.
      statistics: Of the intervals.
      rank: Axes of a case, which tell mm from pixels.
      groups: Case id -> its patient or object, as far as known.
    """

    folds: Folds
    thresholds: Sequence[float]
    statistics: StatisticsConfig
    rank: int = 3
    groups: Mapping[str, str] = field(default_factory=dict)

    def unit(self, score: str) -> str:
        """Unit of REGION/SCORE after its number, with a space; empty for a share or a count."""
        name = unit_of(score, rank=self.rank)
        return f" {name}" if name else ""

    def find(self, score: str) -> Summary:
        """REGION/SCORE over all cases; of no case where none has it. Sums up that score alone."""
        return find_score(self.folds, score, self.statistics, thresholds=self.thresholds)

    def sum_up(self) -> CohortScores:
        """All scores over all cases."""
        return score_cohort(self.folds, self.statistics, thresholds=self.thresholds)

    def caveat(self) -> str:
        """That cases are no independent ones, where patients have several; else empty."""
        return interval_caveat(self.groups, (c.case_id for fold in self.folds for c in fold))

    def fold(self, number: int) -> "Evidence":
        """One fold of it."""
        threshold = self.thresholds[number]
        return replace(self, folds=[self.folds[number]], thresholds=[threshold])

    def slices(self, column: str) -> dict[str, "Evidence"]:
        """Value of a column -> the cases that have it."""
        parts = slice_folds(self.folds, column)
        return {value: replace(self, folds=folds) for value, folds in parts.items()}


def make_evidence(
    folds: Folds,
    statistics: StatisticsConfig,
    *,
    threshold: float,
    rank: int = 3,
    groups: Mapping[str, str] | None = None,
) -> Evidence:
    """The cases of every fold, images at the thresholds that the other folds choose.

    Args:
      folds: Cases of every fold.
      statistics: Of the intervals.
      threshold: Where the other folds cannot choose one: see `fold_thresholds`.
      rank: Axes of a case.
      groups: Case id -> its patient or object; None where nobody asks for intervals.
    """
    return Evidence(
        folds=folds,
        thresholds=fold_thresholds(folds, default=threshold),
        statistics=statistics,
        rank=rank,
        groups=groups or {},
    )


class _Measured(NamedTuple):
    """Value of a rule, the cases behind it, what it is called, why there is none, what to mind."""

    value: float | None
    n: int
    words: str
    lacks: str = "no case that it is defined for"
    caveat: str = ""


def check_gate(config: GateConfig, info: DatasetInfo, evaluation: EvaluationConfig) -> None:
    """Raises ValueError unless the gate asks for scores and slices that the cases get."""
    known = [name for name in score_names(info) if best(name) in ("high", "low")]
    allowed = f"one of {', '.join(known)} for dataset {info.name!r}"
    require(config.select in known, "gate.select", config.select, allowed)
    for rule in config.rules:
        require(rule.score in known, "gate.rules.score", rule.score, allowed)
        column = rule.slice.partition("=")[0]
        columns = evaluation.slices
        sliced = f"COLUMN=VALUE of a column of evaluation.slices ({', '.join(columns) or 'none'})"
        require(not column or column in columns, "gate.rules.slice", rule.slice, sliced)


def judge(evidence: Evidence, config: GateConfig) -> tuple[bool, list[Verdict]]:
    """Judges all rules but `max_drop`.

    Returns:
      Whether there are rules and all hold, and a verdict on each.
    """
    verdicts = [judge_rule(rule, evidence) for rule in config.rules]
    return bool(verdicts) and all(v.passed for v in verdicts), verdicts


def judge_rule(rule: GateRule, evidence: Evidence) -> Verdict:
    """Measures what a rule asks for, and compares it with the bound."""
    column, _, wanted = rule.slice.partition("=")
    slices = evidence.slices(column) if column else {wanted: evidence}
    if wanted in slices:
        measured = _MEASURES[rule.of](rule.score, slices[wanted])
    else:
        measured = _Measured(None, 0, "", f"no such case: {column} is {' or '.join(slices)}")
    subject = f"{rule.score} where {column} is {wanted}" if column else rule.score
    passed, sentence = _compare(subject, rule, measured, unit=evidence.unit(rule.score))
    return Verdict(
        score=rule.score,
        slice=rule.slice,
        of=rule.of,
        bound=rule.bound,
        value=measured.value,
        n=measured.n,
        passed=passed,
        sentence=sentence,
    )


def _compare(subject: str, rule: GateRule, measured: _Measured, *, unit: str) -> tuple[bool, str]:
    value, bound, high = measured.value, rule.bound, best(rule.score) == "high"
    if value is None:
        side = "at least" if high else "at most"
        lacks, limit = measured.lacks, f"{bound:g}{unit}"
        return False, f"{subject} has no value ({lacks}), {side} {limit} is required."
    passed = value >= bound if high else value <= bound
    verb = {
        (True, True): "reaches",
        (True, False): "is below",
        (False, True): "stays within",
        (False, False): "exceeds",
    }[high, passed]
    shown, limit = figures(value, bound)
    words = measured.words.format(f"{shown}{unit}")
    caveat = f" {measured.caveat}" if measured.caveat else ""
    return passed, f"{subject}: {words} {verb} the bound {limit}{unit}.{caveat}"


def _mean(score: str, evidence: Evidence) -> _Measured:
    found = evidence.find(score)
    return _Measured(found.mean, found.n, f"mean {{}} of {count(found.n, score)}")


def _confidence(score: str, evidence: Evidence) -> _Measured:
    found, high = evidence.find(score), best(score) == "high"
    value, end = (found.low, "lower") if high else (found.high, "upper")
    interval = f"{level_words(evidence.statistics.level)} interval"
    words = f"{end} end {{}} of the {interval} of the mean of {count(found.n, score)}"
    if found.n == 0:
        return _Measured(value, 0, words)
    lacks = f"no interval of {count(found.n, score)}"
    return _Measured(value, found.n, words, lacks, evidence.caveat())


def _worst_fold(score: str, evidence: Evidence) -> _Measured:
    found = [(evidence.fold(i).find(score), i) for i in range(len(evidence.folds))]
    known = [(summary.mean, summary.n, i) for summary, i in found if summary.mean is not None]
    if not known:
        return _Measured(None, 0, "")
    sign = 1 if best(score) == "high" else -1
    mean, n, number = min(known, key=lambda fold: sign * fold[0])
    words = f"mean {{}} of {count(n, score)} in fold {number}, the worst of {len(known)},"
    return _Measured(mean, n, words)


_MEASURES = {"mean": _mean, "confidence": _confidence, "worst-fold": _worst_fold}


def count(n: int, score: str) -> str:
    """So many cases, or images, in words."""
    noun = "image" if score.startswith(f"{IMAGES}/") else "case"
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def figures(value: float, bound: float) -> tuple[str, str]:
    """Both with four decimals, or as many as tell them apart: 0.79999 is not 0.80000."""
    digits = (d for d in range(4, 17) if f"{value:.{d}f}" != f"{bound:.{d}f}")
    d = next(digits, 4)
    return f"{value:.{d}f}", f"{bound:.{d}f}"


def best_fold(evidence: Evidence, select: str) -> int:
    """The fold whose mean of `select` is best; the first of them, and fold 0 where none has one."""
    found = {i: evidence.fold(i).find(select).mean for i in range(len(evidence.folds))}
    means = {i: mean for i, mean in found.items() if mean is not None}
    sign = 1 if best(select) == "high" else -1
    return max(means, key=lambda i: sign * means[i]) if means else 0
