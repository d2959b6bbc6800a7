"""Which cases a model is scored on: `test`, else the folds, less those that it has seen."""

import csv
import json
import re
import zlib

import nibabel as nib
import numpy as np
import pytest

from beam_preprocess.config_io import to_json
from beam_preprocess.datasets.brats import BRATS
from components.origin import make_origin, write_origin
from components.seen_cases import CASE, IMAGE, PATIENT
from trainer.config import EvaluationConfig
from trainer.metrics.case_scores import cases_from_json

pytestmark = pytest.mark.slow

FOLDS = {"fold-0": ["scan-1", "scan-2"], "fold-1": ["scan-3"]}
FOUND = {"version": "17", "reason": ""}
LABELS = np.array([0, 1, 2, 4], np.uint8)
REGIONS = {"ET": [4], "TC": [1, 4], "WT": [1, 2, 4], "PeritumoralEdema": [2]}


def draw(case_id: str) -> tuple[np.ndarray, np.ndarray]:
    """A scan of its own, with a margin of zeros that its record leaves out, and what is in it."""
    image = np.zeros((6, 5, 4, 4), np.int16)
    rng = np.random.default_rng(zlib.crc32(case_id.encode()))
    image[1:-1, 2:, :-1] = rng.integers(1, 100, (4, 3, 3, 4))
    return image, LABELS[image[..., 0] // 25]


class FakeModel:
    """Finds something else than what is there, in every case."""

    def predict(self, image: np.ndarray) -> np.ndarray:
        return LABELS[image[..., 1] // 25]


@pytest.fixture(scope="module")
def held_out():
    """The module; it imports TFX."""
    from components import held_out

    return held_out


@pytest.fixture
def write_split(make_case, tmp_path):
    import tensorflow as tf

    from beam_preprocess.records import encode_raw

    def write(name: str, cases: list[str]) -> None:
        folder = tmp_path / "examples" / f"Split-{name}"
        folder.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / "records-00000-of-00001.gz"), "GZIP") as writer:
            for case in cases:
                writer.write(encode_raw(make_case(*draw(case), case), foreground="nonzero"))

    return write


@pytest.fixture
def run(held_out, artifact, write_split, tmp_path, monkeypatch):
    """Runs the executor; returns the ids of the scored cases and what it says of the baseline."""
    monkeypatch.setattr("components.beam_scoring.LoadedModel", lambda path: FakeModel())

    def run_on(splits, *, folds=2, trained=(), images=None, deployed=None, listed=None):
        for name, cases in splits.items():
            write_split(name, cases)
        listed = splits if listed is None else listed
        ids = [c for cases in listed.values() for c in cases]
        cohort = {"splits": listed, "columns": {c: {"site": f"site of {c}"} for c in ids}}
        (tmp_path / "examples" / "cohort.json").write_text(json.dumps(cohort))
        statistics = [
            {"case_id": c, "group": f"patient of {c}", "content": f"image of {c}"} for c in ids
        ]
        text = json.dumps({"case_statistics": statistics})
        (tmp_path / "examples" / "cohort-statistics.json").write_text(text)
        if trained is not None:
            origin = make_origin("k", "best-fold", folds=[0], names=trained, contents=images)
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
        assert all(c.columns["site"] == f"site of {c.case_id}" for c in cases)
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


def test_the_image_decides_whom_the_deployed_model_has_seen(run):
    """It was trained on scan-1 under another name, and on a scan-2 of another cohort."""
    images = {"image of scan-1": "copy", "image of somebody else": "scan-2"}
    ids, found = run(FOLDS, deployed=FOUND, trained=["copy", "scan-2"], images=images)
    assert ids == ["scan-2", "scan-3"]
    assert (found["seen"], found["held_out"]) == (1, 3)


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


@pytest.mark.parametrize(
    ("known", "images", "why"),
    [
        ("scan-9", {}, CASE),
        ("patient of scan-9", {}, PATIENT.format(group="patient of scan-9")),
        ("copy", {"image of scan-9": "copy"}, IMAGE),
    ],
)
def test_new_model_that_has_seen_test_is_refused(run, tmp_path, known, images, why):
    message = r"^no case or patient of test may be in the training .*, 1 are: scan-9 \("
    with pytest.raises(ValueError, match=message + re.escape(f"{why}): run CaseGen and")):
        run(FOLDS | {"test": ["scan-8", "scan-9"]}, folds=0, trained=[known], images=images)
    assert not (tmp_path / "out").exists()


def recompute(case_id: str, found: np.ndarray) -> dict[tuple[str, str], float]:
    """Region and score -> value, from the whole grids of 1 mm alone."""
    scores = {}
    for region, values in REGIONS.items():
        truth, prediction = np.isin(draw(case_id)[1], values), np.isin(found, values)
        t, p = np.sum(truth), np.sum(prediction)
        assert t and p
        scores[region, "dice"] = 2 * np.sum(truth & prediction) / (t + p)
        scores[region, "truth_ml"] = t / 1000
        scores[region, "volume_difference_ml"] = (p - t) / 1000
    return scores


def test_scores_of_test_recomputed_from_the_written_masks(run, tmp_path):
    """Of the new model, whose masks and pictures can be looked at as those of the folds."""
    run(FOLDS | {"test": ["scan-8", "scan-9"]}, folds=0)
    out = tmp_path / "out"
    assert sorted(p.name for p in (out / "pictures").iterdir()) == ["scan-8.png", "scan-9.png"]
    with (out / "cases.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {(line["case_id"], line["site"]) for line in lines} == {
        ("scan-8", "site of scan-8"),
        ("scan-9", "site of scan-9"),
    }
    given = {(n["case_id"], n["region"], n["score"]): n["value"] for n in lines}
    masks = sorted((out / "predictions").iterdir())
    assert [p.name for p in masks] == ["scan-8.nii.gz", "scan-9.nii.gz"]
    cases = {c.case_id: c for c in cases_from_json((out / "cases.json").read_text())}
    for mask, case_id in zip(masks, cases, strict=True):
        expected = recompute(case_id, np.asarray(nib.load(mask).dataobj))
        assert 0 < expected["WT", "dice"] < 1
        for (region, score), value in expected.items():
            place = (case_id, region, score)
            assert cases[case_id].regions[region].values[score] == pytest.approx(value), place
            assert float(given[place]) == pytest.approx(value), place


def test_of_the_deployed_model_there_are_the_scores_alone(run, tmp_path):
    run(FOLDS, deployed=FOUND)
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {"cases.json", "baseline.json"}


def test_new_model_without_test_cases(run, tmp_path):
    assert run(FOLDS, folds=0) == ([], None)
    assert (tmp_path / "out" / "cases.csv").read_text().splitlines() == [
        "case_id,region,score,value,intersection,truth,prediction"
    ]


def test_new_model_that_does_not_tell_what_it_was_trained_on(run):
    with pytest.raises(ValueError, match="^a model must tell what .* does not: train it again$"):
        run({"test": ["scan-9"]}, folds=0, trained=None)


def test_missing_case_is_told(run):
    listed = FOLDS | {"fold-1": ["scan-3", "scan-4"]}
    with pytest.raises(RuntimeError, match=r"4 listed, 3 scored, missing \['scan-4'\]"):
        run(FOLDS, deployed=FOUND, listed=listed)
