"""gate.max_drop: the new model against the one that is deployed, on cases that neither has seen.

Pure, as `gate` is. The new model's scores of a case are those of the network that held it out, or
of the model to be deployed where there is a `test` split.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from components.gate import Evidence, Verdict, count, figures, unit
from components.gate_config import GateConfig, best
from trainer.metrics.case_scores import CaseScores
from trainer.metrics.cohort_scores import IMAGES, cohort_to_dict, score_cohort
from trainer.metrics.comparison import compare
from trainer.metrics.summary import Summary


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """The model that is deployed now, and what it makes of the held-out cases.

    Attributes:
      version: Name of its folder in `serving/`; empty where nothing is deployed.
      same: Whether it has the weights of the new model.
      reason: Why its scores would be no fair comparison; empty where they are one.
      split: Where the held-out cases are from: `test`, or `folds`.
      held_out: How many there are.
      seen: How many of them it was trained on; they are left out.
      cases: Its scores of the others; none where there is no comparison.
    """

    version: str
    same: bool = False
    reason: str = ""
    split: str = "folds"
    held_out: int = 0
    seen: int = 0
    cases: tuple[CaseScores, ...] = field(default=())


def judge_drop(
    evidence: Evidence, deployed: Deployed, config: GateConfig
) -> tuple[Verdict, dict[str, Any] | None]:
    """Judges gate.max_drop, which must be set.

    What is not comparable has not been shown to be no worse: the rule does not hold then. It holds
    where nothing is deployed, or the same weights are.

    Args:
      evidence: The new model's scores of the held-out cases.
      deployed: What they are compared with.
      config: The score, and how much worse it may be.

    Returns:
      The verdict, and what `result.json` keeps of the comparison: None where nothing is deployed.
    """
    limit = config.max_drop or 0.0
    verdict = Verdict(
        score=config.select,
        slice="",
        of="drop",
        bound=limit,
        value=None,
        n=0,
        passed=True,
        sentence="Nothing is deployed yet that the model could be worse than (gate.max_drop).",
    )
    if not deployed.version:
        return verdict, None
    record = {"version": deployed.version, "split": deployed.split, "max_drop": limit}
    record |= {"held_out": deployed.held_out, "seen": deployed.seen, "same": deployed.same}
    name = f"the deployed version {deployed.version}"
    if deployed.same:
        sentence = f"{name.capitalize()} has the same weights: it cannot be better."
        return replace(verdict, sentence=sentence), record | _nothing("")
    if reason := _unfair(deployed):
        sentence = (
            f"{config.select} cannot be compared with that of {name} ({reason}), as gate.max_drop"
            " asks: hold out labelled cases as `test`, or set gate.max_drop to null."
        )
        return replace(verdict, passed=False, sentence=sentence), record | _nothing(reason)
    return _judge_pairs(evidence, deployed, verdict, record)


def _unfair(deployed: Deployed) -> str:
    """Why there is no fair comparison; empty where there is."""
    if deployed.reason or deployed.cases:
        return deployed.reason
    if deployed.held_out and deployed.seen == deployed.held_out:
        return f"it was trained on all {deployed.held_out} held-out cases"
    return "there is no held-out case"


def _nothing(reason: str) -> dict[str, Any]:
    none = dict.fromkeys(("scores", "new_scores", "difference"))
    return {"n": 0, "reason": reason} | none


def _judge_pairs(
    evidence: Evidence, deployed: Deployed, verdict: Verdict, record: dict[str, Any]
) -> tuple[Verdict, dict[str, Any]]:
    """Compares case by case what both models have scores of."""
    old = {c.case_id: c for c in deployed.cases}
    folds = [[c for c in fold if c.case_id in old] for fold in evidence.folds]
    new_side = replace(evidence, folds=folds)
    old_side = replace(evidence, folds=[[old[c.case_id] for c in fold] for fold in folds])
    difference = paired_difference(old_side, new_side, verdict.score)
    cohorts = [
        cohort_to_dict(score_cohort(s.folds, s.statistics, thresholds=s.thresholds))
        for s in (old_side, new_side)
    ]
    record = record | {"n": sum(map(len, folds)), "reason": ""}
    record |= {"scores": cohorts[0], "new_scores": cohorts[1], "difference": asdict(difference)}
    return _bound_drop(difference, verdict, deployed), record


def paired_difference(old: Evidence, new: Evidence, score: str) -> Summary:
    """New minus old over the cases that both have a value of.

    Scores of whole images are no scores of a case: theirs is the difference of the two, without an
    interval.
    """
    region, _, name = score.partition("/")
    if region != IMAGES:
        sides = [_regions(side) for side in (old, new)]
        return compare(*sides, old.statistics, region=region, score=name).difference
    before, after = old.find(score), new.find(score)
    if before.mean is None or after.mean is None:
        return Summary(n=0, n_nan=after.n)
    return Summary(n=after.n, n_nan=after.n_nan, mean=after.mean - before.mean)


def _regions(side: Evidence) -> Mapping[str, Any]:
    return {c.case_id: c.regions for fold in side.folds for c in fold}


def _bound_drop(difference: Summary, verdict: Verdict, deployed: Deployed) -> Verdict:
    score, limit = verdict.score, verdict.bound
    left_out = f"; {deployed.seen} of {deployed.held_out} held-out cases are left out, which it was"
    left_out = f"{left_out} trained on" if deployed.seen else ""
    name = f"the deployed version {deployed.version}"
    if difference.mean is None:
        sentence = f"{score}: no case has a value with this model and with {name}{left_out}."
        return replace(verdict, passed=False, sentence=sentence)
    drop = -difference.mean if best(score) == "high" else difference.mean
    passed = drop <= limit
    shown, bound = figures(abs(difference.mean), limit)
    way = "better" if drop < 0 else "worse"
    how = f"{shown}{unit(score)} {way} than" if drop else "the same as"
    over = f"on {count(difference.n, score)} of {deployed.split}"
    verb = "within" if passed else "more than"
    allowed = f"{verb} the {bound}{unit(score)} that gate.max_drop allows"
    sentence = f"{score}: {how} {name} {over}{_interval(difference)}, {allowed}{left_out}."
    return replace(verdict, value=drop, n=difference.n, passed=passed, sentence=sentence)


def _interval(difference: Summary) -> str:
    if difference.low is None or difference.high is None:
        return ""
    return f" (difference {difference.low:+.4f} to {difference.high:+.4f})"
