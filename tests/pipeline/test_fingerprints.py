"""The hashes of the code behind each node: what changes them, and that they miss nothing."""

import ast
import sys
from dataclasses import is_dataclass
from pathlib import Path

import pytest

from beam_preprocess import config as data_config
from pipeline import fingerprints
from pipeline.fingerprints import CODE, code_fingerprint

ROOT = Path(__file__).parents[2]
LAYERS = ("beam_preprocess", "trainer", "components", "pipeline", "kubeflow")

START = {
    "CaseGen": ("components.case_gen",),
    "CuratedSchema": ("components.curated_schema",),
    "DataGate": ("components.data_gate",),
    "Transform": ("components.transform", "beam_preprocess.preprocessing"),
    "Trainer": ("trainer.run_fn",),
    "Evaluator": ("components.evaluator",),
    "RefitBudget": ("components.refit",),
    "Candidate": ("components.candidate",),
    "Baseline": ("components.baseline",),
    "HeldOut": ("components.held_out",),
    "CrossValidation": ("components.cross_validation",),
    "Report": ("components.report.component",),
}
"""Node -> the modules that TFX calls."""

BEFORE = {
    "CaseGen": (),
    "CuratedSchema": (),
    "DataGate": ("CaseGen", "CuratedSchema"),
    "Transform": ("CaseGen", "CuratedSchema"),
    "Trainer": ("CaseGen", "CuratedSchema", "Transform"),
    "Evaluator": ("CaseGen", "CuratedSchema", "Transform", "Trainer"),
    "RefitBudget": ("CaseGen", "CuratedSchema", "Transform", "Trainer"),
}
BEFORE["Candidate"] = (*BEFORE["Evaluator"], "Evaluator")
BEFORE["Baseline"] = (*BEFORE["Candidate"], "Candidate")
BEFORE["HeldOut"] = BEFORE["Baseline"]
BEFORE["CrossValidation"] = (*BEFORE["Baseline"], "Baseline", "HeldOut")
BEFORE["Report"] = (*BEFORE["CrossValidation"], "CrossValidation")
"""Node -> the nodes whose outputs it reads, at first or second hand, as in `test_pipeline`.

Less those that are there with some settings of the gate only.
"""

NO_MATTER = {
    "beam_preprocess.atomic": "how a file is written, never what is in it",
    "beam_preprocess.memory": "what freed memory a worker keeps, nothing that is written",
    "beam_preprocess.validation": "raises or does not; a node that raised is not cached",
    "beam_preprocess.config": "fields and checks alone; the values are a parameter of the node",
    "trainer.metrics": "its docstring",
    "trainer.reference": "its docstring",
    "trainer.metrics.config": "how cases are scored: the Evaluator's, whose package covers it",
    "beam_preprocess": "its docstring",
    "components": "finds artifact types by name",
    **{
        f"trainer.{module}": "what is shown of a training; that it decides nothing is tested"
        for module in (
            *("manifest", "tracking_config", "tracking", "tracking.watch", "tracking.sinks"),
            *("tracking.pictures", "tracking.run_ids", "tracking.tensorboard"),
            *("tracking.mlflow_sink", "tracking.wandb_sink"),
        )
    },
    "trainer": "which kernels compute; the hash holds the versions of the libraries, not the CPU",
}
"""Modules that nodes import, and whose changes need not run them again."""


def path_of(module: str) -> Path | None:
    """File of a module of ours; None for a name in a module."""
    path = ROOT.joinpath(*module.split("."))
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((f for f in files if f.is_file()), None)


