"""The files of an evaluation: who must be in them, the table, and reading them back."""

import csv
import io
import json
from math import isnan, nan

import pytest

from components.evaluation_files import (
    cases_to_csv,
    check_counts,
    read_cases,
    write_cases,
    write_scores,
)
from trainer.metrics.case_scores import CaseScores, ImageScore
from trainer.metrics.cohort_scores import cohort_from_dict, score_cohort
from trainer.metrics.config import StatisticsConfig
from trainer.metrics.region_scores import RegionScores
from trainer.overlap import Overlap

COUNTS = Overlap(intersection=1, truth=4, prediction=4)


def case(case_id: str, dice: float = 0.5, **columns: str) -> CaseScores:
    regions = {"WT": RegionScores(counts=COUNTS, values={"dice": dice, "iou": 0.25})}
    return CaseScores(case_id=case_id, columns=columns, regions=regions)


def test_counts_that_agree() -> None:
    check_counts([], [])
    check_counts(["b", "a"], [case("a"), case("b")])
    with pytest.raises(RuntimeError):
        check_counts(["b", "a"], [case("a")])


@pytest.mark.parametrize(
    ("expected", "scored", "message"),
    [
        ("abc", "ab", "3 listed, 2 scored, missing ['c'], unexpected []"),
        ("ab", "abz", "2 listed, 3 scored, missing [], unexpected ['z']"),
        ("ab", "az", "2 listed, 2 scored, missing ['b'], unexpected ['z']"),
        ("hgfedcba", "", "8 listed, 0 scored, missing ['a', 'b', 'c', 'd', 'e'], unexpected []"),
    ],
)
def test_counts_that_differ(expected: str, scored: str, message: str) -> None:
    with pytest.raises(RuntimeError) as raised:
        check_counts(expected, [case(c) for c in scored])
    [told, remedy] = str(raised.value).rsplit(": ", 1)
    assert told == f"every held-out case must be scored: {message}"
    assert remedy == "restore the record files that CaseGen wrote, or run it again"


def test_case_that_was_scored_twice() -> None:
    message = r"^every case must be scored once, scored more often: \['a'\]: .* run it again$"
    with pytest.raises(RuntimeError, match=message):
        check_counts(["a", "b"], [case("a"), case("b"), case("a")])


def test_table_has_a_line_per_case_region_and_score() -> None:
    photo = CaseScores(
        case_id="b",
        columns={"stratum": "LGG"},
        regions={"WT": RegionScores(counts=COUNTS, values={})},
        image=ImageScore(score=0.9, defective=False),
        reference={"IoU_THS_0.5": 1.0},
    )
    text = cases_to_csv([photo, case("a, 1", nan, stratum="HGG", site="Ulm")])
    assert text.splitlines() == [
        "case_id,stratum,site,region,score,value,intersection,truth,prediction",
        '"a, 1",HGG,Ulm,WT,dice,,1,4,4',
        '"a, 1",HGG,Ulm,WT,iou,0.25,1,4,4',
        "b,LGG,,images,score,0.9,,,",
        "b,LGG,,images,defective,0,,,",
        "b,LGG,,reference,IoU_THS_0.5,1.0,,,",
    ]
    assert next(csv.DictReader(io.StringIO(text)))["case_id"] == "a, 1"


def test_table_of_no_cases_has_its_header() -> None:
    assert cases_to_csv([]) == "case_id,region,score,value,intersection,truth,prediction\r\n"


def test_cases_are_written_in_order_and_read_back(tmp_path) -> None:
    write_cases([case("b", nan), case("a", 0.75)], tmp_path)
    first, second = read_cases(tmp_path)
    assert first == case("a", 0.75)
    assert isnan(second.regions["WT"].values["dice"])


def test_sums_are_read_back(tmp_path) -> None:
    cases = [case("a", 1.0), case("b", nan)]
    scores = score_cohort([cases], StatisticsConfig(resamples=10), thresholds=[0.5])
    write_scores(tmp_path, "fold-1", cases, scores)
    content = json.loads((tmp_path / "scores.json").read_text())
    assert (content["split"], content["n"]) == ("fold-1", 2)
    assert cohort_from_dict(content["scores"]) == scores
    assert (tmp_path / "cases.csv").read_text().count("\n") == 5
