"""Two runs side by side: what is compared, what is not, and what may be chance."""

import json
import re
from dataclasses import replace
from math import nan

import pytest

from components.compare_page.comparison import (
    Run,
    compare_runs,
    config_differences,
    flatten,
    holm,
)
from components.compare_page.page import change, comparison_dict, p_value, render_comparison
from trainer.config import EvaluationConfig
from trainer.metrics.config import MetricsConfig

from .report_samples import EVALUATION, make_folds

CASES = {f"c{i}": 0.5 + i / 100 for i in range(12)}


def make_run(name: str, dice: dict[str, float], **changes) -> Run:
    run = Run(
        name=name,
        dataset="brats",
        evaluation=EVALUATION,
        profile="corrected",
        config={"gate": {"select": "WT/dice"}, "trainer": {"samples": 10}, "output": name},
        contents={case_id: case_id for case_id in dice},
        folds=make_folds(dice),
    )
    return replace(run, **changes)


@pytest.fixture
def better():
    """B is better in every one of 12 cases."""
    return compare_runs(
        make_run("a", CASES), make_run("b", {c: v + 0.1 + v / 50 for c, v in CASES.items()})
    )


def line_of(comparison, region: str, score: str):
    return next(li for li in comparison.lines if (li.region, li.score) == (region, score))


def test_paired_differences_with_corrected_significance(better):
    dice = line_of(better, "WT", "dice")
    assert (dice.comparison.higher, dice.comparison.lower, dice.comparison.same) == (12, 0, 0)
    assert dice.differences["c0"] == pytest.approx(0.11)
    assert dice.a.mean == pytest.approx(0.555) and dice.b.mean == pytest.approx(0.6661)
    # all 12 signs alike: p = 2 / 2^12; three questions (WT dice, WT HD95, ET dice), Holm: times 3
    assert dice.comparison.p == pytest.approx(2 / 2**12)
    assert better.questions == 3 and dice.p == pytest.approx(3 * 2 / 2**12)
    assert dice.verdict == "B is better"
    assert line_of(better, "WT", "hd95").verdict == "B is better", "lower is better there"


def test_no_difference_and_nothing_to_test(better):
    assert line_of(better, "ET", "dice").p == 1.0
    assert line_of(better, "ET", "dice").verdict == "no difference shown"
    assert line_of(better, "ET", "hd95").p is None, "no case has a value"
    assert line_of(better, "ET", "hd95").verdict == "not tested"


def test_exchanged_runs_exchange_the_verdict(better):
    exchanged = compare_runs(better.b, better.a)
    assert line_of(exchanged, "WT", "dice").verdict == "A is better"
    assert line_of(exchanged, "WT", "dice").p == line_of(better, "WT", "dice").p


def test_regions_of_the_same_voxels_are_one_question():
    def doubled(run: Run) -> Run:
        folds = [
            [replace(c, regions=c.regions | {"WholeTumor": c.regions["WT"]}) for c in fold]
            for fold in run.folds
        ]
        return replace(run, folds=folds)

    runs = make_run("a", CASES), make_run("b", {c: v + 0.1 for c, v in CASES.items()})
    comparison = compare_runs(*map(doubled, runs))
    assert comparison.questions == 3
    assert line_of(comparison, "WholeTumor", "dice").p == line_of(comparison, "WT", "dice").p


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_other_cases_are_left_out_and_counted():
    b = {c: v for c, v in CASES.items() if c not in ("c0", "c1")} | {"new": 0.4}
    comparison = compare_runs(make_run("a", CASES), make_run("b", b))
    assert comparison.only_a == ("c0", "c1") and comparison.only_b == ("new",)
    assert len(comparison.shared) == 10
    assert comparison.caveats[0].startswith("3 cases were scored by one run alone")
    assert any(c.startswith("The folds differ") for c in comparison.caveats)


