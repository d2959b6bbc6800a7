"""`unet-tfx train` on the records of a run folder that is made by hand: what it leaves and refuses.

The run is one on photographs of 24 x 24 pixels, in three folds of two cases.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from beam_preprocess.case import Case, CaseFiles
from beam_preprocess.config_io import to_json
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.datasets.photographs import write_mask
from beam_preprocess.record_files import RecordWriter
from beam_preprocess.records import encode_example, encode_raw
from beam_preprocess.synth import dagm
from pipeline.cli import main
from pipeline.config_text import config_text
from pipeline.recipes import RECIPES
from pipeline.run_records import find_records
from pipeline.train_command import choose_fold, make_parser, read_base
from pipeline.usage import EXIT_DONE, EXIT_ERROR, EXIT_USAGE, UsageError

ROOT = Path(__file__).parent.parent.parent
FOLDS = 3


def photograph(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise around 80; every second one has a bright square, 255 in its mask."""
    rng = np.random.default_rng(number)
    label = np.zeros((24, 24), np.uint8)
    if number % 2:
        label[4:14, 6:16] = 255
    noise = rng.normal(80, 8, (24, 24, 1))
    return (noise + 120 * (label[..., np.newaxis] > 0)).astype(np.uint8), label


def raw_record(number: int) -> bytes:
    image, label = photograph(number)
    files = CaseFiles(
        case_id=f"photo-{number}",
        group=f"object-{number}",
        stratum=f"defect-{number % 2}",
        images=(Path(f"{number}.png"),),
        label=None,
    )
    case = Case(
        files=files, image=image, label=label, affine=np.eye(4), spacing=(1.0, 1.0), sources={}
    )
    return encode_raw(case, foreground="all")


def normalised_record(number: int) -> bytes:
    image, label = photograph(number)
    return encode_example(
        {
            "case_id": f"photo-{number}",
            "group": f"object-{number}",
            "stratum": f"defect-{number % 2}",
            "X": image.tobytes(),
            "Y": (label > 0).astype(np.uint8).tobytes(),
            "mean": [float(image.mean())],
            "stdev": [float(image.std())],
            "shape": list(image.shape),
            "box": [0, 24, 0, 24],
            "full_shape": [24, 24],
            "affine": np.eye(4, dtype="<f8").tobytes(),
            "spacing": [1.0, 1.0],
        }
    )


def write_records(path: Path, records: list[bytes]) -> None:
    path.parent.mkdir(parents=True)
    with RecordWriter(path) as writer:
        for record in records:
            writer.write(record)


def add_node(folder: Path, node: str, output: str, *, state: str, **properties: str) -> None:
    """Adds a node with one output to `metadata.sqlite`, as TFX does."""
    from ml_metadata import proto
    from ml_metadata.metadata_store import MetadataStore

    config = proto.ConnectionConfig()
    config.sqlite.filename_uri = str(folder / "metadata.sqlite")
    store = MetadataStore(config)
    contexts = [
        proto.Context(type_id=store.put_context_type(proto.ContextType(name=kind)), name=name)
        for kind, name in {"pipeline_run": "run-1", "node": f"dagm.{node}"}.items()
    ]
    artifact = proto.Artifact(
        type_id=store.put_artifact_type(proto.ArtifactType(name="Examples")),
        uri=f"/where/the/run/was/artifacts/{node}/{output}/1",
    )
    step = proto.Event.Path(steps=[{"key": output}, {"index": 0}])
    execution = proto.Execution(
        type_id=store.put_execution_type(proto.ExecutionType(name="Node")),
        last_known_state=proto.Execution.State.Value(state),
    )
    for name, value in properties.items():
        execution.custom_properties[name].string_value = value
    pair = (artifact, proto.Event(type=proto.Event.OUTPUT, path=step))
    store.put_execution(execution, [pair], contexts, reuse_context_if_already_exist=True)


