"""What is deployed, in whole runs on a tiny cohort: an ensemble, a refit, and a forced push."""

import json

import nibabel as nib
import numpy as np
import pytest

from pipeline.cli import main
from pipeline.usage import EXIT_NOT_BLESSED

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

MADE_ANEW = {"Candidate", "Baseline", "Evaluator-candidate", "Evaluator-baseline"}
JUDGED_ANEW = {"CrossValidation", "Pusher", "Report"}


def networks_of(model: str) -> int:
    from trainer.serving import LoadedModel

    return len(LoadedModel(model).states)


@pytest.fixture(scope="module")
def run(brats_options, tmp_path_factory):
    """Runs with further options; returns exit status, summary, and the nodes that ran."""
    output = tmp_path_factory.mktemp("deploy") / "run"

    def run_with(*options: str):
        status = main(["run", *brats_options, "--output", str(output), *options])
        summary = json.loads((output / "summary.json").read_text())
        return status, summary, {n for n, r in summary["nodes"].items() if r["state"] == "ran"}

    return run_with


@pytest.fixture
def predict(brats_root, tmp_path):
    """Predicts a case with a pushed model."""
    case = sorted((brats_root / "HGG").iterdir())[0]
    out = tmp_path / "label.nii.gz"

    def predict_with(model: str):
        assert main(["predict", "--model", model, "--input", str(case), "--output", str(out)]) == 0
        return nib.load(out)

    yield predict_with
    truth = nib.load(case / f"{case.name}_seg.nii.gz")
    label = nib.load(out)
    assert label.shape == truth.shape
    assert {*np.unique(np.asarray(label.dataobj))} <= {0, 1, 2, 4}


ENSEMBLE = ("--gate.deploy", "ensemble", "--gate.max_drop", "0.5")
REFIT = ("--gate.deploy", "refit", "--gate.max_drop", "0.5")


def test_ensemble_then_refit_then_force(run, predict):
    status, first, _ = run(*ENSEMBLE)
    assert status == 0
    assert first["deploy"]["folds"] == [0, 1]
    assert first["reasons"][1].startswith("No other model is deployed")
    assert networks_of(first["model"]) == 2
    predict(first["model"])

    status, again, ran = run(*ENSEMBLE)  # it is not compared with itself, nor pushed again
    assert (status, ran) == (0, set())
    assert (again["reasons"], again["model"]) == (first["reasons"], first["model"])

    status, refit, ran = run(*REFIT)
    assert (status, refit["model"]) == (EXIT_NOT_BLESSED, None)
    assert ran == {"RefitBudget", "Trainer-refit"} | MADE_ANEW | JUDGED_ANEW
    assert refit["scores"] == first["scores"]
    baseline = refit["gate"]["baseline"]
    assert (baseline["held_out"], baseline["seen"], baseline["n"]) == (6, 6, 0)
    assert "it was trained on all 6 held-out cases" in refit["reasons"][1]

    status, forced, ran = run(*REFIT, "--force")
    assert (status, ran) == (0, JUDGED_ANEW)
    assert (forced["blessed"], forced["forced"], forced["gate"]["forced"]) == (False, True, True)
    assert forced["reasons"][:-1] == refit["reasons"]
    assert networks_of(forced["model"]) == 1 and forced["model"] != first["model"]
    predict(forced["model"])

    # what was pushed by force is not blessed by being compared with itself
    status, again, ran = run(*REFIT, "--evaluation.statistics.resamples", "50")
    assert (status, again["model"]) == (EXIT_NOT_BLESSED, None)
    assert again["gate"]["baseline"] == refit["gate"]["baseline"]
    assert ran == JUDGED_ANEW
