"""Folds joined by hand, verdicts in words, and the component on folders."""

import json
from math import nan, sqrt

import pytest

from beam_preprocess.datasets.brats import BRATS
from beam_preprocess.datasets.dagm import DAGM
from components.gate_config import GateConfig
from trainer.scoring import Row, score_names, score_regions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cv():
    """The module; it imports TFX."""
    from components import cross_validation

    return cross_validation


def row(case: str, value: float, metric: str = "WT", truth: int = -1) -> Row:
    return Row(case_id=case, stratum="HGG", metric=metric, value=value, truth=truth)


def image(case: str, value: float, *, defective: bool) -> Row:
    return row(case, value, "image_score", truth=9 if defective else 0)


# Three cases and one: the mean of all is 2.6 / 4 = 0.65, that of the folds' means would be 0.7.
UNEQUAL = {1: [row("d", 0.8)], 0: [row("a", 0.9), row("b", 0.6), row("c", 0.3)]}


def test_all_cases_count_alike_in_unequal_folds(cv):
    joined = cv.join_folds(UNEQUAL)
    score = joined["scores"]["WT"]
    assert score["mean"] == pytest.approx(0.65)
    # deviations 0.25, -0.05, -0.35 and 0.15, squared 0.0625 + 0.0025 + 0.1225 + 0.0225 = 0.21
    assert score["std"] == pytest.approx(sqrt(0.21 / 4))
    assert score["n"] == 4


def test_folds_are_listed_in_order_with_their_own_scores(cv):
    folds = cv.join_folds(UNEQUAL)["folds"]
    assert [(f["fold"], f["n"]) for f in folds] == [(0, 3), (1, 1)]
    assert folds[0]["scores"]["WT"]["mean"] == pytest.approx(0.6)
    assert folds[0]["scores"]["WT"]["std"] == pytest.approx(sqrt(0.18 / 3))
    assert folds[1]["scores"]["WT"] == {"mean": 0.8, "std": 0.0, "n": 1}


def test_n_of_a_fold_counts_cases_and_n_of_a_score_those_that_have_it(cv):
    rows = [row("a", 0.5), row("a", 1.0, "ET"), row("b", 0.7), row("b", nan, "ET")]
    joined = cv.join_folds({0: rows, 1: [row("c", 0.6), row("c", nan, "ET")]})
    assert [f["n"] for f in joined["folds"]] == [2, 1]
    assert joined["scores"]["WT"]["n"] == 3
    assert joined["scores"]["ET"] == {"mean": 1.0, "std": 0.0, "n": 1}
    assert joined["folds"][1]["scores"]["ET"] == {"mean": None, "std": None, "n": 0}


def test_image_auroc_is_the_mean_over_the_folds_that_have_one(cv):
    """All images in one would give 5/9: scores of two networks do not compare.

    Fold 0: 0.9 > 0.1, area 1. Fold 1: of 0.2 and 0.6 one is above 0.4, area 1/2. Fold 2 has none.
    """
    rows = {
        0: [image("a", 0.9, defective=True), image("b", 0.1, defective=False)],
        1: [
            image("c", 0.2, defective=True),
            image("d", 0.6, defective=True),
            image("e", 0.4, defective=False),
        ],
        2: [image("f", 0.95, defective=False)],
    }
    joined = cv.join_folds(rows)
    assert joined["scores"] == {"image_auroc": {"mean": 0.75, "std": 0.25, "n": 6}}
    means = [f["scores"]["image_auroc"]["mean"] for f in joined["folds"]]
    assert means == [1.0, 0.5, None]


def test_image_auroc_without_any_fold_that_has_one(cv):
    rows = {i: [image(str(i), 0.5, defective=bool(i))] for i in (0, 1)}
    assert cv.join_folds(rows)["scores"]["image_auroc"] == {"mean": None, "std": None, "n": 2}


def test_no_image_auroc_for_scans(cv):
    assert "image_auroc" not in cv.join_folds(UNEQUAL)["scores"]


@pytest.mark.parametrize(
    ("mean", "blessed", "sentence"),
    [
        (0.9, True, "WT: mean 0.9000 of 4 reaches the threshold 0.8000."),
        (0.8, True, "WT: mean 0.8000 of 4 reaches the threshold 0.8000."),
        (0.7, False, "WT: mean 0.7000 of 4 is below the threshold 0.8000."),
        (0.79999, False, "WT: mean 0.79999 of 4 is below the threshold 0.80000."),
        (0.800004, True, "WT: mean 0.800004 of 4 reaches the threshold 0.800000."),
        (
            None,
            False,
            "WT has no value (no case that it is defined for), at least 0.8 is required.",
        ),
    ],
)
def test_verdict_on_one_threshold(cv, mean, blessed, sentence):
    scores = {"WT": {"mean": mean, "std": 0.1, "n": 4}}
    config = GateConfig(select="WT", thresholds={"WT": 0.8})
    assert cv.bless(scores, config) == (blessed, [sentence])


