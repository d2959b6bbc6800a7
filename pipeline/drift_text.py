"""What `unet-tfx drift` prints."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from beam_preprocess.difference import Shares
from components.check_page import describe, number
from pipeline.text_table import table

if TYPE_CHECKING:
    from components.drift import Drift, FeatureDrift, Numbers

FEW_CASES = 20
"""With fewer in a cohort, features that did not change are above the threshold now and then."""


@dataclass(frozen=True, kw_only=True)
class RunCohort:
    """The cohort of a run.

    Attributes:
      folder: Of the run.
      dataset: `data.dataset` of the run.
      statistics: Folder of its case statistics.
    """

    folder: str
    dataset: str
    statistics: str


def drift_text(drift: "Drift", a: RunCohort, b: RunCohort) -> str:
    """The cohorts, what drifted with the numbers, and a verdict."""
    parts = [_cohorts(drift, a, b), _table(drift.features), [*_verdict(drift)]]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _cohorts(drift: "Drift", a: RunCohort, b: RunCohort) -> list[str]:
    lines = [
        f"dataset   {a.dataset}",
        f"A         {drift.cases_a} cases of {a.folder}",
        f"B         {drift.cases_b} cases of {b.folder}",
    ]
    few = min(drift.cases_a, drift.cases_b)
    note = f"note      with {few} cases, features that did not change may drift by chance"
    return [*lines, note] if few < FEW_CASES else lines


def _table(features: Sequence["FeatureDrift"]) -> list[str]:
    head = ["feature", "measure", "value", "threshold", "A", "B"]
    rows = [
        [
            *(f.feature, f.measure, f"{f.value:.3f}", f"{f.threshold:g}"),
            *(_words(f.a), _words(f.b)),
        ]
        for f in features
        if f.drifted
    ]
    return table([head, *rows], left=(0, 1, 4, 5))


def _words(values: "Numbers | Shares") -> str:
    """`mean 1.2, median 1`, or `LPS 80%, RAS 20%`."""
    if isinstance(values, Shares):
        return describe(values)
    return f"mean {number(values.mean)}, median {number(values.median)}"


def _verdict(drift: "Drift") -> Iterator[str]:
    for name, features in (("A", drift.only_a), ("B", drift.only_b)):
        if features:
            yield f"only in {name}: {', '.join(features)}"
    compared = len(drift.features) + len(drift.only_a) + len(drift.only_b)
    if drift.drifted:
        yield f"{len(drift.drifted)} of {compared} features drifted"
        return
    nearest = max(drift.features, key=lambda f: f.value / (f.threshold or 1))
    yield (
        f"no drift: of {compared} features none is above its threshold; nearest is"
        f" {nearest.feature} with {nearest.value:.3f} of {nearest.threshold:g}"
    )
