"""`result.json` of CrossValidation as values: verdict, scores, counts, and what is deployed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainer.metrics.cohort_scores import CohortScores, cohort_from_dict


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of the gate, as it was applied.

    Attributes:
      score: `REGION/SCORE`, or `images/SCORE`.
      slice: `stratum=HGG`, empty for all cases.
      of: What is compared: `mean`, `confidence` (the nearer end of the interval to failing) or
        `worst-fold`.
      bound, value: What is required and what was found; None where there is no value.
      n: Cases with a value.
      passed: Whether the rule holds.
      sentence: All of it in words.
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
class Gate:
    """Verdict, reasons, rules, and the deployed model that was compared with, if any."""

    blessed: bool
    forced: bool
    reasons: tuple[str, ...]
    rules: tuple[Rule, ...]
    baseline: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Deploy:
    """What goes out.

    Attributes:
      mode: `best-fold`, `ensemble` or `refit`.
      select: The score that chooses.
      folds: Folds whose models are in it.
      best_fold: The fold with the best value of `select`.
    """

    mode: str
    select: str
    folds: tuple[int, ...]
    best_fold: int


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Numbers of cases; `exclusions` is case id -> reason of those left out by the config."""

    listed: int
    scored: int
    excluded: int
    test: int
    exclusions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a cross-validation came to.

    Attributes:
      scores: Of all cases.
      folds: Of every fold, in order.
      slices: Column -> its value -> scores of the cases that have it.
      test: Of the cases of `test`, scored by the model to be deployed; None where there are none.
      counts, gate, deploy: See there.
    """

    scores: CohortScores
    folds: tuple[CohortScores, ...]
    slices: Mapping[str, Mapping[str, CohortScores]]
    test: CohortScores | None
    counts: Counts
    gate: Gate
    deploy: Deploy


def read_result(content: Mapping[str, Any]) -> RunResult:
    """Content of `result.json`."""
    gate, deploy, cases = content["gate"], content["deploy"], content["cases"]
    return RunResult(
        scores=cohort_from_dict(content["scores"]),
        folds=tuple(cohort_from_dict(fold["scores"]) for fold in content["folds"]),
        slices={
            column: {value: cohort_from_dict(scores) for value, scores in values.items()}
            for column, values in content["slices"].items()
        },
        test=cohort_from_dict(content["test"]["scores"]) if content["test"] else None,
        counts=Counts(**{name: cases[name] for name in Counts.__dataclass_fields__}),
        gate=Gate(
            blessed=gate["blessed"],
            forced=gate["forced"],
            reasons=tuple(gate["reasons"]),
            rules=tuple(
                Rule(**{name: rule[name] for name in Rule.__dataclass_fields__})
                for rule in gate["rules"]
            ),
            baseline=gate["baseline"],
        ),
        deploy=Deploy(
            mode=deploy["mode"],
            select=deploy["select"],
            folds=tuple(deploy["folds"]),
            best_fold=deploy["best_fold"],
        ),
    )