def test_mean_of_zero_reaches_a_threshold_of_zero(cv):
    scores = {"WT": {"mean": 0.0, "std": 0.0, "n": 1}}
    blessed, reasons = cv.bless(scores, GateConfig(select="WT", thresholds={"WT": 0.0}))
    assert blessed and reasons == ["WT: mean 0.0000 of 1 reaches the threshold 0.0000."]


def test_all_thresholds_must_be_reached_and_each_is_told(cv):
    scores = {"WT": {"mean": 0.9, "n": 4}, "ET": {"mean": 0.4, "n": 3}}
    config = GateConfig(select="WT", thresholds={"WT": 0.8, "XX": 0.1, "ET": 0.5})
    assert cv.bless(scores, config) == (
        False,
        [
            "ET: mean 0.4000 of 3 is below the threshold 0.5000.",
            "WT: mean 0.9000 of 4 reaches the threshold 0.8000.",
            "XX is no score of this dataset: correct gate.thresholds.",
        ],
    )


def test_nothing_is_blessed_without_thresholds(cv):
    blessed, reasons = cv.bless({"WT": {"mean": 1.0, "n": 4}}, GateConfig(select="WT"))
    assert not blessed
    assert reasons == ["No thresholds are set (gate.thresholds), so no model can be blessed."]


def folds_of(*means: float | None) -> list[dict]:
    return [{"fold": i, "scores": {"WT": {"mean": m}}} for i, m in enumerate(means)]


@pytest.mark.parametrize(
    ("means", "chosen"),
    [
        ((0.1, 0.9, 0.5), 1),
        ((0.5, 0.9, 0.9), 1),
        ((None, 0.0), 1),
        ((0.3, None, 0.4), 2),
        ((None, None), 0),
        ((0.0, 0.0), 0),
    ],
)
def test_best_fold(cv, means, chosen):
    """The first of the best; a fold without value never wins over one with."""
    assert cv.best_fold(folds_of(*means), "WT") == chosen


def test_best_fold_where_some_folds_lack_the_score(cv):
    assert cv.best_fold([{"scores": {}}, *folds_of(0.2)], "WT") == 1


def test_best_fold_of_an_unknown_score(cv):
    with pytest.raises(ValueError, match=r"^gate.select must be one of \['WT'\], got 'dice'$"):
        cv.best_fold(folds_of(0.1, 0.2), "dice")


def test_check_gate_knows_the_scores_that_cases_get(cv):
    truth = BRATS.label_values[1] * (0 * score_array() + 1)
    scores = score_regions(truth, truth, BRATS, empty="brats")
    assert sorted(score_names(BRATS)) == sorted(scores)
    for name in scores:
        assert cv.check_gate(GateConfig(select=name, thresholds={name: 0.5}), BRATS) is None
    photographs = [row("a", 1.0, m, truth=1) for m in ("image_score", "defect_dice", "defect_iou")]
    assert set(score_names(DAGM)) == set(cv.join_folds({0: photographs})["scores"])


def score_array():
    import numpy as np

    return np.zeros((2, 3), np.uint8)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (GateConfig(select="image_score"), "^gate.select must be .*, got 'image_score'$"),
        (
            GateConfig(select="defect_dice", thresholds={"WT": 0.5}),
            r"^gate.thresholds must be one of \['defect_dice', 'defect_iou', 'image_auroc'\] for"
            " dataset 'dagm', got 'WT'$",
        ),
    ],
)
def test_check_gate_of_photographs(cv, config, message):
    with pytest.raises(ValueError, match=message):
        cv.check_gate(config, DAGM)


COHORT = {
    "listed": 7,
    "excluded": {"x": "torn"},
    "ignored_files": 1,
    "splits": {"fold-0": ["a", "b", "c"], "fold-1": ["d"], "test": ["t", "u"]},
}


def test_count_cases(cv):
    assert cv.count_cases(COHORT, UNEQUAL) == {
        "listed": 7,
        "scored": 4,
        "excluded": 1,
        "test": 2,
        "exclusions": {"x": "torn"},
    }


def test_count_cases_without_test_split(cv):
    splits = {k: v for k, v in COHORT["splits"].items() if k != "test"}
    assert cv.count_cases(COHORT | {"splits": splits}, UNEQUAL)["test"] == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({0: UNEQUAL[0][:2]}, r"3 listed, 2 scored, missing \['c'\], unexpected \[\]$"),
        ({1: [row("d", 0.8), row("a", 0.8)]}, r"1 listed, 2 scored, missing \[\], .* \['a'\]$"),
        ({1: []}, r"1 listed, 0 scored, missing \['d'\]"),
    ],
)
def test_case_that_was_not_scored_in_its_fold(cv, rows, message):
    with pytest.raises(RuntimeError, match=f"^every case of the fold must be scored: {message}"):
        cv.count_cases(COHORT, UNEQUAL | rows)


