"""A checked cohort in a few numbers: folds, ranges of its features, voxels per label."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from beam_preprocess.case import CaseFiles, DatasetInfo
from beam_preprocess.cohort_check import CohortCheck
from beam_preprocess.examine import Statistics


@dataclass(frozen=True, kw_only=True)
class Split:
    """A split: number of cases and of patients (or images), and cases per stratum."""

    name: str
    cases: int
    patients: int
    strata: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Range:
    """Smallest, median and largest value of a feature."""

    name: str
    minimum: float
    median: float
    maximum: float


@dataclass(frozen=True, kw_only=True)
class LabelSummary:
    """How much there is of a foreground label.

    Attributes:
      value, name: Of the label.
      cases: Number of cases that have it.
      labelled: Number of cases with a label map.
      voxels: Voxels per case, of the cases that have it; None where there is none.
      share_of_foreground: Its share of all labelled voxels of the cohort, 0 to 1.
      share_of_grid: Its share of all voxels of the cohort, 0 to 1.
    """

    value: int
    name: str
    cases: int
    labelled: int
    voxels: Range | None
    share_of_foreground: float
    share_of_grid: float


@dataclass(frozen=True, kw_only=True)
class CohortSummary:
    """What a person looks at first.

    Attributes:
      splits: Folds in order, then the other splits.
      ranges: Spacing (mm) and size (voxels) per axis, share of foreground per channel.
      counts: `orientation` and `dtype`: value -> number of cases, the most frequent first.
      labels: One per foreground label.
    """

    splits: tuple[Split, ...]
    ranges: tuple[Range, ...]
    counts: dict[str, dict[str, int]]
    labels: tuple[LabelSummary, ...]


def summarise(check: CohortCheck) -> CohortSummary:
    """Sums up a cohort: of its statistics, those cases that could be read."""
    order = sorted(check.cohort.splits, key=_fold_number)
    cases, info = check.statistics, check.info
    return CohortSummary(
        splits=tuple(_split(name, check.cohort.splits[name]) for name in order),
        ranges=tuple(r for r in (_range(f, cases) for f in _features(info)) if r),
        counts={f: _counts(str(c[f]) for c in cases) for f in ("orientation", "dtype") if cases},
        labels=_labels(cases, info) if info else (),
    )


def summarise_statistics(
    cases: Sequence[Statistics], info: DatasetInfo, splits: Mapping[str, Sequence[str]]
) -> CohortSummary:
    """Sums up a cohort of which the statistics alone are known.

    Args:
      cases: Their statistics, with `case_id`, `group` and `stratum`.
      info: The dataset.
      splits: Name of a split -> its case ids.
    """
    known = {str(c["case_id"]): c for c in cases}
    members = {n: [known[i] for i in ids if i in known] for n, ids in splits.items()}
    return CohortSummary(
        splits=tuple(
            Split(
                name=name,
                cases=len(splits[name]),
                patients=len({c["group"] for c in members[name]}),
                strata=dict(sorted(Counter(str(c["stratum"]) for c in members[name]).items())),
            )
            for name in sorted(splits, key=_fold_number)
        ),
        ranges=tuple(r for r in (_range(f, cases) for f in _features(info)) if r),
        counts={f: _counts(str(c[f]) for c in cases) for f in ("orientation", "dtype") if cases},
        labels=_labels(cases, info),
    )


def _fold_number(name: str) -> tuple[bool, int, str]:
    """Fold 10 comes after fold 9, and other splits after all folds."""
    number = name.removeprefix("fold-")
    return (True, 0, name) if number == name else (False, int(number), name)


def _split(name: str, cases: Sequence[CaseFiles]) -> Split:
    patients = len({c.group for c in cases})
    strata = dict(sorted(Counter(c.stratum for c in cases).items()))
    return Split(name=name, cases=len(cases), patients=patients, strata=strata)


def _features(info: DatasetInfo | None) -> list[str]:
    axes = [f"{feature}_{axis}" for feature in ("spacing", "size") for axis in "xyz"]
    return axes + [f"{channel}_foreground" for channel in scanned_channels(info)]


def scanned_channels(info: DatasetInfo | None) -> tuple[str, ...]:
    """The channels of a scan, part of which is foreground; none of photographs, which all is."""
    return info.channels if info and info.foreground == "nonzero" else ()


def _range(feature: str, cases: Sequence[Statistics]) -> Range | None:
    values = numbers(feature, cases)
    return _range_of(feature, values) if values else None


def _range_of(name: str, values: Sequence[float]) -> Range:
    return Range(
        name=name, minimum=min(values), median=statistics.median(values), maximum=max(values)
    )


def numbers(feature: str, cases: Iterable[Statistics]) -> list[float]:
    """The values of a numeric feature, of the cases that have it."""
    return [float(str(c[feature])) for c in cases if feature in c]


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))


def _labels(cases: Sequence[Statistics], info: DatasetInfo) -> tuple[LabelSummary, ...]:
    voxels = {v: numbers(f"label_{v}_voxels", cases) for v in info.label_values}
    background = sum(voxels[info.label_values[0]])
    grid = sum(sum(counts) for counts in voxels.values())
    return tuple(
        _label(v, info.label_names[v], voxels[v], sums=(grid - background, grid))
        for v in info.label_values[1:]
    )


def _label(
    value: int, name: str, voxels: Sequence[float], *, sums: tuple[float, float]
) -> LabelSummary:
    """`sums`: voxels of the foreground, and of the whole grid, of all cases together."""
    some = [n for n in voxels if n]
    foreground, grid = (sum(some) / whole if whole else 0.0 for whole in sums)
    return LabelSummary(
        value=value,
        name=name,
        cases=len(some),
        labelled=len(voxels),
        voxels=_range_of("voxels", some) if some else None,
        share_of_foreground=foreground,
        share_of_grid=grid,
    )
