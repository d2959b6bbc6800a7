"""`unet-tfx check`: its options, what it prints and writes, its exit status, what it imports."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from beam_preprocess.synth import brats
from pipeline.check_command import MOST_WORKERS, make_parser, parse_options
from pipeline.check_files import read_statistics
from pipeline.cli import main
from pipeline.config_text import config_text
from pipeline.recipes import RECIPES
from pipeline.usage import EXIT_DONE, EXIT_ERROR, EXIT_INTERRUPTED, EXIT_USAGE, UsageError

FRAMEWORKS = ("tfx", "apache_beam", "tensorflow", "keras", "ml_metadata")
RECIPE = ("--recipe", "brats-demo", "--workers", "1")
TORN = "BraTS2021_00002"


def check(*argv: object) -> int:
    return main(["check", *map(str, argv)])


def wrong(capsys, *argv: object) -> str:
    """The message of a command line that is wrong."""
    assert check(*argv) == EXIT_USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def folder_of(root: Path, case_id: str) -> Path:
    return next(p for p in root.rglob(case_id) if p.is_dir())


@pytest.fixture
def broken_root(brats_root, tmp_path) -> Path:
    """A copy of the cohort: a torn file, a missing one, two cases alike, a stray file."""
    root = Path(shutil.copytree(brats_root, tmp_path / "broken"))
    torn = folder_of(root, TORN)
    (torn / f"{TORN}_t1.nii.gz").write_bytes(b"torn")
    (torn / f"{TORN}_t2.nii.gz").unlink()
    first, second = folder_of(root, "BraTS2021_00000"), folder_of(root, "BraTS2021_00001")
    for path in first.iterdir():
        shutil.copy(path, second / path.name.replace("00000", "00001"))
    (root / "Thumbs.db").touch()
    return root


@pytest.fixture
def new_root(tmp_path) -> Path:
    """Three cases of another size and seed under the same names, the last without a label."""
    root = tmp_path / "new"
    brats.write_cohort(root, cases=3, seed=1, shape=(28, 20, 18))
    (root / TORN / f"{TORN}_seg.nii.gz").unlink()
    return root


@pytest.fixture
def old_json(brats_root, tmp_path, capsys) -> Path:
    path = tmp_path / "old.json"
    assert check(brats_root, *RECIPE, "--json", path) == EXIT_DONE
    capsys.readouterr()
    return path


def test_a_cohort_in_order(brats_root, capsys):
    assert check(brats_root, *RECIPE) == EXIT_DONE
    printed = capsys.readouterr().out
    assert f"dataset   brats in {brats_root}\n" in printed
    assert "cases     6 listed, 6 to train on, 6 could be read\n" in printed
    assert re.search(r"^fold-0 +2 +2 +HGG ", printed, re.MULTILINE)
    assert re.search(r"^spacing x \(mm\) +1 +1 +1$", printed, re.MULTILINE)
    assert re.search(r"^orientation +LPS 6$", printed, re.MULTILINE)
    assert re.search(r"^TumorCore +1 +6 of 6 ", printed, re.MULTILINE)
    assert "error" not in printed
    assert printed.splitlines()[-1] == "OK: 6 cases can be trained on"


def test_everything_wrong_is_printed_at_once(broken_root, capsys):
    options = ("--data.exclude", '{"BraTS2021_00005": "motion"}')
    assert check(broken_root, *RECIPE, *options) == EXIT_ERROR
    printed = capsys.readouterr().out
    assert "cases     6 listed, " in printed
    assert "excluded  BraTS2021_00005: motion\n" in printed
    assert "ignored   stray files: 1\n" in printed
    assert re.search(r"^\d errors$", printed, re.MULTILINE)
    assert re.search(r"^  1\. BraTS2021_00000: .* has that of BraTS2021_00001 \(", printed, re.M)
    assert re.search(rf"^  3\. {TORN}: .*'t2'.* \(.*_t2\.nii\.gz\): ", printed, re.MULTILINE)
    assert re.match(r"\d errors in 3 cases: ", printed.splitlines()[-1])


def test_warnings_do_not_change_the_status(brats_root, tmp_path, capsys):
    import nibabel as nib

    root = Path(shutil.copytree(brats_root, tmp_path / "odd"))
    path = next(root.rglob(f"{TORN}_seg.nii.gz"))
    label = nib.load(path)
    nib.save(nib.Nifti1Image(0 * label.get_fdata().astype("uint8"), label.affine), path)
    assert check(root, *RECIPE) == EXIT_DONE
    printed = capsys.readouterr().out
    assert f"\n1 warning\n  1. {TORN}: no voxel is labelled (" in printed
    assert printed.splitlines()[-1] == "OK: 6 cases can be trained on"


def test_more_than_50_problems_are_counted(dagm_root, tmp_path, capsys):
    root = tmp_path / "dagm"
    folder = root / "Class1" / "Train"
    folder.mkdir(parents=True)
    (folder / "Label").mkdir()
    rows = "".join(f"{i}\t0\t{i:04d}.PNG\t0\t0\t\n" for i in range(1, 54))
    (folder / "Label" / "Labels.txt").write_text(f"1\n{rows}")
    path = tmp_path / "check.json"
    assert check(root, "--recipe", "dagm-demo", "--workers", "1", "--json", path) == EXIT_ERROR
    printed = capsys.readouterr().out
    count = len(json.loads(path.read_text())["problems"])
    assert count > 50
    assert "\n  50. " in printed and "\n  51. " not in printed
    assert f"\n  and {count - 50} more: --json writes all of them\n" in printed


def test_no_framework_is_imported(brats_root, tmp_path):
    """Not even for the page and the comparison."""
    files = [str(tmp_path / "a.json"), str(tmp_path / "a.html")]
    code = (
        "import sys\n"
        "from pipeline.cli import main\n"
        f"argv = ['check', {str(brats_root)!r}, *{RECIPE!r}, '--json', {files[0]!r}]\n"
        "status = main(argv)\n"
        f"argv = ['check', {str(brats_root)!r}, *{RECIPE!r}, '--html', {files[1]!r}]\n"
        f"status = status or main([*argv, '--against', {files[0]!r}])\n"
        f"print('imported', sorted(set({FRAMEWORKS!r}) & set(sys.modules)), status)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "imported [] 0", done.stderr
    assert done.stderr == ""


@pytest.mark.slow
def test_several_processes_and_one_write_the_same(broken_root, tmp_path, capsys):
    for name, workers in (("one", "1"), ("two", "2")):
        argv = (broken_root, "--recipe", "brats-demo", "--workers", workers)
        assert check(*argv, "--json", tmp_path / name, "--html", tmp_path / f"{name}.html") == 1
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_json_holds_everything(broken_root, tmp_path):
    path = tmp_path / "folder" / "check.json"
    assert check(broken_root, *RECIPE, "--json", path) == EXIT_ERROR
    content = json.loads(path.read_text())
    assert content["config"]["root"] == str(broken_root)
    assert content["dataset"]["channels"] == ["t1", "t1ce", "t2", "flair"]
    counts = content["counts"]
    assert (counts["listed"], counts["read"], counts["ignored_files"]) == (6, 5, 1)
    assert counts["errors"] == len(content["problems"]) and counts["warnings"] == 0
    assert sum(map(len, content["splits"].values())) == 5
    assert set(content["problems"][0]) == {"case_id", "rule", "path", "remedy", "severity"}
    cases = content["case_statistics"]
    assert len(cases) == 5 and all(len(c["content"]) == 64 for c in cases)
    assert cases[0]["content"] == cases[1]["content"]
    assert content["difference"] is None
    assert set(content["versions"]) >= {"unet-tfx", "numpy", "nibabel"}
    assert read_statistics(path) == cases
    assert [p.name for p in path.parent.iterdir()] == ["check.json"]


def test_page_is_written(brats_root, tmp_path, capsys):
    path = tmp_path / "check.html"
    assert check(brats_root, *RECIPE, "--html", path) == EXIT_DONE
    assert "OK: 6 cases can be trained on" in path.read_text(encoding="utf-8")
    assert f"page      {path}\n" in capsys.readouterr().out


def test_splits_are_written_where_there_is_no_error(brats_root, broken_root, tmp_path, capsys):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    assert check(brats_root, *RECIPE, "--write-splits", good) == EXIT_DONE
    folds = json.loads(good.read_text())
    assert sorted(c for fold in folds for c in fold["val"]) == [
        f"BraTS2021_0000{i}" for i in range(6)
    ]
    assert [len(fold["train"]) for fold in folds] == [4, 4, 4]
    assert check(broken_root, *RECIPE, "--write-splits", bad) == EXIT_ERROR
    assert not bad.exists()
    assert f"not written to {bad}: there are errors" in capsys.readouterr().out
    assert check(brats_root, *RECIPE, "--data.splits", good) == EXIT_DONE


def test_new_data_against_a_checked_cohort(new_root, brats_root, old_json, tmp_path, capsys):
    known = folder_of(brats_root, "BraTS2021_00000")
    copy = new_root / "BraTS2021_00009"
    copy.mkdir()
    for path in known.iterdir():
        shutil.copy(path, copy / path.name.replace(known.name, copy.name))
    paths = [tmp_path / "new.json", tmp_path / "new.html"]
    options = ("--against", old_json, "--json", paths[0], "--html", paths[1])
    assert check(new_root, *RECIPE, *options) == EXIT_DONE
    printed = capsys.readouterr().out
    assert f"\n4 new cases against 6 old ones of {old_json}\n" in printed
    assert re.search(r"^size_x +0\.75 +0\.\d+ +3 of 4 +", printed, re.MULTILINE)
    assert "1 of the 4 new cases was in the old cohort" in printed
    assert "\n  BraTS2021_00009\n" in printed
    assert re.match(
        r"OK: 4 cases can be read; \d+ of 35 features differ between 4 new and 6 old cases$",
        printed.splitlines()[-1],
    )
    difference = json.loads(paths[0].read_text())["difference"]
    assert difference["repeated"] == ["BraTS2021_00009"]
    (share,) = [f for f in difference["features"] if f["feature"] == "label_1_share"]
    assert (share["old"]["n"], share["new"]["n"]) == (6, 3)
    assert "This cohort against" in paths[1].read_text()


def test_what_differs_comes_first_and_is_no_error(new_root, old_json, capsys):
    """Fewer cases than folds, one of them without a label: no error either."""
    assert check(new_root, *RECIPE, "--data.folds", "20", "--against", old_json) == EXIT_DONE
    printed = capsys.readouterr().out
    table = re.search(r"(?ms)^feature +strength.*?\n(.*?)^old and new", printed)[1].splitlines()
    differs = [bool(re.match(r"\w+ +differs ", line)) for line in table]
    assert len(table) == 35
    assert sorted(differs, reverse=True) == differs
    assert re.search(r"^size_x +differs +1\.00 +0\.024 +3 of 3 ", printed, re.MULTILINE)
    assert "cases     3 listed, 1 without a label, 3 could be read\n" in printed
    assert f"; {sum(differs)} of 35 features differ" in printed.splitlines()[-1]


def test_errors_of_new_data_are_errors(broken_root, old_json, capsys):
    assert check(broken_root, *RECIPE, "--against", old_json) == EXIT_ERROR
    printed = capsys.readouterr().out
    assert re.search(rf"^  \d\. {TORN}: ", printed, re.MULTILINE)
    assert "5 new cases against 6 old ones" in printed
    assert "5 of the 5 new cases were in the old cohort" in printed
    assert "errors in 3 cases: repair the data" in printed.splitlines()[-1]


def test_against_a_run_folder(new_root, old_json, tmp_path, capsys):
    run = tmp_path / "run"
    (run / "deep").mkdir(parents=True)
    shutil.copy(old_json, run / "deep" / "statistics.json")
    for path in ("deep/statistics.json", str(run / "deep" / "statistics.json")):
        (run / "summary.json").write_text(json.dumps({"cohort_statistics": path}))
        assert check(new_root, *RECIPE, "--against", run) == EXIT_DONE
        assert f"3 new cases against 6 old ones of {run}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("{", "Expecting property name"),
        ("[]", "holds no JSON object"),
        ("{}", "there is no 'case_statistics' in it"),
        ('{"case_statistics": [1]}', "its case_statistics are no list of cases"),
        ('{"case_statistics": []}', "no case in it could be read"),
    ],
)
def test_what_is_no_earlier_cohort(brats_root, tmp_path, capsys, content, message):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_text(content)
    said = wrong(capsys, brats_root, *RECIPE, "--against", path)
    assert "--against must be a file that `unet-tfx check --json` wrote, or the folder" in said
    assert f"got '{path}'" in said and message in said


def test_a_run_folder_without_statistics(brats_root, tmp_path, capsys):
    (tmp_path / "summary.json").write_text("{}")
    said = wrong(capsys, brats_root, *RECIPE, "--against", tmp_path)
    assert "there is no 'cohort_statistics' in it" in said


def test_config_of_a_run_then_options(tmp_path):
    path = tmp_path / "run.yaml"
    text = config_text(RECIPES["brats"]()).replace("folds: 5", "folds: 7")
    path.write_text(text.replace("fold_seed: 0", "fold_seed: 3"))
    words = ["--data.fold_seed", "4", str(tmp_path), "--recipe=brats-demo", "--config", str(path)]
    config, options = parse_options(words)
    assert (config.folds, config.fold_seed, config.root) == (7, 4, str(tmp_path))
    assert config.cases_per_shard == RECIPES["brats"]().data.cases_per_shard
    assert config.classes == ()
    assert 1 <= options.workers <= MOST_WORKERS


def test_recipe_is_what_a_command_line_starts_from(tmp_path):
    config, _ = parse_options([str(tmp_path), "--recipe", "dagm", "--data.classes", "[1,3]"])
    assert (config.dataset, config.cases_per_shard, config.classes) == ("dagm", 64, (1, 3))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], f"--recipe must be one of {', '.join(RECIPES)}, got None"),
        (["--recipe", "lung"], "got 'lung'"),
        ([*RECIPE, "--data.fold", "3"], "did you mean data.folds or data.fold_seed"),
        ([*RECIPE, "--data.folds", "1"], "data.folds must be between 2 and 20, got 1"),
        ([*RECIPE, "--data.root", "x"], "unrecognized arguments: --data.root"),
        ([*RECIPE, "--trainer.samples", "3"], "unrecognized arguments: --trainer.samples"),
        ([*RECIPE, "--output", "x"], "`unet-tfx check --help` lists all fields"),
        ([*RECIPE, "--config"], "--config"),
        ([*RECIPE, "--config", "/none.yaml"], "--config /none.yaml: "),
        ([*RECIPE, "--workers", "0"], "--workers must be 1 or more, got 0"),
        ([*RECIPE, "--workers", "two"], "workers"),
        ([*RECIPE, "--data.dataset", "lung"], "data.dataset must be one of brats, dagm"),
        ([*RECIPE, "--data.dataset", "no.Such"], "data.dataset must be one of brats, dagm"),
        ([*RECIPE, "--against", "x", "--write-splits", "y"], "--write-splits must be left out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage(brats_root, capsys, words, message):
    assert message in wrong(capsys, brats_root, *words)


def test_wrong_fields_of_a_file(brats_root, tmp_path, capsys):
    path = tmp_path / "x.yaml"
    path.write_text("data: {fold: 3}")
    said = wrong(capsys, brats_root, *RECIPE, "--config", path)
    assert f"--config {path}: there is no field 'data.fold': did you mean data.folds" in said


def test_root_is_needed(tmp_path, capsys):
    assert "root" in wrong(capsys, *RECIPE).lower()
    missing = tmp_path / "none"
    assert f"ROOT must be the folder of a dataset, got '{missing}'" in wrong(
        capsys, missing, *RECIPE
    )


def test_no_input_is_overwritten(brats_root, old_json, tmp_path, capsys):
    splits = tmp_path / "splits.json"
    splits.write_text("[]")
    config = tmp_path / "c.yaml"
    config.write_text("data: {folds: 3}")
    run = tmp_path / "run"
    run.mkdir()
    (run / "summary.json").write_text(json.dumps({"cohort_statistics": str(old_json)}))
    for option, path, others in [
        ("--json", run / "summary.json", ["--against", run]),
        ("--json", brats_root / "check.json", []),
        ("--html", tmp_path, []),
        ("--json", old_json, ["--against", old_json]),
        ("--html", config, [f"--config={config}"]),
        ("--write-splits", splits, ["--data.splits", splits]),
    ]:
        said = wrong(capsys, brats_root, *RECIPE, *others, option, path)
        assert f"{option} must be a file that is no input and in no input folder, got" in said
        assert said.endswith(f"'{path}'\n")
    both = ("--json", tmp_path / "one", "--html", tmp_path / "one")
    assert "--json, --html must be different files" in wrong(capsys, brats_root, *RECIPE, *both)


def test_help_tells_the_exit_status(capsys):
    assert main(["check", "--help"]) == EXIT_DONE
    printed = " ".join(capsys.readouterr().out.split())
    assert "usage: unet-tfx check ROOT --recipe NAME" in printed
    assert "Exit status: 0 no errors (warnings are allowed), 1 errors, 2 wrong usage." in printed
    assert "--data.fold_seed" in printed
    assert "--trainer" not in printed and "--data.root" not in printed


def test_every_field_of_the_data_but_its_root_has_an_option():
    options = {o for a in make_parser(RECIPES["brats"]().data)._actions for o in a.option_strings}
    fields = set(RECIPES["brats"]().data.__dataclass_fields__) - {"root"}
    assert {f"--data.{f}" for f in fields} <= options


def test_a_folder_that_cannot_be_described(tmp_path, capsys):
    """No dataset.json: the only problem there is, in words, in the file and on the page."""
    root, path = tmp_path / "empty", tmp_path / "check.json"
    root.mkdir()
    options = ("--data.dataset", "nnunet", "--json", path, "--html", tmp_path / "check.html")
    assert check(root, *RECIPE, *options) == EXIT_ERROR
    printed = capsys.readouterr().out
    assert "1 error\n  1. " in printed
    assert "dataset.json" in printed
    content = json.loads(path.read_text())
    assert content["dataset"] is None and len(content["problems"]) == 1


def test_usage_errors_of_the_options_are_raised():
    with pytest.raises(UsageError, match="--recipe must be one of"):
        parse_options(["root"])


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_ends_cleanly(brats_root, tmp_path, workers):
    """Pressed while the cases are read, which the reader tells through a file."""
    code = (
        "import time\n"
        "from pathlib import Path\n"
        "from beam_preprocess.datasets.brats import Brats\n"
        "class Slow(Brats):\n"
        "    def read_case(self, files):\n"
        f"        Path({str(tmp_path / 'reading')!r}).touch()\n"
        "        time.sleep(300)\n"
    )
    (tmp_path / "slow_reader.py").write_text(code)
    argv = ["check", str(brats_root), "--recipe", "brats-demo", "--workers", workers]
    run = (
        "import signal, sys; from pipeline.cli import main\n"
        # a shell starts what runs in its background with SIGINT ignored: this test, maybe
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"sys.exit(main({argv!r} + sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", run, "--data.dataset", "slow_reader.Slow"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.getcwd()}"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (tmp_path / "reading").exists() and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert said == "unet-tfx check: interrupted\n"
    assert process.returncode == EXIT_INTERRUPTED
