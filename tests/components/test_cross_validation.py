"""Folds joined by hand, what the blessing says, and the component on folders."""

import json
from dataclasses import replace
from math import nan, sqrt

import pytest

from beam_preprocess.config_io import to_json
from components.gate import make_evidence
from components.gate_config import GateConfig, GateRule
from trainer.config import EvaluationConfig
from trainer.metrics.case_scores import cases_to_json
from trainer.metrics.config import StatisticsConfig

from .cases import photograph, scored

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cv():
    """The module; it imports TFX."""
    from components import cross_validation

    return cross_validation


STATISTICS = StatisticsConfig(resamples=100)
# Three cases and one: the mean of all is 2.6 / 4 = 0.65, that of the folds' means would be 0.7.
UNEQUAL = [
    [scored("a", 0.9), scored("b", 0.6), scored("c", 0.3, stratum="LGG")],
    [scored("d", 0.8)],
]


def joined(cv, folds, columns=("stratum",)):
    return cv.join_folds(make_evidence(folds, STATISTICS, threshold=0.5), columns)


def dice(cohort) -> dict:
    return cohort["regions"]["WT"]["scores"]["dice"]


def test_all_cases_count_alike_in_unequal_folds(cv):
    score = dice(joined(cv, UNEQUAL)["scores"])
    assert score["mean"] == pytest.approx(0.65)
    # deviations 0.25, -0.05, -0.35 and 0.15, squared 0.0625 + 0.0025 + 0.1225 + 0.0225 = 0.21
    assert score["std"] == pytest.approx(sqrt(0.21 / 4))
    assert score["n"] == 4


def test_folds_are_listed_in_order_with_their_own_scores(cv):
    folds = joined(cv, UNEQUAL)["folds"]
    assert [(f["fold"], f["n"]) for f in folds] == [(0, 3), (1, 1)]
    assert dice(folds[0]["scores"])["mean"] == pytest.approx(0.6)
    assert dice(folds[0]["scores"])["std"] == pytest.approx(sqrt(0.18 / 3))
    assert (dice(folds[1]["scores"])["mean"], dice(folds[1]["scores"])["low"]) == (0.8, None)


def test_slices_by_each_column(cv):
    slices = joined(cv, UNEQUAL)["slices"]
    assert {c: {v: s["n"] for v, s in values.items()} for c, values in slices.items()} == {
        "stratum": {"HGG": 3, "LGG": 1}
    }
    assert dice(slices["stratum"]["LGG"])["mean"] == 0.3
    assert joined(cv, UNEQUAL, columns=())["slices"] == {}


COHORT = {
    "listed": 7,
    "excluded": {"x": "torn"},
    "ignored_files": 1,
    "splits": {"fold-0": ["a", "b", "c"], "fold-1": ["d"], "test": ["t", "u"]},
}


PATIENTS = {"a": "p", "b": "p", "c": "q", "d": "r", "t": "s", "u": "s"}


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
    ("folds", "message"),
    [
        (
            [UNEQUAL[0][:2], UNEQUAL[1]],
            r"3 listed, 2 scored, missing \['c'\], unexpected \[\]: restore ",
        ),
        ([UNEQUAL[0], []], r"1 listed, 0 scored, missing \['d'\]"),
    ],
)
def test_case_that_was_not_scored_in_its_fold(cv, folds, message):
    with pytest.raises(RuntimeError, match=f"^every held-out case must be scored: {message}"):
        cv.count_cases(COHORT, folds)


def test_interval_of_patients_with_several_cases(run):
    rule = GateRule(score="WT/dice", bound=0.1, of="confidence")
    result, blessing = run(GateConfig(select="WT/dice", rules=(rule,)))
    [sentence] = result["gate"]["reasons"]
    assert "reaches the bound 0.1000. 1 of 3 patients or objects have several cases" in sentence
    assert sentence in said(blessing)[1]


