"""`unet-tfx predict`: what can be wrong with its arguments, told before TensorFlow is imported."""

import shutil
import subprocess
import sys
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from beam_preprocess.datasets.brats import BRATS
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.synth import brats
from pipeline.cli import main
from pipeline.usage import EXIT_ERROR, EXIT_USAGE
from trainer.model_folder import METADATA

FOLDERS = replace(
    DAGM,
    name="folders",
    channels=("red", "green", "blue"),
    label_values=(0, 7),
    label_names={7: "rust"},
    serving_dtypes=("float32", "uint8"),
    label_suffixes=(".png",),
    task="regions",
    quantised=False,
)
"""A dataset that only its model knows: no folder of it is at hand."""


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

    def run(model, source, output="label.nii.gz", probabilities=None) -> str:
        target = tmp_path / "new" / output
        argv = ["--model", str(model), "--input", str(source), "--output", str(target)]
        argv += ["--probabilities", str(target.parent / probabilities)] if probabilities else []
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
    model = push(BRATS)
    (model / missing).unlink()
    message = fails(model.parent, case)
    assert "saved_model.pb and assets.extra/unet_tfx.json" in message
    assert str(model.parent) in message


def test_model_that_is_a_file(fails, case, photograph):
    assert f"got '{photograph}'" in fails(photograph, case)


def test_input_that_does_not_exist(fails, push, tmp_path):
    message = fails(push(BRATS), tmp_path / "nobody")
    assert f"input must exist, got '{tmp_path / 'nobody'}'" in message


def test_input_of_nnunet_may_be_named_without_channel_and_ending(fails, push, tmp_path):
    """The files are found: what is wrong is that one of the two is missing."""
    info = replace(BRATS, name="nnunet", channels=("t1", "t2"))
    nib.save(nib.Nifti1Image(np.ones((3, 4, 5)), np.eye(4)), tmp_path / "a_0000.nii.gz")
    message = fails(push(info), tmp_path / "a")
    assert "a case must have the channels t1, t2" in message and "lacks a_0001.nii.gz" in message


@pytest.mark.parametrize(
    ("info", "output", "endings"),
    [
        (BRATS, "label.png", ".nii.gz or .nii"),
        (BRATS, "label", ".nii.gz or .nii"),  # of many cases a folder: there are none
        (DAGM, "mask.nii.gz", ".png or .PNG"),
        (FOLDERS, "mask.tif", ".png"),
    ],
)
def test_output_of_another_kind(fails, push, case, info, output, endings):
    message = fails(push(info), case, output)
    assert f"output must end in {endings}" in message
    assert output in message or "none can be read" in message


def test_case_folder_that_lacks_modalities(fails, push, case):
    for name in ("t2", "flair"):
        (case / f"{case.name}_{name}.nii.gz").unlink()
    message = fails(push(BRATS), case)
    assert "must hold one file each of t1, t1ce, t2, flair" in message
    assert f"{case.name}_t2.nii.gz, {case.name}_flair.nii.gz" in message
    assert "_t1.nii.gz" not in message and str(case) in message


def test_photograph_for_a_model_of_scans(fails, push, photograph):
    message = fails(push(BRATS), photograph)
    assert f"input must be a BraTS case folder, got '{photograph}'" in message


def test_case_folder_for_a_model_of_photographs(fails, push, case):
    assert str(case) in fails(push(DAGM), case, "mask.png")


def test_torn_file(fails, push, case):
    path = case / f"{case.name}_t1.nii.gz"
    path.write_bytes(path.read_bytes()[:100])
    message = fails(push(BRATS), case)
    assert f"{path.name} is no complete NIfTI file" in message and str(path) in message


@pytest.mark.parametrize("damage", ["", '{"dataset": {"name": "brats"}}', '{"dataset": "brats"}'])
def test_model_with_damaged_metadata(fails, push, case, damage):
    model = push(BRATS)
    (model / METADATA).write_text(damage)
    message = fails(model.parent, case)
    assert f"the model in '{model}' is incomplete or damaged: copy it again" in message


def test_incomplete_model(fails, push, case):
    """The case is read, and the graph is not there."""
    model = push(BRATS)
    message = fails(model.parent, case)
    assert f"the model in '{model}' is incomplete or damaged: copy it again" in message


def test_dataset_that_is_not_installed(fails, push, case):
    message = fails(push(replace(BRATS, name="my_lab.scans.Scans")), case)
    assert "got 'my_lab.scans.Scans': No module named 'my_lab'" in message


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
    model = str(push(BRATS))
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


