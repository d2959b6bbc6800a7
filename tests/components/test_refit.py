"""How many samples the refit takes, by hand."""

import json

import pytest

from components.refit import RefitBudgetExecutor, samples_needed

pytestmark = pytest.mark.slow  # imports TFX


def report(step: int, dice: float | None = None) -> dict:
    return {"step": step, "validation_dice": dice} if dice is not None else {"step": step}


@pytest.mark.parametrize(
    ("history", "samples"),
    [
        ([report(10), report(20)], 80),  # not validated: all of them
        ([report(10), report(10, 0.5), report(20), report(20, 0.7), report(30, 0.6)], 80),
        ([report(10, 0.5), report(20, 0.7), report(30, 0.7)], 80),  # the first of the best
        ([report(10, float("nan")), report(20, 0.1), report(30)], 80),
        ([report(10, float("nan")), report(20)], 80),  # no best one was kept: the last was
    ],
)
def test_samples_up_to_the_best_step(history, samples):
    assert samples_needed(history, per_step=4) == samples


def test_reports_of_json_have_null_for_nan():
    assert samples_needed([{"step": 5, "validation_dice": None}, report(7, 0.2)], per_step=1) == 7


def test_fold_without_reports():
    with pytest.raises(
        ValueError, match="^a fold must have reports of its training for gate.deploy"
    ):
        samples_needed([], per_step=2)


@pytest.fixture
def budget(artifact, tmp_path):
    """Runs the executor on two folds: best after steps 20 and 10, of 2 and of 4 samples."""

    def run(*, validated: int) -> dict:
        inputs = {}
        for fold, (best, replicas) in enumerate(((20, 1), (15, 2))):
            folder = tmp_path / f"run-{fold}"
            folder.mkdir()
            lines = [report(5, 0.1), report(best, 0.6), report(30, 0.5)]
            (folder / "history.jsonl").write_text("".join(json.dumps(r) + "\n" for r in lines))
            manifest = {"trainer": {"batch_size": 2}, "strategy": {"replicas": replicas}}
            (folder / "manifest.json").write_text(json.dumps(manifest))
            inputs[f"model_run_{fold}"] = [artifact("ModelRun", folder)]
        outputs = {"hyperparameters": [artifact("HyperParameters", tmp_path / "out")]}
        given = {"folds": 2.0, "samples": 600.0, "validated": validated, "fingerprint": "f00"}
        RefitBudgetExecutor().Do(inputs, outputs, given)
        (path,) = (tmp_path / "out").iterdir()  # TFX's Trainer reads the only file
        return json.loads(path.read_text())

    return run


def test_mean_of_what_the_folds_needed(budget):
    """20 steps of 2 samples and 15 of 4: (40 + 60) / 2."""
    assert budget(validated=1) == {"samples": 50}


def test_whole_budget_without_validation(budget):
    assert budget(validated=0) == {"samples": 600}
