"""What is left of a run: `summary.json`, and the table at the end on the terminal."""

import resource
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.lineage import NodeRun


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The result of a run; the fields of `summary.json`.

    Attributes:
      blessed: Whether the model may go out.
      reasons: A sentence per threshold.
      scores: Score -> mean, std and n over all cases.
      folds: Per fold its number, `n` and scores.
      cases: Counts of cases listed, scored, excluded and held out (`test`).
      cohort_statistics: JSON file with the statistics of every case (`check --against`).
      model: The pushed model, or None.
      report: The HTML page.
      logs: Parent of the TensorBoard logs of all folds.
      nodes: Node -> `ran` or `cached`, and seconds.
      seconds: Wall time of the run.
      peak_rss_bytes: Largest resident memory of the process or of one of its children.
    """

    blessed: bool
    reasons: list[str]
    scores: dict[str, dict[str, Any]]
    folds: list[dict[str, Any]]
    cases: dict[str, Any]
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
    heads = ["score", "mean", "std", "n", *(f"fold-{f['fold']}" for f in summary.folds)]
    rows = [_score_row(name, summary) for name in summary.scores]
    widths = [max(len(r[i]) for r in [heads, *rows]) for i in range(len(heads))]
    lines = [
        "  ".join(_align(c, w, i) for i, (c, w) in enumerate(zip(r, widths, strict=True)))
        for r in [heads, *rows]
    ]
    lines.insert(1, "  ".join("-" * w for w in widths))
    cases = summary.cases
    cached = sum(n["state"] == "cached" for n in summary.nodes.values())
    return "\n".join(
        [
            "",
            *lines,
            "",
            f"cases      {cases['listed']} listed, {cases['scored']} scored,"
            f" {cases['excluded']} excluded, {cases['test']} held out as test",
            f"verdict    {'BLESSED' if summary.blessed else 'NOT BLESSED'}",
            *(f"           {reason}" for reason in summary.reasons),
            f"model      {summary.model or 'not pushed'}",
            f"report     {summary.report}",
            f"logs       tensorboard --logdir {summary.logs}",
            f"run        {len(summary.nodes)} nodes, {cached} from the cache,"
            f" {summary.seconds:.0f} s, peak memory {summary.peak_rss_bytes / 2**30:.1f} GiB",
        ]
    )


def _score_row(name: str, summary: Summary) -> list[str]:
    score = summary.scores[name]
    folds = [f["scores"].get(name, {}).get("mean") for f in summary.folds]
    return [
        name,
        _number(score["mean"]),
        _number(score["std"]),
        str(score["n"]),
        *map(_number, folds),
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _align(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column == 0 else cell.rjust(width)
