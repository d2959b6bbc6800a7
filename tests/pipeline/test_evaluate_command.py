"""`unet-tfx evaluate`: what can be wrong with its options, and what it prints.

That it scores a trained model is tested with the training of one, in `test_train_command`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from components.evaluation_run import Evaluated
from components.labelled_cases import LabelledCases
from pipeline.cli import main
from pipeline.evaluate_command import make_parser, result_text, show_progress
from pipeline.options import parse
from pipeline.usage import EXIT_ERROR, EXIT_USAGE
from trainer.config import EvaluationConfig
from trainer.metrics.case_scores import CaseScores, ImageScore
from trainer.metrics.cohort_scores import score_cohort
from trainer.metrics.config import StatisticsConfig
from trainer.metrics.region_scores import RegionScores
from trainer.overlap import Overlap


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "{data}", "--output", "{out}"], "--model must be an exported model, got ''"),
        (["--model", "m", "--output", "{out}"], "--data must be the folder of a run or of a"),
        (["--model", "m", "--data", "{data}/x", "--output", "{out}"], "--data must be the folder"),
        (["--model", "m", "--data", "{data}"], "--output must be a new or an empty folder, got ''"),
        (["--model", "m", "--data", "{data}", "--output", "{full}"], "a new or an empty folder"),
        (["--model", "m", "--data", "{data}", "--output", "{data}/o"], "must not be in --data"),
        (["--model", "m", "--allow-trained"], "--allow-trained"),
        (["--data.folds", "3"], "data.folds"),
        (["--evaluation.empty", "one"], "evaluation.empty must be one of"),
    ],
)
def test_wrong_usage(tmp_path: Path, capsys, options: list[str], message: str) -> None:
    places = {"data": tmp_path / "data", "full": tmp_path / "full", "out": tmp_path / "out"}
    for name in ("data", "full"):
        places[name].mkdir()
    (places["full"] / "notes.txt").write_text("keep me")
    assert main(["evaluate", *(word.format(**places) for word in options)]) == EXIT_USAGE
    assert message in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["data", "full", "notes.txt"]


def test_records_of_a_run_are_what_they_are(tmp_path: Path, capsys) -> None:
    (tmp_path / "run").mkdir()
    for name in ("metadata.sqlite", "config.yaml"):
        (tmp_path / "run" / name).write_bytes(b"")
    words = ["--model", "m", f"--data={tmp_path / 'run'}", "--data.case_table", "table.csv"]
    assert main(["evaluate", *words, "--output", str(tmp_path / "out")]) == EXIT_USAGE
    assert "--data.case_table must be left out, the records of a run" in capsys.readouterr().err


@pytest.mark.slow
def test_model_that_is_none(tmp_path: Path, capsys) -> None:
    (tmp_path / "data").mkdir()
    words = ["--model", str(tmp_path), "--data", str(tmp_path / "data")]
    assert main(["evaluate", *words, "--output", str(tmp_path / "out")]) == EXIT_ERROR
    assert "model must be a folder that unet-tfx pushed" in capsys.readouterr().err


def test_bar_on_a_terminal(open_terminal) -> None:
    terminal = open_terminal()
    sources = [(case_id, lambda: None) for case_id in "abc"]
    assert list(show_progress(sources, 3)) == sources
    assert [f"{n}/3" in terminal.getvalue() for n in range(4)] == [True] * 4


def test_no_bar_in_a_log(capsys) -> None:
    assert len(list(show_progress([("a", lambda: None)], 1))) == 1
    assert capsys.readouterr().err == ""


def photograph(case_id: str, dice: float, *, defective: bool) -> CaseScores:
    counts = Overlap(intersection=1, truth=2, prediction=2)
    regions = {"defect": RegionScores(counts=counts, values={"dice": dice} if defective else {})}
    image = ImageScore(score=dice, defective=defective)
    return CaseScores(case_id=case_id, columns={}, regions=regions, image=image)


def test_what_is_printed() -> None:
    cases = [
        photograph("a", 0.5, defective=True),
        photograph("b", 1.0, defective=True),
        photograph("c", 0.25, defective=False),
    ]
    scores = score_cohort([cases], StatisticsConfig(resamples=20), thresholds=[0.5])
    parts = {
        value: score_cohort([part], StatisticsConfig(resamples=20), thresholds=[0.5])
        for value, part in {"left": cases[:2], "unknown": cases[2:]}.items()
    }
    done = Evaluated(
        cases=tuple(cases),
        scores=scores,
        slices={"camera": parts},
        failures={"d": "d.png is torn"},
    )
    words = ["--model", "serving", "--data.root", "photos", "--output", "out"]
    options = parse(make_parser(EvaluationConfig()), words)
    groups = {case_id: case_id for case_id in "abcd"}
    listed = LabelledCases(
        info=None,
        split="test",
        groups=groups,
        columns={},
        sources=[],
        content_of=lambda case_id: "",
        trained_on=False,
        failures={},
    )
    lines = result_text(options, listed, done, "not told").splitlines()
    assert lines[:3] == [
        "          dice     std    95 % interval  n",
        "------  ------  ------  ---------------  -",
        "defect  0.7500  0.2500  0.5000 - 1.0000  2",
    ]
    assert lines[6].split() == ["AUROC", "1.0000", "1.0000", "-", "1.0000", "3"]
    assert lines[-12:-6] == [
        "",
        "dice by camera  defect  AUROC  n",
        "--------------  ------  -----  -",
        "left            0.7500      -  2",
        "unknown              -      -  1",
        "",
    ]
    assert lines[-6:] == [
        "cases      3 of 4 scored, split test of photos",
        "model      serving",
        "training   not told",
        "written    out",
        "not scored 1",
        "  1. d: d.png is torn",
    ]


def test_help_imports_nothing_heavy() -> None:
    heavy = {"tfx", "tensorflow", "keras", "apache_beam", "ml_metadata", "scipy"}
    code = (
        "import sys; from pipeline.cli import main; status = main(['evaluate', '--help']);"
        f"print('imported', sorted({heavy!r} & set(sys.modules))); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("imported []\n")
    for word in ("--model MODEL", "--data RUN_OR_ROOT", "--split", "--evaluation.slices"):
        assert word in done.stdout
