"""The model to be deployed, of folders that hold no real models; ensembles join in trainer/."""

import json
from pathlib import Path

import pytest

from components.gate_config import GateConfig
from components.origin import read_origin
from trainer.metrics.case_scores import cases_to_json

from .cases import photograph, scored

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def candidate():
    """The module; it imports TFX."""
    from components import candidate

    return candidate


def write_model(folder, weights: str, cases: list[str]) -> None:
    served = folder / "Format-Serving"
    (served / "assets.extra").mkdir(parents=True)
    (served / "saved_model.pb").write_text(weights)
    (served / "assets.extra" / "unet_tfx.json").write_text("{}")
    trained = {"cases": cases, "groups": [f"patient of {c}" for c in cases]}
    trained["contents"] = {f"image of {c}": c for c in cases}
    (folder / "training_cases.json").write_text(json.dumps(trained))


# fold 1 is best by dice, fold 0 by distance
FOLDS = ([scored("a", 0.5, hd95=2)], [scored("b", 0.9, hd95=4)], [scored("c", 0.7, hd95=8)])


@pytest.fixture
def run(candidate, artifact, tmp_path, monkeypatch):
    """Runs the executor on three folds; returns the folder of its output."""

    def join(sources, folder):
        weights = [(Path(source) / "saved_model.pb").read_text() for source in sources]
        write_model(tmp_path / "joined", " and ".join(weights), [])
        (tmp_path / "joined" / "Format-Serving").rename(folder)

    monkeypatch.setattr(candidate, "export_ensemble", join)

    def run_on(deploy: str, select: str = "WT/dice", folds=FOLDS):
        inputs = {}
        for fold, cases in enumerate(folds):
            (tmp_path / f"evaluation-{fold}").mkdir()
            (tmp_path / f"evaluation-{fold}" / "cases.json").write_text(cases_to_json(cases))
            others = [c for c in "abc" if c != cases[0].case_id]
            write_model(tmp_path / f"model-{fold}", f"fold {fold}", others)
            evaluation = artifact("ModelEvaluation", tmp_path / f"evaluation-{fold}")
            inputs[f"evaluation_{fold}"] = [evaluation]
            if deploy != "refit":
                inputs[f"model_{fold}"] = [artifact("Model", tmp_path / f"model-{fold}")]
        if deploy == "refit":
            write_model(tmp_path / "refit", "refit", ["a", "b", "c"])
            inputs["refit"] = [artifact("Model", tmp_path / "refit")]
        (tmp_path / "out").mkdir()
        given = {"folds": 3.0, "select": select, "deploy": deploy, "key": "k", "fingerprint": "f"}
        given |= {"threshold": 0.25}
        outputs = {"model": [artifact("Model", tmp_path / "out")]}
        candidate.CandidateExecutor().Do(inputs, outputs, given)
        return tmp_path / "out"

    return run_on


@pytest.mark.parametrize(
    ("deploy", "weights", "folds", "trained"),
    [
        ("best-fold", "fold 1", [1], ["a", "c"]),
        ("ensemble", "fold 0 and fold 1 and fold 2", [0, 1, 2], ["a", "b", "c"]),
        ("refit", "refit", [], ["a", "b", "c"]),
    ],
)
def test_modes(run, deploy, weights, folds, trained):
    out = run(deploy)
    assert (out / "Format-Serving" / "saved_model.pb").read_text() == weights
    made = json.loads((out / "candidate.json").read_text())
    expected = {"mode": deploy, "select": "WT/dice", "folds": folds, "best_fold": 1}
    assert made == expected | {"image_threshold": None}
    known = json.loads((out / "training_cases.json").read_text())
    assert known == {
        "cases": trained,
        "groups": [f"patient of {c}" for c in trained],
        "contents": {f"image of {c}": c for c in trained},
    }
    origin = read_origin(out / "Format-Serving")
    assert (origin.key, origin.mode, origin.folds) == ("k", deploy, tuple(folds))
    assert origin.image_threshold is None
    names = [*known["cases"], *known["groups"]]
    assert origin.trained_on == tuple(sorted(map(origin.hide, names)))
    assert origin.contents == {origin.hide(f"image of {c}"): origin.hide(c) for c in trained}


def test_best_by_distance_is_another_fold(run):
    out = run("best-fold", "WT/hd95")
    assert (out / "Format-Serving" / "saved_model.pb").read_text() == "fold 0"
    assert json.loads((out / "candidate.json").read_text())["best_fold"] == 0


def test_model_of_photographs_goes_out_with_the_threshold_that_was_chosen(run):
    """The folds without an image cannot choose one for the fold with both."""
    both = [photograph("a", 0.9, defective=True), photograph("b", 0.1, defective=False)]
    out = run("ensemble", "images/auroc", [both, [scored("c")], [scored("d")]])
    made = json.loads((out / "candidate.json").read_text())
    origin = read_origin(out / "Format-Serving")
    assert made["image_threshold"] == origin.image_threshold == 0.25  # inference.threshold


def test_threshold_is_the_mean_of_the_folds(run):
    """The others' images lie around 0.5 for fold 0 and around 0.3 for fold 1."""
    folds = [
        [photograph("a", 0.5, defective=True), photograph("b", 0.1, defective=False)],
        [photograph("c", 0.9, defective=True), photograph("d", 0.1, defective=False)],
        [scored("e")],
    ]
    out = run("best-fold", "images/auroc", folds)
    assert read_origin(out / "Format-Serving").image_threshold == pytest.approx(0.4)


def test_no_id_of_a_patient_is_in_what_is_served(run):
    out = run("best-fold")
    texts = [p.read_text() for p in (out / "Format-Serving").rglob("*") if p.is_file()]
    assert len(texts) == 3
    assert not [t for t in texts if "patient of" in t or "image of" in t]


def test_component_takes_the_refit_alone(candidate):
    from tfx.types import Channel, standard_artifacts

    evaluations = [Channel(type=standard_artifacts.ModelEvaluation) for _ in range(2)]
    models = [Channel(type=standard_artifacts.Model) for _ in range(2)]

    def inputs(deploy, models):
        config = GateConfig(select="WT/dice", deploy=deploy)
        more = {"threshold": 0.5, "key": "k", "fingerprint": "f"}
        node = candidate.Candidate(evaluations, models, config=config, **more)
        assert node.exec_properties["deploy"] == deploy
        return set(node.inputs)

    scores = {"evaluation_0", "evaluation_1"}
    assert inputs("refit", models[:1]) == scores | {"refit"}
    assert inputs("ensemble", models) == scores | {"model_0", "model_1"}
