"""Who may be scored with a model, and the cases of a split, one after the other."""

import json
from pathlib import Path

import numpy as np
import pytest

from beam_preprocess.datasets.brats import BRATS
from beam_preprocess.record_files import RecordWriter
from beam_preprocess.records import encode_raw
from components.case_scoring import Scoring
from components.split_scoring import check_unseen, score_split
from trainer.config import EvaluationConfig

TRUTH = np.array([[[1], [1], [2]], [[0], [4], [4]]], np.uint8)
SCORING = Scoring(info=BRATS, config=EvaluationConfig())


@pytest.fixture
def folders(tmp_path: Path):
    """A function: whom the model was trained on -> folders of both artifacts."""

    def write(trained: dict | None) -> tuple[str, str]:
        for name in ("examples", "model"):
            (tmp_path / name).mkdir()
        splits = {"fold-0": ["c"], "fold-1": ["a", "b"], "test": ["t"]}
        (tmp_path / "examples" / "cohort.json").write_text(json.dumps({"splits": splits}))
        known = {"a": "patient-1", "b": "patient-2", "c": "patient-3", "t": "patient-4"}
        statistics = [{"case_id": c, "group": g, "t1_mean": 1.0} for c, g in known.items()]
        text = json.dumps({"case_statistics": statistics})
        (tmp_path / "examples" / "cohort-statistics.json").write_text(text)
        if trained is not None:
            (tmp_path / "model" / "training_cases.json").write_text(json.dumps(trained))
        return str(tmp_path / "examples"), str(tmp_path / "model")

    return write


@pytest.mark.parametrize("split", ["fold-1", "test"])
def test_split_that_the_model_has_not_seen(folders, split: str) -> None:
    examples, model = folders({"cases": ["c"], "groups": ["patient-3"]})
    check_unseen(examples, model, split)
    with pytest.raises(ValueError, match="^no case of fold-0 may be"):
        check_unseen(examples, model, "fold-0")


@pytest.mark.parametrize(
    ("trained", "message"),
    [
        ({"cases": ["b", "c"], "groups": []}, r"^no case of fold-1 may be .* 1 are: \['b'\]"),
        (
            {"cases": ["x"], "groups": ["patient-1", "patient-2"]},
            r"^no patient \(group\) of fold-1 .* 2 are: \['patient-1', 'patient-2'\]: run CaseGen",
        ),
    ],
)
def test_split_that_the_model_was_trained_on(folders, trained: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_unseen(*folders(trained), "fold-1")


def test_split_that_is_not_there(folders) -> None:
    message = "^split must be one of fold-0, fold-1, test, got 'fold-7'$"
    with pytest.raises(ValueError, match=message):
        check_unseen(*folders({"cases": [], "groups": []}), "fold-7")


def test_model_that_does_not_tell_what_it_was_trained_on(folders, tmp_path: Path) -> None:
    message = f"^a model must tell .*, {tmp_path}/model has no training_cases.json: train it again"
    with pytest.raises(ValueError, match=message):
        check_unseen(*folders(None), "fold-1")


class Perfect:
    """Finds what is there."""

    def predict(self, image: np.ndarray) -> np.ndarray:
        return TRUTH


@pytest.fixture
def examples(make_case, tmp_path: Path) -> Path:
    """CaseGen's artifact: two cases of the split `test` in two files, and a column of the table."""
    image = np.arange(1, 25, dtype=np.int16).reshape(2, 3, 1, 4)
    (tmp_path / "examples" / "Split-test").mkdir(parents=True)
    for number, case in enumerate(("b", "a")):
        path = tmp_path / "examples" / "Split-test" / f"records-{number:05d}-of-00002.gz"
        with RecordWriter(path) as writer:
            writer.write(encode_raw(make_case(image, TRUTH, case), foreground="nonzero"))
    content = {"splits": {"test": ["a", "b"]}, "columns": {"a": {"site": "Ulm"}}}
    (tmp_path / "examples" / "cohort.json").write_text(json.dumps(content))
    return tmp_path / "examples"


def test_every_case_is_scored_and_written(examples: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    cases = score_split(examples, "test", model=Perfect(), scoring=SCORING, output=out)
    assert sorted(c.case_id for c in cases) == ["a", "b"]
    assert all(c.regions["WT"].values["dice"] == 1 for c in cases)
    assert {c.case_id: c.columns.get("site") for c in cases} == {"a": "Ulm", "b": None}
    assert sorted(p.name for p in out.rglob("*.nii.gz")) == ["a.nii.gz", "b.nii.gz"]
    assert sorted(p.name for p in out.rglob("*.png")) == ["a.png", "b.png"]


def test_nothing_is_written_unasked(examples: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert len(score_split(examples, "test", model=Perfect(), scoring=SCORING)) == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_case_that_is_missing(examples: Path) -> None:
    content = {"splits": {"test": ["a", "b", "c"]}}
    (examples / "cohort.json").write_text(json.dumps(content))
    with pytest.raises(RuntimeError, match=r"3 listed, 2 scored, missing \['c'\]"):
        score_split(examples, "test", model=Perfect(), scoring=SCORING)