def write_json(path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def run(cv, artifact, tmp_path):
    """Runs the executor on two folds; returns its outputs."""

    def run_on(config: GateConfig, rows=UNEQUAL):
        write_json(tmp_path / "examples" / "cohort.json", COHORT)
        inputs = {"examples": [artifact("Examples", tmp_path / "examples")]}
        for fold, fold_rows in rows.items():
            write_json(tmp_path / f"evaluation-{fold}/cases.json", [vars(r) for r in fold_rows])
            model = tmp_path / f"model-{fold}" / "Format-Serving"
            write_json(model / "saved_model.pb", f"weights of fold {fold}")
            write_json(model / "assets.extra" / "unet_tfx.json", {"dataset": "brats"})
            evaluation = artifact("ModelEvaluation", tmp_path / f"evaluation-{fold}")
            inputs |= {
                f"evaluation_{fold}": [evaluation],
                f"model_{fold}": [artifact("Model", tmp_path / f"model-{fold}")],
            }
        kinds = {"model": "Model", "blessing": "ModelBlessing", "evaluation": "ModelEvaluation"}
        outputs = {name: [artifact(kind, tmp_path / "out" / name)] for name, kind in kinds.items()}
        parameters = {"folds": 2, "config": json.dumps(vars(config)), "fingerprint": "f00"}
        cv.CrossValidationExecutor().Do(inputs, outputs, parameters)
        return outputs

    return run_on


def test_executor_blesses_the_best_fold(run, tmp_path):
    outputs = run(GateConfig(select="WT", thresholds={"WT": 0.65}))
    assert [p.name for p in (tmp_path / "out/blessing").iterdir()] == ["BLESSED"]
    sentence = "WT: mean 0.6500 of 4 reaches the threshold 0.6500.\n"
    assert (tmp_path / "out/blessing/BLESSED").read_text() == sentence
    assert outputs["blessing"][0].get_int_custom_property("blessed") == 1
    model = tmp_path / "out" / "model" / "Format-Serving"
    assert json.loads((model / "saved_model.pb").read_text()) == "weights of fold 1"
    assert (model / "assets.extra" / "unet_tfx.json").is_file()


def test_executor_does_not_bless_and_still_copies_the_model(run, tmp_path):
    outputs = run(GateConfig(select="WT", thresholds={"WT": 0.66}))
    assert [p.name for p in (tmp_path / "out/blessing").iterdir()] == ["NOT_BLESSED"]
    assert "is below the threshold 0.6600" in (tmp_path / "out/blessing/NOT_BLESSED").read_text()
    assert outputs["blessing"][0].get_int_custom_property("blessed") == 0
    assert (tmp_path / "out" / "model" / "Format-Serving" / "saved_model.pb").is_file()


def test_executor_writes_the_result(run, tmp_path):
    run(GateConfig(select="WT", thresholds={"WT": 0.66}))
    result = json.loads((tmp_path / "out" / "evaluation" / "result.json").read_text())
    assert result["scores"]["WT"]["mean"] == pytest.approx(0.65)
    assert [f["n"] for f in result["folds"]] == [3, 1]
    assert (result["cases"]["listed"], result["cases"]["scored"]) == (7, 4)
    assert result["chosen_fold"] == 1
    assert (result["select"], result["thresholds"]) == ("WT", {"WT": 0.66})
    assert result["blessed"] is False
    assert result["reasons"] == ["WT: mean 0.6500 of 4 is below the threshold 0.6600."]


def test_executor_reads_scores_that_cases_lack(run, tmp_path):
    rows = {f: [*rs, *(row(r.case_id, nan, "ET") for r in rs)] for f, rs in UNEQUAL.items()}
    run(GateConfig(select="WT", thresholds={"ET": 0.1}), rows)
    result = json.loads((tmp_path / "out" / "evaluation" / "result.json").read_text())
    assert result["scores"]["ET"] == {"mean": None, "std": None, "n": 0}
    assert (result["blessed"], result["chosen_fold"]) == (False, 1)


def test_executor_writes_nothing_where_a_case_was_not_scored(run, tmp_path):
    with pytest.raises(RuntimeError, match=r"missing \['c'\]"):
        run(GateConfig(select="WT", thresholds={"WT": 0.1}), UNEQUAL | {0: UNEQUAL[0][:2]})
    assert not (tmp_path / "out").exists()


def test_component_names_its_inputs_by_fold(cv):
    from tfx.types import Channel, standard_artifacts

    models = [Channel(type=standard_artifacts.Model) for _ in range(3)]
    evaluations = [Channel(type=standard_artifacts.ModelEvaluation) for _ in range(3)]
    config = GateConfig(select="WT", thresholds={"WT": 0.5})
    node = cv.CrossValidation(
        Channel(type=standard_artifacts.Examples),
        models,
        evaluations,
        config=config,
        fingerprint="f00",
    )
    names = {f"{n}_{i}" for n in ("model", "evaluation") for i in range(3)}
    assert set(node.inputs) == {"examples"} | names
    assert node.inputs["model_2"] is models[2]
    assert node.exec_properties == {
        "folds": 3,
        "config": '{"select": "WT", "thresholds": {"WT": 0.5}}',
        "fingerprint": "f00",
    }
    assert set(node.outputs) == {"model", "blessing", "evaluation"}
