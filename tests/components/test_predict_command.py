"""`unet-tfx predict`: what can be wrong with its arguments, told before TensorFlow is imported."""

import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from beam_preprocess.synth import brats
from pipeline.cli import main
from pipeline.usage import EXIT_ERROR, EXIT_USAGE


@pytest.fixture
def push(tmp_path):
    """A function: dataset, name of the folder -> a folder as Pusher leaves it, less the graph."""

    def write(dataset: str, name: str = "serving/17"):
        folder = tmp_path / name
        (folder / "assets.extra").mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(b"")
        (folder / "assets.extra" / "unet_tfx.json").write_text(json.dumps({"dataset": dataset}))
        return folder

    return write


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    root = tmp_path_factory.mktemp("brats")
    brats.write_cohort(root, cases=1, seed=0, shape=(16, 18, 20))
    return root


@pytest.fixture
def case(cohort, tmp_path):
    """A case folder to damage."""
    source = next(p for p in cohort.iterdir() if p.is_dir())
    return shutil.copytree(source, tmp_path / source.name)


@pytest.fixture
def photograph(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4)).save(path)
    return path


@pytest.fixture
def fails(capsys, tmp_path):
    """Runs the command, which must fail and write nothing; returns what it says."""

    def run(model, source, output="label.nii.gz") -> str:
        target = tmp_path / "new" / output
        argv = ["--model", str(model), "--input", str(source), "--output", str(target)]
        assert main(["predict", *argv]) == EXIT_ERROR
        assert not target.parent.exists()
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("unet-tfx predict: ") and "Traceback" not in printed.err
        return printed.err

    return run


def test_model_that_does_not_exist(fails, tmp_path, case):
    message = fails(tmp_path / "nowhere", case)
    assert "model must be a folder that unet-tfx pushed" in message
    assert str(tmp_path / "nowhere") in message


@pytest.mark.parametrize("missing", ["saved_model.pb", "assets.extra/unet_tfx.json"])
def test_model_that_was_not_pushed_by_us(fails, push, case, missing):
    model = push("brats")
    (model / missing).unlink()
    message = fails(model.parent, case)
    assert "saved_model.pb and assets.extra/unet_tfx.json" in message
    assert str(model.parent) in message


def test_model_that_is_a_file(fails, case, photograph):
    assert f"got '{photograph}'" in fails(photograph, case)


def test_input_that_does_not_exist(fails, push, tmp_path):
    message = fails(push("brats"), tmp_path / "nobody")
    assert f"input must exist, got '{tmp_path / 'nobody'}'" in message


@pytest.mark.parametrize(
    ("dataset", "output", "endings"),
    [
        ("brats", "label.png", ".nii.gz or .nii"),
        ("brats", "label", ".nii.gz or .nii"),
        ("dagm", "mask.nii.gz", ".png or .PNG"),
    ],
)
def test_output_of_another_kind(fails, push, case, dataset, output, endings):
    message = fails(push(dataset), case, output)
    assert f"output must end in {endings}, got '" in message and output in message


def test_case_folder_that_lacks_modalities(fails, push, case):
    for name in ("t2", "flair"):
        (case / f"{case.name}_{name}.nii.gz").unlink()
    message = fails(push("brats"), case)
    assert "must hold one file each of t1, t1ce, t2, flair" in message
    assert f"{case.name}_t2.nii.gz, {case.name}_flair.nii.gz" in message
    assert "_t1.nii.gz" not in message and str(case) in message


def test_photograph_for_a_model_of_scans(fails, push, photograph):
    message = fails(push("brats"), photograph)
    assert f"input must be a BraTS case folder, got '{photograph}'" in message


def test_case_folder_for_a_model_of_photographs(fails, push, case):
    assert str(case) in fails(push("dagm"), case, "mask.png")


def test_torn_file(fails, push, case):
    path = case / f"{case.name}_t1.nii.gz"
    path.write_bytes(path.read_bytes()[:100])
    message = fails(push("brats"), case)
    assert f"{path.name} is no complete NIfTI file" in message and str(path) in message


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--model", "m", "--input", "i"],
        ["--model", "m", "--input", "i", "--output", "o", "--outptu", "x"],
    ],
)
def test_wrong_usage(capsys, argv):
    with pytest.raises(SystemExit) as raised:
        main(["predict", *argv])
    assert raised.value.code == EXIT_USAGE
    assert "usage: unet-tfx predict" in capsys.readouterr().err


def test_errors_import_no_framework(push, case, tmp_path):
    """All of them, one after the other in a new process."""
    model = str(push("brats"))
    (case / f"{case.name}_t1.nii.gz").unlink()
    triples = [
        (str(tmp_path / "nowhere"), str(case), "x.nii.gz"),
        (model, str(tmp_path / "nobody"), "x.nii.gz"),
        (model, str(case), "x.png"),
        (model, str(case), "x.nii.gz"),
    ]
    code = (
        "import sys\n"
        "from pipeline.cli import main\n"
        f"for model, source, output in {triples!r}:\n"
        "    argv = ['--model', model, '--input', source, '--output', output]\n"
        "    assert main(['predict', *argv]) == 1\n"
        "heavy = {'tensorflow', 'tfx', 'keras', 'apache_beam'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 4


@pytest.fixture
def fake_model(monkeypatch):
    """Stands in for the exported graph: calls bright what is above 100."""
    loaded = []

    class LoadedModel:
        def __init__(self, path):
            loaded.append(path)

        def predict(self, image):
            return np.where(image[..., 0] > 5, np.uint8(255), np.uint8(0))

    monkeypatch.setitem(sys.modules, "trainer.serving", SimpleNamespace(LoadedModel=LoadedModel))
    return loaded


def test_scan_gives_a_label_map_in_its_own_grid(push, case, fake_model, tmp_path, capsys):
    out = tmp_path / "new" / "label.nii.gz"
    model = push("brats").parent
    argv = ["--model", str(model), "--input", str(case), "--output", str(out)]
    assert main(["predict", *argv]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    source = nib.load(case / f"{case.name}_t1.nii.gz")
    label = nib.load(out)
    np.testing.assert_array_equal(label.affine, source.affine)
    expected = np.where(np.asarray(source.dataobj) > 5, 255, 0)
    np.testing.assert_array_equal(np.asarray(label.dataobj), expected)
    assert label.get_data_dtype() == np.uint8
    assert fake_model == [model]


def test_photograph_gives_a_mask(push, photograph, fake_model, tmp_path):
    out = tmp_path / "mask.png"
    argv = ["--model", str(push("dagm")), "--input", str(photograph), "--output", str(out)]
    assert main(["predict", *argv]) == 0
    with Image.open(out) as mask:
        pixels = np.asarray(mask)
    np.testing.assert_array_equal(pixels.ravel(), [0] * 6 + [255] * 10)
