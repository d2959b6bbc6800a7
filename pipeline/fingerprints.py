"""Hashes of the code behind each node: TFX's cache sees parameters only, never edited code."""

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Collection, Iterable
from pathlib import Path

_FRAMEWORKS = (
    *("tfx", "tensorflow", "keras", "tensorflow-transform", "apache-beam"),
    *("numpy", "nibabel", "isal", "pillow", "tifffile", "scikit-learn", "jinja2"),
    *("scipy", "surface-distance"),
)

_CASES = (
    *("beam_preprocess.case", "beam_preprocess.checks", "beam_preprocess.config_io"),
    "beam_preprocess.content",
    *("beam_preprocess.crop", "beam_preprocess.datasets", "beam_preprocess.examine"),
    *("beam_preprocess.nifti", "beam_preprocess.records", "beam_preprocess.statistics"),
    *("components.artifacts", "components.file_names"),
)
"""What reads cases and describes them."""

CODE = {
    "CaseGen": (
        *_CASES,
        *("beam_preprocess.case_table", "beam_preprocess.cohort", "beam_preprocess.comparison"),
        *("beam_preprocess.convert", "beam_preprocess.folds", "beam_preprocess.nnunet_splits"),
        *("beam_preprocess.record_files", "beam_preprocess.shards", "components.case_gen"),
    ),
    "CuratedSchema": (*_CASES, "components.curated_schema", "components.schemas"),
    "DataGate": ("components.anomalies", "components.data_gate"),
    "Transform": (
        "beam_preprocess.preprocessing",
        "beam_preprocess.records",
        "components.transform",
    ),
    "Trainer": ("beam_preprocess.preprocessing", "beam_preprocess.records", "trainer"),
    "Evaluator": (
        *("components.beam_scoring", "components.case_scoring", "components.evaluation_files"),
        *("components.evaluator", "components.model"),
        *("components.pictures", "components.sizes", "components.split_scoring"),
        *("trainer.metrics", "trainer.reference.metrics"),
    ),
    "RefitBudget": ("components.refit",),
    "Candidate": (
        *("components.candidate", "components.gate", "components.gate_config"),
        "components.origin",
    ),
    "Baseline": ("components.baseline",),
    "HeldOut": ("components.held_out", "components.seen_cases"),
    "CrossValidation": (
        *("components.cross_validation", "components.gate_drop", "trainer.metrics"),
    ),
    "Report": (
        *("beam_preprocess.cohort_check", "beam_preprocess.cohort_summary"),
        *("beam_preprocess.examine_cases", "components.file_names", "components.pictures"),
        *("components.report", "components.web", "trainer.metrics"),
    ),
}
"""Node -> the modules and packages whose code decides what it writes.

What the entries of the nodes before it hold is left out: a node runs again when one of them did.
"""

_NOT_OF = {
    "Trainer": (
        *("presets.py", "manifest.py", "tracking_config.py", "__main__.py"),
        *("benchmark", "metrics", "reference", "tracking"),
    )
}
"""Files and folders of a package that do not decide what the node writes."""


def code_fingerprint(node: str, *, own: str = "") -> str:
    """Hash of the code behind a node, and of the versions of the frameworks below.

    Args:
      node: Key of `CODE`.
      own: A module of the user's that belongs to it; empty for none.
    """
    digest = hashlib.sha256()
    for package in _FRAMEWORKS:
        digest.update(f"{package} {importlib.metadata.version(package)}\n".encode())
    for path in _sources([*CODE[node], *filter(None, [own])], without=_NOT_OF.get(node, ())):
        digest.update(f"{path.name}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources(modules: Iterable[str], *, without: Collection[str] = ()) -> list[Path]:
    """The files of the modules; of packages, all files below but those `without` names."""
    files: list[Path] = []
    for module in modules:
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"module {module} is missing, whose code a node runs")
        if spec.submodule_search_locations:
            package = Path(spec.origin).parent
            below = (p for p in package.rglob("*") if p.suffix in (".py", ".html", ".css", ".js"))
            files += sorted(p for p in below if not {*p.relative_to(package).parts} & {*without})
        else:
            files.append(Path(spec.origin))
    return files
