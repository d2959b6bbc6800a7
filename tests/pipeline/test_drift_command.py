"""`unet-tfx drift`: what it prints and writes, and its errors. Run folders are made by hand."""

import json
import sqlite3

import pytest

from pipeline import drift_command
from pipeline.cli import main
from pipeline.usage import EXIT_DONE, EXIT_ERROR, EXIT_USAGE


def add_run(folder, outputs: dict[str, str], *, node: str = "CaseGen", run: str = "run-1") -> None:
    """Adds an execution of a node to `metadata.sqlite`, as TFX does."""
    from ml_metadata import proto
    from ml_metadata.metadata_store import MetadataStore

    config = proto.ConnectionConfig()
    config.sqlite.filename_uri = str(folder / "metadata.sqlite")
    store = MetadataStore(config)
    names = {"pipeline_run": run, "node": f"brats.{node}"}
    contexts = [
        proto.Context(type_id=store.put_context_type(proto.ContextType(name=kind)), name=name)
        for kind, name in names.items()
    ]
    execution_type = store.put_execution_type(proto.ExecutionType(name="Node"))
    artifact_type = store.put_artifact_type(proto.ArtifactType(name="Examples"))
    pairs = [
        (
            proto.Artifact(type_id=artifact_type, uri=uri),
            proto.Event(
                type=proto.Event.OUTPUT, path=proto.Event.Path(steps=[{"key": key}, {"index": 0}])
            ),
        )
        for key, uri in outputs.items()
    ]
    execution = proto.Execution(type_id=execution_type, last_known_state=proto.Execution.COMPLETE)
    store.put_execution(execution, pairs, contexts, reuse_context_if_already_exist=True)


@pytest.fixture
def make_run(tmp_path):
    """A function: name, cases, dataset -> a run folder."""

    def make(name: str, cases: list[dict] | None = None, dataset: str = "brats") -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.yaml").write_text(f"data:\n  dataset: {dataset}\n")
        outputs = {"examples": "/raw"}
        if cases:
            write_cases(folder / "statistics" / "Split-fold-0", cases)
            outputs["case_statistics"] = str(folder / "statistics")
        add_run(folder, outputs)
        return str(folder)

    return make


def write_cases(folder, cases: list[dict]) -> None:
    from beam_preprocess.record_files import RecordWriter
    from beam_preprocess.records import encode_example

    folder.mkdir(parents=True)
    with RecordWriter(folder / "records-00000-of-00001.gz") as writer:
        for case in cases:
            writer.write(encode_example(case))


def cohort(count: int = 24, *, spacing: float = 1.0, orientation: str = "LPS") -> list[dict]:
    ids = [{"case_id": f"c{i}", "group": f"p{i}", "content": str(i)} for i in range(count)]
    same = {"spacing_x": spacing, "orientation": orientation}
    return [ids[i] | same | {"t1_mean": 100.0 + i} for i in range(count)]


@pytest.mark.slow
def test_no_drift(make_run, capsys):
    a, b = make_run("a", cohort()), make_run("b", cohort(23))
    assert main(["drift", a, b]) == EXIT_DONE
    assert capsys.readouterr().out.splitlines() == [
        "dataset   brats",
        f"A         24 cases of {a}",
        f"B         23 cases of {b}",
        "",
        "no drift: of 3 features none is above its threshold; nearest is t1_mean with 0.001 of 0.3",
    ]


@pytest.mark.slow
def test_drift_with_the_numbers(make_run, capsys):
    a, b = make_run("a", cohort()), make_run("b", cohort(spacing=1.25, orientation="RAS"))
    assert main(["drift", a, b]) == 3
    printed = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    rows = [[cell.strip() for cell in line if cell.strip()] for line in printed[4:]]
    assert rows == [
        ["feature", "measure", "value", "threshold", "A", "B"],
        ["orientation", "infinity norm", "1.000", "0.3", "LPS 100%", "RAS 100%"],
        [
            *("spacing_x", "Jensen-Shannon divergence", "1.000", "0.3"),
            *("mean 1, median 1", "mean 1.25, median 1.25"),
        ],
        [],
        ["2 of 3 features drifted"],
    ]


@pytest.mark.slow
def test_few_cases_are_told(make_run, capsys):
    a, b = make_run("a", cohort()), make_run("b", cohort(19))
    main(["drift", a, b])
    assert "note      with 19 cases, features that did not change may" in capsys.readouterr().out


@pytest.mark.slow
def test_feature_of_one_cohort_only_is_drift(make_run, capsys):
    new = [case | {"scanner": "x"} for case in cohort()]
    assert main(["drift", make_run("a", cohort()), make_run("b", new)]) == 3
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "only in B: scanner",
        "1 of 4 features drifted",
    ]


