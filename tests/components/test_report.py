"""The report: its words and orders, its charts, its page, and once the component on folders."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from beam_preprocess.config_io import to_json
from beam_preprocess.datasets.brats import BRATS, brats_info
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.datasets.severstal import SEVERSTAL
from components.report import define_scores, page, rank_cases, sort_scores
from components.report.charts import Axis, Curve, loss_chart, nice_ticks, spread_chart
from trainer.scoring import score_names

DASH = "\N{EN DASH}"
HOSTILE = '<script>alert("1")</script>'
NONE = {"mean": None, "std": None, "n": 0}
RESULT = {
    "scores": {
        "MeanDice": {"mean": 0.81249, "std": 0.05, "n": 4},
        "TC": {"mean": 0.7, "std": 0.1, "n": 4},
        "ET": NONE,
    },
    "folds": [
        {
            "fold": 0,
            "n": 2,
            "scores": {"MeanDice": {"mean": 0.9, "std": 0.0, "n": 2}, "ET": NONE, "TC": NONE},
        },
        {"fold": 1, "n": 2, "scores": {"MeanDice": {"mean": 0.725, "std": 0.0, "n": 2}}},
    ],
    "thresholds": {"MeanDice": 0.8, "ET": 0.5},
}
VALUES = {"MeanDice": {"a": 0.95, "b": 0.85, "c": 0.75, HOSTILE: 0.7}}


def make_data(**changes: object) -> page.ReportData:
    """A report of four cases in two folds."""
    data = page.ReportData(
        title="tiny run",
        profile="corrected",
        blessed=True,
        reasons=("MeanDice: mean 0.8125 of 4 reaches the threshold 0.8000.",),
        select="MeanDice",
        chosen_fold=0,
        thresholds=page.make_thresholds(RESULT),
        scores=page.make_scores(RESULT, VALUES),
        definitions=define_scores(BRATS),
        counts=page.Counts(listed=6, scored=4, test=1, exclusions={"case-x": "no T1 <file>"}),
        curves=(Curve(name="Fold 0", points=((1, 0.9), (2, 0.5))),),
        picture_metric="MeanDice",
        pictures=(
            page.Picture(rank="best", case_id="a", fold=0, value=0.95, png=b"pixels"),
            page.Picture(rank="worst", case_id=HOSTILE, fold=1, value=0.7, png=None),
        ),
        labels=(page.LabelColour(value=4, name="EnhancingTumor", colour=(60, 160, 240)),),
        config="name: tiny\nroot: </pre><b>",
        fingerprint="abc123",
    )
    return replace(data, **changes)


def text_of(html: str) -> str:
    """What a reader sees: no style, no tags, one space between words."""
    body = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_page_says_blessed_with_reasons_profile_and_choice():
    text = text_of(page.render_page(make_data()))
    assert "tiny run Blessed MeanDice: mean 0.8125 of 4 reaches the threshold 0.8000." in text
    assert "Not blessed" not in text
    assert "Profile corrected" in text
    assert "Chosen model Fold 0 Largest mean MeanDice of 2 folds." in text


def test_page_says_not_blessed_with_every_reason():
    reasons = ("ET has no value.", "TC: mean 0.7000 of 4 is below the threshold 0.9000.")
    html = page.render_page(make_data(blessed=False, reasons=reasons, profile="reference"))
    text = text_of(html)
    assert "Not blessed ET has no value. TC: mean 0.7000 of 4 is below" in text
    assert "<title>Not blessed: tiny run</title>" in html
    assert "Profile reference" in text and "not pushed" in text


def test_page_shows_means_with_three_decimals_and_none_as_dash():
    text = text_of(page.render_page(make_data()))
    assert "MeanDice chooses the model 0.812 ± 0.050 n = 4 0.900 n = 2 0.725 n = 2" in text
    assert f"TC 0.700 ± 0.100 n = 4 {DASH} n = 0 {DASH} n = 0" in text
    assert f"ET {DASH} n = 0 {DASH} n = 0 {DASH} n = 0" in text
    assert f"{DASH} stands for no value" in text


def test_page_lists_thresholds_with_measured_means_and_words():
    text = text_of(page.render_page(make_data()))
    assert f"ET 0.500 {DASH} No" in text
    assert "MeanDice 0.800 0.812 Yes" in text
    assert "No thresholds are set" in text_of(page.render_page(make_data(thresholds=())))


def test_page_shows_a_score_without_deviation():
    scores = (replace(make_data().scores[0], overall=page.Score(mean=0.75, std=None, n=9)),)
    assert f"0.750 ± {DASH} n = 9" in text_of(page.render_page(make_data(scores=scores)))


def test_page_defines_the_scores_it_shows():
    html, definitions = page.render_page(make_data()), define_scores(BRATS)
    for name in ("ET", "TC", "MeanDice"):
        assert definitions[name] in text_of(html)
        assert f'<th scope="row" title="{definitions[name]}">{name}' in html
    assert definitions["WT"] not in html


def test_definitions_of_brain_scans():
    definitions = define_scores(BRATS)
    assert definitions["TC"] == "Dice of labels 1 and 4 as one. The BraTS region tumour core."
    assert definitions["WT"].startswith("Dice of labels 1, 2 and 4 as one.")
    assert definitions["TumorCore"].startswith("Dice of label 1. As the reference systems")
    mean = "Mean of TumorCore, PeritumoralEdema and EnhancingTumor of a case."
    assert definitions["MeanDice"] == mean
    assert define_scores(brats_info(enhancing=3))["ET"].startswith("Dice of label 3.")


def test_definitions_of_photographs():
    assert set(define_scores(DAGM)) == set(score_names(DAGM))
    definitions = define_scores(SEVERSTAL)
    assert set(definitions) == set(score_names(SEVERSTAL))
    assert definitions["defect_2"] == "Dice of label 2."
    assert definitions["defect"] == "Dice of labels 1, 2, 3 and 4 as one."
    one = replace(SEVERSTAL, label_names={7: "rust"}, label_values=(0, 7), regions={})
    assert define_scores(one)["MeanDice"] == "Mean of rust of a case."


def test_page_counts_cases_and_names_the_excluded():
    text = text_of(page.render_page(make_data()))
    assert "Listed 6 Scored 4 Excluded 1 Held-out test 1" in text
    assert "case-x no T1 &lt;file&gt;" in text


def test_page_captions_pictures_and_embeds_them():
    html = page.render_page(make_data())
    assert "Best a fold 0 MeanDice 0.950" in text_of(html)
    assert 'src="data:image/png;base64,cGl4ZWxz"' in html
    assert (
        'alt="Case a, best by MeanDice (0.950): image, truth and prediction side by side"' in html
    )
    assert "fold 1 MeanDice 0.700 No picture of this case was kept." in text_of(html)
    assert "EnhancingTumor label 4" in text_of(html) and "rgb(60, 160, 240)" in html


def test_page_says_why_pictures_are_ranked_by_another_score():
    text = text_of(page.render_page(make_data(select="image_auroc", picture_metric="defect_dice")))
    assert "worst case by defect_dice; no single case has a value of image_auroc." in text
    assert "The first: no fold has a value of image_auroc" in text
    without = page.render_page(make_data(picture_metric=None, pictures=()))
    assert "No case has a score to rank pictures by." in without


def test_page_escapes_all_that_comes_from_outside():
    reasons, scores = (HOSTILE,), (replace(make_data().scores[0], name=HOSTILE, values=(0.5,)),)
    curve = Curve(name=HOSTILE, points=((1, 1.0),))
    hostile = {"title": HOSTILE, "profile": HOSTILE, "select": HOSTILE, "config": HOSTILE}
    hostile |= {"fingerprint": HOSTILE, "reasons": reasons, "scores": scores, "curves": (curve,)}
    html = page.render_page(make_data(**hostile))
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 10
    assert "&lt;/pre&gt;&lt;b&gt;" in page.render_page(make_data())


def test_page_loads_nothing():
    html = page.render_page(make_data())
    assert "http:" not in html and "https:" not in html and "@import" not in html
    links = re.findall(r'\b(?:src|href)="([^"]*)"', html)
    assert links and all(link.startswith(("#", "data:")) for link in links)
    assert "url(" not in html
    assert "default-src 'none'" in html


def test_page_links_lead_to_sections():
    html = page.render_page(make_data())
    assert set(re.findall(r'href="#([^"]*)"', html)) <= set(re.findall(r'\bid="([^"]*)"', html))


def test_threshold_takes_decimals_until_the_mean_differs():
    near = page.Threshold(name="TC", bound=0.8, mean=0.79996)
    assert not near.reached
    assert near.decimals == 5  # 0.80000 and 0.79996; with 4 decimals both are 0.8000
    assert page.Threshold(name="TC", bound=0.8, mean=0.8).reached
    assert page.Threshold(name="TC", bound=0.8, mean=0.8).decimals == 3
    assert not page.Threshold(name="TC", bound=0.0, mean=None).reached


def test_rank_cases():
    assert rank_cases({"b": 0.1, "a": 0.9, "c": 0.5}) == {"a": "best", "c": "median", "b": "worst"}
    assert rank_cases({"a": 0.9, "b": 0.1}) == {"a": "best", "b": "median, worst"}
    assert rank_cases({"a": 0.9}) == {"a": "best, median, worst"}
    assert rank_cases({}) == {}


def test_rank_cases_breaks_ties_by_case_id():
    ranks = rank_cases({"c": 1.0, "d": 1.0, "a": 1.0, "b": 1.0})
    assert ranks == {"a": "best", "c": "median", "d": "worst"}


def test_sort_scores_puts_unknown_ones_last():
    assert sort_scores({"zeta", "WT", "alpha", "ET"}) == ["ET", "WT", "alpha", "zeta"]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 0.83, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 10000, [0, 2000, 4000, 6000, 8000, 10000]),
        (-0.3, 0.4, [-0.4, -0.2, 0, 0.2, 0.4]),
        (0, 0, [0, 0.2]),
    ],
)
def test_nice_ticks(low: float, high: float, expected: list[float]):
    assert nice_ticks(low, high) == expected


def test_nice_ticks_of_counts_are_whole():
    assert nice_ticks(0, 2, smallest=1) == [0, 1, 2]
    assert nice_ticks(0, 1, smallest=1) == [0, 1]


def test_axis_places_values():
    axis = Axis(low=0, high=10, start=100, end=0)
    assert [axis.place(v) for v in (0, 2.5, 10)] == [100, 75, 0]


def test_loss_chart_without_points_says_so():
    for curves in ((), (Curve(name="Fold 0", points=()),)):
        assert "No training history" in loss_chart(curves)
        assert "<svg" not in loss_chart(curves)


def test_loss_chart_draws_a_single_point_as_dot():
    chart = loss_chart([Curve(name="Fold 0", points=((1, 0.5),))])
    assert chart.count("<circle") == 1
    assert "0.500 at step 1" in chart
    assert "nan" not in chart


def test_loss_chart_draws_one_line_per_fold_all_different():
    points = tuple((step, 1 / step) for step in (10, 20, 1200))
    curves = [Curve(name=f"Fold {i}", points=points) for i in range(20)]
    chart = loss_chart([*curves, Curve(name="Fold 20", points=())])
    lines = re.findall(r'<path class="(line c\d d\d)" d="[^"]+"><title>', chart)
    assert len(lines) == len(set(lines)) == 20
    assert "Fold 20 <small>no history</small>" in chart
    for label in (">step<", ">loss<", ">1,500<", ">0.02<"):
        assert label in chart


def test_spread_chart_draws_quartiles_worked_by_hand():
    chart = spread_chart({"TC": [0.0, 0.25, 0.5, 0.75, 1.0], "ET": []})
    assert "median 0.500, quartiles 0.250 to 0.750" in chart
    assert chart.count('class="box"') == 1 and "ET" not in chart
    # 0 to 1 is drawn from 16 to 624, so the box goes from 168 to 472 and the median is at 320
    assert 'class="box" x="168.0"' in chart and 'width="304.0"' in chart
    assert 'class="median" d="M320.0 ' in chart


def test_spread_chart_without_values_says_so():
    assert spread_chart({"TC": []}) == '<p class="note">No case has a score.</p>'


def write_folds(root: Path) -> dict[str, Path]:
    """Two folds of a photograph run: evaluations with rows and pictures, logs with a history, and
    without.
    """
    rows = [
        [("img-1", "image_score", 0.9), ("img-1", "defect_dice", 0.8)],
        [("img-2", "image_score", 0.1), ("img-3", "defect_dice", float("nan"))],
    ]
    folders = {}
    for i, of_fold in enumerate(rows):
        folder = folders[f"evaluation_{i}"] = root / f"evaluation-{i}"
        (folder / "pictures").mkdir(parents=True)
        content = [
            {"case_id": case, "stratum": "Class1", "metric": metric, "value": value}
            for case, metric, value in of_fold
        ]
        (folder / "cases.json").write_text(json.dumps(content))
    Image.fromarray(np.zeros((4, 12), np.uint8)).save(
        folders["evaluation_0"] / "pictures/img-1.png"
    )
    for i in range(2):
        folders[f"model_run_{i}"] = root / f"model-run-{i}"
        folders[f"model_run_{i}"].mkdir()
    history = '{"step": 5, "loss": 0.75, "steps_per_second": 2.0}\n'
    (folders["model_run_0"] / "history.jsonl").write_text(history)
    return folders


def write_result(folder: Path) -> Path:
    """A `result.json` as CrossValidation writes it."""
    image_auroc = {"mean": None, "std": None, "n": 2}
    dice = {"mean": 0.8, "std": 0.0, "n": 1}
    result = {
        "scores": {"image_auroc": image_auroc, "defect_dice": dice},
        "folds": [
            {"fold": 0, "n": 1, "scores": {"image_auroc": NONE, "defect_dice": dice}},
            {"fold": 1, "n": 2, "scores": {"image_auroc": NONE}},
        ],
        "cases": {"listed": 4, "scored": 3, "excluded": 1, "test": 0, "exclusions": {"x": "torn"}},
        "blessed": False,
        "reasons": ["No thresholds are set (gate.thresholds), so no model can be blessed."],
        "chosen_fold": 0,
        "select": "image_auroc",
        "thresholds": {},
    }
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps(result))
    return folder


@pytest.mark.slow
def test_component_writes_the_page(tmp_path: Path):
    from tfx.types import standard_artifacts

    from components.artifacts import ReportPage
    from components.report.component import ReportExecutor

    folders = write_folds(tmp_path) | {"cross_validation": write_result(tmp_path / "validation")}
    inputs = {}
    for name, folder in folders.items():
        run = name.startswith("model_run")
        artifact = standard_artifacts.ModelRun() if run else standard_artifacts.ModelEvaluation()
        artifact.uri = str(folder)
        inputs[name] = [artifact]
    report = ReportPage()
    report.uri = str(tmp_path / "report")
    texts = {"title": "dagm", "config": "a: 1", "profile": "reference", "fingerprint": "f00"}

    parameters = {"folds": 2, "info": to_json(DAGM), **texts}
    ReportExecutor().Do(inputs, {"report": [report]}, parameters)

    assert [p.name for p in (tmp_path / "report").iterdir()] == ["report.html"]
    html = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    text = text_of(html)
    assert "dagm Not blessed No thresholds are set" in text
    assert "Best, median, worst img-1 fold 0 defect_dice 0.800" in text
    assert "defect label 255" in text and "data:image/png;base64,iVBOR" in html
    assert "Fold 0 0.750 at step 5" in text and "Fold 1 no history" in text
    assert "x torn" in text and "a: 1" in text


@pytest.mark.slow
def test_legend_is_of_the_dataset():
    from components.pictures import label_colours
    from components.report.component import _labels

    info = replace(SEVERSTAL, label_values=(0, 3, 1), label_names={1: "scratch", 3: "rust"})
    legend = [(label.value, label.name, label.colour) for label in _labels(info)]
    colours = label_colours(info)
    assert legend == [(1, "scratch", colours[1]), (3, "rust", colours[3])]


@pytest.mark.slow
def test_component_misses_a_training(tmp_path: Path):
    """Every fold has one: a page without it would be wrong."""
    from tfx.types import standard_artifacts

    from components.report.component import ReportExecutor

    folders = write_folds(tmp_path) | {"cross_validation": write_result(tmp_path / "validation")}
    inputs = {}
    for name in folders.keys() - {"model_run_1"}:
        inputs[name] = [standard_artifacts.ModelEvaluation()]
        inputs[name][0].uri = str(folders[name])
    texts = {"title": "dagm", "config": "a: 1", "profile": "reference", "fingerprint": "f00"}
    with pytest.raises(KeyError, match="model_run_1"):
        ReportExecutor().Do(inputs, {}, {"folds": 2, "info": to_json(DAGM), **texts})


@pytest.mark.slow
def test_component_names_the_inputs_by_fold():
    from tfx.types import Channel, standard_artifacts

    from components.artifacts import ReportPage
    from components.report.component import Report, Texts

    evaluations = [Channel(type=standard_artifacts.ModelEvaluation) for _ in range(3)]
    runs = [Channel(type=standard_artifacts.ModelRun) for _ in range(2)]
    texts = {"title": "t", "config": "c", "profile": "p", "fingerprint": "f"}
    node = Report(evaluations[:2], runs, evaluations[2], info=DAGM, texts=Texts(**texts))
    folds = {"evaluation_0", "evaluation_1", "model_run_0", "model_run_1"}
    assert set(node.inputs) == folds | {"cross_validation"}
    assert node.exec_properties == {"folds": 2, "info": to_json(DAGM), **texts}
    assert node.outputs["report"].type is ReportPage
