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
)
from components.compare_page.lines import holm
from components.compare_page.page import change, comparison_dict, p_value, render_comparison
from pipeline.compare_text import comparison_text
from trainer.config import EvaluationConfig
from trainer.metrics.case_scores import ImageScore
from trainer.metrics.config import MetricsConfig

from .report_samples import EVALUATION, make_folds

CASES = {f"c{i}": 0.5 + i / 100 for i in range(12)}


def make_run(name: str, dice: dict[str, float], **changes) -> Run:
    run = Run(
        name=name,
        dataset="brats",
        rank=3,
        evaluation=EVALUATION,
        profile="corrected",
        threshold=0.5,
        config={"gate": {"select": "WT/dice"}, "trainer": {"samples": 10}, "output": name},
        contents={case_id: case_id for case_id in dice},
        groups={case_id: case_id for case_id in dice},
        folds=make_folds(dice),
    )
    return replace(run, **changes)


@pytest.fixture
def better():
    """B is better in every one of 12 cases."""
    return compare_runs(
        make_run("a", CASES), make_run("b", {c: v + 0.1 + v / 50 for c, v in CASES.items()})
    )


def text_of(html: str) -> str:
    """What a reader sees of the body."""
    body = re.sub(r"<(style|script)\b.*?</\1>", "", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


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
    [caveat] = comparison.caveats
    assert caveat == "1 cases of the same id have another image or truth: they are left out."


def changed_case(run: Run, case_id: str, change) -> Run:
    """One case of a run passed through a function."""
    folds = [[change(c) if c.case_id == case_id else c for c in fold] for fold in run.folds]
    return replace(run, folds=folds)


def relabelled(case):
    """The same image; its truth has a voxel more of WT."""
    scores = case.regions["WT"]
    scores = replace(scores, counts=replace(scores.counts, truth=scores.counts.truth + 1))
    return replace(case, regions=case.regions | {"WT": scores})


def test_cases_that_were_labelled_anew_are_left_out():
    """The hash of the content is that of the image: it does not tell."""
    b = changed_case(make_run("b", CASES), "c3", relabelled)
    comparison = compare_runs(make_run("a", CASES), b)
    assert comparison.changed == ("c3",)
    assert line_of(comparison, "WT", "dice").a.n == len(comparison.shared) == 11
    assert "1 with another image or truth" in text_of(render_comparison(comparison))


def test_photographs_that_were_called_defective_since_are_left_out():
    def defective(case):
        return replace(case, image=replace(case.image, defective=True))

    b = changed_case(photographs("b", WORSE), "an3", defective)
    comparison = compare_runs(photographs("a", WORSE), b)
    assert comparison.changed == ("an3",)
    assert line_of(comparison, "images", "auroc").b.n == 39


def test_another_prediction_is_no_other_truth():
    def larger(case):
        scores = case.regions["WT"]
        return replace(
            case,
            regions={"WT": replace(scores, counts=replace(scores.counts, prediction=120))},
        )

    b = changed_case(make_run("b", CASES), "c3", larger)
    assert not compare_runs(make_run("a", CASES), b).changed


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


def test_cases_of_one_patient_are_said_to_be_alike():
    groups = {c: "p0" if c in ("c0", "c1") else c for c in CASES}
    [caveat] = compare_runs(make_run("a", CASES), make_run("b", CASES, groups=groups)).caveats
    assert caveat.startswith("1 of 11 patients or objects have several cases, which are alike")
    assert "p is too small and intervals are too narrow" in caveat


def without_et(run: Run, values: dict[str, float]) -> Run:
    """ET has these values alone in two cases."""

    def changed(case):
        scores = replace(case.regions["ET"], values=values)
        return replace(case, regions=case.regions | {"ET": scores})

    folds = [[changed(c) if c.case_id in ("c0", "c9") else c for c in f] for f in run.folds]
    return replace(run, folds=folds)


def test_cases_that_one_run_alone_has_a_value_of_are_counted():
    a = without_et(make_run("a", CASES), {})
    comparison = compare_runs(a, make_run("b", CASES))
    line = line_of(comparison, "ET", "dice")
    assert (line.comparison.unpaired, line.comparison.difference.n) == (2, 10)
    [caveat] = comparison.caveats
    assert caveat == "Up to 2 cases have a score in one run alone: they are left out."
    assert "0 / 0 / 10 2 unpaired" in text_of(render_comparison(comparison))
    row = next(line for line in comparison_text(comparison).splitlines() if line.startswith("ET"))
    assert "10 (2 unpaired)" in row


def test_case_that_one_run_rightly_left_empty_counts_as_the_best():
    """ET is made up by B in two cases: under `nan` A has no value there, and B has 0."""
    a = without_et(make_run("a", CASES), {"dice": nan, "hd95": nan})
    b = without_et(make_run("b", CASES), {"dice": 0.0, "hd95": 374.0})
    comparison = compare_runs(a, b)
    dice = line_of(comparison, "ET", "dice")
    assert (dice.differences["c0"], dice.a.n, dice.b.n) == (-1.0, 12, 12)
    assert line_of(comparison, "ET", "hd95").differences["c9"] == 374
    assert (dice.comparison.rightly_empty, dice.comparison.unpaired) == (2, 0)
    [caveat] = comparison.caveats
    assert caveat.startswith("In up to 2 cases one run has no value, as there is nothing to find")


def photographs(name: str, scores: dict[str, float], **changes) -> Run:
    """Two folds of images, those with a d in their names with a defect."""
    run = make_run(name, dict.fromkeys(scores, 0.5), dataset="dagm", rank=2)
    folds = [
        [
            replace(
                case,
                image=ImageScore(score=scores[case.case_id], defective="d" in case.case_id),
                reference={"IoU": scores[case.case_id], "IoU_always_empty": 0.5},
            )
            for case in fold
        ]
        for fold in run.folds
    ]
    return replace(run, folds=folds, **changes)


WORSE = {f"{fold}{kind}{i}": 0.4 + 0.02 * i for fold in "ab" for kind in "dn" for i in range(10)}
BETTER = {c: v + 0.5 * ("d" in c) for c, v in WORSE.items()}


def test_whole_images_are_compared():
    """A gives images with and without a defect the same numbers, B all defective ones more."""
    comparison = compare_runs(photographs("a", WORSE), photographs("b", BETTER))
    auroc = line_of(comparison, "images", "auroc")
    assert (auroc.a.mean, auroc.b.mean, auroc.a.n) == (pytest.approx(0.5), 1.0, 40)
    difference = auroc.comparison.difference
    assert difference.mean == pytest.approx(0.5) and 0 < difference.low < 0.5 < difference.high < 1
    # 50 draws, all of them above 0: p is 2 / 51 before it is corrected
    assert auroc.comparison.p == pytest.approx(2 / 51)
    assert auroc.p is not None and auroc.p > auroc.comparison.p
    for score in ("average_precision", "tpr", "tnr"):
        assert line_of(comparison, "images", score).b.mean == 1.0
    tpr = line_of(comparison, "images", "tpr")
    assert tpr.a.n == 20 and tpr.comparison.higher == round(20 * (1 - tpr.a.mean))
    text = text_of(render_comparison(comparison))
    assert "p of a paired bootstrap over the images, corrected by Holm" in text
    assert "images 0.500 n = 40 1.000 n = 40 +0.500" in text
    printed = comparison_text(comparison)
    assert "AUROC and average precision: a paired bootstrap" in printed


def test_images_of_a_single_fold_are_found_at_the_threshold_of_their_run():
    """No other fold can choose one: A takes 0.45, which its last 7 of 10 images reach, B 0.5."""

    def one_fold(run: Run) -> Run:
        return replace(run, folds=[[case for fold in run.folds for case in fold]])

    b = one_fold(photographs("b", WORSE))
    comparison = compare_runs(replace(b, name="a", threshold=0.45), b)
    found = line_of(comparison, "images", "tpr")
    assert (found.a.mean, found.b.mean) == (0.7, 0.5)


def test_runs_that_rank_images_alike_do_not_differ():
    comparison = compare_runs(photographs("a", WORSE), photographs("b", WORSE))
    auroc = line_of(comparison, "images", "auroc")
    assert (auroc.comparison.p, auroc.verdict) == (1.0, "no difference shown")
    assert auroc.comparison.difference.mean == 0


def test_scores_of_the_references_are_compared_but_those_of_the_truth():
    comparison = compare_runs(photographs("a", WORSE), photographs("b", BETTER))
    iou = line_of(comparison, "IoU", "reference")
    assert iou.differences["ad0"] == pytest.approx(0.5) and iou.differences["an0"] == 0
    assert iou.verdict == "B is better"
    assert not [line for line in comparison.lines if line.region == "IoU_always_empty"]
    assert "As the reference systems score a case" in text_of(render_comparison(comparison))


def test_distances_of_photographs_are_in_pixels():
    text = text_of(
        render_comparison(compare_runs(photographs("a", WORSE), photographs("b", BETTER)))
    )
    assert "HD95 (pixels)" in text and "(mm)" not in text


def test_runs_without_a_case_in_common():
    other = make_run("b", {"x": 0.1, "y": 0.2}, dataset="dagm")
    message = r"^a \(dataset brats\) and b \(dataset dagm\) scored no case in common"
    with pytest.raises(ValueError, match=message):
        compare_runs(make_run("a", CASES), other)
    changed = make_run("b", CASES, contents={c: "other" for c in CASES})
    with pytest.raises(ValueError, match="those of all 12 cases that both scored have changed"):
        compare_runs(make_run("a", CASES), changed)


def test_config_differences_name_the_field():
    a = {"trainer": {"samples": 1, "crop": [1, 2]}, "name": "x", "output": "here"}
    b = {"trainer": {"samples": 2, "crop": [1, 2]}, "name": "x", "output": "there", "new": {}}
    assert config_differences(a, b) == {"trainer.samples": (1, 2), "new": (None, {})}
    assert flatten({"a": {"b": {"c": 1}}}) == {"a.b.c": 1}


def test_page_says_it_all(better):
    html = render_comparison(better)
    text = text_of(html)
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
