"""A checked cohort as one HTML page: style and histograms inside, nothing loaded from elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from beam_preprocess.case import TEST, UNLABELLED, DatasetInfo
from beam_preprocess.cohort_check import FOLD, CohortCheck, verdict
from beam_preprocess.cohort_summary import numbers, scanned_channels, summarise
from beam_preprocess.difference import Difference
from beam_preprocess.examine import Statistics
from components.check_page import (
    describe,
    difference_verdict,
    feature_words,
    number,
    p_value,
    repeated_words,
)
from components.check_page.histogram import histogram
from components.web import make_environment, page_parts

MOST_ROWS = 1000
"""Problems of one severity, and cases, that the page shows: more make it slow to open."""
MOST_LABELS = 8
"""Labels that get a column of their own in the table of cases."""
_TIMES = " \N{MULTIPLICATION SIGN} "
_FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class CaseRow:
    """A case in the table of cases.

    Attributes:
      case_id, split: Of the case.
      spacing, size: Per axis, in mm and voxels.
      foreground: Mean over the channels of their share of foreground; None where every pixel
        counts.
      voxels: Of every label that is shown, or of all foreground labels together; None where the
        case has no label.
    """

    case_id: str
    split: str
    spacing: str
    size: str
    foreground: float | None
    voxels: tuple[int | None, ...]


def render_page(check: CohortCheck, difference: Difference | None, against: str) -> str:
    """The page as HTML.

    Args:
      check: The cohort.
      difference: How it differs from another one, or None.
      against: What the other one is called.
    """
    environment = make_environment(_FOLDER)
    environment.filters |= {
        "describe": describe,
        "feature_words": feature_words,
        "number": number,
        "p_value": p_value,
    }
    return environment.get_template("template.html").render(
        check=check,
        counts=_counts(check),
        summary=summarise(check),
        verdict=verdict(check),
        histograms=_histograms(check),
        heads=_label_heads(check.info),
        rows=make_rows(check)[:MOST_ROWS],
        most=MOST_ROWS,
        difference=difference,
        difference_verdict=difference_verdict(difference) if difference else "",
        repeated=repeated_words(difference) if difference else "",
        against=against,
        **page_parts([_FOLDER / "style.css"]),
    )


def _counts(check: CohortCheck) -> dict[str, int]:
    """The tiles of the page, those with something to tell."""
    counts = {
        "Listed": check.cohort.listed,
        "To train on": check.count(FOLD),
        "For testing": check.count(TEST),
        "Without a label": check.count(UNLABELLED),
        "Excluded": len(check.cohort.excluded),
        "Files ignored": check.cohort.ignored,
        "Could be read": len(check.statistics),
    }
    always = {"Errors": len(check.errors), "Warnings": len(check.warnings)}
    return {what: n for what, n in counts.items() if n} | always


def _histograms(check: CohortCheck) -> list[Markup]:
    """Spacing and foreground where they differ at all in this kind of data, voxels per label."""
    info, cases = check.info, check.statistics
    if info is None or not cases:
        return []
    volumes = info.rank == 3
    features = [f"spacing_{axis}" for axis in "xyz" if volumes]
    features += [f"{name}_foreground" for name in scanned_channels(info)]
    charts = [histogram(feature_words(f), numbers(f, cases)) for f in features]
    unit = "voxels" if volumes else "pixels"
    for value in info.label_values[1:]:
        counts = [n for n in numbers(f"label_{value}_voxels", cases) if n]
        charts.append(histogram(f"{info.label_names[value]} ({unit})", counts))
    return charts


def _label_heads(info: DatasetInfo | None) -> tuple[str, ...]:
    """Heads of the columns of voxels."""
    if info is None or len(info.label_values) - 1 > MOST_LABELS:
        return ("All labels",)
    return tuple(info.label_names[v] for v in info.label_values[1:])


def make_rows(check: CohortCheck) -> list[CaseRow]:
    """A row per case that could be read, sorted by case id."""
    info, splits = check.info, check.split_of()
    if info is None:
        return []
    return [_row(case, info, splits) for case in check.statistics]


def _row(case: Statistics, info: DatasetInfo, splits: Mapping[str, str]) -> CaseRow:
    shares = [n for c in scanned_channels(info) for n in numbers(f"{c}_foreground", [case])]
    return CaseRow(
        case_id=str(case["case_id"]),
        split=splits[str(case["case_id"])],
        spacing=_TIMES.join(number(n) for a in "xyz" for n in numbers(f"spacing_{a}", [case])),
        size=_TIMES.join(f"{n:.0f}" for a in "xyz" for n in numbers(f"size_{a}", [case])),
        foreground=sum(shares) / len(shares) if shares else None,
        voxels=_voxels(case, info),
    )


def _voxels(case: Statistics, info: DatasetInfo) -> tuple[int | None, ...]:
    names = [f"label_{value}_voxels" for value in info.label_values[1:]]
    columns = len(_label_heads(info))
    if any(name not in case for name in names):
        return (None,) * columns
    voxels = tuple(int(str(case[name])) for name in names)
    return voxels if len(voxels) == columns else (sum(voxels),)
