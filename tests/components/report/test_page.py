"""The page of a small run that lies in folders: what a reader sees, and that it loads nothing."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from components.report.content import ReportData
from components.report.page import render_page, replace_lineage
from components.report.result import read_result
from trainer.config import EvaluationConfig
from trainer.metrics.summary import Summary

from ..cases import photograph
from ..report_samples import (
    DICE,
    STATISTICS,
    TEXTS,
    make_folds,
    make_lineage,
    make_result,
    read_sample,
    sum_up,
    write_artifacts,
)

HOSTILE = '<script>alert("1")</script>'


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> ReportData:
    return read_sample(write_artifacts(tmp_path_factory.mktemp("run")), chosen=["b"])


def text_of(html: str) -> str:
    """What a reader sees: no style, no script, no tags, one space between words."""
    body = re.sub(r"<(style|script)\b.*?</\1>", "", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def with_gate(data: ReportData, **gate: object) -> ReportData:
    return replace(data, result=read_result(make_result(**gate)))


def test_blessed_with_reasons_profile_and_choice(data):
    text = text_of(render_page(data))
    assert "tiny run Blessed WT/dice: mean 0.8000 of 4 cases reaches the bound 0.7500." in text
    assert "Not blessed" not in text and "force" not in text
    assert "Profile corrected" in text
    assert "best-fold, fold 0 The model of the fold that is best by Dice of WT." in text


def test_not_blessed_with_every_reason(data):
    html = render_page(with_gate(data, blessed=False, reasons=["WT/dice is below.", "No rule."]))
    assert "Not blessed WT/dice is below. No rule." in text_of(html)
    assert "<title>Not blessed: tiny run</title>" in html
    assert "Not pushed, because the run is not blessed." in text_of(html)


def test_force_is_said_loudly(data):
    html = render_page(with_gate(data, blessed=False, forced=True))
    assert "<title>Pushed by force: tiny run</title>" in html and 'class="verdict bad"' in html
    assert "whatever the gate says. Its own verdict is: not blessed." in text_of(html)
    assert "The model was pushed by force" in text_of(html), "in the model card too"


def test_rules_with_bounds_and_values(data):
    rule = {"score": "WT/hd95", "slice": "stratum=LGG", "of": "worst-fold", "bound": 2.0}
    rule |= {"value": None, "n": 0, "passed": False, "sentence": "no value"}
    text = text_of(render_page(with_gate(data, rules=[rule])))
    assert "HD95 of WT (mm) stratum=LGG worst fold 2.000 \N{EN DASH} 0 No" in text
    assert "A run without rules is never blessed" in text_of(render_page(with_gate(data, rules=[])))


def test_why_there_is_no_deployed_model_beside_it(data):
    """None but this one, or nobody asked."""
    rule = {"score": "WT/dice", "slice": "", "of": "drop", "bound": 0.0}
    rule |= {"value": None, "n": 0, "passed": True, "sentence": "none"}
    none = "No other model is deployed that this one could be compared with."
    unasked = "was not compared with the one that is deployed (gate.max_drop: null)."
    text = text_of(render_page(with_gate(data, rules=[rule])))
    assert none in text and unasked not in text
    text = text_of(render_page(data))
    assert unasked in text and none not in text


def test_own_scores_on_test(data):
    assert "Held-out test cases The model to be deployed" not in text_of(render_page(data))
    assert "There is no held-out test set" in text_of(render_page(data))
    result = make_result()
    result |= {"test": result["folds"][0], "deploy": result["deploy"] | {"mode": "refit"}}
    text = text_of(render_page(replace(data, result=read_result(result))))
    assert "over 2 test cases and 95 % interval" in text
    assert "The model itself was scored on 2 held-out test cases" in text
    assert "was not scored itself" not in text


def test_level_of_intervals_keeps_its_digits(data):
    """97.5 is not 98, nor 99.9 100: on the page, and in the model card."""
    for level, words in ((0.975, "97.5 %"), (0.999, "99.9 %")):
        evaluation = EvaluationConfig(statistics=replace(STATISTICS, level=level))
        text = text_of(render_page(replace(data, evaluation=evaluation)))
        assert f"standard deviation, {words} interval of the mean below it" in text
        assert f"mean 0.800, {words} interval" in text
        assert f"{words} intervals of means over cases" in text


def test_patients_with_several_cases_are_told_beside_the_intervals(data):
    words = "1 of 3 patients or objects have several cases, which are alike: intervals take"
    assert "which are alike" not in text_of(render_page(data))
    statistics = [s | {"group": "p"} if s["case_id"] in "ab" else s for s in data.data.statistics]
    shared = replace(data, data=replace(data.data, statistics=statistics))
    text = text_of(render_page(shared))
    assert f"no case there has the score. {words}" in text
    assert f"draws of the bootstrap (percentiles). {words}" in text


def test_scores_slices_and_empty_cases(data):
    text = text_of(render_page(data))
    assert re.search(r"WT 0\.800 ± 0\.112 [\d.]+ to [\d.]+, n = 4 0\.800", text)
    assert "HGG 0.900 n = 2 1.000 n = 2" in text
    assert "ET 4 0 0 4" in text and "a case scores the best value (evaluation.empty: brats)" in text


def test_images_found_and_missed_at_thresholds(data):
    images = [photograph("good", 0.3, defective=False), photograph("bad", 0.9, defective=True)]
    photos = sum_up([images])
    own = {"images": photos.images, "threshold": photos.threshold, "detections": photos.detections}
    scores = replace(data.result.scores, **own)
    text = text_of(render_page(replace(data, result=replace(data.result, scores=scores))))
    assert "0.25 1.000 0.000 1 0 0 1 0.5 1.000 1.000 1 0 1 0" in text
    assert "0.5, chosen 1.000 1.000 1 0 1 0" in text
    assert "Defect missed" not in text_of(render_page(data))


def test_cases_are_the_worst_first_where_whole_images_choose_the_model(tmp_path):
    """No case has a value of AUROC: the score that ranks the viewer ranks the table as well."""
    folds = [
        [replace(case, regions={"WT": case.regions["WT"]}) for case in fold]
        for fold in make_folds({"a": 0.9, "b": 0.7, "c": 0.6, "d": 0.8})
    ]
    result = make_result(folds)
    result["deploy"] |= {"select": "images/auroc"}
    sample = read_sample(write_artifacts(tmp_path, folds, result))
    text = text_of(render_page(sample, most_cases=2))
    assert "Every scored case, the worst first (the first 2 of 4)" in text
    assert "By Dice of WT; no single case has a value of AUROC of images. cases.csv" in text
    assert "Case Fold stratum Dice WT c 1 LGG 0.600 b 0 HGG 0.700" in text


def test_every_term_has_its_definition_on_the_page(data):
    html = render_page(data)
    terms = set(re.findall(r'<button type="button" class="term" aria-describedby="([^"]+)"', html))
    assert {"def-dice", "def-WT"} <= terms
    assert terms <= set(re.findall(r'<dd id="([^"]+)"', html))


def test_cases_of_the_viewer(data):
    text = text_of(render_page(data))
    assert "Best a Dice of WT 0.950, fold 0" in text
    assert "Median c Dice of WT 0.750, fold 1" in text
    assert "Worst d Dice of WT 0.650, fold 1" in text
    assert "Chosen b Dice of WT 0.850, fold 0" in text
    assert "The image is channel flair." in text


def test_what_was_dropped_for_the_size_is_said(data):
    shown = replace(data.viewer.shown, factor=2, left_out=("c",), items=data.viewer.shown.items[:1])
    text = text_of(render_page(replace(data, viewer=replace(data.viewer, shown=shown))))
    assert "the sides of the volumes are divided by 2" in text
    assert "Left out, so that the page stays below 15 MB: c." in text
    assert "Not shown, because their records or predictions were not kept: d, b." in text


def test_training_curves(data):
    text = text_of(render_page(data))
    assert "Fold 0 0.750 at step 5" in text and "Fold 1 no history" in text
    assert "Fold 0 0.400 at step 5" in text
    assert "were not validated on the way" not in text


def test_data_section(data):
    text = text_of(render_page(data))
    assert "Listed 6 Scored 4 Excluded 1 Held-out test 1" in text
    assert "case-x no T1 &lt;file&gt;" in text
    assert "Warnings of the data check: 1 odd one" in text
    assert "fold-0 2 2 HGG 2" in text
    assert "spacing z 2 2 2" in text
    assert "PeritumoralEdema 2 4 of 4 26 26 26" in text


def test_lineage_and_its_replacement(data):
    html = render_page(data)
    assert "Trainer-fold-0 ran 60.0 ffffffffffff examples 1 model 2" in text_of(html)
    other = replace(make_lineage(), executions=make_lineage().executions[:1], facts={})
    replaced = replace_lineage(html, other)
    assert "CaseGen cached 1.5" in text_of(replaced)
    assert "ffffffffffff" not in replaced and "d1d1" not in replaced
    assert len(text_of(replaced)) > 0.9 * len(text_of(html))


def test_model_card_marks_what_only_the_owner_knows(data):
    html = render_page(data)
    for section in ("Intended use", "Factors", "Ethical considerations", "Caveats"):
        assert section in html
    assert html.count('<span class="open">owner</span> <span class="ask">') == 11
    assert "4 cases of dataset brats in 2 folds." in text_of(html)


def test_all_that_comes_from_outside_is_escaped(tmp_path):
    dice = {f"{HOSTILE.replace('/', '|')}{i}": value for i, value in enumerate(DICE.values())}
    folds = make_folds(dice)
    result = make_result(folds, reasons=[HOSTILE])
    result["cases"]["exclusions"] = {HOSTILE: HOSTILE}
    result["slices"] = {HOSTILE: result["slices"]["stratum"]}
    fields = dict.fromkeys(("title", "profile", "config", "fingerprint"), HOSTILE)
    data = read_sample(write_artifacts(tmp_path, folds, result), texts=replace(TEXTS, **fields))
    html = render_page(data)
    assert html.count("<script>alert") == 0
    assert html.count("&lt;script&gt;alert") >= 10
    assert len(data.viewer.shown.items) == 3
    assert "\\u003cscript>alert" in html, "in the data of the viewer"


def test_page_loads_nothing_and_runs_only_its_own_scripts(data):
    html = render_page(data)
    assert not re.search(r"https?:|@import|url\(", re.sub(r"https://doi\S+", "", html))
    links = re.findall(r'\b(?:src|href)="([^"]*)"', html)
    assert links and all(link.startswith(("#", "data:")) for link in links)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1]
    assert policy.startswith("default-src 'none'") and "unsafe-eval" not in policy
    assert len(re.findall(r"'sha256-[^']+'", policy)) == html.count("<script>") == 2
    assert "script-src 'unsafe-inline'" not in policy


def test_links_lead_to_sections_and_ids_are_there_once(data):
    html = render_page(data)
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert set(re.findall(r'href="#([^"]*)"', html)) <= set(ids)
    assert len(ids) == len(set(ids))


def test_distances_of_photographs_are_in_pixels(data):
    html = render_page(replace(data, info=replace(data.info, rank=2)))
    assert "HD95 (pixels)" in html and "(mm)" not in html


def test_reference_scores_say_what_they_are_not(data):
    scores = replace(data.result.scores, reference={"MeanDice": Summary(n=4, n_nan=0, mean=0.5)})
    text = text_of(render_page(replace(data, result=replace(data.result, scores=scores))))
    assert "As the reference systems score a case" in text
    assert "every case counts, and counts once" in text
    assert "python -m trainer --profile reference does that too" in text


def test_predictions_that_were_not_kept(tmp_path: Path):
    folders = write_artifacts(tmp_path)
    for path in tmp_path.rglob("predictions/*"):
        path.unlink()
    text = text_of(render_page(read_sample(folders)))
    assert "Records or predictions of the cases were not kept." in text


@pytest.mark.slow
def test_component_writes_the_page(tmp_path: Path):
    from dataclasses import asdict

    from tfx.types import standard_artifacts

    from beam_preprocess.config_io import to_json
    from beam_preprocess.datasets.brats import BRATS
    from components.artifacts import ReportPage
    from components.report.component import ReportExecutor

    folders = write_artifacts(tmp_path)
    kinds = {"examples": standard_artifacts.Examples}
    named = {"examples": folders.examples, "cross_validation": folders.cross_validation}
    for i in range(2):
        named |= {
            f"evaluation_{i}": folders.evaluations[i],
            f"model_run_{i}": folders.model_runs[i],
        }
    inputs = {}
    for name, folder in named.items():
        default = (
            standard_artifacts.ModelRun if "run" in name else standard_artifacts.ModelEvaluation
        )
        artifact = kinds.get(name, default)()
        artifact.uri = str(folder)
        inputs[name] = [artifact]
    report = ReportPage()
    report.uri = str(tmp_path / "report")
    (tmp_path / "report").mkdir()  # as TFX does, on one machine
    parameters = {"folds": 2, "info": to_json(BRATS), **asdict(TEXTS)}
    ReportExecutor().Do(inputs, {"report": [report]}, parameters)

    assert [p.name for p in (tmp_path / "report").iterdir()] == ["report.html"]
    text = text_of((tmp_path / "report" / "report.html").read_text(encoding="utf-8"))
    assert "tiny run Blessed" in text and "Best a Dice of WT 0.950, fold 0" in text
    assert "its component writes it before the run ends" in text
    with pytest.raises(KeyError, match="model_run_1"):
        ReportExecutor().Do({n: a for n, a in inputs.items() if n != "model_run_1"}, {}, parameters)


@pytest.mark.slow
def test_page_is_the_artifact_itself_where_nobody_made_a_folder(tmp_path: Path):
    from components.report.component import page_path

    assert page_path(tmp_path) == tmp_path / "report.html"
    assert page_path(tmp_path / "report") == tmp_path / "report"


@pytest.mark.slow
def test_component_names_the_inputs_by_fold():
    from tfx.types import Channel, standard_artifacts

    from beam_preprocess.datasets.brats import BRATS
    from components.artifacts import ReportPage
    from components.report.component import Report

    def channel(kind: str) -> Channel:
        return Channel(type=getattr(standard_artifacts, kind))

    folds = [(channel("ModelEvaluation"), channel("ModelRun")) for _ in range(2)]
    node = Report(channel("Examples"), channel("ModelEvaluation"), folds, info=BRATS, texts=TEXTS)
    named = {"evaluation_0", "evaluation_1", "model_run_0", "model_run_1"}
    assert set(node.inputs) == named | {"examples", "cross_validation"}
    assert node.exec_properties["folds"] == 2 and node.exec_properties["title"] == "tiny run"
    assert node.outputs["report"].type is ReportPage
