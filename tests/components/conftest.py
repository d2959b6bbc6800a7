"""Artifacts in temporary folders, as TFX hands them to an executor."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from beam_preprocess.case import Case, CaseFiles, DatasetInfo
from beam_preprocess.synth import dagm
from trainer.config import InferenceConfig
from trainer.model_config import ModelConfig
from trainer.model_folder import ServingSpec, write_metadata


@pytest.fixture
def artifact() -> Callable[[str, Path], Any]:
    """A function: name of one of TFX's artifact types, its folder -> the artifact."""

    def make(kind: str, folder: Path) -> Any:
        from tfx.types import standard_artifacts

        made = getattr(standard_artifacts, kind)()
        made.uri = str(folder)
        return made

    return make


@pytest.fixture(scope="session")
def make_case() -> Callable[..., Case]:
    """A function: image [*S, C], label [*S] -> a case in memory, of spacing 1."""

    def make(image: np.ndarray, label: np.ndarray | None, case_id: str = "case") -> Case:
        files = CaseFiles(case_id=case_id, group=case_id, stratum="s", images=(), label=None)
        spacing = (1.0,) * (image.ndim - 1)
        affine = np.eye(4)
        return Case(
            files=files, image=image, label=label, affine=affine, spacing=spacing, sources={}
        )

    return make


@pytest.fixture
def push(tmp_path):
    """A function: dataset -> a folder as Pusher leaves it, less the graph."""

    def write(info: DatasetInfo):
        folder = tmp_path / "serving" / "17"
        spec = ServingSpec(
            dataset=info,
            profile="corrected",
            clip_percentiles=(0.5, 99.5),
            inference=InferenceConfig(window=(8,) * info.rank),
            model=ModelConfig(rank=info.rank, in_channels=1, classes=1, filters=(2, 4)),
        )
        write_metadata(spec, folder)
        (folder / "saved_model.pb").write_bytes(b"")
        return folder

    return write


@pytest.fixture
def fake_model(monkeypatch):
    """Stands in for the exported graph: bright is what is above 5. Gives the models loaded."""
    loaded = []

    class LoadedModel:
        def __init__(self, path):
            loaded.append(path)

        def predict(self, image):
            return np.where(image[..., 0] > 5, np.uint8(255), np.uint8(0))

        def predict_probabilities(self, image):
            p = np.clip(image[..., :1].astype(np.float32) / 16, 0, 1)
            several = image.shape[-1] > 1
            return self.predict(image), np.concatenate([1 - p, p], -1) if several else p

    monkeypatch.setitem(sys.modules, "trainer.serving", SimpleNamespace(LoadedModel=LoadedModel))
    return loaded


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Photographs of DAGM: of class 1, parts Train and Test."""
    dagm.write_cohort(tmp_path / "dagm", cases=8, seed=0, size=32)
    return tmp_path / "dagm"


@pytest.fixture
def run_examples(tmp_path: Path) -> Path:
    """CaseGen's artifact, less the records."""
    folder = tmp_path / "examples"
    folder.mkdir()
    content = {"splits": {"fold-0": ["a"], "test": ["t"], "unlabelled": ["u"]}, "columns": {}}
    (folder / "cohort.json").write_text(json.dumps(content))
    statistics = [{"case_id": c, "group": f"patient-{c}", "content": f"#{c}"} for c in "atu"]
    (folder / "cohort-statistics.json").write_text(json.dumps({"case_statistics": statistics}))
    return folder
