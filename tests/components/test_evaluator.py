"""The component on record files, with a model that is not one."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from beam_preprocess.config_io import to_json
from beam_preprocess.datasets.brats import BRATS
from beam_preprocess.datasets.dagm import DAGM
from components.evaluation_files import read_cases
from trainer.config import EvaluationConfig, InferenceConfig
from trainer.model_config import ModelConfig
from trainer.model_folder import ServingSpec, write_metadata

pytestmark = pytest.mark.slow

TRUTH = np.array([[[1], [1], [2]], [[0], [4], [4]]], np.uint8)
MASK = np.array([[255, 255, 0], [0, 0, 0]], np.uint8)


@pytest.fixture(scope="module")
def evaluator():
    """The module; it imports TFX."""
    from components import evaluator

    return evaluator


class FakeModel:
    """Finds what is there, whatever it is shown."""

    def __init__(self, label: np.ndarray):
        self.label = label
        self.spec = SimpleNamespace(inference=InferenceConfig(window=(8, 8), threshold=0.25))

    def predict(self, image: np.ndarray) -> np.ndarray:
        return self.label

    def predict_probabilities(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        share = 0.4 if image.max() < 100 else 0.9
        return self.label, np.full((*self.label.shape, 1), share, np.float32)


def write_model(folder, info):
    """What the Trainer leaves, less the graph; images are defective from 0.25 on."""
    spec = ServingSpec(
        dataset=info,
        profile="corrected",
        clip_percentiles=(0.5, 99.5),
        inference=InferenceConfig(window=(8,) * info.rank, threshold=0.25),
        model=ModelConfig(rank=info.rank, in_channels=1, classes=1, filters=(2, 4)),
    )
    write_metadata(spec, folder / "Format-Serving")
    (folder / "Format-Serving" / "saved_model.pb").write_bytes(b"")


@pytest.fixture
def run(evaluator, artifact, make_case, tmp_path, monkeypatch):
    """A function: cases (id -> image, label) in two record files, dataset -> what is written."""
    import tensorflow as tf

    from beam_preprocess.records import encode_raw

    loaded = []

    def load(path):
        loaded.append(path)
        return FakeModel(load.label)

    monkeypatch.setattr("components.beam_scoring.LoadedModel", load)

    def write_examples(cases, listed, info):
        split = tmp_path / "examples" / "Split-fold-1"
        split.mkdir(parents=True)
        ids = list(cases)
        for number, part in enumerate((ids[::2], ids[1::2])):
            path = split / f"records-{number:05d}-of-00002.gz"
            with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
                for case in part:
                    record = encode_raw(make_case(*cases[case], case), foreground=info.foreground)
                    writer.write(record)
        splits = {"fold-0": ["other"], "fold-1": listed}
        columns = {c: {"site": "Ulm" if c.endswith("1") else "Bonn"} for c in listed}
        text = json.dumps({"splits": splits, "columns": columns})
        (tmp_path / "examples" / "cohort.json").write_text(text)
        statistics = [{"case_id": c, "group": c} for c in ("other", *listed)]
        text = json.dumps({"case_statistics": statistics})
        (tmp_path / "examples" / "cohort-statistics.json").write_text(text)

    def run_on(cases, *, info=BRATS, listed=None, trained=("other",), profile="corrected"):
        write_examples(cases, listed or list(cases), info)
        load.label = next(label for _, label in cases.values() if label.any())
        write_model(tmp_path / "model", info)
        text = json.dumps({"cases": trained, "groups": trained})
        (tmp_path / "model" / "training_cases.json").write_text(text)
        examples = artifact("Examples", tmp_path / "examples")
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
                "info": to_json(info),
                "config": to_json(EvaluationConfig()),
                "profile": profile,
                "fingerprint": "f00",
            },
        )
        assert set(loaded) == {str(tmp_path / "model" / "Format-Serving")}
        return tmp_path / "out"

    return run_on


SCAN = (np.arange(1, 25, dtype=np.int16).reshape(2, 3, 1, 4), TRUTH)
SCANS = {f"scan-{n}": SCAN for n in (3, 1, 2)}


def test_executor_scores_every_case_of_the_fold(run):
    out = run(SCANS)
    cases = read_cases(out)
    assert [c.regions["WT"].values["dice"] for c in cases] == [1.0, 1.0, 1.0]
    assert [c.size for c in cases] == [0.005, 0.005, 0.005]
    assert [c.case_id for c in cases] == ["scan-1", "scan-2", "scan-3"]
    assert [c.columns["site"] for c in cases] == ["Ulm", "Bonn", "Bonn"]
    assert all(c.reference == {} for c in cases)
    lines = (out / "cases.csv").read_text().splitlines()
    assert len(lines) == 1 + 3 * (7 * 14 + 9)
    for folder, ending in (("pictures", ".png"), ("predictions", ".nii.gz")):
        names = sorted(p.name for p in (out / folder).iterdir())
        assert names == [f"scan-{n}{ending}" for n in (1, 2, 3)]


def test_executor_scores_images(run):
    """The defective one has 0.9, the others 0.4. Which of them are found is not decided here."""
    dark, bright = np.full((2, 3, 1), 90, np.uint8), np.full((2, 3, 1), 200, np.uint8)
    clean = (dark, np.zeros((2, 3), np.uint8))
    out = run({"a": (bright, MASK), "b": clean, "c": clean}, info=DAGM, profile="reference")
    cases = read_cases(out)
    assert [c.image.score for c in cases] == pytest.approx([0.9, 0.4, 0.4])
    assert [c.image.defective for c in cases] == [True, False, False]
    assert [len(c.regions["defect"].values) > 0 for c in cases] == [True, False, False]
    empty = [c.reference["IoU_THS_0.5_always_empty"] for c in cases]
    assert empty == pytest.approx([0, 1, 1], abs=1e-4)
    assert sorted(p.name for p in (out / "predictions").iterdir()) == ["a.png", "b.png", "c.png"]


def test_executor_misses_a_case(run, tmp_path):
    with pytest.raises(RuntimeError, match=r"4 listed, 3 scored, missing \['scan-4'\]"):
        run(SCANS, listed=["scan-1", "scan-2", "scan-3", "scan-4"])
    assert not (tmp_path / "out" / "cases.csv").exists()


def test_executor_scores_nothing_that_was_trained_on(run, tmp_path):
    with pytest.raises(ValueError, match=r"^no case of fold-1 may be .*'scan-2'\]"):
        run(SCANS, trained=("other", "scan-2"))
    assert not (tmp_path / "out").exists()


def test_component_passes_its_config(evaluator):
    from tfx.types import Channel, standard_artifacts

    from components.case_scoring import Scoring, scoring_to_json

    config = EvaluationConfig(empty="nan", slices=("site",))
    node = evaluator.Evaluator(
        Channel(type=standard_artifacts.Examples),
        Channel(type=standard_artifacts.Model),
        split="fold-2",
        scoring=Scoring(info=DAGM, config=config, profile="reference"),
        fingerprint="f00",
    )
    assert set(node.inputs) == {"examples", "model"}
    assert node.exec_properties == {
        "split": "fold-2",
        "info": to_json(DAGM),
        "config": scoring_to_json(config),
        "profile": "reference",
        "fingerprint": "f00",
    }
