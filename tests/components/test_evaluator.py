"""Scores of records with a model that is not one, and the component on record files."""

import csv
import io
import json
from math import isnan, nan

import numpy as np
import pytest

from beam_preprocess.config_io import to_json
from beam_preprocess.datasets.brats import BRATS
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.datasets.severstal import SEVERSTAL
from trainer.scoring import Row

pytestmark = pytest.mark.slow

# label 1: truth 2, prediction 1, both 1; label 2: 1, 2, 1; label 4: 2, 1, 1
TRUTH = np.array([[[1], [1], [2]], [[0], [4], [4]]], np.uint8)
PREDICTION = np.array([[[1], [2], [2]], [[0], [0], [4]]], np.uint8)

MASK = np.array([[255, 255, 0], [0, 0, 0]], np.uint8)
FOUND = np.array([[255, 0, 255], [255, 0, 0]], np.uint8)
PROBABILITY = np.array([[0.9, 0.4, 0.6], [0.7, 0.3, 0.2]], np.float32)


@pytest.fixture(scope="module")
def evaluator():
    """The module; it imports TFX."""
    from components import evaluator

    return evaluator


class FakeModel:
    """Returns what it was given, and keeps what it saw."""

    def __init__(self, label: np.ndarray, probability: np.ndarray | None = None):
        self.label, self.probability = label, probability
        self.seen: list[np.ndarray] = []

    def predict(self, image: np.ndarray) -> np.ndarray:
        self.seen.append(image)
        return self.label

    def predict_probabilities(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.seen.append(image)
        return self.label, self.probability


@pytest.fixture
def make_record(make_case):
    from beam_preprocess.records import decode_raw, encode_raw

    def make(image: np.ndarray, label: np.ndarray | None, case_id: str = "case"):
        foreground = "nonzero" if image.ndim == 4 else "all"
        return decode_raw(encode_raw(make_case(image, label, case_id), foreground=foreground))

    return make


@pytest.fixture
def scan(make_record):
    return make_record(np.arange(1, 25, dtype=np.int16).reshape(2, 3, 1, 4), TRUTH, "scan-1")


@pytest.fixture
def photograph(make_record):
    return make_record(np.full((2, 3, 1), 90, np.uint8), MASK, "photo-1")


def test_regions_with_the_counts_behind_them(evaluator, scan):
    model = FakeModel(PREDICTION)
    rows, prediction = evaluator.score_record(model, scan, BRATS, empty="brats")
    assert prediction is PREDICTION
    assert {r.metric: r.value for r in rows} == pytest.approx(
        {
            "TumorCore": 2 / 3,
            "PeritumoralEdema": 2 / 3,
            "EnhancingTumor": 2 / 3,
            "ET": 2 / 3,
            "TC": 4 / 6,
            "WT": 8 / 9,
            "WholeTumor": 8 / 9,
            "MeanDice": 2 / 3,
        }
    )
    by_name = {r.metric: r for r in rows}
    assert by_name["TC"] == Row(
        case_id="scan-1",
        stratum="s",
        metric="TC",
        value=4 / 6,
        intersection=2,
        truth=4,
        prediction=2,
    )
    assert (by_name["MeanDice"].intersection, by_name["MeanDice"].truth) == (-1, -1)


def test_model_sees_the_stored_intensities(evaluator, scan):
    model = FakeModel(PREDICTION)
    evaluator.score_record(model, scan, BRATS, empty="brats")
    np.testing.assert_array_equal(model.seen, [scan.image])
    assert model.seen[0].dtype == np.int16


@pytest.mark.parametrize(("empty", "value"), [("brats", 1.0), ("reference", 0.0), ("nan", nan)])
def test_scan_without_enhancing_tumour(evaluator, make_record, empty, value):
    truth = np.where(TRUTH == 4, 2, TRUTH)
    record = make_record(np.ones((2, 3, 1, 4), np.int16), truth)
    rows, _ = evaluator.score_record(FakeModel(truth), record, BRATS, empty=empty)
    assert {r.metric: r.value for r in rows}["ET"] == pytest.approx(value, nan_ok=True)


def test_defects(evaluator, photograph):
    """Truth 2 pixels, prediction 3, both 1: dice 2/5, IoU 1/4. The largest probability is 0.9."""
    background = 1 - PROBABILITY
    model = FakeModel(FOUND, np.stack([background, PROBABILITY], axis=-1))
    rows, prediction = evaluator.score_record(model, photograph, DAGM, empty="brats")
    assert prediction is FOUND
    expected = {"image_score": 0.9, "defect_dice": 2 / 5, "defect_iou": 1 / 4}
    assert {r.metric: r.value for r in rows} == pytest.approx(expected)
    assert {(r.intersection, r.truth, r.prediction) for r in rows} == {(1, 2, 3)}


def test_clean_image_has_a_score_and_no_dice(evaluator, make_record):
    record = make_record(np.full((2, 3, 1), 90, np.uint8), np.zeros((2, 3), np.uint8))
    model = FakeModel(FOUND, PROBABILITY[..., np.newaxis])
    rows, _ = evaluator.score_record(model, record, DAGM, empty="brats")
    assert [r.metric for r in rows] == ["image_score"]
    assert (rows[0].truth, rows[0].prediction) == (0, 3)


def test_label_values_of_another_year_count_as_what_they_mean(evaluator, make_record):
    """BraTS stores enhancing tumour as 3 or as 4; the model gives 4."""
    truth = np.where(TRUTH == 4, 3, TRUTH).astype(np.uint8)
    record = make_record(np.ones((2, 3, 1, 4), np.int16), truth)
    rows, _ = evaluator.score_record(FakeModel(PREDICTION), record, BRATS, empty="brats")
    by_name = {r.metric: r for r in rows}
    assert (by_name["ET"].intersection, by_name["ET"].truth) == (1, 2)
    assert by_name["TC"].value == pytest.approx(4 / 6)


def test_photographs_of_several_classes(evaluator, make_record):
    """Truth 1 1 0 / 3 4 0, prediction 1 0 0 / 3 3 0."""
    truth = np.array([[1, 1, 0], [3, 4, 0]], np.uint8)
    prediction = np.array([[1, 0, 0], [3, 3, 0]], np.uint8)
    record = make_record(np.full((2, 3, 1), 90, np.uint8), truth)
    rows, _ = evaluator.score_record(FakeModel(prediction), record, SEVERSTAL, empty="brats")
    assert {r.metric: r.value for r in rows} == pytest.approx(
        {
            "defect_1": 2 / 3,
            "defect_2": 1.0,  # nothing to find, and nothing found
            "defect_3": 2 / 3,
            "defect_4": 0.0,
            "defect": 6 / 7,
            "MeanDice": (2 / 3 + 1 + 2 / 3) / 4,
        }
    )


@pytest.mark.parametrize("info", [BRATS, DAGM], ids=lambda info: info.name)
def test_record_without_label(evaluator, make_record, info):
    record = make_record(np.ones((2, 3, 1, 4), np.int16), None, "scan-7")
    model = FakeModel(PREDICTION)
    with pytest.raises(ValueError, match="^case scan-7 must have a label to be scored, it has n"):
        evaluator.score_record(model, record, info, empty="brats")
    assert model.seen == []


def row(case: str, metric: str = "WT", value: float = 0.5) -> Row:
    return Row(case_id=case, stratum="HGG", metric=metric, value=value)


def test_counts_that_agree(evaluator):
    assert evaluator.check_counts(["b", "a"], [row("a"), row("b"), row("a", "ET")]) is None
    assert evaluator.check_counts([], []) is None


@pytest.mark.parametrize(
    ("expected", "scored", "message"),
    [
        ("abc", "ab", "3 listed, 2 scored, missing ['c'], unexpected []"),
        ("ab", "abz", "2 listed, 3 scored, missing [], unexpected ['z']"),
        ("ab", "az", "2 listed, 2 scored, missing ['b'], unexpected ['z']"),
        ("hgfedcba", "", "8 listed, 0 scored, missing ['a', 'b', 'c', 'd', 'e'], unexpected []"),
    ],
)
def test_counts_that_differ(evaluator, expected, scored, message):
    with pytest.raises(RuntimeError) as raised:
        evaluator.check_counts(expected, [row(case) for case in scored])
    assert str(raised.value) == f"every case of the fold must be scored: {message}"


def test_case_that_was_scored_twice(evaluator):
    message = r"^every case must be scored once, scored more often: \[\('a', 'WT'\)\]$"
    with pytest.raises(RuntimeError, match=message):
        evaluator.check_counts(["a", "b"], [row("a"), row("b"), row("a")])


def test_rows_as_csv(evaluator):
    counted = Row(
        case_id="a, b",
        stratum="HGG",
        metric="ET",
        value=0.25,
        intersection=1,
        truth=4,
        prediction=4,
    )
    text = evaluator.rows_to_csv([counted, row("c", "MeanDice", nan)])
    assert text.splitlines() == [
        "case_id,stratum,metric,value,intersection,truth,prediction",
        '"a, b",HGG,ET,0.25,1,4,4',
        "c,HGG,MeanDice,nan,-1,-1,-1",
    ]
    assert next(csv.DictReader(io.StringIO(text)))["case_id"] == "a, b"


def test_csv_of_no_rows_has_its_header(evaluator):
    header = "case_id,stratum,metric,value,intersection,truth,prediction\r\n"
    assert evaluator.rows_to_csv([]) == header


def test_rows_are_written_in_order_and_read_back(evaluator, tmp_path):
    rows = [[row("b"), row("b", "ET", nan)], [row("a", "WT", 0.75)]]
    evaluator._write_rows(rows, str(tmp_path / "cases.json"))
    read = evaluator.read_rows(tmp_path)
    assert [(r.case_id, r.metric) for r in read] == [("a", "WT"), ("b", "ET"), ("b", "WT")]
    assert read[0] == rows[1][0] and isnan(read[1].value)


@pytest.fixture
def folders(tmp_path):
    """A function: who is in fold-1, whom the model was trained on -> folders of both artifacts."""

    def write(trained: dict | None, listed: tuple[str, ...] = ("a", "b")):
        for name in ("examples", "model"):
            (tmp_path / name).mkdir(exist_ok=True)
        splits = {"fold-0": ["c"], "fold-1": listed}
        (tmp_path / "examples" / "cohort.json").write_text(json.dumps({"splits": splits}))
        known = {"a": "patient-1", "b": "patient-2", "c": "patient-3"}
        statistics = [{"case_id": c, "group": g, "t1_mean": 1.0} for c, g in known.items()]
        text = json.dumps({"case_statistics": statistics})
        (tmp_path / "examples" / "cohort-statistics.json").write_text(text)
        if trained is not None:
            (tmp_path / "model" / "training_cases.json").write_text(json.dumps(trained))
        return str(tmp_path / "examples"), str(tmp_path / "model")

    return write


def test_fold_that_the_model_has_not_seen(evaluator, folders):
    examples, model = folders({"cases": ["c"], "groups": ["patient-3"]})
    assert evaluator.check_unseen(examples, model, "fold-1") is None


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
def test_fold_that_the_model_was_trained_on(evaluator, folders, trained, message):
    with pytest.raises(ValueError, match=message):
        evaluator.check_unseen(*folders(trained), "fold-1")


def test_model_that_does_not_tell_what_it_was_trained_on(evaluator, folders, tmp_path):
    message = f"^a model must tell .*, {tmp_path}/model has no training_cases.json: train it again"
    with pytest.raises(ValueError, match=message):
        evaluator.check_unseen(*folders(None), "fold-1")


@pytest.fixture
def run(evaluator, artifact, make_case, tmp_path, monkeypatch):
    """Runs the executor on two record files of three scans; the model finds what is there."""
    import tensorflow as tf

    from beam_preprocess.records import encode_raw

    image = np.arange(1, 25, dtype=np.int16).reshape(2, 3, 1, 4)
    split = tmp_path / "examples" / "Split-fold-1"
    split.mkdir(parents=True)
    for number, cases in enumerate((("scan-3", "scan-1"), ("scan-2",))):
        path = split / f"records-{number:05d}-of-00002.gz"
        with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
            for case in cases:
                record = encode_raw(make_case(image, TRUTH, case), foreground="nonzero")
                writer.write(record)
    loaded = []

    def load(path):
        loaded.append(path)
        return FakeModel(TRUTH)

    monkeypatch.setattr(evaluator, "LoadedModel", load)

    def run_on(listed: list[str], trained: tuple[str, ...] = ("other",)):
        splits = {"fold-0": ["other"], "fold-1": listed}
        (tmp_path / "examples" / "cohort.json").write_text(json.dumps({"splits": splits}))
        statistics = [{"case_id": c, "group": c} for c in ("other", *listed)]
        text = json.dumps({"case_statistics": statistics})
        (tmp_path / "examples" / "cohort-statistics.json").write_text(text)
        (tmp_path / "model").mkdir()
        text = json.dumps({"cases": trained, "groups": trained})
        (tmp_path / "model" / "training_cases.json").write_text(text)
        examples = artifact("Examples", tmp_path / "examples")
        examples.split_names = '["fold-0", "fold-1"]'
        inputs = {"examples": [examples], "model": [artifact("Model", tmp_path / "model")]}
        context = evaluator.EvaluatorExecutor.Context(
            beam_pipeline_args=["--runner=DirectRunner", "--direct_running_mode=in_memory"],
            tmp_dir=str(tmp_path / "tmp"),
        )
        evaluator.EvaluatorExecutor(context).Do(
            inputs,
            {"evaluation": [artifact("ModelEvaluation", tmp_path / "out")]},
            {
                "split": "fold-1",
                "info": to_json(BRATS),
                "config": '{"empty": "brats"}',
                "fingerprint": "f00",
            },
        )
        assert set(loaded) == {str(tmp_path / "model" / "Format-Serving")}
        return tmp_path / "out"

    return run_on


def test_executor_scores_every_case_of_the_fold(run):
    out = run(["scan-1", "scan-2", "scan-3"])
    scores = json.loads((out / "scores.json").read_text())
    assert (scores["split"], scores["n"]) == ("fold-1", 3)
    assert scores["scores"]["WT"] == {"mean": 1.0, "std": 0.0, "n": 3}
    rows = json.loads((out / "cases.json").read_text())
    assert [r["case_id"] for r in rows if r["metric"] == "WT"] == ["scan-1", "scan-2", "scan-3"]
    lines = (out / "cases.csv").read_text().splitlines()
    assert len(lines) == 1 + len(rows) == 1 + 3 * 8
    pictures = sorted(p.name for p in (out / "pictures").iterdir())
    assert pictures == ["scan-1.png", "scan-2.png", "scan-3.png"]


def test_executor_misses_a_case(run, tmp_path):
    with pytest.raises(RuntimeError, match=r"4 listed, 3 scored, missing \['scan-4'\]"):
        run(["scan-1", "scan-2", "scan-3", "scan-4"])
    assert not (tmp_path / "out" / "scores.json").exists()


def test_executor_scores_nothing_that_was_trained_on(run, tmp_path):
    with pytest.raises(ValueError, match=r"^no case of fold-1 may be .*'scan-2'\]"):
        run(["scan-1", "scan-2", "scan-3"], trained=("other", "scan-2"))
    assert not (tmp_path / "out").exists()


def test_component_passes_its_config(evaluator):
    from tfx.types import Channel, standard_artifacts

    from trainer.config import EvaluationConfig

    node = evaluator.Evaluator(
        Channel(type=standard_artifacts.Examples),
        Channel(type=standard_artifacts.Model),
        split="fold-2",
        info=DAGM,
        config=EvaluationConfig(empty="nan"),
        fingerprint="f00",
    )
    assert set(node.inputs) == {"examples", "model"}
    assert node.exec_properties == {
        "split": "fold-2",
        "info": to_json(DAGM),
        "config": '{"empty": "nan"}',
        "fingerprint": "f00",
    }