@pytest.mark.slow
def test_thresholds_and_json(make_run, tmp_path):
    a, b = make_run("a", cohort()), make_run("b", cohort(spacing=3.0, orientation="RAS"))
    path = tmp_path / "drift.json"
    options = ["--numeric", "1", "--categorical=0.9", "--json", str(path)]
    assert main(["drift", a, b, *options]) == 3
    written = json.loads(path.read_text())
    assert written["drifted"] == ["orientation"]
    assert (written["a"]["dataset"], written["b"]["folder"]) == ("brats", b)
    assert written["a"]["statistics"] == f"{a}/statistics"
    assert (written["cases_a"], written["cases_b"]) == (24, 24)
    features = {f["feature"]: f for f in written["features"]}
    assert set(features) == {"spacing_x", "t1_mean", "orientation"}
    assert features["spacing_x"]["value"] == features["spacing_x"]["threshold"] == 1
    assert features["spacing_x"]["drifted"] is False
    assert features["spacing_x"]["b"] == {"mean": 3.0, "median": 3.0}
    assert features["orientation"]["a"] == {"n": 24, "values": {"LPS": 1.0}}
    assert features["orientation"]["threshold"] == 0.9


def test_the_last_run_counts(make_run, tmp_path):
    import time

    folder = tmp_path / "a"
    make_run("a", cohort())
    time.sleep(0.01)  # the store counts milliseconds
    add_run(folder, {"case_statistics": "/later"}, run="run-2")
    assert drift_command.find_cohort(folder).statistics == "/later"


def test_run_that_ended_before_its_statistics(make_run, capsys):
    a, b = make_run("a", cohort()), make_run("b")
    assert main(["drift", a, b]) == EXIT_ERROR
    assert f"the last run in {b!r} must have case statistics, it made none" in (
        capsys.readouterr().err
    )


def test_run_without_case_gen(make_run, tmp_path):
    import time

    make_run("a", cohort())
    time.sleep(0.01)
    add_run(tmp_path / "a", {}, node="Trainer-fold-0", run="run-2")
    with pytest.raises(ValueError, match="must have case statistics, it made none"):
        drift_command.find_cohort(tmp_path / "a")


@pytest.mark.slow
def test_statistics_that_are_gone(make_run, tmp_path, capsys):
    a, b = make_run("a", cohort()), make_run("b", cohort())
    (tmp_path / "b").rename(tmp_path / "moved")
    assert main(["drift", a, str(tmp_path / "moved")]) == EXIT_ERROR
    assert f"{b}/statistics holds none" in capsys.readouterr().err


def test_different_datasets(make_run, capsys):
    a, b = make_run("a", cohort()), make_run("b", cohort(), dataset="dagm")
    assert main(["drift", a, b]) == EXIT_ERROR
    message = f"on one dataset, {a!r} is on 'brats' and {b!r} on 'dagm': name two"
    assert message in capsys.readouterr().err


def test_metadata_store_that_is_none(make_run, tmp_path, capsys):
    a, b = make_run("a", cohort()), make_run("b", cohort())
    (tmp_path / "b" / "metadata.sqlite").write_text("scribble")
    assert main(["drift", a, b]) == EXIT_ERROR
    assert "metadata.sqlite must tell of a run" in capsys.readouterr().err


def test_metadata_store_without_a_run(make_run, tmp_path):
    make_run("a", cohort())
    with sqlite3.connect(tmp_path / "a" / "metadata.sqlite") as connection:
        connection.execute("DELETE FROM Context")
    with pytest.raises(ValueError, match="must tell of a run: the metadata store has no run"):
        drift_command.find_cohort(tmp_path / "a")


def test_reading_does_not_change_the_store(make_run, tmp_path):
    path = tmp_path / "a" / "metadata.sqlite"
    make_run("a", cohort())
    before = path.read_bytes()
    assert drift_command.find_cohort(tmp_path / "a").dataset == "brats"
    assert path.read_bytes() == before
    assert sorted(p.name for p in path.parent.iterdir()) == [
        *("config.yaml", "metadata.sqlite", "statistics")
    ]


@pytest.mark.parametrize("text", ["data:", "[]", "a: [", ""])
def test_config_that_is_none(make_run, tmp_path, text):
    make_run("a", cohort())
    (tmp_path / "a" / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match="config.yaml must hold the config of a run"):
        drift_command.find_cohort(tmp_path / "a")


@pytest.mark.parametrize("missing", ["config.yaml", "metadata.sqlite"])
def test_folder_that_is_no_run(make_run, tmp_path, capsys, missing):
    a, b = make_run("a", cohort()), make_run("b", cohort())
    (tmp_path / "b" / missing).unlink()
    assert main(["drift", a, b]) == EXIT_USAGE
    message = f"RUN_B must be a run folder, which holds metadata.sqlite and config.yaml, got {b!r}"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--numeric", "1.5"], "--numeric must be between 0 and 1, got 1.5"),
        (["--categorical", "-0.1"], "--categorical must be between 0 and 1, got -0.1"),
        (["--numeric", "nan"], "numeric must be "),
        (["--numeric", "much"], "numeric must be a number, got 'much'"),
        (["--zzz"], "--zzz"),
        (["--json", "{run}"], "--json must be a file outside of the run folders, got '{run}'"),
        (["--json", "{run}/config.yaml"], "--json must be a file outside of the run folders"),
    ],
)
def test_wrong_usage(make_run, tmp_path, capsys, options, message):
    a = make_run("a", cohort())
    options = [o.replace("{run}", a) for o in options]
    assert main(["drift", a, a, *options]) == EXIT_USAGE
    assert message.replace("{run}", a) in capsys.readouterr().err


def test_one_run_is_not_enough(capsys):
    assert main(["drift", "a"]) == EXIT_USAGE
    assert "run_b" in capsys.readouterr().err.lower()
