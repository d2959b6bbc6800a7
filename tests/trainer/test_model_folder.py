"""Which of the folders below a path is the model, and what its metadata tells."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from beam_preprocess.datasets.brats import BRATS
from trainer.config import InferenceConfig
from trainer.model_config import ModelConfig
from trainer.model_folder import (
    METADATA,
    TRAINING_CASES,
    ServingSpec,
    find_training_cases,
    model_fingerprint,
    newest_version,
    read_metadata,
    write_metadata,
)

SPEC = ServingSpec(
    dataset=BRATS,
    profile="reference",
    clip_percentiles=(1.0, 99.0),
    inference=InferenceConfig(window=(8, 8, 8), mirror=(0, 2), keep_largest=((1, 4), (2,))),
    model=ModelConfig(rank=3, in_channels=4, classes=4, filters=(2, 4)),
    precision="bfloat16",
)


def fake_model(folder: Path, *, pushed_by_us: bool = True) -> Path:
    (folder / METADATA).parent.mkdir(parents=True)
    (folder / "saved_model.pb").touch()
    if pushed_by_us:
        (folder / METADATA).touch()
    return folder


def test_newest_version_is_the_largest_number(tmp_path: Path) -> None:
    for name in ("9", "10", "2"):
        fake_model(tmp_path / name)
    assert newest_version(tmp_path) == tmp_path / "10"
    assert newest_version(tmp_path / "9") == tmp_path / "9"


def test_folders_that_are_no_model_of_ours_are_passed_over(tmp_path: Path) -> None:
    fake_model(tmp_path / "3")
    fake_model(tmp_path / "4", pushed_by_us=False)
    (tmp_path / "5").mkdir()
    fake_model(tmp_path / "best")
    (tmp_path / "7").touch()
    assert newest_version(tmp_path) == tmp_path / "3"


@pytest.mark.parametrize("kind", ["missing", "empty", "file", "foreign"])
def test_folder_without_a_model_is_an_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "empty":
        path.mkdir()
    if kind == "file":
        path.touch()
    if kind == "foreign":
        fake_model(path, pushed_by_us=False)
    message = (
        r"^model must be a folder that unet-tfx pushed \(with saved_model\.pb and "
        rf"assets\.extra/unet_tfx\.json\), got '{path}'$"
    )
    with pytest.raises(ValueError, match=message):
        newest_version(path)


def test_metadata_is_read_back(tmp_path: Path) -> None:
    write_metadata(SPEC, tmp_path)
    assert read_metadata(tmp_path) == SPEC
    assert json.loads((tmp_path / METADATA).read_text())["dataset"]["name"] == "brats"


def without(key: str) -> str:
    return json.dumps({k: v for k, v in asdict(SPEC).items() if k != key})


def with_dataset(**changes: object) -> str:
    dataset = {k: v for k, v in (asdict(BRATS) | changes).items() if v is not None}
    return json.dumps(asdict(SPEC) | {"dataset": dataset})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "[1, 2]",
        '"brats"',
        json.dumps(asdict(SPEC))[:-20],
        *(without(key) for key in ("dataset", "profile", "clip_percentiles", "inference")),
        json.dumps(asdict(SPEC) | {"dataset": "brats"}),
        json.dumps(asdict(SPEC) | {"inference": {"window": [0, 8, 8]}}),
        json.dumps(asdict(SPEC) | {"more": 1}),
        with_dataset(channels=None),
        with_dataset(limits={}),
        with_dataset(regions=5),
        with_dataset(label_values=["a"]),
        with_dataset(label_names={"one": "TumorCore"}),
    ],
)
def test_damaged_metadata(tmp_path: Path, text: str) -> None:
    (fake_model(tmp_path / "1") / METADATA).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as raised:
        read_metadata(tmp_path / "1")
    message = str(raised.value)
    start = f"the model in '{tmp_path / '1'}' is incomplete or damaged: copy it again, all files"
    assert message.startswith(start) and len(message.splitlines()) == 1
    assert message.endswith(")") and not message.endswith("()")


@pytest.mark.parametrize("damage", [b"\xff\xfe{}", None])
def test_metadata_that_is_no_text_or_not_there(tmp_path: Path, damage: bytes | None) -> None:
    path = fake_model(tmp_path / "1") / METADATA
    path.unlink() if damage is None else path.write_bytes(damage)
    with pytest.raises(ValueError, match="is incomplete or damaged: copy it again"):
        read_metadata(tmp_path / "1")


def test_metadata_is_read_without_tensorflow() -> None:
    code = "import sys, trainer.model_folder; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_fingerprint_is_of_graph_weights_and_metadata(tmp_path: Path) -> None:
    model = fake_model(tmp_path / "1")
    (model / "variables").mkdir()
    weights = model / "variables" / "variables.data-00000-of-00001"
    weights.write_bytes(b"1")
    first = model_fingerprint(model)
    (model / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"no part of it")
    copy = Path(shutil.copytree(model, tmp_path / "copy"))
    assert model_fingerprint(model) == model_fingerprint(copy) == first
    found = {first}
    for path in (weights, model / "saved_model.pb", model / METADATA):
        path.write_bytes(path.read_bytes() + b"2")
        found.add(model_fingerprint(model))
    assert len(found) == 4


@pytest.mark.parametrize(
    ("model", "file"),
    [
        ("model/1", TRAINING_CASES),  # of unet-tfx train
        ("17/Format-Serving", f"17/{TRAINING_CASES}"),  # of the Trainer
        ("serving/3", f"serving/{TRAINING_CASES}"),
    ],
)
def test_training_cases_lie_beside_the_model(tmp_path: Path, model: str, file: str) -> None:
    assert find_training_cases(fake_model(tmp_path / model)) is None
    (tmp_path / file).touch()
    assert find_training_cases(tmp_path / model) == tmp_path / file


def test_training_cases_of_the_folder_above_are_another_models(tmp_path: Path) -> None:
    (tmp_path / TRAINING_CASES).touch()
    assert find_training_cases(fake_model(tmp_path / "folder" / "Format-Serving")) is None
