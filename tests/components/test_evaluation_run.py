"""Models that may not be scored on cases, what is left of an evaluation, and cases that fail."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from beam_preprocess.config import DataConfig
from beam_preprocess.datasets.brats import BRATS, brats_info
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.record_files import RecordWriter
from beam_preprocess.records import encode_raw
from beam_preprocess.synth import brats
from components.case_scoring import Scoring
from components.evaluation_files import read_cases
from components.evaluation_run import Training, check_model, evaluate
from components.labelled_cases import cases_of_folder, cases_of_run
from components.origin import make_origin, write_origin
from trainer.config import EvaluationConfig, InferenceConfig
from trainer.metrics.cohort_scores import cohort_from_dict
from trainer.metrics.config import StatisticsConfig
from trainer.model_folder import model_fingerprint

CONFIG = EvaluationConfig(statistics=StatisticsConfig(resamples=20))
NO_TRAINING = {"training": Training(seen=(), words="not told"), "about": {"data": {"root": "x"}}}


class Bright:
    """What is brighter than 150 is a defect; a case of 13 pixels makes it fail."""

    def __init__(self, path: Path, info=DAGM):
        self.path = path
        self.spec = SimpleNamespace(
            dataset=info, inference=InferenceConfig(window=(8,) * info.rank)
        )

    def predict(self, image: np.ndarray) -> np.ndarray:
        if image.shape[0] == 13:
            raise RuntimeError("out of memory\nand a trace")
        return np.where(image[..., 0] > 150, 255, 0).astype(np.uint8)

    def predict_probabilities(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        label = self.predict(image)
        return label, (label[..., np.newaxis] / 255).astype(np.float32)


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., Bright]:
    """A function: whom it was trained on -> a model; None for one that does not tell.

    `contents` are those of the images; `pushed`, in its hashed form, goes with the model itself.
    """

    def make(
        trained: list[str] | None,
        info=DAGM,
        *,
        contents: dict[str, str] | None = None,
        pushed=False,
    ) -> Bright:
        folder = tmp_path / "training"
        served = folder / "model" / "1"
        served.mkdir(parents=True, exist_ok=True)
        (served / "saved_model.pb").write_bytes(b"graph")
        (served / "assets.extra").mkdir(exist_ok=True)
        (served / "assets.extra" / "unet_tfx.json").write_text("{}")
        if trained is not None and pushed:
            origin = make_origin("k", "refit", folds=[], names=trained, contents=contents)
            write_origin(origin, served)
        elif trained is not None:
            text = json.dumps({"cases": trained, "groups": trained, "contents": contents or {}})
            (folder / "training_cases.json").write_text(text)
        return Bright(served, info)

    return make


@pytest.mark.parametrize("pushed", [False, True])
def test_model_that_has_seen_none_of_the_cases(run_examples: Path, model, pushed: bool) -> None:
    cases = cases_of_run(run_examples, DAGM, "fold-0")
    told = check_model(model(["b"], pushed=pushed), cases)
    assert told.words == (
        "no case that was scored was in the training of the model, by name and patient"
    )
    told = check_model(model(["b"], contents={"#b": "b"}, pushed=pushed), cases)
    assert told.words.endswith("by name, patient and image")


@pytest.mark.parametrize("pushed", [False, True])
@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ("a", r"1 of split fold-0 are: a \(a case of that name was in the training\): score it"),
        ("patient-a", r"a \(a case of its patient \(group\) 'patient-a' was in the training\)"),
    ],
)
def test_model_that_was_trained_on_a_case(
    run_examples: Path, model, seen: str, words: str, pushed: bool
) -> None:
    """A pushed model tells too, by the hashes in it."""
    with pytest.raises(ValueError, match=words):
        check_model(model(["b", seen], pushed=pushed), cases_of_run(run_examples, DAGM, "fold-0"))


@pytest.mark.parametrize("pushed", [False, True])
def test_case_of_the_same_name_that_shows_something_else(
    run_examples: Path, model, pushed: bool
) -> None:
    cases = replace(cases_of_run(run_examples, DAGM, "test"), groups={"t": "t"})
    told = check_model(model(["t"], contents={"other": "t"}, pushed=pushed), cases)
    assert told.words.endswith("; 1 have the name of one that was, and another image: t")
    with pytest.raises(ValueError, match=r"t \(its image was in the training\)"):
        check_model(model(["t"], contents={"#t": "t"}, pushed=pushed), cases)
    with pytest.raises(ValueError, match="a case of that name was in the training"):
        check_model(model(["t"], pushed=pushed), cases)


def test_names_are_looked_up_until_enough_are_found(photographs: Path, model) -> None:
    cases = cases_of_folder(DataConfig(dataset="dagm", root=str(photographs)), "")
    read: list[str] = []
    cases = replace(cases, content_of=lambda case_id: read.append(case_id) or "")
    with pytest.raises(ValueError, match="5 or more of split all are: "):
        check_model(model(list(cases.groups)), cases)
    assert len(read) == 5 < len(cases.groups)


def test_copy_under_another_name_is_not_scored(photographs: Path, model, tmp_path: Path) -> None:
    cases = cases_of_folder(DataConfig(dataset="dagm", root=str(photographs)), "cv")
    first, *others = cases.groups
    bright = model(["x"], contents={cases.content_of(first): "x"})
    training = check_model(bright, cases)
    scoring = Scoring(info=DAGM, config=CONFIG)
    done = evaluate(bright, cases, scoring, tmp_path / "out", training=training, about={})
    assert sorted(c.case_id for c in done.cases) == sorted(others)
    [(case_id, why)] = done.failures.items()
    assert case_id == first and why.startswith("its image was in the training of the model")
    assert not list((tmp_path / "out").rglob(f"*{first}*"))


def test_model_that_does_not_tell(run_examples: Path, model) -> None:
    told = check_model(model(None), cases_of_run(run_examples, DAGM, "test"))
    assert "could not be checked" in told.words
    with pytest.raises(ValueError, match="^a model must tell that it was not trained on fold-0"):
        check_model(model(None), cases_of_run(run_examples, DAGM, "fold-0"))


def test_enhancing_tumour_may_be_stored_as_3_or_4(run_examples: Path, model) -> None:
    """What the model calls 4 is 3 in cases named as from 2023 on."""
    told = check_model(
        model(["b"], BRATS), cases_of_run(run_examples, brats_info(enhancing=3), "test")
    )
    assert told.words.startswith("no case that was scored")


def test_model_of_another_dataset(run_examples: Path, model) -> None:
    wrong = model([], BRATS)
    message = (
        "of the model, 'brats', whose rank is 3, got 2 of dataset 'dagm': score '(.*)' on other"
    )
    with pytest.raises(ValueError, match=message) as raised:
        check_model(wrong, cases_of_run(run_examples, DAGM, "test"))
    assert str(wrong.path) in str(raised.value)


def test_bad_cases_are_told_and_the_others_scored(
    photographs: Path, model, tmp_path: Path, caplog
) -> None:
    config = DataConfig(dataset="dagm", root=str(photographs))
    cases = cases_of_folder(config, "cv")
    first, second, *others = sorted(photographs.rglob("Train/*.PNG"))
    first.write_bytes(first.read_bytes()[:200])
    Image.fromarray(np.arange(169, dtype=np.uint8).reshape(13, 13)).save(second)
    for mask in second.parent.glob(f"Label/{second.stem}*"):
        Image.fromarray(np.full((13, 13), 255, np.uint8)).save(mask)
    scoring = Scoring(info=DAGM, config=CONFIG)
    done = evaluate(model([]), cases, scoring, tmp_path / "out", **NO_TRAINING)
    assert len(done.cases) == len(others) == len(cases.groups) - 2
    broken, too_large = done.failures.values()
    assert "is no complete image" in broken
    assert str(first) in broken and broken.endswith(": repair the file")
    assert too_large == "out of memory"
    [logged] = caplog.records
    assert "Traceback" in caplog.text and logged.getMessage().endswith("could not be scored")
    assert done.scores is not None and done.scores.n == len(others)
    assert sorted(read_cases(tmp_path / "out"), key=lambda c: c.case_id) == sorted(
        done.cases, key=lambda c: c.case_id
    )
    assert len(list((tmp_path / "out" / "predictions").iterdir())) == len(others)


def test_records_that_are_damaged_or_missing(run_examples: Path, make_case, model, tmp_path: Path):
    """Of two files one is cut off; a third case has none."""
    content = {"splits": {"test": ["a", "t", "u"]}}
    (run_examples / "cohort.json").write_text(json.dumps(content))
    (run_examples / "Split-test").mkdir()
    image = np.arange(144, dtype=np.uint8).reshape(12, 12, 1)
    for number, case in enumerate("at"):
        path = run_examples / "Split-test" / f"records-{number:05d}-of-00002.gz"
        with RecordWriter(path) as writer:
            label = np.where(image[..., 0] > 99, 255, 0).astype(np.uint8)
            writer.write(encode_raw(make_case(image, label, case), foreground="all"))
    first = run_examples / "Split-test" / "records-00000-of-00002.gz"
    first.write_bytes(first.read_bytes()[:60])
    cases = cases_of_run(run_examples, DAGM, "test")
    done = evaluate(
        model([]), cases, Scoring(info=DAGM, config=CONFIG), tmp_path / "out", **NO_TRAINING
    )
    assert [c.case_id for c in done.cases] == ["t"]
    assert list(done.failures) == [first.name, "a", "u"]
    assert "must be a complete TFRecord file" in done.failures[first.name]
    assert done.failures["a"] == (
        "every case of split test must have a record, it has none: restore the record files, or run"
        " CaseGen again"
    )


def test_no_case_can_be_scored(tmp_path: Path, model) -> None:
    brats.write_cohort(tmp_path / "brats", cases=1, seed=0, shape=(16, 16, 16))
    for path in (tmp_path / "brats").rglob("*_t1.nii.gz"):
        path.write_bytes(b"")
    cases = cases_of_folder(DataConfig(dataset="brats", root=str(tmp_path / "brats")), "")
    done = evaluate(
        model([], BRATS), cases, Scoring(info=BRATS, config=CONFIG), tmp_path / "out", **NO_TRAINING
    )
    assert (done.cases, done.scores, len(done.failures)) == ((), None, 1)
    assert not (tmp_path / "out").exists()


def test_scores_can_be_traced(photographs: Path, model, tmp_path: Path) -> None:
    cases = cases_of_folder(DataConfig(dataset="dagm", root=str(photographs)), "test")
    first = sorted(photographs.rglob("Test/*.PNG"))[0]
    first.write_bytes(b"")
    bright = model(["b"])
    training = check_model(bright, cases)
    scoring, about = Scoring(info=DAGM, config=CONFIG), {"data": {"root": str(photographs)}}
    done = evaluate(bright, cases, scoring, tmp_path / "out", training=training, about=about)
    told = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert told["model"] == {
        "path": str(bright.path),
        "fingerprint": model_fingerprint(bright.path),
        "training": training.words,
    }
    assert (told["data"], told["split"]) == (about["data"], "test")
    assert (told["listed"], told["scored"]) == (len(cases.groups), len(cases.groups) - 1)
    assert told["failures"] == done.failures and len(done.failures) == 1
    assert told["evaluation"] == json.loads(json.dumps(asdict(CONFIG)))
    assert told["inference"]["threshold"] == 0.5 and told["profile"] == "corrected"
    assert told["versions"]["numpy"] == np.__version__


def test_scores_of_parts_of_the_cases(photographs: Path, model, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    data = DataConfig(dataset="dagm", root=str(photographs))
    first, *others = cases_of_folder(data, "cv").groups
    table.write_text(f"case_id,patient,camera\n{first},p,left\n")
    cases = cases_of_folder(replace(data, case_table=str(table)), "cv")
    config = replace(CONFIG, slices=("camera", "class"))
    scoring = Scoring(info=DAGM, config=config)
    done = evaluate(model(None), cases, scoring, tmp_path / "out", **NO_TRAINING)
    assert {v: s.n for v, s in done.slices["camera"].items()} == {
        "left": 1,
        "unknown": len(others),
    }
    assert list(done.slices["class"]) == ["Class1"]
    written = json.loads((tmp_path / "out" / "scores.json").read_text())["slices"]
    assert cohort_from_dict(written["camera"]["left"]) == done.slices["camera"]["left"]
    scoring = Scoring(info=DAGM, config=replace(CONFIG, slices=("site",)))
    message = "evaluation.slices must be columns of the cases .*class, camera.*, got .'site'."
    with pytest.raises(ValueError, match=message):
        evaluate(model(None), cases, scoring, tmp_path / "new", **NO_TRAINING)


def test_fault_of_ours_is_no_bad_case(photographs: Path, model, tmp_path: Path) -> None:
    cases = cases_of_folder(DataConfig(dataset="dagm", root=str(photographs)), "cv")
    bright = model(None)
    bright.predict = lambda image: image.no_such_attribute
    with pytest.raises(AttributeError, match="no_such_attribute"):
        scoring = Scoring(info=DAGM, config=CONFIG)
        evaluate(bright, cases, scoring, tmp_path / "out", **NO_TRAINING)