def make_run(folder: Path, *, transform_state: str = "COMPLETE") -> Path:
    """Writes a run folder: config, metadata, raw and normalised records."""
    folder.mkdir()
    recipe = RECIPES["dagm-demo"]()
    config = replace(
        recipe,
        data=replace(recipe.data, folds=FOLDS),
        model=replace(recipe.model, filters=(2, 4)),
        trainer=replace(recipe.trainer, samples=24, batch_size=2, crop=(16, 16), log_steps=4),
        inference=replace(recipe.inference, window=(16, 16)),
    )
    (folder / "config.yaml").write_text(config_text(config))
    settings = {"profile": "reference", "clip_percentiles": [1.0, 99.0], "channels": 1}
    add_node(folder, "CaseGen", "examples", state="COMPLETE")
    add_node(folder, "RecordSchema", "schema", state="CACHED", info=to_json(DAGM))
    add_node(
        folder,
        *("Transform", "transformed_examples"),
        state=transform_state,
        custom_config=json.dumps(settings),
    )
    raw = folder / "artifacts" / "CaseGen" / "examples" / "1"
    normalised = folder / "artifacts" / "Transform" / "transformed_examples" / "1"
    splits = {f"fold-{n}": [2 * n, 2 * n + 1] for n in range(FOLDS)}
    for name, numbers in splits.items():
        file = f"Split-{name}/records-00000-of-00001.gz"
        write_records(raw / file, [raw_record(n) for n in numbers])
        write_records(normalised / file, [normalised_record(n) for n in numbers])
    cases = {name: [f"photo-{n}" for n in numbers] for name, numbers in splits.items()}
    groups = [{"case_id": f"photo-{n}", "group": f"object-{n}"} for n in range(2 * FOLDS)]
    (raw / "cohort.json").write_text(json.dumps({"splits": cases}))
    (raw / "cohort-statistics.json").write_text(json.dumps({"case_statistics": groups}))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "run")


def weights(output: Path) -> list[np.ndarray]:
    import tensorflow as tf

    from trainer.model_folder import newest_version

    model = tf.saved_model.load(str(newest_version(output / "model")))
    return [v.numpy() for network in model.states for v in network]


def test_records_are_found_wherever_the_run_folder_is_now(run: Path) -> None:
    records = find_records(run)
    assert records.info == DAGM
    assert asdict(records.preprocessing) == {
        "profile": "reference",
        "clip_percentiles": (1.0, 99.0),
    }
    assert list(records.folds) == ["fold-0", "fold-1", "fold-2"]
    assert all(list(folder.glob("*.gz")) for folder in records.folds.values())
    assert (records.examples / "cohort.json").is_file()


