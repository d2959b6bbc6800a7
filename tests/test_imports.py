"""The import table of the house: layers import downwards, and touch only their third parties."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("beam_preprocess", "trainer", "components", "pipeline", "kubeflow")
EVERYWHERE = {"numpy", "jsonargparse"}  # arrays, and config dataclasses from plain values

OURS = {
    "beam_preprocess": (),
    "trainer": tuple(
        f"beam_preprocess.{m}"
        for m in (
            *("records", "record_files", "preprocessing", "config_io", "case", "atomic"),
            *("validation", "datasets.tfrecord_files", "crop", "nifti", "datasets.photographs"),
        )
    ),
    "components": ("beam_preprocess", "trainer"),
    "pipeline": (
        "components",
        *(
            f"beam_preprocess.{m}"
            for m in (
                *("config", "config_io", "validation", "atomic", "case", "cohort"),
                *("datasets", "fingerprint", "nnunet_splits", "examine_cases"),
                *("cohort_check", "cohort_summary", "difference"),
            )
        ),
        "trainer.benchmark",
        "trainer.config",
        "trainer.loss.config",
        "trainer.metrics.cohort_scores",
        "trainer.metrics.config",
        "trainer.model_config",
        "trainer.presets",
        "trainer.tracking_config",
    ),
    "kubeflow": ("pipeline", "components", "trainer", "beam_preprocess"),
}
"""Layer -> the modules of ours, outside of itself, that it may import (packages with all below)."""

THIRD_PARTIES = {
    "beam_preprocess": set(),
    "beam_preprocess/nifti.py": {"nibabel", "isal"},
    "beam_preprocess/statistics.py": {"nibabel"},
    "beam_preprocess/difference.py": {"scipy"},
    "beam_preprocess/content.py": {"google_crc32c"},
    "beam_preprocess/record_files.py": {"google_crc32c", "isal"},
    "beam_preprocess/datasets/photographs.py": {"PIL"},
    "beam_preprocess/datasets/isbi2012.py": {"tifffile"},
    "beam_preprocess/datasets/severstal.py": {"PIL"},
    "beam_preprocess/datasets/reference_records.py": {"google"},
    "beam_preprocess/synth": {"nibabel", "PIL"},
    "beam_preprocess/convert.py": {"apache_beam"},
    "beam_preprocess/records.py": {"tensorflow"},
    "beam_preprocess/preprocessing.py": {"tensorflow"},
    "trainer": {"tensorflow", "keras"},
    "trainer/distribution.py": {"tensorflow", "keras", "horovod"},
    "trainer/metrics": {"scipy", "sklearn", "surface_distance"},
    "trainer/benchmark/timing.py": {"tensorflow", "keras", "tqdm"},
    "trainer/progress.py": {"tqdm"},
    "trainer/tracking/mlflow_sink.py": {"mlflow"},
    "trainer/tracking/wandb_sink.py": {"wandb"},
    "components/transform.py": {
        *("tfx", "apache_beam", "google", "tensorflow", "tensorflow_transform"),
    },
    "components/predict_many.py": {"tqdm"},
    "components": {
        *("tfx", "apache_beam", "google", "tensorflow_metadata", "tensorflow_transform"),
        *("tensorflow_data_validation", "tfx_bsl", "pandas", "PIL", "jinja2", "markupsafe"),
    },
    "pipeline/check_command.py": {"tqdm"},
    "pipeline/evaluate_command.py": {"tqdm"},
    "pipeline": {"tfx", "ml_metadata", "absl", "yaml"},
    "kubeflow": {"tfx", "kfp", "kubernetes", "yaml", "absl"},
}
"""Folder or file -> its third parties. The longest match counts."""


def _files() -> list[Path]:
    return sorted(p for layer in LAYERS for p in (ROOT / layer).rglob("*.py"))


def _imports(path: Path) -> set[str]:
    """All modules that a file imports, those inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module} | {f"{node.module}.{a.name}" for a in node.names}
    return found


def _is_below(module: str, parents: tuple[str, ...]) -> bool:
    return any(module == p or module.startswith(f"{p}.") for p in parents)


@pytest.mark.parametrize("path", _files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down_only(path):
    layer = path.relative_to(ROOT).parts[0]
    allowed = (layer, *OURS[layer])
    ours = {m for m in _imports(path) if m.partition(".")[0] in LAYERS}
    # `from trainer.config import X` gives trainer.config and trainer.config.X; a bare package is
    # what `from beam_preprocess import records` gives beside beam_preprocess.records.
    wrong = {
        m
        for m in ours
        if not _is_below(m, allowed) and not any(a.startswith(f"{m}.") for a in allowed)
    }
    assert not wrong, f"{path} imports {wrong}; {layer} may import {allowed}"


@pytest.mark.parametrize("path", _files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_third_parties_stay_in_their_layer(path):
    name = str(path.relative_to(ROOT))
    rules = [key for key in THIRD_PARTIES if name == key or name.startswith(f"{key}/")]
    allowed = THIRD_PARTIES[max(rules, key=len)] | EVERYWHERE
    packages = {m.partition(".")[0] for m in _imports(path)}
    wrong = packages - set(LAYERS) - set(sys.stdlib_module_names) - allowed
    assert not wrong, f"{path} imports {wrong}; it may import {allowed}"


def test_the_table_would_catch_an_import_upwards(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("def f():\n    from pipeline.config import RunConfig\n")
    assert "pipeline.config" in _imports(path)
    assert not _is_below("pipeline.config", ("beam_preprocess",))
