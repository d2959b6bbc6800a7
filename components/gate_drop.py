"""gate.max_drop: the new model against the one that is deployed, on cases that neither has seen.

Pure, as `gate` is. The new model's scores of a case are those of the network that held it out, or
of the model to be deployed where there is a `test` split.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from beam_preprocess.case import TEST
from components.gate import Evidence, Verdict, count, figures
from components.gate_config import GateConfig, best
from trainer.metrics.case_scores import CaseScores
from trainer.metrics.cohort_scores import IMAGES, cohort_to_dict, fold_thresholds
from trainer.metrics.comparison import compare
from trainer.metrics.summary import Summary

LEAST = 2
"""Cases of which a difference must be the mean: of one it says nothing of others."""


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """The model that is deployed now, and what it makes of the held-out cases.

    Attributes:
      version: Name of its folder in `serving/`; empty where no other model is deployed.
      reason: Why its scores would be no fair comparison; empty where they are one.
      threshold: Probability from which on it takes an image for defective.
      split: Where the held-out cases are from: `test`, or `folds`.
      held_out: How many there are.
      seen: How many of them it was trained on; they are left out.
      cases: Its scores of the others; none where there is no comparison.
    """

    version: str
    reason: str = ""
    threshold: float = 0.5
    split: str = "folds"
    held_out: int = 0
    seen: int = 0
    cases: tuple[CaseScores, ...] = field(default=())


@dataclass(frozen=True, kw_only=True)
class Difference:
    """New minus old, in the unit of a score.

    Attributes:
      summary: Over the cases that both have a value of, or count as having one; of scores of whole
        images their difference alone, without an interval.
      rightly_empty: Of those, the cases that one model rightly left empty: see
        `trainer.metrics.comparison`.
      unpaired: Cases that one model alone has a value of, for another reason.
      unit: Of the score, with a space before it; empty for a share or a count.
    """

    summary: Summary
    rightly_empty: int = 0
    unpaired: int = 0
    unit: str = ""


def judge_drop(
    evidence: Evidence, deployed: Deployed, config: GateConfig
) -> tuple[Verdict, dict[str, Any] | None]:
    """Judges gate.max_drop, which must be set.

    What is not comparable has not been shown to be no worse: the rule does not hold then. It holds
    where no other model is deployed.

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
        sentence="No other model is deployed that this one could be worse than (gate.max_drop).",
    )
    if not deployed.version:
        return verdict, None
    record = {"version": deployed.version, "split": deployed.split, "max_drop": limit}
    record |= {"held_out": deployed.held_out, "seen": deployed.seen}
    if reason := _unfair(deployed):
        sentence = (
            f"{config.select} cannot be compared with that of the deployed version"
            f" {deployed.version} ({reason}), as gate.max_drop asks: hold out labelled cases as"
            " `test`, or set gate.max_drop to null."
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
    return {"n": 0, "rightly_empty": 0, "unpaired": 0, "reason": reason} | none


def _judge_pairs(
    evidence: Evidence, deployed: Deployed, verdict: Verdict, record: dict[str, Any]
) -> tuple[Verdict, dict[str, Any]]:
    """Compares case by case what both models have scores of."""
    old = {c.case_id: c for c in deployed.cases}
    folds = [[c for c in fold if c.case_id in old] for fold in evidence.folds]
    new_side = replace(evidence, folds=folds)
    old_side = _old_side(new_side, old, deployed)
    found = find_difference(old_side, new_side, verdict.score)
    cohorts = [cohort_to_dict(side.sum_up()) for side in (old_side, new_side)]
    record = record | {"n": sum(map(len, folds)), "reason": "", "unpaired": found.unpaired}
    record |= {"rightly_empty": found.rightly_empty, "difference": asdict(found.summary)}
    record |= {"scores": cohorts[0], "new_scores": cohorts[1]}
    return _bound_drop(found, verdict, deployed), record


def _old_side(new_side: Evidence, old: Mapping[str, CaseScores], deployed: Deployed) -> Evidence:
    """The deployed model's scores of the same cases, images at thresholds of its own.

    Two networks give an image different probabilities: at the new one's threshold the old one would
    find too many, or too few. On `test` each model has the threshold that it was deployed with; on
    the folds the deployed one gets it as the new one does, by its images of the other folds.
    """
    folds = [[old[c.case_id] for c in fold] for fold in new_side.folds]
    own = deployed.threshold
    at = [own] * len(folds) if deployed.split == TEST else fold_thresholds(folds, default=own)
    return replace(new_side, folds=folds, thresholds=at)


def find_difference(old: Evidence, new: Evidence, score: str) -> Difference:
    """New minus old over the cases of both."""
    region, _, name = score.partition("/")
    if region != IMAGES:
        sides = _regions(old), _regions(new)
        found = compare(*sides, old.statistics, region=region, score=name)
        counts = {"rightly_empty": found.rightly_empty, "unpaired": found.unpaired}
        return Difference(summary=found.difference, unit=new.unit(score), **counts)
    before, after = old.find(score), new.find(score)
    if before.mean is None or after.mean is None:
        return Difference(summary=Summary(n=0, n_nan=after.n))
    mean = after.mean - before.mean
    return Difference(summary=Summary(n=after.n, n_nan=after.n_nan, mean=mean))


def _regions(side: Evidence) -> Mapping[str, Any]:
    return {c.case_id: c.regions for fold in side.folds for c in fold}


def _bound_drop(found: Difference, verdict: Verdict, deployed: Deployed) -> Verdict:
    """The verdict on what was found; too few cases, or some of one model alone, decide nothing."""
    score, limit, difference = verdict.score, verdict.bound, found.summary
    name, left_out = f"the deployed version {deployed.version}", _left_out(found, deployed)
    if difference.mean is None:
        sentence = f"{score}: no case has a value with this model and with {name}{left_out}."
        return replace(verdict, passed=False, sentence=sentence)
    drop = -difference.mean if best(score) == "high" else difference.mean
    shown, bound = figures(abs(difference.mean), limit)
    way = "better" if drop < 0 else "worse"
    how = f"{shown}{found.unit} {way} than" if drop else "the same as"
    over = f"on {count(difference.n, score)} of {deployed.split}"
    start = f"{score}: {how} {name} {over}{_interval(difference)}"
    if undecided := _undecided(found, score):
        passed, sentence = False, f"{start}; that decides nothing, as {undecided}{left_out}."
    else:
        passed = drop <= limit
        verb = "within" if passed else "more than"
        allowed = f"{verb} the {bound}{found.unit} that gate.max_drop allows"
        sentence = f"{start}, {allowed}{left_out}."
    return replace(verdict, value=drop, n=difference.n, passed=passed, sentence=sentence)


def _undecided(found: Difference, score: str) -> str:
    """Why a difference does not show that the new model is no worse; empty where it may."""
    if found.unpaired:
        one = f"{found.unpaired} have a value" if found.unpaired > 1 else "1 has a value"
        return f"of the cases {one} with one of the models alone"
    few = found.summary.n < LEAST
    return f"{count(LEAST, score)} at least are needed (gate.max_drop)" if few else ""


def _left_out(found: Difference, deployed: Deployed) -> str:
    """What else is to be known of the cases that were compared."""
    text = ""
    if found.rightly_empty:
        text = f"; {found.rightly_empty} that one of the models rightly left empty count as best"
    if deployed.seen:
        seen = f"{deployed.seen} of {deployed.held_out} held-out cases are left out"
        text = f"{text}; {seen}, which it was trained on"
    return text


def _interval(difference: Summary) -> str:
    if difference.low is None or difference.high is None:
        return ""
    return f" (difference {difference.low:+.4f} to {difference.high:+.4f})"