def test_scan_gives_a_label_map_in_its_own_grid(push, case, fake_model, tmp_path, capsys):
    out = tmp_path / "new" / "label.nii.gz"
    model = push(BRATS)
    argv = ["--model", str(model.parent), "--input", str(case), "--output", str(out)]
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
    argv = ["--model", str(push(DAGM)), "--input", str(photograph), "--output", str(out)]
    assert main(["predict", *argv]) == 0
    with Image.open(out) as mask:
        pixels = np.asarray(mask)
    np.testing.assert_array_equal(pixels.ravel(), [0] * 6 + [255] * 10)


def test_probabilities_of_a_scan_are_a_volume_per_class(push, case, fake_model, tmp_path, capsys):
    """In the grid of the scan, whatever way its axes point."""
    for path in case.glob("*.nii.gz"):
        image = nib.load(path)
        affine = np.array([[0, 0, -2.0, 9], [1, 0, 0, -5], [0, 1.5, 0, 7], [0, 0, 0, 1]])
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), affine), path)
    out, file = tmp_path / "new" / "label.nii.gz", tmp_path / "new" / "p.nii"
    argv = ["--model", str(push(BRATS)), "--input", str(case), "--output", str(out)]
    assert main(["predict", *argv, "--probabilities", str(file)]) == 0
    assert capsys.readouterr().out == f"{out}\n{file}\n"
    source, written = nib.load(case / f"{case.name}_t1.nii.gz"), nib.load(file)
    assert written.shape == (*source.shape, 2) and written.get_data_dtype() == np.float32
    np.testing.assert_array_equal(written.affine, source.affine)
    expected = np.clip(np.asarray(source.dataobj, np.float32) / 16, 0, 1)
    np.testing.assert_array_equal(np.asarray(written.dataobj)[..., 1], expected)
    label = nib.load(out)
    np.testing.assert_array_equal(label.affine, source.affine)
    np.testing.assert_array_equal(np.asarray(label.dataobj) == 255, np.asarray(source.dataobj) > 5)


def test_probabilities_of_a_photograph_are_an_array(push, photograph, fake_model, tmp_path):
    file = tmp_path / "p.npz"
    argv = ["--model", str(push(DAGM)), "--input", str(photograph), "--output"]
    argv += [str(tmp_path / "mask.png"), "--probabilities", str(file)]
    assert main(["predict", *argv]) == 0
    with np.load(file) as written:
        np.testing.assert_array_equal(written["label_values"], [255])
        expected = np.arange(16, dtype=np.float32).reshape(4, 4, 1) / 16
        np.testing.assert_array_equal(written["probabilities"], expected, strict=True)


@pytest.mark.parametrize(
    ("info", "names", "message"),
    [
        (BRATS, "label.nii.gz p.npz", "probabilities must end in .nii.gz or .nii, got '"),
        (DAGM, "mask.png p.png", "probabilities must end in .npz, got '"),
        (
            BRATS,
            "label.nii.gz label.nii.gz",
            "probabilities must be another file than output, got '",
        ),
    ],
)
def test_file_for_probabilities_of_another_kind(fails, push, case, info, names, message):
    assert message in fails(push(info), case, *names.split())


def test_probabilities_do_not_overwrite_the_input(push, case, tmp_path, capsys):
    image = case / f"{case.name}_t1.nii.gz"
    before = image.read_bytes()
    argv = ["--model", str(push(BRATS)), "--input", str(case), "--output"]
    argv += [str(tmp_path / "label.nii.gz"), "--probabilities", str(image)]
    assert main(["predict", *argv]) == EXIT_ERROR
    assert "probabilities must not be a file of the input" in capsys.readouterr().err
    assert image.read_bytes() == before


def test_photograph_of_a_dataset_that_the_model_alone_describes(push, fake_model, tmp_path):
    colours = np.zeros((4, 4, 3), np.uint8)
    colours[..., 0] = np.arange(16).reshape(4, 4)
    source, out = tmp_path / "photo.png", tmp_path / "mask.png"
    Image.fromarray(colours).save(source)
    argv = ["--model", str(push(FOLDERS)), "--input", str(source), "--output", str(out)]
    assert main(["predict", *argv]) == 0
    with Image.open(out) as mask:
        pixels = np.asarray(mask)
    np.testing.assert_array_equal(pixels.ravel(), [0] * 6 + [255] * 10)


def test_help_names_no_dataset(capsys):
    with pytest.raises(SystemExit):
        main(["predict", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "a case folder, a volume or a photograph, whatever the model's dataset is" in text
    assert "BraTS" not in text
