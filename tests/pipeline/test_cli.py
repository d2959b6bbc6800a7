"""The `unet-tfx` command: its words, its exit statuses, and what it does not import."""

import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from pipeline import cli
from pipeline.usage import EXIT_INTERRUPTED, EXIT_USAGE, UsageError

HEAVY = (
    *("tfx", "tensorflow", "keras", "apache_beam", "tensorflow_transform", "ml_metadata", "kfp"),
    *("tensorflow_data_validation", "pandas"),
)


def run_fresh(*argv: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in a new process, which prints the heavy modules that it imported."""
    code = (
        "import sys\n"
        "from pipeline.cli import main\n"
        "try:\n"
        f"    status = main({list(argv)!r})\n"
        "except SystemExit as e:\n"
        "    status = e.code\n"
        f"print('imported', sorted(set({HEAVY!r}) & set(sys.modules)))\n"
        "sys.exit(status)\n"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--help"], ["usage: unet-tfx COMMAND", "run", "predict", "synth", "compile"]),
        (["run", "--help"], ["usage: unet-tfx run", "--trainer.learning_rate", "--print-config"]),
        (
            ["train", "--help"],
            ["unet-tfx train RUN", "--workers N", "--trainer.learning_rate", "143"],
        ),
        (["check", "--help"], ["usage: unet-tfx check", "--against", "--data.folds", "1 errors"]),
        (
            ["drift", "--help"],
            ["usage: unet-tfx drift", "--numeric", "about 20 cases", "3 drift"],
        ),
        (["benchmark", "--help"], ["usage: unet-tfx benchmark train|infer|input", "--records"]),
        (["predict", "--help"], ["usage: unet-tfx predict", "--model", "--input", "--output"]),
        (["synth", "--help"], ["usage: unet-tfx synth", "brats", "dagm"]),
        (["synth", "brats", "--help"], ["usage: unet-tfx synth brats", "--shape", "--seed"]),
        (["compile", "--help"], ["usage: unet-tfx compile", "--image", "--data_version"]),
    ],
    ids=lambda value: " ".join(value) if value[-1] == "--help" else "",
)
def test_help_imports_no_framework(argv, words):
    done = run_fresh(*argv)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("imported []\n")
    printed = " ".join(done.stdout.split())
    for word in words:
        assert word in printed


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "^$"),
        (["fly"], "no command 'fly': use run, .*, train, check, .*, synth, benchmark, compile"),
        (["run"], "--recipe must be one of brats, .*, got None"),
        (["run", "--recipe", "brats", "--data.fold", "3"], "did you mean data.folds"),
        (["run", "--recipe", "brats", "--data.folds", "1"], "data.folds must be .*got 1"),
        (["predict", "--model", "m"], "--input"),
        (["predict", "--model", "m", "--input", "i", "--output", "o", "--zzz"], "--zzz"),
        (["benchmark", "infer", "--trainer.crop", "[9,9,9]"], "trainer.crop .* does not suit"),
        (["synth"], r"required: brats\|nnunet\|dagm"),
        (["synth", "brats", "out", "--cases", "three"], "invalid int value: 'three'"),
        (["compile", "--recipe", "brats", "--output", "x.json"], "--output must be"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_argument_errors_import_no_framework(argv, message):
    done = run_fresh(*argv)
    assert done.returncode == EXIT_USAGE
    assert done.stdout.endswith("imported []\n")
    assert re.search(message, done.stderr)
    assert "Traceback" not in done.stderr


def test_every_command_is_described(capsys):
    assert cli.main(["-h"]) == 0
    printed = capsys.readouterr().out
    for name, (_, what) in cli.COMMANDS.items():
        assert f"  {name.ljust(9)}  {what}" in printed


@pytest.fixture
def command(monkeypatch):
    """Makes a command `fake` of a function."""

    def make(main):
        module = SimpleNamespace(main=main)
        monkeypatch.setitem(sys.modules, "fake_command", module)
        monkeypatch.setitem(cli.COMMANDS, "fake", ("fake_command", "what it does"))
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)

    return make


def raising(error: BaseException):
    def main(argv):
        raise error

    return main


@pytest.mark.parametrize("status", [0, 1, 2, 3])
def test_status_is_that_of_the_command(command, status):
    given = []
    command(lambda argv: given.append(argv) or status)
    assert cli.main(["fake", "--a", "b"]) == status
    assert given == [["--a", "b"]]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("17 cases are torn"), 1),
        (OSError("17 cases are torn"), 1),
        (RuntimeError("17 cases are torn"), 1),
        (FloatingPointError("17 cases are torn"), 1),
        (MemoryError("17 cases are torn"), 1),
        (UsageError("17 cases are torn"), 2),
    ],
)
def test_errors_are_told_in_one_line(command, capsys, error, status):
    command(raising(error))
    assert cli.main(["fake"]) == status
    assert capsys.readouterr().err == "unet-tfx fake: 17 cases are torn\n"


def test_error_without_words_is_told_by_its_name(command, capsys):
    """Such as Python's own where there is no memory."""
    command(raising(MemoryError()))
    assert cli.main(["fake"]) == 1
    assert capsys.readouterr().err == "unet-tfx fake: MemoryError\n"


def test_interrupt_is_no_trace(command, capsys):
    command(raising(KeyboardInterrupt()))
    assert cli.main(["fake"]) == EXIT_INTERRUPTED == 130
    assert capsys.readouterr().err == "unet-tfx fake: interrupted\n"


def test_defects_of_ours_keep_their_trace(command):
    command(raising(TypeError("a defect")))
    with pytest.raises(TypeError, match="a defect"):
        cli.main(["fake"])


def test_run_without_a_data_root_is_wrong_usage(capsys):
    assert cli.main(["run", "--recipe", "brats"]) == 2
    assert "data.root must be the folder of the dataset, got ''" in capsys.readouterr().err


def test_run_folder_inside_the_dataset_is_wrong_usage(tmp_path, capsys):
    inside = str(tmp_path / "runs")
    options = ["--data.root", str(tmp_path), "--output", inside]
    assert cli.main(["run", "--recipe", "brats", *options]) == 2
    assert f"output must not be in data.root, got {inside!r}" in capsys.readouterr().err


def test_run_folder_of_another_dataset_is_wrong_usage(tmp_path, capsys):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "config.yaml").write_text("data:\n  dataset: dagm\n")
    options = ["--data.root", str(tmp_path / "cohort"), "--output", str(tmp_path / "runs")]
    assert cli.main(["run", "--recipe", "brats", *options]) == 2
    assert "is the run folder of dataset 'dagm', this run is on 'brats'" in capsys.readouterr().err


def test_run_without_an_output_is_wrong_usage(tmp_path, capsys):
    options = ["--data.root", str(tmp_path), "--output", ""]
    assert cli.main(["run", "--recipe", "brats", *options]) == 2
    assert "output must be the run folder, got ''" in capsys.readouterr().err


def test_library_that_a_run_asks_for_is_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("trainer.tracking_config._is_installed", lambda module: False)
    options = ["--data.root", str(tmp_path / "cohort"), "--output", str(tmp_path / "runs")]
    assert cli.main(["run", "--recipe", "brats", *options, "--trainer.tracking.wandb", "x"]) == 2
    assert "'x' needs the Python package wandb, it is missing" in capsys.readouterr().err