def write_json(path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def gate(bound: float, **more) -> GateConfig:
    return GateConfig(select="WT/dice", rules=(GateRule(score="WT/dice", bound=bound),), **more)


DEPLOY = {"mode": "best-fold", "select": "WT/dice", "folds": [1], "best_fold": 1}
DEPLOY |= {"image_threshold": None}
DEPLOYED = {
    "version": "17",
    "reason": "",
    "threshold": 0.5,
    "split": "folds",
    "held_out": 4,
    "seen": 0,
}


@pytest.fixture
def run(cv, artifact, tmp_path):
    """Runs the executor on two folds; returns `result.json` and the blessing."""

    def run_on(
        config,
        folds=UNEQUAL,
        *,
        force=False,
        mode="best-fold",
        deployed=None,
        tested=(),
        columns=("stratum",),
        image_threshold=None,
    ):
        write_json(tmp_path / "examples" / "cohort.json", COHORT)
        statistics = [{"case_id": c, "group": group} for c, group in PATIENTS.items()]
        content = {"case_statistics": statistics}
        write_json(tmp_path / "examples" / "cohort-statistics.json", content)
        deploy = DEPLOY | {"mode": mode, "image_threshold": image_threshold}
        write_json(tmp_path / "model" / "candidate.json", deploy)
        inputs = {
            "examples": [artifact("Examples", tmp_path / "examples")],
            "model": [artifact("Model", tmp_path / "model")],
        }
        given = {f"evaluation_{i}": cases for i, cases in enumerate(folds)} | {"tested": tested}
        if deployed is not None:
            given |= {"baseline": deployed[1]}
            write_json(tmp_path / "baseline" / "baseline.json", deployed[0])
        for name, cases in given.items():
            write_json(tmp_path / name / "cases.json", cases_to_json(cases))
            inputs[name] = [artifact("ModelEvaluation", tmp_path / name)]
        kinds = {"blessing": "ModelBlessing", "evaluation": "ModelEvaluation"}
        outputs = {name: [artifact(kind, tmp_path / "out" / name)] for name, kind in kinds.items()}
        evaluation = EvaluationConfig(statistics=STATISTICS, slices=columns)
        parameters = {"config": to_json(config), "evaluation_config": to_json(evaluation)}
        parameters |= {"folds": 2.0, "rank": 3.0, "threshold": 0.25, "force": float(force)}
        parameters |= {"fingerprint": "f00"}
        cv.CrossValidationExecutor().Do(inputs, outputs, parameters)
        result = json.loads((tmp_path / "out" / "evaluation" / "result.json").read_text())
        return result, outputs["blessing"][0]

    return run_on


def said(blessing) -> tuple[str, str, int, int]:
    """Name and text of the file of a blessing, and its properties `blessed` and `forced`."""
    from pathlib import Path

    (path,) = Path(blessing.uri).iterdir()
    numbers = [blessing.get_int_custom_property(name) for name in ("blessed", "forced")]
    return (path.name, path.read_text(), *numbers)


REACHED = "WT/dice: mean 0.6500 of 4 cases reaches the bound 0.6000.\n"
MISSED = "WT/dice: mean 0.6500 of 4 cases is below the bound 0.7000.\n"


@pytest.mark.parametrize(
    ("bound", "force", "expected"),
    [
        (0.6, False, ("BLESSED", REACHED, 1, 0)),
        (0.6, True, ("BLESSED", REACHED, 1, 0)),  # there was nothing to force
        (0.7, False, ("NOT_BLESSED", MISSED, 0, 0)),
        (0.7, True, ("FORCED", f"{MISSED}Pushed all the same: --force was given.\n", 1, 1)),
    ],
)
def test_blessing(run, bound, force, expected):
    """TFX's Pusher pushes what has the property `blessed`."""
    result, blessing = run(gate(bound), force=force)
    assert said(blessing) == expected
    told = result["gate"]
    assert (told["blessed"], told["forced"]) == (bound == 0.6, expected[0] == "FORCED")
    assert "\n".join([*told["reasons"], ""]) == expected[1]


def test_no_rules(run):
    result, blessing = run(GateConfig(select="WT/dice"))
    sentence = "No rules are set (gate.rules), so no model can be blessed."
    assert said(blessing) == ("NOT_BLESSED", f"{sentence}\n", 0, 0)
    assert (result["gate"]["reasons"], result["gate"]["rules"]) == ([sentence], [])


def test_no_rules_and_forced(run):
    result, blessing = run(GateConfig(select="WT/dice"), force=True)
    assert said(blessing)[0] == "FORCED"
    assert result["gate"]["forced"]


def test_result(run):
    result, _ = run(gate(0.7))
    assert set(result) == {"folds", "scores", "slices", "test", "cases", "gate", "deploy"}
    assert result["test"] is None
    assert dice(result["scores"])["mean"] == pytest.approx(0.65)
    assert (result["cases"]["listed"], result["cases"]["scored"]) == (7, 4)
    assert result["deploy"] == DEPLOY
    assert result["gate"]["baseline"] is None
    (rule,) = result["gate"]["rules"]
    assert rule.pop("value") == pytest.approx(0.65)
    assert rule == {
        **{"score": "WT/dice", "slice": "", "of": "mean", "bound": 0.7, "n": 4, "passed": False},
        "sentence": MISSED.strip(),
    }


def test_scores_that_cases_lack(run):
    folds = [[scored(c.case_id, 0.5, hd95=nan) for c in fold] for fold in UNEQUAL]
    rules = (GateRule(score="WT/hd95", bound=8),)
    result, _ = run(GateConfig(select="WT/dice", rules=rules), folds)
    assert result["scores"]["regions"]["WT"]["scores"]["hd95"]["mean"] is None
    assert result["gate"]["blessed"] is False


@pytest.mark.parametrize(
    ("mode", "word"), [("refit", "gate.deploy refit"), ("ensemble", "gate.deploy ensemble")]
)
def test_what_was_not_scored_itself_is_told(run, mode, word):
    result, _ = run(gate(0.6), mode=mode)
    assert result["gate"]["blessed"]
    told = result["gate"]["reasons"][-1]
    assert word in told
    assert told.endswith(": there is no case left to score the model itself on.")


@pytest.mark.parametrize("max_drop", [None, 0.5])
@pytest.mark.parametrize("mode", ["best-fold", "refit", "ensemble"])
def test_own_scores_of_test_are_kept_and_told(run, mode, max_drop):
    """Whether something is deployed that they are compared with, or not."""
    deployed = None if max_drop is None else (DEPLOYED | {"version": "", "split": "test"}, [])
    tested = [scored("t", 0.75), scored("u", 0.5)]
    config = gate(0.6, max_drop=max_drop)
    result, _ = run(config, mode=mode, tested=tested, deployed=deployed)
    assert result["test"]["n"] == 2
    assert dice(result["test"]["scores"])["mean"] == 0.625
    assert dice(result["scores"])["n"] == 4, "they are none of the folds"
    reasons = result["gate"]["reasons"]
    assert reasons[-1] == "WT/dice of the model itself on test: mean 0.6250 of 2 cases."
    assert not [r for r in reasons if "no case left" in r]


@pytest.mark.parametrize(("chosen", "tpr", "tnr"), [(0.5, 0, 1), (None, 1, 1), (0.0, 1, 0)])
def test_images_of_test_are_found_at_the_threshold_of_the_model(run, chosen, tpr, tnr):
    """0.3 and 0.1; where none was chosen at the one of the network, 0.25."""
    tested = [photograph("t", 0.3, defective=True), photograph("u", 0.1, defective=False)]
    result, _ = run(gate(0.6), tested=tested, image_threshold=chosen)
    images = result["test"]["scores"]["images"]
    assert (images["tpr"]["mean"], images["tnr"]["mean"]) == (tpr, tnr)


def test_sizes_are_binned_here(run):
    """The scores hold the number, so that other bins need no new ones."""
    folds = [[replace(c, size=0.0 if c.case_id == "a" else 5.0) for c in f] for f in UNEQUAL]
    result, _ = run(gate(0.6), folds, columns=("size",))
    found = {value: scores["n"] for value, scores in result["slices"]["size"].items()}
    assert found == {"1 to below 10 ml": 3, "nothing labelled": 1}


def test_drop_on_the_folds(run):
    old = [scored("a", 0.9), scored("d", 1.0)]
    result, blessing = run(gate(0.6, max_drop=0.05), deployed=(DEPLOYED | {"seen": 2}, old))
    assert said(blessing)[0] == "NOT_BLESSED"
    verdict = result["gate"]["rules"][-1]
    assert (verdict["of"], verdict["bound"], verdict["n"]) == ("drop", 0.05, 2)
    assert verdict["value"] == pytest.approx(0.1)
    baseline = result["gate"]["baseline"]
    assert (baseline["version"], baseline["seen"], baseline["held_out"]) == ("17", 2, 4)
    assert dice(baseline["scores"])["mean"] == pytest.approx(0.95)
    assert dice(baseline["new_scores"])["mean"] == pytest.approx(0.85)


def test_drop_on_test(run):
    """The new model's own scores of `test`, not those of the folds."""
    deployed = (DEPLOYED | {"split": "test", "held_out": 2}, [scored("t", 0.5), scored("u", 0.5)])
    tested = [scored("t", 0.75), scored("u", 0.5)]
    result, blessing = run(gate(0.6, max_drop=0), deployed=deployed, tested=tested)
    assert said(blessing)[0] == "BLESSED"
    assert result["gate"]["rules"][-1]["value"] == -0.125
    assert "on 2 cases of test" in result["gate"]["reasons"][-2]


def test_nothing_is_deployed_yet(run):
    nothing = DEPLOYED | {"version": ""}
    result, _ = run(gate(0.6, max_drop=0), deployed=(nothing, []))
    assert (result["gate"]["blessed"], result["gate"]["baseline"]) == (True, None)
    assert result["gate"]["reasons"][-1].startswith("No other model is deployed that this one")


def test_max_drop_alone_blesses_nothing(run):
    config = GateConfig(select="WT/dice", max_drop=0)
    result, _ = run(config, deployed=(DEPLOYED | {"version": ""}, []))
    assert result["gate"]["blessed"] is False
    assert result["gate"]["reasons"][0].startswith("No rules are set")


def test_executor_writes_nothing_where_a_case_was_not_scored(run, tmp_path):
    with pytest.raises(RuntimeError, match=r"missing \['c'\]"):
        run(gate(0.1), [UNEQUAL[0][:2], UNEQUAL[1]])
    assert not (tmp_path / "out").exists()


def test_component_names_its_inputs(cv):
    from tfx.types import Channel, standard_artifacts

    evaluations = [Channel(type=standard_artifacts.ModelEvaluation) for _ in range(3)]
    tested, baseline = (Channel(type=standard_artifacts.ModelEvaluation) for _ in range(2))
    node = cv.CrossValidation(
        Channel(type=standard_artifacts.Examples),
        evaluations,
        model=Channel(type=standard_artifacts.Model),
        held_out={"tested": tested, "baseline": baseline},
        settings=cv.JudgeSettings(
            gate=gate(0.5), rank=2, evaluation=EvaluationConfig(), threshold=0.25, force=True
        ),
        fingerprint="f00",
    )
    names = {f"evaluation_{i}" for i in range(3)}
    assert set(node.inputs) == {"examples", "model", "tested", "baseline"} | names
    assert node.inputs["evaluation_2"] is evaluations[2]
    assert node.exec_properties == {
        "folds": 3,
        "config": to_json(gate(0.5)),
        "evaluation_config": to_json(EvaluationConfig()),
        "rank": 2,
        "threshold": 0.25,
        "force": 1,
        "fingerprint": "f00",
    }
    assert set(node.outputs) == {"blessing", "evaluation"}
