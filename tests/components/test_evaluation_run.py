"""Cases of a run or of a folder, models that may not be scored on them, and cases that fail."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from beam_preprocess.case import DataError
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets.brats import BRATS, brats_info
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.record_files import RecordWriter
from beam_preprocess.records import encode_raw
from beam_preprocess.synth import brats, dagm
from components.case_scoring import Scoring
from components.evaluation_files import read_cases
from components.evaluation_run import cases_of_folder, cases_of_run, check_model, evaluate
from trainer.config import EvaluationConfig
from trainer.metrics.config import StatisticsConfig

CONFIG = EvaluationConfig(statistics=StatisticsConfig(resamples=20))


class Bright:
    """What is brighter than 150 is a defect; a case of 13 pixels makes it fail."""

    def __init__(self, path: Path, info=DAGM):
        self.path = path
        self.spec = SimpleNamespace(dataset=info, inference=SimpleNamespace(threshold=0.5))

    def predict(self, image: np.ndarray) -> np.ndarray:
        if image.shape[0] == 13:
            raise RuntimeError("out of memory\nand a trace")
        return np.where(image[..., 0] > 150, 255, 0).astype(np.uint8)

    def predict_probabilities(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        label = self.predict(image)
        return label, (label[..., np.newaxis] / 255).astype(np.float32)


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., Bright]:
    """A function: whom it was trained on -> a model; None for one that was pushed."""

    def make(trained: list[str] | None, info=DAGM) -> Bright:
        folder = tmp_path / "training"
        (folder / "model" / "1").mkdir(parents=True, exist_ok=True)
        if trained is not None:
            text = json.dumps({"cases": trained, "groups": trained})
            (folder / "training_cases.json").write_text(text)
        return Bright(folder / "model" / "1", info)

    return make


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Photographs of DAGM: of class 1, parts Train and Test."""
    dagm.write_cohort(tmp_path / "dagm", cases=8, seed=0, size=32)
    return tmp_path / "dagm"


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """CaseGen's artifact, less the records."""
    folder = tmp_path / "examples"
    folder.mkdir()
    content = {"splits": {"fold-0": ["a"], "test": ["t"], "unlabelled": ["u"]}, "columns": {}}
    (folder / "cohort.json").write_text(json.dumps(content))
    statistics = [{"case_id": c, "group": f"patient-{c}"} for c in "atu"]
    (folder / "cohort-statistics.json").write_text(json.dumps({"case_statistics": statistics}))
    return folder


def test_cases_of_a_run_are_those_of_test_or_of_a_fold(examples: Path) -> None:
    test = cases_of_run(examples, DAGM, "")
    assert (test.split, test.groups, test.trained_on) == ("test", {"t": "patient-t"}, False)
    fold = cases_of_run(examples, DAGM, "fold-0")
    assert (fold.groups, fold.trained_on) == ({"a": "patient-a"}, True)


@pytest.mark.parametrize("split", ["fold-1", "unlabelled"])
def test_split_that_a_run_has_not(examples: Path, split: str) -> None:
    with pytest.raises(ValueError, match="^--split must be one of fold-0, test, got "):
        cases_of_run(examples, DAGM, split)


def test_cases_of_a_folder_are_all_that_have_a_label(root: Path, tmp_path: Path) -> None:
    cases = cases_of_folder(DataConfig(dataset="dagm", root=str(root)), "")
    one = next(iter(cases.groups))
    assert cases.split == "all" and not cases.failures
    table = tmp_path / "table.csv"
    table.write_text(f"case_id,patient,camera\n{one},p,left\n")
    config = DataConfig(dataset="dagm", root=str(root), case_table=str(table))
    tabled = cases_of_folder(config, "")
    assert tabled.groups == dict(cases.groups) | {one: "p"}
    assert tabled.columns[one] == {"camera": "left"}
    parts = [cases_of_folder(config, split).groups for split in ("cv", "test")]
    assert parts[0] and parts[1] and {**parts[0], **parts[1]} == tabled.groups
    assert len(parts[0]) + len(parts[1]) == len(cases.groups)


def test_folder_without_labelled_cases(root: Path, tmp_path: Path) -> None:
    config = DataConfig(dataset="dagm", root=str(root))
    with pytest.raises(
        ValueError, match=r"split 'fold-0' must have labelled cases in .* in cv, \d in test$"
    ):
        cases_of_folder(config, "fold-0")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="must hold cases of dataset 'brats', found none"):
        cases_of_folder(DataConfig(dataset="brats", root=str(tmp_path / "empty")), "")


