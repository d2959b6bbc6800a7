"""`python -m trainer` on small records: every mode, both profiles, folds, and what it refuses."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from trainer.__main__ import main

SIZE = (24, 20, 16)
TINY = [
    *("--network", "unet3d-tiny", "--input_shape", "16", "16", "16"),
    *("--max_steps", "3", "--log_every", "1", "--num_folds", "2"),
]


@pytest.fixture(scope="module")
def volumes_dir(tmp_path_factory, make_record, write_file) -> Path:
    """Normalised records of ours, four modalities and classes 0 to 3: two folds of two cases."""
    root = tmp_path_factory.mktemp("records")
    rng = np.random.default_rng(0)
    for fold in range(2):
        records = []
        for n in range(2):
            x = rng.integers(1, 256, (*SIZE, 4)).astype(np.uint8)
            y = np.zeros(SIZE, np.uint8)
            y[4:8, 4:8, 4:8], y[9:12, 4:8, 4:8], y[4:8, 10:14, 4:8] = 1, 2, 3
            records.append(make_record(f"case-{fold}{n}", x, y))
        write_file(root / f"Split-fold-{fold}" / "transformed-00000-of-00001.gz", records)
    return root


def run(*arguments: object) -> int:
    return main([str(a) for a in arguments])


def test_one_fold_from_training_to_scores(volumes_dir: Path, tmp_path: Path, capsys) -> None:
    common = [*("--data_dir", volumes_dir, "--model_dir", tmp_path, "--fold", 1), *TINY]
    assert run("--exec_mode", "train_and_evaluate", *common) == 0
    printed = capsys.readouterr().out
    content = json.loads((tmp_path / "scores.json").read_text())
    assert [c["case_id"] for c in content["cases"]] == ["case-10", "case-11"]
    scores = content["scores"]
    assert scores["n_evaluated"] == 2
    assert (
        scores["WT"]
        == scores["WholeTumor"]
        == pytest.approx(np.mean([c["WT"] for c in content["cases"]]))
    )
    three = [scores[name] for name in ("TumorCore", "PeritumoralEdema", "EnhancingTumor")]
    assert scores["MeanDice"] == pytest.approx(np.mean(three))
    assert f"WholeTumor {scores['WholeTumor']:.4f}" in printed.splitlines()

    assert run("--exec_mode", "predict", *common) == 0
    label = nib.load(tmp_path / "predictions" / "case-10.nii.gz")
    assert label.shape == SIZE and set(np.unique(label.dataobj)) <= {0, 1, 2, 4}
    assert not (tmp_path / "predictions" / "case-00.nii.gz").exists()


def test_all_folds_make_a_table(volumes_dir: Path, tmp_path: Path, capsys) -> None:
    common = [*("--data_dir", volumes_dir, "--model_dir", tmp_path, "--fold", "all"), *TINY]
    assert (
        run("--exec_mode", "train_and_evaluate", *common, "--log_dir", tmp_path / "log.json") == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["fold", "0", "fold", "1", "mean", "std"]
    table = json.loads((tmp_path / "folds.json").read_text())
    *reports, last = map(json.loads, (tmp_path / "log.json").read_text().splitlines())
    assert last == table
    assert [r["step"] for r in reports] == [1, 2, 3] * 2 and all("loss" in r for r in reports)
    values = [fold["WT"] for fold in table["folds"]]
    assert len(values) == 2
    assert table["mean"]["WT"] == pytest.approx(np.mean(values))
    assert table["std"]["WT"] == pytest.approx(np.std(values))
    [row] = [line.split() for line in lines if line.startswith("WT ")]
    assert row[1:3] == [f"{v:.4f}" for v in values]


def test_training_is_not_overwritten_but_resumed(volumes_dir: Path, tmp_path: Path, capsys) -> None:
    common = [*("--exec_mode", "train", "--data_dir", volumes_dir, "--model_dir", tmp_path), *TINY]
    assert run(*common) == 0
    before = sorted((tmp_path / "training" / "checkpoints").iterdir())
    assert run(*common) == 2
    assert "give --resume_training to go on from them" in capsys.readouterr().err
    assert sorted((tmp_path / "training" / "checkpoints").iterdir()) == before
    assert run(*common, "--resume_training") == 0


@pytest.mark.parametrize(("mode", "key"), [("train", "train"), ("predict", "test")])
def test_benchmark_prints_their_keys_and_keeps_nothing_but_its_log(
    mode: str, key: str, tmp_path: Path, capsys
) -> None:
    small = [*("--network", "unet2d-tiny", "--reference", "dagm", "--input_shape", "32", "32")]
    steps = [*("--max_steps", 4, "--warmup_steps", 2, "--benchmark", "--synth_data")]
    log = tmp_path / "log.json"
    words = ["--exec_mode", mode, "--model_dir", tmp_path / "model", "--log_dir", log, *steps]
    assert run(*words, *small) == 0
    found = dict(line.rsplit(" ", 1) for line in capsys.readouterr().out.splitlines())
    assert float(found[f"samples_per_second_{key}"]) > 0
    assert f"throughput_{key}" in found and f"latency_{key}_99" in found
    assert f"Latency_{key} 99%:" in found
    assert not (tmp_path / "model").exists()

    [line] = log.read_text().splitlines()
    told = json.loads(line)
    assert {name: told[name] for name in found} == pytest.approx(
        {name: float(value) for name, value in found.items()}, rel=1e-5
    )
    assert told["hardware"]["processor"] and told["versions"]["tensorflow"]
    assert told["peak_memory"]["peak_resident_bytes"] > 2**20
    options = told["options"]
    assert (options["exec_mode"], options["max_steps"], options["warmup_steps"]) == (mode, 4, 2)
    assert (options["input_shape"], options["model_dir"]) == ([32, 32], str(tmp_path / "model"))


def test_errors_are_told_in_one_line(tmp_path: Path, capsys, monkeypatch) -> None:
    """Those without words by their name; those of the log after the scores."""
    words = ["--exec_mode", "train", "--synth_data", "--model_dir", tmp_path / "model"]

    def no_room(options: object) -> dict:
        raise MemoryError

    monkeypatch.setattr("trainer.reference.run.run", no_room)
    assert run(*words) == 1
    assert capsys.readouterr().err == "python -m trainer: MemoryError\n"
    monkeypatch.setattr("trainer.reference.run.run", lambda options: {"WT": 0.5})
    (tmp_path / "file").touch()
    assert run(*words, "--log_dir", tmp_path / "file" / "log.json") == 1
    printed = capsys.readouterr()
    assert printed.out == "WT 0.5000\n"
    assert printed.err.startswith("python -m trainer: [Errno ")


def test_evaluate_without_a_training(volumes_dir: Path, tmp_path: Path, capsys) -> None:
    words = ["--exec_mode", "evaluate", "--data_dir", volumes_dir, "--model_dir", tmp_path]
    assert run(*words, *TINY) == 2
    assert "must hold checkpoints of a training, it has none" in capsys.readouterr().err
