"""All scores of one case as one value, as a component writes it and the next one reads it."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from trainer.metrics.lesions import Lesion
from trainer.metrics.region_scores import RegionScores
from trainer.overlap import Overlap


@dataclass(frozen=True, kw_only=True)
class ImageScore:
    """What an image with or without a defect gets as a whole.

    Attributes:
      score: Largest probability of a pixel, 0 to 1; the pixels of components that the served label
        map has lost (`inference.keep_largest`, `inference.min_component`) do not count.
      defective: Whether the truth has a defect.
    """

    score: float
    defective: bool


@dataclass(frozen=True, kw_only=True)
class CaseScores:
    """Scores of one held-out case.

    Attributes:
      case_id: Of the case.
      columns: What cases are sliced by: name of a column (`stratum`, `size` once it has been
        binned, those of the case table) -> its value.
      size: What is labelled of all kinds together, in ml, of photographs in percent of the pixels;
        None where nobody measured it.
      regions: Name of a label or region, and `mean` for the mean over the labels -> scores.
      image: Of photographs whose dataset asks whether there is a defect; None for others.
      reference: Score as the reference computes it, where the profile is `reference` -> value.
    """

    case_id: str
    columns: dict[str, str]
    regions: dict[str, RegionScores]
    size: float | None = None
    image: ImageScore | None = None
    reference: dict[str, float] = field(default_factory=dict)


def cases_to_json(cases: Sequence[CaseScores]) -> str:
    """Cases in the order of their ids. NaN is null: JSON has no NaN."""
    rows = [asdict(case) for case in sorted(cases, key=lambda c: c.case_id)]
    return json.dumps(without_nan(rows), indent=1, allow_nan=False)


def cases_from_json(text: str) -> list[CaseScores]:
    """What `cases_to_json` wrote."""
    return [_case(row) for row in json.loads(text)]


def _case(row: Mapping[str, Any]) -> CaseScores:
    return CaseScores(
        case_id=row["case_id"],
        columns=row["columns"],
        regions={name: _region(scores) for name, scores in row["regions"].items()},
        size=row["size"],
        image=ImageScore(**row["image"]) if row["image"] else None,
        reference=_with_nan(row["reference"]),
    )


def _region(row: Mapping[str, Any]) -> RegionScores:
    return RegionScores(
        counts=Overlap(**row["counts"]),
        values=_with_nan(row["values"]),
        lesions=tuple(Lesion(**lesion) for lesion in row["lesions"]),
    )


def _with_nan(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if v is None else v for name, v in values.items()}


def without_nan(value: Any) -> Any:
    """Plain values with None for NaN, which JSON has not."""
    if isinstance(value, dict):
        return {k: without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value
