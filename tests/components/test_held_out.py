"""Which cases a model is scored on: `test`, else the folds, less those that it has seen."""

import json

import numpy as np
import pytest

from beam_preprocess.config_io import to_json
from beam_preprocess.datasets.brats import BRATS
from components.origin import make_origin, write_origin
from trainer.config import EvaluationConfig
from trainer.metrics.case_scores import cases_from_json

pytestmark = pytest.mark.slow

TRUTH = np.array([[[1], [1], [2]], [[0], [4], [4]]], np.uint8)
FOLDS = {"fold-0": ["scan-1", "scan-2"], "fold-1": ["scan-3"]}
FOUND = {"version": "17", "reason": ""}


class FakeModel:
    """Finds what is there."""

    def predict(self, image: np.ndarray) -> np.ndarray:
        return TRUTH


@pytest.fixture(scope="module")
def held_out():
    """The module; it imports TFX."""
    from components import held_out

    return held_out


@pytest.fixture
def write_split(make_case, tmp_path):
    import tensorflow as tf

    from beam_preprocess.records import encode_raw

    image = np.arange(1, 25, dtype=np.int16).reshape(2, 3, 1, 4)

    def write(name: str, cases: list[str]) -> None:
        folder = tmp_path / "examples" / f"Split-{name}"
        folder.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / "records-00000-of-00001.gz"), "GZIP") as writer:
            for case in cases:
                writer.write(encode_raw(make_case(image, TRUTH, case), foreground="nonzero"))

    return write


@pytest.fixture
def run(held_out, artifact, write_split, tmp_path, monkeypatch):
    """Runs the executor; returns the ids of the scored cases and what it says of the baseline."""
    monkeypatch.setattr(held_out, "LoadedModel", lambda path: FakeModel())

    def run_on(splits, *, folds=2, trained=(), deployed=None, listed=None):
        for name, cases in splits.items():
            write_split(name, cases)
        cohort = {"splits": splits if listed is None else listed}
        (tmp_path / "examples" / "cohort.json").write_text(json.dumps(cohort))
        ids = [c for cases in cohort["splits"].values() for c in cases]
        table = {"case_statistics": [{"case_id": c, "group": f"patient of {c}"} for c in ids]}
        (tmp_path / "examples" / "cohort-statistics.json").write_text(json.dumps(table))
        origin = make_origin("k", "best-fold", folds=[0], names=trained)
        write_origin(origin, tmp_path / "model" / "Format-Serving")
        if deployed is not None:
            (tmp_path / "model" / "baseline.json").write_text(json.dumps(deployed))
        context = held_out.HeldOutExecutor.Context(
            beam_pipeline_args=["--runner=DirectRunner", "--direct_running_mode=in_memory"],
            tmp_dir=str(tmp_path / "tmp"),
        )
        given = {"info": to_json(BRATS), "config": to_json(EvaluationConfig())}
        held_out.HeldOutExecutor(context).Do(
            {
                "examples": [artifact("Examples", tmp_path / "examples")],
                "model": [artifact("Model", tmp_path / "model")],
            },
            {"evaluation": [artifact("ModelEvaluation", tmp_path / "out")]},
            given | {"folds": float(folds), "profile": "corrected", "fingerprint": "f00"},
        )
        cases = cases_from_json((tmp_path / "out" / "cases.json").read_text())
        assert all(c.regions["WT"].values["dice"] == 1 for c in cases)
        path = tmp_path / "out" / "baseline.json"
        return [c.case_id for c in cases], json.loads(path.read_text()) if path.exists() else None

    return run_on


def test_test_cases_alone_where_there_are_some(run):
    splits = FOLDS | {"test": ["scan-8", "scan-9"]}
    assert run(splits, deployed=FOUND) == (
        ["scan-8", "scan-9"],
        FOUND | {"split": "test", "held_out": 2, "seen": 0},
    )


def test_cases_of_the_folds_that_the_deployed_model_has_not_seen(run):
    """It was trained on a case, and on another one's patient."""
    ids, found = run(FOLDS, deployed=FOUND, trained=["scan-1", "patient of scan-3"])
    assert ids == ["scan-2"]
    assert found == FOUND | {"split": "folds", "held_out": 3, "seen": 2}


def test_model_that_has_seen_all_is_scored_on_none(run):
    ids, found = run(FOLDS, deployed=FOUND, trained=["scan-1", "scan-2", "scan-3"])
    assert (ids, found["seen"], found["held_out"]) == ([], 3, 3)


@pytest.mark.parametrize(
    "deployed",
    [
        {"version": "", "reason": ""},
        {"version": "17", "reason": "its channels are others"},
    ],
)
def test_nothing_is_scored_where_there_is_nothing_to_compare_with(run, deployed):
    ids, found = run(FOLDS, deployed=deployed)
    assert ids == []
    assert found == deployed | {"split": "folds", "held_out": 3, "seen": 0}


def test_new_model_is_scored_on_test_alone(run):
    """Its scores of the folds are those of the networks that held the cases out."""
    assert run(FOLDS | {"test": ["scan-9"]}, folds=0) == (["scan-9"], None)


@pytest.mark.parametrize("known", ["scan-9", "patient of scan-9"])
def test_new_model_that_has_seen_test_is_refused(run, tmp_path, known):
    message = r"^no case or patient of test may be in the training .*, 1 are: \['scan-9'\]"
    with pytest.raises(ValueError, match=message):
        run(FOLDS | {"test": ["scan-8", "scan-9"]}, folds=0, trained=[known])
    assert not (tmp_path / "out").exists()


def test_new_model_without_test_cases(run):
    assert run(FOLDS, folds=0) == ([], None)


def test_missing_case_is_told(run):
    listed = FOLDS | {"fold-1": ["scan-3", "scan-4"]}
    with pytest.raises(RuntimeError, match=r"4 listed, 3 scored, missing \['scan-4'\]"):
        run(FOLDS, deployed=FOUND, listed=listed)