def imports_of(module: str) -> set[str]:
    """The modules of ours that a module imports, inside functions too, with their packages."""
    names = {module}
    for node in ast.walk(ast.parse(path_of(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {n for n in names if n.partition(".")[0] in LAYERS and path_of(n)}
    return ours | {n.rpartition(".")[0] for n in ours if "." in n}


def reached_from(modules: tuple[str, ...]) -> set[str]:
    """All modules of ours that the modules need, themselves among them."""
    reached, left = set(), set(modules)
    while left:
        module = left.pop()
        reached.add(module)
        left |= imports_of(module) - reached
    return reached


def files_of(node: str) -> set[Path]:
    """The files that the hash of a node reads."""
    return {*fingerprints._sources(CODE[node], without=fingerprints._NOT_OF.get(node, ()))}


@pytest.mark.parametrize("node", CODE)
def test_every_module_exists_and_is_listed_once(node):
    for module in CODE[node]:
        assert path_of(module), f"{module} of {node}"
    assert len(CODE[node]) == len(set(CODE[node]))


def test_the_tables_of_this_test_are_complete():
    assert set(START) == set(BEFORE) == set(CODE)
    assert all(path_of(module) for module in NO_MATTER)


@pytest.mark.parametrize("node", CODE)
def test_own_module_is_covered(node):
    assert {path_of(module) for module in START[node]} <= files_of(node)


@pytest.mark.parametrize("node", CODE)
def test_all_that_a_node_imports_is_covered(node):
    """By its own entry, by one of a node before it, or it does not matter."""
    covered = set().union(*(files_of(n) for n in (node, *BEFORE[node])))
    missing = {m for m in reached_from(START[node]) if path_of(m) not in covered} - set(NO_MATTER)
    assert not missing, f"{node} needs {sorted(missing)}"


def test_the_walk_finds_what_is_imported_at_second_hand():
    reached = reached_from(START["Evaluator"])
    assert {"trainer.serving", "trainer.inference", "trainer.model_config"} <= reached
    assert "components.artifacts" in reached_from(("components",))  # inside a function
    assert "trainer.metrics.region_scores" not in reached_from(START["Trainer"])
    for module in ("presets", "benchmark.timing", "__main__", "reference.run"):
        assert f"trainer.{module}" not in reached_from(START["Trainer"])


def test_what_does_not_matter_has_no_code_that_decides():
    """A config that computes something would have to be covered."""
    classes = [c for c in vars(data_config).values() if is_dataclass(c)]
    assert classes
    for cls in classes:
        own = {n for n, v in vars(cls).items() if callable(v) or isinstance(v, property)}
        assert {n for n in own if not n.startswith("__")} == set()


@pytest.fixture
def fake_code(tmp_path, monkeypatch):
    """A node `Fake` of a module `fake_one` and a package `fake_two`."""
    (tmp_path / "fake_one.py").write_text("A = 1\n")
    (tmp_path / "fake_two" / "below").mkdir(parents=True)
    for name in ("__init__.py", "used.py", "unused.py", "below/deep.py", "page.html", "page.css"):
        (tmp_path / "fake_two" / name).write_text("\n")
    (tmp_path / "fake_two" / "notes.txt").write_text("\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(CODE, "Fake", ("fake_one", "fake_two"))
    monkeypatch.setitem(fingerprints._NOT_OF, "Fake", ("unused.py",))
    yield tmp_path
    for name in ("fake_one", "fake_two"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    "file",
    [
        *("fake_one.py", "fake_two/__init__.py", "fake_two/used.py", "fake_two/below/deep.py"),
        *("fake_two/page.html", "fake_two/page.css"),
    ],
)
def test_hash_changes_with_a_file_and_changes_back(fake_code, file):
    before = code_fingerprint("Fake")
    assert len(before) == 64 and before == code_fingerprint("Fake")
    kept = (fake_code / file).read_text()
    (fake_code / file).write_text(kept + "# edited\n")
    assert code_fingerprint("Fake") != before
    (fake_code / file).write_text(kept)
    assert code_fingerprint("Fake") == before


@pytest.mark.parametrize("file", ["fake_two/unused.py", "fake_two/notes.txt"])
def test_hash_does_not_change_with_files_that_decide_nothing(fake_code, file):
    before = code_fingerprint("Fake")
    (fake_code / file).write_text("edited")
    assert code_fingerprint("Fake") == before


def test_hash_changes_with_a_new_file(fake_code):
    before = code_fingerprint("Fake")
    (fake_code / "fake_two" / "new.py").write_text("")
    assert code_fingerprint("Fake") != before


def test_hash_changes_with_a_new_name(fake_code):
    before = code_fingerprint("Fake")
    (fake_code / "fake_two" / "used.py").rename(fake_code / "fake_two" / "user.py")
    assert code_fingerprint("Fake") != before


def test_hash_changes_with_the_version_of_a_framework(fake_code, monkeypatch):
    before = code_fingerprint("Fake")
    monkeypatch.setattr(fingerprints.importlib.metadata, "version", lambda package: "99.0")
    assert code_fingerprint("Fake") != before


def test_training_does_not_depend_on_how_it_is_scored():
    trained = {p.name for p in files_of("Trainer")}
    assert {"loop.py", "unet.py", "serving.py", "windows.py", "run_fn.py"} <= trained
    assert not {"region_scores.py", "presets.py"} & trained
    assert {p.name for p in fingerprints._sources(CODE["Trainer"])} > trained


@pytest.mark.parametrize("node", ["Evaluator", "CrossValidation", "Report"])
def test_what_shows_scores_depends_on_how_they_are_made(node):
    assert ROOT / "trainer" / "metrics" / "cohort_scores.py" in files_of(node)


def test_missing_module_is_told(monkeypatch):
    monkeypatch.setitem(CODE, "Fake", ("trainer.loop_that_is_gone",))
    message = "^module trainer.loop_that_is_gone is missing, whose code a node runs$"
    with pytest.raises(ModuleNotFoundError, match=message):
        code_fingerprint("Fake")


def test_unknown_node():
    with pytest.raises(KeyError, match="Tuner"):
        code_fingerprint("Tuner")
