"""Scores of cases to JSON and back."""

import json
from math import inf, isnan, nan

import pytest

from trainer.metrics.case_scores import CaseScores, ImageScore, cases_from_json, cases_to_json
from trainer.metrics.lesions import Lesion
from trainer.metrics.region_scores import RegionScores
from trainer.overlap import Overlap

SCORES = RegionScores(
    counts=Overlap(intersection=1, truth=4, prediction=2),
    values={"dice": 1 / 3, "volume_difference": -0.5},
    lesions=(Lesion(volume_mm3=60.5, found=True, dice=0.1, hd95=2.5),),
)
SCAN = CaseScores(
    case_id="b",
    columns={"stratum": "HGG", "site": "Köln"},
    regions={"WT": SCORES},
    reference={"TumorCore": 0.25},
)
PHOTO = CaseScores(
    size=12.5,
    case_id="a",
    columns={},
    regions={},
    image=ImageScore(score=0.1 + 0.2, defective=True),
)


def test_cases_come_back_in_the_order_of_their_ids() -> None:
    assert cases_from_json(cases_to_json([SCAN, PHOTO])) == [PHOTO, SCAN]
    assert cases_from_json(cases_to_json([])) == []


def test_nan_is_null() -> None:
    regions = {"WT": RegionScores(counts=SCORES.counts, values={"dice": nan, "iou": 0.0})}
    case = CaseScores(case_id="c", columns={}, regions=regions, reference={"x": nan})
    text = cases_to_json([case])
    (row,) = json.loads(text)
    assert row["regions"]["WT"]["values"] == {"dice": None, "iou": 0.0}
    (read,) = cases_from_json(text)
    assert isnan(read.regions["WT"].values["dice"]) and isnan(read.reference["x"])


def test_what_json_cannot_hold_is_an_error() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        cases_to_json([CaseScores(case_id="c", columns={}, regions={}, reference={"x": inf})])
