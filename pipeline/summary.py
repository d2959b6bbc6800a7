"""What is left of a run: `summary.json`, and the table at the end on the terminal."""

import resource
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.lineage import NodeRun
from pipeline.score_table import score_lines


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The result of a run; the fields of `summary.json`.

    Scores of several cases (`CohortScores` of `trainer.metrics.cohort_scores`) are: `n`; `regions`,
    by region the counts of empty cases and `scores`: name -> `mean`, `median`, `std`, `q25`, `q75`,
    `low`, `high` (the interval of the mean), `n` and `n_nan`; `images`; `threshold`; `detections`;
    `reference`.

    Attributes:
      blessed: Whether the model may go out.
      forced: Whether it was pushed though it may not.
      reasons: A sentence per rule of the gate, and notes on what is deployed.
      scores: Of all cases.
      folds: Per fold its number `fold`, `n` and `scores`.
      slices: Column -> its value -> scores.
      cases: Counts of cases listed, scored, excluded and held out (`test`).
      gate: `blessed`, `forced` and `reasons` as above; `rules`: per rule `score`, `slice`, `of`,
        `bound`, `value`, `n`, `passed` and `sentence`; `baseline`: null, or the comparison with the
        deployed model: `version`, `split` (`test` or `folds`), `held_out` cases, how many of them
        it has `seen`, `n` compared, its `scores` and the `new_scores` on those, their paired
        `difference`, cases that one of them has no value of (`rightly_empty`: it counts as the
        best; `unpaired`), `max_drop`, and the `reason` why they are not comparable.
      test: `n` and `scores` of the cases of `test`, scored by the model to be deployed, or None.
      deploy: `mode`, `select`, `best_fold`, `folds`: those whose models are in what is deployed,
        and `image_threshold`: from which probability on it takes an image for defective, or null.
      level: Of the intervals.
      cohort_statistics: JSON file with the statistics of every case (`check --against`).
      model: The pushed model, or None.
      report: The HTML page.
      logs: Parent of the TensorBoard logs of all folds.
      nodes: Node -> `ran` or `cached`, and seconds.
      seconds: Wall time of the run.
      peak_rss_bytes: Largest resident memory of the process or of one of its children.
    """

    blessed: bool
    forced: bool
    reasons: list[str]
    scores: dict[str, Any]
    folds: list[dict[str, Any]]
    slices: dict[str, dict[str, Any]]
    cases: dict[str, Any]
    gate: dict[str, Any]
    test: dict[str, Any] | None
    deploy: dict[str, Any]
    level: float
    cohort_statistics: str
    model: str | None
    report: str
    logs: str
    nodes: dict[str, dict[str, Any]]
    seconds: float
    peak_rss_bytes: int


def peak_rss_bytes() -> int:
    """Largest resident memory so far, of this process or of one child (Linux counts in KiB)."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(w).ru_maxrss for w in who) * 1024


def describe_nodes(nodes: Mapping[str, NodeRun]) -> dict[str, dict[str, Any]]:
    """State and seconds of every node."""
    return {n.node: {"state": n.state, "seconds": round(n.seconds, 3)} for n in nodes.values()}


def summary_table(summary: Summary) -> str:
    """The scores of all cases and of every fold as text, the verdict, and where things are."""
    cases = summary.cases
    cached = sum(n["state"] == "cached" for n in summary.nodes.values())
    return "\n".join(
        [
            "",
            *score_lines(summary.scores, summary.folds, level=summary.level),
            "",
            f"cases      {cases['listed']} listed, {cases['scored']} scored,"
            f" {cases['excluded']} excluded, {cases['test']} held out as test",
            f"verdict    {_verdict(summary)}",
            *(line for reason in summary.reasons for line in _wrapped(reason)),
            f"deploy     {_deploy(summary.deploy)}",
            f"model      {summary.model or 'not pushed'}",
            f"report     {summary.report}",
            f"logs       tensorboard --logdir {summary.logs}",
            f"run        {len(summary.nodes)} nodes, {cached} from the cache,"
            f" {summary.seconds:.0f} s, peak memory {summary.peak_rss_bytes / 2**30:.1f} GiB",
        ]
    )


def _verdict(summary: Summary) -> str:
    if summary.blessed:
        return "BLESSED"
    return "NOT BLESSED, and pushed by --force" if summary.forced else "NOT BLESSED"


def _wrapped(text: str) -> list[str]:
    """A sentence below the word `verdict`; what follows its first line is set in by two more."""
    return textwrap.wrap(
        text,
        width=100,
        initial_indent=" " * 11,
        subsequent_indent=" " * 13,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _deploy(deploy: Mapping[str, Any]) -> str:
    """What is deployed, in words."""
    words = {
        "best-fold": f"best-fold: the model of fold {deploy['best_fold']}",
        "ensemble": f"ensemble: the mean of the models of {len(deploy['folds'])} folds",
        "refit": "refit: a model that was trained on all folds",
    }
    return f"{words[deploy['mode']]} (best by {deploy['select']}: fold {deploy['best_fold']})"
