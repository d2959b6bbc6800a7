"""What can be wrong with the options is told before TFX is imported."""

import subprocess
import sys

import pytest

from kubeflow.compile_command import main, make_parser
from pipeline.options import UsageError, parse

OUTPUT = ("--output", "pipeline.yaml")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (OUTPUT, "--recipe must be one of brats, .*, got None"),
        (("--recipe", "lung", *OUTPUT), "--recipe must be one of brats, .*, got 'lung'"),
        (("--recipe", "brats"), "output"),
        (
            ("--recipe", "brats", "--output", "x.json"),
            r"--output must be .* \.yaml, got 'x.json'",
        ),
        (
            ("--recipe", "brats", *OUTPUT, "--image", "Not An Image"),
            "image must be .*, got 'Not An Image'",
        ),
        (("--recipe", "brats", *OUTPUT, "--state", "state"), "state must be .*, got 'state'"),
        (
            ("--recipe", "brats", *OUTPUT, "--data.root", "demo/data"),
            "data.root must be .*, got 'demo/data'",
        ),
        (
            ("--recipe", "brats", *OUTPUT, "--trainer.crop", "[100,100,100]"),
            "trainer.crop .* does not suit the network",
        ),
        (("--recipe", "brats", *OUTPUT, "--imag", "x"), "did you mean .*image.*compile --help"),
    ],
)
def test_wrong_usage(argv, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        main(argv)
    assert not list(tmp_path.iterdir())


def test_help_and_errors_import_no_framework():
    code = (
        "import sys; from pipeline.cli import main; "
        "assert main(['compile', '--help']) == 0; "
        "assert main(['compile', '--recipe', 'brats', '--output', 'x.json']) == 2; "
        "heavy = {'tfx', 'tensorflow', 'kfp', 'apache_beam'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--image" in done.stdout and "--output FILE.yaml" in done.stdout
    assert "unet-tfx compile: --output must be" in done.stderr


def test_missing_kfp_is_told_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "kfp", None)
    with pytest.raises(RuntimeError, match=r"kfp must be installed.*unet-tfx\[kubeflow\]"):
        main(["--recipe", "brats", *OUTPUT])


@pytest.mark.parametrize("file_first", [True, False])
def test_options_override_the_config_file(tmp_path, file_first):
    """Of a local run, too, whose `output` is its run folder."""
    file = tmp_path / "config.yaml"
    file.write_text("output: runs/brats\ntrainer: {samples: 7, batch_size: 1}\n")
    config, others = ["--config", str(file)], [*OUTPUT, "--trainer.samples", "5"]
    argv = config + others if file_first else others + config
    options = parse(make_parser("brats"), argv)
    assert options.output == "pipeline.yaml"
    assert (options.trainer.samples, options.trainer.batch_size) == (5, 1)
