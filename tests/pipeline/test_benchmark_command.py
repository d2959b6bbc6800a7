"""`unet-tfx benchmark` on tiny networks: its JSON, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest

from beam_preprocess.config import PreprocessingConfig
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.record_files import RecordWriter
from beam_preprocess.records import encode_example
from pipeline.benchmark_command import parse_options
from pipeline.cli import main
from pipeline.config_text import config_text
from pipeline.recipes import RECIPES
from pipeline.run_records import RunRecords
from pipeline.usage import EXIT_DONE, EXIT_ERROR, EXIT_USAGE, UsageError

TINY = [
    *("--recipe", "dagm-demo", "--model.filters", "[2,4]", "--trainer.crop", "[16,16]"),
    *("--trainer.batch_size", "2", "--inference.window", "[16,16]"),
    *("--steps", "4", "--warmup", "2"),
]


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Normalised records of two photographs of 20x24."""
    x = np.random.default_rng(0).integers(0, 256, (20, 24, 1), dtype=np.uint8)
    content = {
        **{"group": "p", "stratum": "any", "X": x.tobytes(), "Y": (x > 200).tobytes()},
        **{"mean": [127.5], "stdev": [70.0], "shape": [20, 24, 1], "box": [0, 20, 0, 24]},
        **{"full_shape": [20, 24], "affine": np.eye(4).tobytes(), "spacing": [1.0, 1.0]},
    }
    path = tmp_path / "records" / "Split-fold-0" / "part.gz"
    path.parent.mkdir(parents=True)
    with RecordWriter(path) as writer:
        for number in range(2):
            writer.write(encode_example({"case_id": f"case-{number}", **content}))
    return tmp_path / "records"


def check_figures(found: dict) -> None:
    """What holds of every measurement."""
    seconds = found["step_seconds"]
    assert len(seconds) == found["steps"] and sum(seconds) == pytest.approx(found["seconds"])
    assert found["samples"] == found["steps"] * found["samples_per_step"]
    assert found["samples_per_s"] == pytest.approx(found["samples"] / found["seconds"])
    latency, theirs = found["latency_ms"], found["references"]
    ordered = [latency[name] for name in ("min", "p50", "p90", "p95", "p99", "max")]
    assert ordered == sorted(ordered)
    assert latency["mean"] == theirs["latency_ms"]["mean"]
    assert latency["mean"] == pytest.approx(1000 * np.mean(seconds))
    assert theirs["samples_per_s"] >= found["samples_per_s"] * (1 - 1e-9)


def check_frame(found: dict) -> None:
    """What every benchmark tells beside its figures."""
    assert found["hardware"]["processor"] and found["versions"]["tensorflow"]
    assert found["memory"]["peak_resident_bytes"] > 2**20
    assert found["config"]["model"]["filters"] == [2, 4]
    assert found["config"]["trainer"]["crop"] == [16, 16]
    assert (found["workers"], found["replicas"], found["strategy"]) == (1, 1, "one-device")


def test_train_on_synthetic_data(tmp_path: Path, capsys) -> None:
    path = tmp_path / "train.json"
    assert main(["benchmark", "train", *TINY, "--json", str(path)]) == EXIT_DONE
    found = json.loads(path.read_text())
    check_frame(found)
    assert (found["benchmark"], found["data"], found["records"]) == ("train", "synthetic", None)
    assert found["parameters"] > 0
    assert found["config"]["trainer"]["samples"] == (4 + 2) * 2
    (train,) = found["measured"].values()
    check_figures(train)
    assert (train["steps"], train["warmup_steps"], train["samples_per_step"]) == (4, 2, 2)
    assert 0 < train["waited_for_input_s"] < train["seconds"]
    assert train["first_step_s"] not in train["step_seconds"]
    printed = capsys.readouterr().out
    assert "data       synthetic, 4 cases" in printed
    assert "train: 4 steps of 2 crops of 16x16 after 2 to warm up" in printed


def test_infer_on_records(records: Path, capsys) -> None:
    words = ["--records", str(records), "--whole-cases", "2", "--size", "24", "16"]
    assert main(["benchmark", "infer", *TINY, *words, "--json", "-"]) == EXIT_DONE
    found = json.loads(capsys.readouterr().out)
    check_frame(found)
    assert (found["data"], found["records"], found["cases"]) == ("records", str(records), 2)
    forward, whole = (found["measured"][name] for name in ("forward", "whole_case"))
    check_figures(forward)
    check_figures(whole)
    assert (forward["steps"], forward["samples_per_step"], forward["size"]) == (4, 2, [24, 16])
    assert (whole["steps"], whole["samples_per_step"]) == (2, 1)
    assert whole["case_sizes"] == [[20, 24]] * 2
    assert whole["windows"] == [2 * 2] * 2  # windows of 16 every 8 voxels cover 20, and 24