def test_transform_must_have_finished(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", transform_state="FAILED")
    with pytest.raises(ValueError, match=r"Transform of the last run in .* it is 'failed': run"):
        find_records(run)


def test_records_must_be_there(run: Path, tmp_path: Path, capsys) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    shutil.rmtree(copy / "artifacts" / "Transform")
    assert main(["train", str(copy), "--fold", "0", "--output", str(tmp_path / "out")]) == (
        EXIT_ERROR
    )
    assert "normalised records must be in" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_metadata_must_tell_of_a_run(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    (copy / "metadata.sqlite").write_text("scribble")
    with pytest.raises(ValueError, match=r"metadata.sqlite must tell of a run"):
        find_records(copy)


@pytest.mark.parametrize(("given", "name"), [("0", "fold-0"), ("2", "fold-2"), ("all", "all")])
def test_fold_by_its_number(given: str, name: str) -> None:
    assert choose_fold(given, ["fold-0", "fold-1", "fold-2"]) == name


@pytest.mark.parametrize("given", ["3", "-1", "fold-0", ""])
def test_fold_that_is_not_there(given: str) -> None:
    with pytest.raises(UsageError, match=r"^--fold must be a fold of the run \(0, 1, 2\)"):
        choose_fold(given, ["fold-0", "fold-1", "fold-2"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fold", "0", "--output", "{out}/x*"], "--output must be a folder, a path without *"),
        (["--fold", "0"], "--output must be a folder, a path without * ? [ ], got ''"),
        (["--fold", "0", "--output", "{run}/out"], "--output must not be in RUN"),
        (["--fold", "0", "--output", "{out}"], "holds something else: give another folder"),
        (["--output", "{out}/x"], "--fold must be the number of a fold, or all, got ''"),
        (["--fold", "one", "--output", "{out}/x"], "must be the number of a fold, or all, got 'on"),
        (
            ["--data.folds", "5"],
            "--data.folds must be left out, the records of a run are what they are",
        ),
        (["--trainer.sample", "5"], "did you mean trainer.samples"),
        (["--workers", "2"], "trainer.strategy must be 'multi-worker' or 'horovod' with 2 workers"),
        (["--trainer.crop", "[15,16]"], "trainer.crop [15, 16] does not suit the network"),
    ],
)
def test_wrong_usage(run: Path, tmp_path: Path, capsys, options, message: str) -> None:
    (tmp_path / "notes.txt").write_text("keep me")
    places = {"{run}": str(run), "{out}": str(tmp_path)}
    words = [w.replace(k, v) for w in options for k, v in places.items() if k in w or "{" not in w]
    assert main(["train", str(run), *dict.fromkeys(words)]) == EXIT_USAGE
    assert message in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("words", [[], ["--fold", "0", "{run}"]])
def test_run_comes_first(words: list[str], capsys) -> None:
    assert main(["train", *words]) == EXIT_USAGE
    assert "RUN must come first, the folder of an earlier run" in capsys.readouterr().err


def test_folder_that_is_no_run(tmp_path: Path, capsys) -> None:
    assert main(["train", str(tmp_path), "--fold", "0", "--output", "x"]) == EXIT_USAGE
    assert "RUN must be a run folder, which holds metadata.sqlite and" in capsys.readouterr().err


def test_config_that_is_none(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    (copy / "config.yaml").write_text("data: 3")
    with pytest.raises(UsageError, match=r"config.yaml must hold the config of a run"):
        read_base(copy)


def test_options_start_from_the_run(run: Path) -> None:
    config = read_base(run)
    options = make_parser(config).parse_args([str(run), "--trainer.seed", "7"])
    assert (options.trainer.samples, options.trainer.seed) == (24, 7)
    assert list(options.model.filters) == [2, 4]
    assert "data" not in options


def test_library_that_the_options_ask_for_is_missing(
    run: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr("trainer.tracking_config._is_installed", lambda module: False)
    words = ["--fold", "0", "--output", str(tmp_path / "out"), "--trainer.tracking.mlflow", "x"]
    assert main(["train", str(run), *words]) == EXIT_USAGE
    assert "'x' needs the Python package mlflow-skinny, it is missing" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_fold_is_trained_scored_and_found_finished(
    run: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    from trainer.progress import Progress, read_history

    output = tmp_path / "out"
    command = ["train", str(run), "--fold", "0", "--output", str(output)]
    assert main(command) == EXIT_DONE
    first = capsys.readouterr().out
    told = json.loads((output / "training_cases.json").read_text())
    assert told["cases"] == ["photo-2", "photo-3", "photo-4", "photo-5"]
    assert read_history(output / "logs")[-1]["step"] == 12
    scores = json.loads((output / "scores.json").read_text())
    assert (scores["split"], scores["n"]) == ("fold-0", 2)
    dice = scores["scores"]["regions"]["defect"]["scores"]["dice"]
    assert dice["n"] == 1
    rows = [line.split() for line in first.splitlines()]
    assert ["defect", f"{dice['mean']:.4f}", "0.0000", "-", "1"] in [row[:5] for row in rows]
    assert any(row[:1] == ["IoU_THS_0.5"] for row in rows)
    assert {p.name for p in (output / "predictions").iterdir()} == {"photo-0.png", "photo-1.png"}
    assert json.loads((output / "cases.json").read_text())[1]["reference"]["IoU_THS_0.5"] >= 0
    assert ["model", str(output / "model")] in rows

    write_mask(photograph(1)[0][..., 0], tmp_path / "photo.png")
    mask = ["--input", str(tmp_path / "photo.png"), "--output", str(tmp_path / "mask.png")]
    assert main(["predict", "--model", str(output / "model"), *mask]) == 0
    assert (tmp_path / "mask.png").is_file()

    done: list[int] = []
    monkeypatch.setattr(Progress, "step", lambda self, number, *_: done.append(number))
    capsys.readouterr()
    assert main(command) == EXIT_DONE
    assert capsys.readouterr().out == first
    assert [p.name for p in (output / "model").iterdir()] == ["1"]
    assert main([*command, "--inference.overlap", "0.25"]) == EXIT_DONE
    assert sorted(p.name for p in (output / "model").iterdir()) == ["1", "2"]
    assert main([*command, "--trainer.seed", "1"]) == EXIT_USAGE
    assert done == []
    evaluate_trained(run, output, tmp_path, capsys)


def evaluate_trained(run: Path, output: Path, tmp_path: Path, capsys) -> None:
    """`unet-tfx evaluate` on the fold, on one that was trained on, and on files."""
    words = ["evaluate", "--model", str(output / "model"), "--evaluation.statistics.resamples=50"]
    fold = [*words, "--data", str(run), "--split", "fold-0", "--output", str(tmp_path / "fold")]
    assert main(fold) == EXIT_DONE
    assert "cases      2 of 2 scored, split fold-0 of" in capsys.readouterr().out
    for name in ("cases.json", "predictions/photo-1.png"):
        assert (tmp_path / "fold" / name).read_bytes() == (output / name).read_bytes()
    trained = [*words, "--data", str(run), "--split=fold-1", f"--output={tmp_path / 'trained'}"]
    assert main(trained) == EXIT_ERROR
    assert "2 of split fold-1 are: photo-2 (" in capsys.readouterr().err
    assert not (tmp_path / "trained").exists()

    dagm.write_cohort(tmp_path / "dagm", cases=8, seed=0, size=32)
    bad, *others = sorted((tmp_path / "dagm").rglob("Train/*.PNG"))
    bad.write_bytes(b"")
    raw = [*words, f"--data={tmp_path / 'dagm'}", "--split", "cv", f"--output={tmp_path / 'raw'}"]
    assert main(raw) == EXIT_ERROR
    printed = capsys.readouterr().out
    assert f"cases      {len(others)} of {len(others) + 1} scored, split cv of" in printed
    assert f"not scored 1\n  1. Class1_Train_{bad.stem}: {bad.name} is no complete image" in printed
    assert "dice by stratum" in printed and "dice by size" in printed
    assert len(json.loads((tmp_path / "raw" / "cases.json").read_text())) == len(others)


@pytest.mark.slow
@pytest.mark.distributed
def test_all_data_on_two_workers(run: Path, tmp_path: Path, capsys) -> None:
    from trainer.progress import read_history

    output = tmp_path / "out"
    words = ["train", str(run), "--fold", "all", "--output", str(output)]
    assert main([*words, "--workers", "2", "--strategy=multi-worker"]) == EXIT_DONE
    printed = capsys.readouterr().out
    assert "none: all folds were trained on" in printed and "defect" not in printed
    assert not (output / "scores.json").exists()
    assert len(json.loads((output / "training_cases.json").read_text())["cases"]) == 6
    assert read_history(output / "logs")[-1]["step"] == 6
    assert all(np.isfinite(w).all() for w in weights(output))


@pytest.mark.slow
def test_sigterm_saves_and_the_same_command_goes_on(run: Path, tmp_path: Path) -> None:
    def words(name: str) -> list[str]:
        options = ["--trainer.samples", "200", "--trainer.checkpoint_steps", "1000"]
        return ["train", str(run), "--fold", "1", "--output", str(tmp_path / name), *options]

    command = [sys.executable, "-m", "pipeline.cli", *words("preempted")]
    history = tmp_path / "preempted" / "logs" / "history.jsonl"
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as process:
        while not (history.exists() and len(history.read_text().splitlines()) > 1):
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(timeout=120) == 128 + signal.SIGTERM
    assert not (tmp_path / "preempted" / "model").exists()
    for name in ("preempted", "undisturbed"):
        assert main(words(name)) == EXIT_DONE
    assert "resumes at step" in (tmp_path / "preempted" / "train.log").read_text()
    for one, other in zip(
        weights(tmp_path / "preempted"), weights(tmp_path / "undisturbed"), strict=True
    ):
        np.testing.assert_array_equal(one, other)