def test_cases_whose_files_changed_are_left_out():
    b = make_run("b", CASES)
    b = replace(b, contents=dict(b.contents) | {"c3": "other"})
    comparison = compare_runs(make_run("a", CASES), b)
    assert comparison.changed == ("c3",) and "c3" not in comparison.shared
    assert comparison.caveats == ("1 cases of the same id have other files: they are left out.",)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"dataset": "nnunet"}, "The runs read different datasets, brats and nnunet."),
        ({"profile": "reference"}, "The profiles differ, corrected and reference"),
        ({"evaluation": EvaluationConfig(empty="nan")}, "evaluation.empty differs"),
        (
            {"evaluation": EvaluationConfig(metrics=MetricsConfig(surface_tolerance_mm=2.0))},
            "evaluation.metrics differs",
        ),
    ],
)
def test_what_makes_runs_hard_to_compare_is_said(changes, sentence):
    [caveat] = compare_runs(make_run("a", CASES), make_run("b", CASES, **changes)).caveats
    assert caveat.startswith(sentence)


def test_case_that_one_run_rightly_left_empty_counts_as_the_best():
    """B finds something where nothing is: it must not fall out."""

    def with_dice(run: Run, value: float) -> Run:
        (first, *others), *folds = run.folds
        region = first.regions["WT"]
        region = replace(region, values=region.values | {"dice": value})
        first = replace(first, regions=first.regions | {"WT": region})
        return replace(run, folds=[[first, *others], *folds])

    a, b = make_run("a", CASES), make_run("b", CASES)
    comparison = compare_runs(with_dice(a, nan), with_dice(b, 0.0))
    dice = line_of(comparison, "WT", "dice")
    assert (dice.differences["c0"], dice.a.n, dice.b.n) == (-1.0, 12, 12)
    assert dice.comparison.rightly_empty == 1
    [caveat] = comparison.caveats
    assert caveat.startswith("In up to 1 cases one run has no value, as there is nothing to find")


def test_runs_without_a_case_in_common():
    other = make_run("b", {"x": 0.1, "y": 0.2}, dataset="dagm")
    message = r"^a \(dataset brats\) and b \(dataset dagm\) scored no case in common"
    with pytest.raises(ValueError, match=message):
        compare_runs(make_run("a", CASES), other)
    changed = make_run("b", CASES, contents={c: "other" for c in CASES})
    with pytest.raises(ValueError, match="the files of all 12 cases that both scored have changed"):
        compare_runs(make_run("a", CASES), changed)


def test_config_differences_name_the_field():
    a = {"trainer": {"samples": 1, "crop": [1, 2]}, "name": "x", "output": "here"}
    b = {"trainer": {"samples": 2, "crop": [1, 2]}, "name": "x", "output": "there", "new": {}}
    assert config_differences(a, b) == {"trainer.samples": (1, 2), "new": (None, {})}
    assert flatten({"a": {"b": {"c": 1}}}) == {"a.b.c": 1}


def test_page_says_it_all(better):
    html = render_comparison(better)
    text = " ".join(re.sub(r"<[^>]+>", " ", html).split())
    assert "WT 0.555 n = 12 0.666 n = 12 +0.111" in text and "12 / 0 / 0" in text
    assert "B is better" in text and "3 questions are asked at once" in text
    assert "The configurations are the same." in text
    assert set(re.findall(r'aria-describedby="([^"]+)"', html)) <= set(
        re.findall(r'\bid="([^"]*)"', html)
    )
    assert not re.search(r"https?:", html)


def test_json_has_no_nan(better):
    content = json.loads(json.dumps(comparison_dict(better), allow_nan=False))
    assert content["questions"] == 3 and content["a"]["name"] == "a"
    line = next(s for s in content["scores"] if (s["region"], s["score"]) == ("WT", "dice"))
    assert len(line["differences"]) == 12 and line["verdict"] == "B is better"


def test_words_of_numbers():
    assert [p_value(p) for p in (0.0004, 0.0321, 1.0)] == ["below 0.001", "0.032", "1.000"]
    assert p_value(None) == p_value(float("nan")) == "\N{EN DASH}"
    assert [change(v, "dice") for v in (0.1, -0.1, 0.0)] == ["+0.100", "-0.100", "+0.000"]
