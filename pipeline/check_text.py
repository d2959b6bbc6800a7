"""What `unet-tfx check` prints: a cohort in tables, what is wrong with it, how it differs."""

from collections.abc import Sequence

from beam_preprocess.case import TEST, UNLABELLED, Problem
from beam_preprocess.cohort_check import FOLD, CohortCheck
from beam_preprocess.cohort_summary import CohortSummary, LabelSummary, Range, summarise
from beam_preprocess.difference import Difference
from components.check_page import describe, feature_words, number, p_value, repeated_words
from pipeline.text_table import some_lines, table

MOST = 50
"""Errors, warnings and repeated cases that are printed, of each."""


def check_text(check: CohortCheck) -> str:
    """Counts, splits, ranges, labels, errors and warnings."""
    summary = summarise(check)
    parts = [
        _counts(check),
        _splits(summary),
        _ranges(summary),
        _texts(summary),
        _labels(summary.labels),
        _problems("error", check.errors),
        _problems("warning", check.warnings),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _counts(check: CohortCheck) -> list[str]:
    cohort = check.cohort
    counts = {
        "listed": cohort.listed,
        "to train on": check.count(FOLD),
        "for testing": check.count(TEST),
        "without a label": check.count(UNLABELLED),
        "excluded": len(cohort.excluded),
        "could be read": len(check.statistics),
    }
    lines = [
        f"dataset   {check.config.dataset} in {check.config.root}",
        f"cases     {', '.join(f'{n} {what}' for what, n in counts.items() if n) or 'none'}",
    ]
    lines += [f"excluded  {case_id}: {reason}" for case_id, reason in cohort.excluded.items()]
    if cohort.ignored:
        lines.append(f"ignored   stray files: {cohort.ignored}")
    return lines


def _splits(summary: CohortSummary) -> list[str]:
    rows = [
        [s.name, str(s.cases), str(s.patients), ", ".join(f"{k} {n}" for k, n in s.strata.items())]
        for s in summary.splits
    ]
    return table([["split", "cases", "patients", "strata"], *rows], left=(0, 3))


def _ranges(summary: CohortSummary) -> list[str]:
    rows = [
        [feature_words(r.name), number(r.minimum), number(r.median), number(r.maximum)]
        for r in summary.ranges
    ]
    return table([["feature", "min", "median", "max"], *rows])


def _texts(summary: CohortSummary) -> list[str]:
    """The values of orientation and type, and how many cases have each."""
    rows = [
        [name, ", ".join(f"{value} {n}" for value, n in counts.items())]
        for name, counts in summary.counts.items()
    ]
    return table([["feature", "cases"], *rows], left=(0, 1))


def _labels(labels: Sequence[LabelSummary]) -> list[str]:
    if not any(label.labelled for label in labels):
        return []
    head = ["label", "value", "cases", "min voxels", "median", "max", "of foreground", "of grid"]
    rows = [
        [
            *(label.name, str(label.value), f"{label.cases} of {label.labelled}"),
            *_voxels(label.voxels),
            *(f"{label.share_of_foreground:.2%}", f"{label.share_of_grid:.3%}"),
        ]
        for label in labels
    ]
    return table([head, *rows])


def _voxels(voxels: Range | None) -> list[str]:
    if voxels is None:
        return ["-"] * 3
    return [f"{v:,.0f}" for v in (voxels.minimum, voxels.median, voxels.maximum)]


def _problems(severity: str, problems: Sequence[Problem]) -> list[str]:
    if not problems:
        return []
    head = f"{len(problems)} {severity}{'s' if len(problems) > 1 else ''}"
    return [head, *some_lines(problems, most=MOST, number=True)]


def difference_text(difference: Difference, against: str) -> str:
    """How a cohort differs from another one: what differs first, the strongest of it first."""
    lines = [
        f"{difference.new_cases} new cases against {difference.old_cases} old ones of {against}",
        *_features(difference),
        "old and new: median (quartiles), or shares. strength: Kolmogorov-Smirnov statistic, or"
        " half the sum of the differences of shares. outside: new cases beyond the old range.",
    ]
    for name, features in (("old", difference.only_old), ("new", difference.only_new)):
        if features:
            lines.append(f"only in the {name} cohort: {', '.join(features)}")
    lines.append(repeated_words(difference))
    return "\n".join(lines + some_lines(difference.repeated, most=MOST))


def _features(difference: Difference) -> list[str]:
    head = ["feature", "", "strength", "p", "outside", "old", "new"]
    rows = [
        [
            *(f.feature, "differs" if f.differs else "", f"{f.strength:.2f}", p_value(f.p)),
            *(f"{f.outside} of {f.new.n}", describe(f.old), describe(f.new)),
        ]
        for f in difference.features
    ]
    return table([head, *rows], left=(0, 1, 5, 6))