def test_wrong_case_table(root: Path, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("case_id,patient\nnobody,p\n")
    config = DataConfig(dataset="dagm", root=str(root), case_table=str(tmp_path / "table.csv"))
    with pytest.raises(DataError, match="no such are nobody"):
        cases_of_folder(config, "")


def test_model_that_has_seen_none_of_the_cases(examples: Path, model) -> None:
    cases = cases_of_run(examples, DAGM, "fold-0")
    assert check_model(model(["b"]), cases).startswith("none of these cases or patients was in")


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ("a", r"no case of split fold-0 may .*\['a'\]: score it on other cases"),
        ("patient-a", r"no patient .*patient-a"),
    ],
)
def test_model_that_was_trained_on_a_case(examples: Path, model, seen: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_model(model(["b", seen]), cases_of_run(examples, DAGM, "fold-0"))


def test_pushed_model_does_not_tell(examples: Path, model) -> None:
    told = check_model(model(None), cases_of_run(examples, DAGM, "test"))
    assert "could not be checked" in told
    with pytest.raises(ValueError, match="^a model must tell that it was not trained on fold-0"):
        check_model(model(None), cases_of_run(examples, DAGM, "fold-0"))


def test_enhancing_tumour_may_be_stored_as_3_or_4(examples: Path, model) -> None:
    """What the model calls 4 is 3 in cases named as from 2023 on."""
    told = check_model(model(["b"], BRATS), cases_of_run(examples, brats_info(enhancing=3), "test"))
    assert told.startswith("none of these cases")


def test_model_of_another_dataset(examples: Path, model) -> None:
    with pytest.raises(ValueError, match="of the dataset of the model, whose rank is 3, got 2"):
        check_model(model([], BRATS), cases_of_run(examples, DAGM, "test"))


def test_bad_cases_are_told_and_the_others_scored(root: Path, model, tmp_path: Path) -> None:
    config = DataConfig(dataset="dagm", root=str(root))
    cases = cases_of_folder(config, "cv")
    first, second, *others = sorted(root.rglob("Train/*.PNG"))
    first.write_bytes(first.read_bytes()[:200])
    Image.fromarray(np.arange(169, dtype=np.uint8).reshape(13, 13)).save(second)
    for mask in second.parent.glob(f"Label/{second.stem}*"):
        Image.fromarray(np.full((13, 13), 255, np.uint8)).save(mask)
    scoring = Scoring(info=DAGM, config=CONFIG)
    done = evaluate(model([]), cases, scoring, tmp_path / "out")
    assert len(done.cases) == len(others) == len(cases.groups) - 2
    broken, too_large = done.failures.values()
    assert "is no complete image" in broken
    assert too_large == "out of memory"
    assert done.scores is not None and done.scores.n == len(others)
    assert sorted(read_cases(tmp_path / "out"), key=lambda c: c.case_id) == sorted(
        done.cases, key=lambda c: c.case_id
    )
    assert len(list((tmp_path / "out" / "predictions").iterdir())) == len(others)


def test_records_that_are_damaged_or_missing(examples: Path, make_case, model, tmp_path: Path):
    """Of two files one is cut off; a third case has none."""
    content = {"splits": {"test": ["a", "t", "u"]}}
    (examples / "cohort.json").write_text(json.dumps(content))
    (examples / "Split-test").mkdir()
    image = np.arange(144, dtype=np.uint8).reshape(12, 12, 1)
    for number, case in enumerate("at"):
        path = examples / "Split-test" / f"records-{number:05d}-of-00002.gz"
        with RecordWriter(path) as writer:
            label = np.where(image[..., 0] > 99, 255, 0).astype(np.uint8)
            writer.write(encode_raw(make_case(image, label, case), foreground="all"))
    first = examples / "Split-test" / "records-00000-of-00002.gz"
    first.write_bytes(first.read_bytes()[:60])
    cases = cases_of_run(examples, DAGM, "test")
    done = evaluate(model([]), cases, Scoring(info=DAGM, config=CONFIG), tmp_path / "out")
    assert [c.case_id for c in done.cases] == ["t"]
    assert list(done.failures) == [first.name, "a", "u"]
    assert "must be a complete TFRecord file" in done.failures[first.name]
    assert done.failures["a"] == "there is no record of it"


def test_no_case_can_be_scored(tmp_path: Path, model) -> None:
    brats.write_cohort(tmp_path / "brats", cases=1, seed=0, shape=(16, 16, 16))
    for path in (tmp_path / "brats").rglob("*_t1.nii.gz"):
        path.write_bytes(b"")
    cases = cases_of_folder(DataConfig(dataset="brats", root=str(tmp_path / "brats")), "")
    done = evaluate(model([], BRATS), cases, Scoring(info=BRATS, config=CONFIG), tmp_path / "out")
    assert (done.cases, done.scores, len(done.failures)) == ((), None, 1)
    assert not (tmp_path / "out").exists()
