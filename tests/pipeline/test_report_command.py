"""`unet-tfx report` and `unet-tfx compare` on run folders made by hand, moved ones among them."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from beam_preprocess.config_io import to_json
from beam_preprocess.datasets.brats import BRATS
from pipeline.cli import main
from pipeline.compare_command import read_run
from pipeline.report_command import split_cases
from pipeline.usage import EXIT_DONE, EXIT_ERROR, EXIT_USAGE

from ..components.report_samples import DICE, make_folds, write_artifacts

STATISTICS = {"level": 0.95, "resamples": 50, "seed": 0}
CONFIG = {
    "name": "tiny-run",
    "output": "somewhere",
    "preprocessing": {"profile": "corrected"},
    "evaluation": {"empty": "brats", "statistics": STATISTICS},
    "inference": {"threshold": 0.4},
    "gate": {"select": "WT/dice"},
    "trainer": {"samples": 10},
}


def write_metadata(run: Path, outputs: dict[str, dict[str, str]]) -> None:
    """`metadata.sqlite` of a run: node -> its outputs and their URIs."""
    from ml_metadata import proto
    from ml_metadata.metadata_store import MetadataStore

    config = proto.ConnectionConfig()
    config.sqlite.filename_uri = str(run / "metadata.sqlite")
    store = MetadataStore(config)
    kinds = ("pipeline_run", "node")
    types = {k: store.put_context_type(proto.ContextType(name=k)) for k in kinds}
    execution_type = store.put_execution_type(proto.ExecutionType(name="Node"))
    artifact_type = store.put_artifact_type(proto.ArtifactType(name="components.Thing"))
    for node, made in outputs.items():
        names = {"pipeline_run": "run-1", "node": f"tiny.{node}"}
        contexts = [proto.Context(type_id=types[k], name=n) for k, n in names.items()]
        pairs = [
            (
                proto.Artifact(type_id=artifact_type, uri=uri),
                proto.Event(
                    type=proto.Event.OUTPUT,
                    path=proto.Event.Path(steps=[{"key": key}, {"index": 0}]),
                ),
            )
            for key, uri in made.items()
        ]
        execution = proto.Execution(
            type_id=execution_type, last_known_state=proto.Execution.COMPLETE
        )
        parameters = {"info": to_json(BRATS), "data_fingerprint": "d1d1", "fingerprint": "f00d"}
        for name, value in parameters.items():
            execution.custom_properties[name].string_value = value
        for i, (kind, name) in enumerate(names.items()):
            if found := store.get_context_by_type_and_name(kind, name):
                contexts[i] = found
        store.put_execution(execution, pairs, contexts, reuse_context_if_already_exist=True)


@pytest.fixture
def make_run(tmp_path):
    """A function: name, dice of the cases -> a run folder that was made elsewhere, and moved."""

    def make(name: str, dice: dict[str, float] = DICE, **config: object) -> Path:
        run = tmp_path / name
        artifacts = run / "artifacts"
        folders = write_artifacts(artifacts, make_folds(dice))
        outputs = {
            "RecordSchema": {"schema": "/old/artifacts/RecordSchema/schema/2"},
            "CaseGen": {"examples": str(folders.examples)},
            "CrossValidation": {"evaluation": str(folders.cross_validation)},
        }
        for i in range(2):
            outputs[f"Trainer-fold-{i}"] = {"model_run": str(folders.model_runs[i])}
            outputs[f"Evaluator-fold-{i}"] = {"evaluation": str(folders.evaluations[i])}
        moved = {
            node: {k: u.replace(str(run), "/old") for k, u in made.items()}
            for node, made in outputs.items()
        }
        write_metadata(run, moved)
        (run / "config.yaml").write_text(yaml.safe_dump(CONFIG | config))
        return run

    return make


@pytest.mark.slow
def test_report_of_a_run_that_was_moved(make_run, capsys):
    run = make_run("run")
    assert main(["report", str(run), "--cases", "b"]) == EXIT_DONE
    html = (run / "report.html").read_text()
    assert "<title>Blessed: tiny-run</title>" in html
    for words in ("Chosen", "CrossValidation", "f00d", "d1d1", "CaseGen"):
        assert words in html
    assert "its component writes it before the run ends" not in html
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"report    {run / 'report.html'}, 0.")
    assert printed[1] == "cases     4 in the viewer"


@pytest.mark.slow
def test_report_elsewhere_leaves_the_run_alone(make_run, tmp_path):
    run, target = make_run("run"), tmp_path / "page.html"
    before = sorted(p for p in run.rglob("*"))
    assert main(["report", str(run), "--output", str(target)]) == EXIT_DONE
    assert "Best" in target.read_text() and sorted(run.rglob("*")) == before


@pytest.mark.slow
def test_case_that_was_not_scored(make_run, capsys):
    assert main(["report", str(make_run("run")), "--cases", "a,zz"]) == EXIT_ERROR
    assert "it did not score ['zz']" in capsys.readouterr().err


@pytest.mark.slow
def test_artifact_that_is_gone(make_run, capsys):
    run = make_run("run")
    shutil.rmtree(run / "artifacts" / "Evaluator-fold-1")
    assert main(["report", str(run)]) == EXIT_ERROR
    error = capsys.readouterr().err
    assert "output 'evaluation' of Evaluator-fold-1 must be in" in error and "copy it back" in error


@pytest.mark.slow
def test_run_that_did_not_get_to_its_end(make_run, tmp_path, capsys):
    run = tmp_path / "early"
    run.mkdir()
    (run / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    write_metadata(run, {"CaseGen": {"examples": "/old/CaseGen/examples/1"}})
    assert main(["report", str(run)]) == EXIT_ERROR
    assert "must have finished, it is 'not started'" in capsys.readouterr().err


@pytest.mark.slow
def test_compare_prints_and_writes(make_run, tmp_path, capsys):
    a = make_run("a")
    b = make_run("b", {c: v + 0.01 for c, v in DICE.items()}, trainer={"samples": 20})
    page, content = tmp_path / "c.html", tmp_path / "c.json"
    options = ["--output", str(page), "--json", str(content)]
    assert main(["compare", str(a), str(b), *options]) == EXIT_DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "cases     4 of both, 0 in A alone, 0 in B alone"
    row = next(line.split() for line in lines if line.startswith("WT"))
    assert row[:4] == ["WT", "0.800", "0.810", "+0.010"]
    assert "  trainer.samples: 10 -> 20" in lines
    assert "trainer.samples" in page.read_text()
    assert json.loads(content.read_text())["settings"] == {"trainer.samples": {"a": 10, "b": 20}}


@pytest.mark.slow
def test_compare_finds_images_at_the_threshold_of_the_run(make_run):
    assert read_run(str(make_run("a"))).threshold == 0.4


def test_compare_of_runs_without_a_case_in_common(make_run, capsys):
    other = {f"x{c}": v for c, v in DICE.items()}
    assert main(["compare", str(make_run("a")), str(make_run("b", other))]) == EXIT_ERROR
    assert "scored no case in common" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["report", "compare"])
def test_wrong_folders(command, tmp_path, capsys):
    words = [str(tmp_path)] * (2 if command == "compare" else 1)
    assert main([command, *words]) == EXIT_USAGE
    assert "must be a run folder, which holds metadata.sqlite and config.yaml" in (
        capsys.readouterr().err
    )


def test_too_many_cases(tmp_path, capsys):
    for name in ("metadata.sqlite", "config.yaml"):
        (tmp_path / name).write_text("")
    cases = ",".join(f"c{i}" for i in range(21))
    assert main(["report", str(tmp_path), "--cases", cases]) == EXIT_USAGE
    assert "--cases must name at most 20 cases, got 21" in capsys.readouterr().err
    assert main(["report", str(tmp_path), "--output", str(tmp_path)]) == EXIT_USAGE
    assert "--output must be a file" in capsys.readouterr().err


def test_case_ids_are_split_at_commas():
    assert split_cases(" a, b,,a ") == ["a", "b"]


@pytest.mark.parametrize("command", ["report", "compare"])
def test_help_imports_neither_tensorflow_nor_tfx(command):
    import subprocess
    import sys

    code = (
        f"import sys; from pipeline.cli import main; main(['{command}', '--help']);"
        "assert not {'tensorflow', 'tfx'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"usage: unet-tfx {command} RUN" in done.stdout
