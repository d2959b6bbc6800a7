"""The Trainer's entry point, from record files to a SavedModel, with the arguments TFX gives it."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from beam_preprocess.config import PreprocessingConfig
from beam_preprocess.datasets.dagm import DAGM
from trainer.config import InferenceConfig, TrainerConfig
from trainer.loss.config import LossConfig
from trainer.model_config import ModelConfig
from trainer.model_folder import ServingSpec
from trainer.progress import Progress, read_history
from trainer.run_fn import _run_name, check_disjoint, run_fn, training_cases_json
from trainer.serving import LoadedModel
from trainer.staging import StagedCase

MODEL = ModelConfig(rank=2, in_channels=1, classes=1, filters=(2, 4), norm="none")
CUSTOM_CONFIG = {
    "dataset": asdict(DAGM),
    "preprocessing": asdict(PreprocessingConfig()),
    "model": asdict(MODEL),
    "trainer": asdict(
        TrainerConfig(
            samples=12, batch_size=2, crop=(8, 8), loss=LossConfig(name="ce"), log_steps=4
        )
    ),
    "inference": asdict(InferenceConfig(window=(8, 8))),
    "title": "Trainer-fold-0",
    "fingerprint": "abc",
}


def image_of(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (10, 12, 1)).astype(np.uint8)


def case(case_id: str, group: str) -> StagedCase:
    return StagedCase(case_id=case_id, group=group, sha256=f"sha-{case_id}", path=f"/{case_id}")


@pytest.fixture(scope="module")
def fn_args(tmp_path_factory, make_record, write_file) -> SimpleNamespace:
    """Three folds of one case each; fold 0 is held out."""
    root = tmp_path_factory.mktemp("run")
    for n in range(3):
        image = image_of(n)
        label = (image[..., 0] > 200).astype(np.uint8)
        record = make_record(f"case-{n}", image, label, foreground="all")
        write_file(root / f"fold-{n}" / "transformed-00000-of-00001.gz", [record])
    custom_config = CUSTOM_CONFIG | {"state_root": str(root / "state")}
    return SimpleNamespace(
        train_files=[str(root / "fold-1" / "*"), str(root / "fold-2" / "*")],
        eval_files=[str(root / "fold-0" / "*")],
        hyperparameters=None,
        serving_model_dir=str(root / "model" / "Format-Serving"),
        model_run_dir=str(root / "model-run"),
        custom_config=json.loads(json.dumps(custom_config)),
    )


@pytest.fixture(scope="module")
def trained(fn_args: SimpleNamespace) -> SimpleNamespace:
    run_fn(fn_args)
    return fn_args


@pytest.fixture
def steps_done(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    done: list[int] = []
    monkeypatch.setattr(Progress, "step", lambda self, number, loss: done.append(number))
    return done


def test_run_writes_a_model_that_loads(trained: SimpleNamespace) -> None:
    model = LoadedModel(trained.serving_model_dir)
    label, probabilities = model.predict_probabilities(image_of(0))
    assert label.shape == (10, 12) and probabilities.shape == (10, 12, 1)
    np.testing.assert_array_equal(label, np.where(probabilities[..., 0] >= 0.5, 255, 0))
    assert model.spec == ServingSpec(
        dataset=DAGM,
        profile="corrected",
        clip_percentiles=(0.5, 99.5),
        inference=InferenceConfig(window=(8, 8)),
        model=MODEL,
    )


def test_run_tells_whom_it_trained_on_beside_the_model_and_not_in_it(
    trained: SimpleNamespace,
) -> None:
    """What is pushed is `Format-Serving`: nothing in it names a case."""
    served = Path(trained.serving_model_dir)
    told = json.loads((served.parent / "training_cases.json").read_text())
    assert told == {
        "cases": ["case-1", "case-2"],
        "groups": ["patient-of-case-1", "patient-of-case-2"],
        "contents": {"image-of-case-1": "case-1", "image-of-case-2": "case-2"},
    }
    assert sorted(p.name for p in served.parent.iterdir()) == [
        "Format-Serving",
        "training_cases.json",
    ]
    files = [p for p in served.rglob("*") if p.is_file()]
    assert len(files) >= 4 and not [p for p in files if b"case-1" in p.read_bytes()]


def test_training_cases_are_sorted_and_named_once() -> None:
    cases = [case("b", "2"), case("c", "1"), replace(case("a", "2"), content="#a")]
    told = json.loads(training_cases_json(cases))
    assert told == {"cases": ["a", "b", "c"], "groups": ["1", "2"], "contents": {"#a": "a"}}


def test_run_writes_logs(trained: SimpleNamespace) -> None:
    folder = Path(trained.model_run_dir)
    assert [r["step"] for r in read_history(folder)] == [4, 6]
    assert list(folder.glob("events.out.tfevents.*"))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["title"] == "Trainer-fold-0" and manifest["data"]["cases"] == 2


def test_state_is_in_one_folder_per_training_and_one_for_staged_cases(
    trained: SimpleNamespace,
) -> None:
    root = Path(trained.custom_config["state_root"])
    run, staged = sorted(root.iterdir())
    assert run.name.startswith("Trainer-fold-0-") and (run / "checkpoints").is_dir()
    assert staged.name == "staged" and len(list(staged.glob("*.example"))) == 3


def test_run_again_exports_the_same_network_without_a_step(
    trained: SimpleNamespace, steps_done: list[int], tmp_path: Path
) -> None:
    served, logs = str(tmp_path / "model" / "Format-Serving"), str(tmp_path / "run")
    run_fn(SimpleNamespace(**vars(trained) | {"serving_model_dir": served, "model_run_dir": logs}))
    assert steps_done == []
    first, second = LoadedModel(trained.serving_model_dir), LoadedModel(served)
    np.testing.assert_array_equal(
        second.predict_probabilities(image_of(0))[1], first.predict_probabilities(image_of(0))[1]
    )


def test_run_refuses_a_patient_of_the_held_out_fold(
    fn_args: SimpleNamespace, steps_done: list[int], tmp_path: Path
) -> None:
    leaking = vars(fn_args) | {
        "train_files": fn_args.train_files + fn_args.eval_files,
        "serving_model_dir": str(tmp_path / "model" / "Format-Serving"),
    }
    with pytest.raises(ValueError, match=r"both have \['patient-of-case-0'\]"):
        run_fn(SimpleNamespace(**leaking))
    assert steps_done == [] and not (tmp_path / "model").exists()


def test_refit_trains_on_all_folds_for_as_many_samples_as_it_is_told(
    fn_args: SimpleNamespace, steps_done: list[int], tmp_path: Path
) -> None:
    """Two samples a step; `eval_files`, which TFX asks for, are among what is trained on."""
    config = fn_args.custom_config | {"refit": True, "title": "Trainer-refit"}
    refit = vars(fn_args) | {
        "train_files": [*fn_args.train_files, *fn_args.eval_files],
        "hyperparameters": {"samples": 6},
        "custom_config": config | {"state_root": str(tmp_path / "state")},
        "serving_model_dir": str(tmp_path / "model" / "Format-Serving"),
        "model_run_dir": str(tmp_path / "run"),
    }
    run_fn(SimpleNamespace(**refit))
    assert steps_done == [1, 2, 3]
    known = json.loads((tmp_path / "model" / "training_cases.json").read_text())
    assert known["cases"] == ["case-0", "case-1", "case-2"]


def test_folds_must_share_no_patient() -> None:
    training, held_out = [case("a", "1"), case("b", "2")], [case("c", "3")]
    check_disjoint(training, held_out)
    message = (
        r"^training and held-out fold must share no patient, both have \['2'\]: run CaseGen again$"
    )
    with pytest.raises(ValueError, match=message):
        check_disjoint(training, [*held_out, case("d", "2")])


@pytest.mark.parametrize(
    ("key", "value", "other_run"),
    [
        ("fingerprint", "abd", True),
        ("title", "Trainer-fold-1", True),
        ("trainer", CUSTOM_CONFIG["trainer"] | {"seed": 1}, True),
        ("trainer", CUSTOM_CONFIG["trainer"] | {"tracking": {"mlflow": "scans"}}, False),
        ("model", CUSTOM_CONFIG["model"] | {"filters": (4, 4)}, True),
        ("inference", asdict(InferenceConfig(window=(16, 16))), False),
        ("state_root", "/elsewhere", False),
    ],
)
def test_run_folder_is_named_by_what_decides_its_result(
    key: str, value: object, other_run: bool
) -> None:
    cases = [case("a", "1"), case("b", "2")]
    name = _run_name(CUSTOM_CONFIG, cases)
    assert (_run_name(CUSTOM_CONFIG | {key: value}, cases) != name) == other_run
    assert _run_name(CUSTOM_CONFIG, cases[::-1]) == name
    assert _run_name(CUSTOM_CONFIG, cases[:1]) != name