def test_infer_without_whole_cases(capsys) -> None:
    assert main(["benchmark", "infer", *TINY, "--whole-cases", "0", "--json", "-"]) == EXIT_DONE
    assert list(json.loads(capsys.readouterr().out)["measured"]) == ["forward"]


def test_input_is_measured_alone(capsys) -> None:
    assert main(["benchmark", "input", *TINY, "--json", "-"]) == EXIT_DONE
    found = json.loads(capsys.readouterr().out)
    check_frame(found)
    (crops,) = found["measured"].values()
    check_figures(crops)
    assert (crops["steps"], crops["samples_per_step"], crops["size"]) == (4, 2, [16, 16])
    assert found["parameters"] is None


def test_default_is_the_network_of_the_brats_recipe() -> None:
    plan, path = parse_options(["train"])
    assert plan.model.filters == (32, 64, 128, 256, 320, 320)
    assert plan.trainer.crop == (128, 128, 128)
    assert (plan.records, path) == ("", "")


def test_config_file_of_a_run_is_taken_and_options_override_it(tmp_path: Path, capsys) -> None:
    main(["run", "--recipe", "dagm", "--data.folds", "3", "--print-config"])
    text = capsys.readouterr().out.replace("precision: float32", "precision: bfloat16")
    (tmp_path / "run.yaml").write_text(text)
    words = ["--config", str(tmp_path / "run.yaml"), "--trainer.batch_size", "4"]
    plan, _ = parse_options(["train", "--recipe", "dagm", *words])
    assert (plan.trainer.precision, plan.trainer.batch_size) == ("bfloat16", 4)


def test_run_folder_tells_config_channels_and_classes(
    records: Path, tmp_path: Path, monkeypatch
) -> None:
    """Recipe `images` takes channels and classes from the dataset."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text(config_text(RECIPES["images"]()))
    (run / "metadata.sqlite").touch()
    found = RunRecords(
        info=DAGM,
        preprocessing=PreprocessingConfig(),
        folds={"fold-0": records / "Split-fold-0"},
        examples=tmp_path / "examples",
    )
    monkeypatch.setattr("pipeline.run_records.find_records", {run: found}.get)
    plan, _ = parse_options(["train", "--records", str(run), "--trainer.batch_size", "3"])
    assert (plan.trainer.crop, plan.trainer.batch_size) == ((256, 256), 3)
    assert (plan.model.rank, plan.model.in_channels, plan.model.classes) == (2, 1, 2)
    assert plan.records == str(records)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "what to measure must be one of train, infer, input, got nothing"),
        (["fly"], "invalid choice: 'fly'"),
        (["train", "--recipe", "nope"], "--recipe must be one of brats, .*, got 'nope'"),
        (["train", "--recipe", "volumes"], "model.in_channels must be above 0 where no run"),
        (["train", "--trainer.presicion", "x"], r"did you mean trainer.precision\?"),
        (["train", "--trainer.precision", "half"], "trainer.precision must be one of 'float32'"),
        (["train", "--data.folds", "3"], "unrecognized arguments: --data.folds"),
        (["train", "--steps", "x"], "steps must be a whole number, got 'x'"),
        (["train", "--steps", "0"], "--steps must be above 0, got 0"),
        (["infer", "--size", "16", "a"], "--size must be whole numbers, got '16 a'"),
        (["train", "--records", "/nowhere"], "--records must be a run folder or .* '/nowhere'"),
        (["train", "--json", "/"], "--json must be a file, got the folder '/'"),
        (["train", "--config"], "argument --config: expected one argument"),
        (["infer", "--trainer.strategy", "horovod", "--trainer.workers", "2"], "one process"),
    ],
    ids=" ".join,
)
def test_wrong_usage(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_options(words)


def test_wrong_usage_and_missing_records_have_their_status(tmp_path: Path, capsys) -> None:
    assert main(["benchmark", "train", "--steps", "0"]) == EXIT_USAGE
    assert capsys.readouterr().err == "unet-tfx benchmark: --steps must be above 0, got 0\n"
    assert main(["benchmark", "train", "--records", str(tmp_path)]) == EXIT_ERROR
    assert "--records must hold volume-*.tfrecord, or" in capsys.readouterr().err
