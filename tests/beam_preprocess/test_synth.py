"""Synthetic cohorts: layouts of the real ones, contrasts of nature, the same bytes every time."""

import argparse
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from beam_preprocess.datasets.brats import Brats
from beam_preprocess.datasets.dagm import Dagm
from beam_preprocess.synth import brats, command, dagm, nnunet
from beam_preprocess.synth.noise import inside, sheet, smooth_noise
from beam_preprocess.synth.surface import SURFACES, make_image

SHAPE = (40, 36, 28)
CASES = 9
MODALITIES = ("t1", "t1ce", "t2", "flair")
LACKS_RIM = 5


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("brats")
    brats.write_cohort(out, cases=CASES, seed=3, shape=SHAPE)
    return out


@pytest.fixture(scope="module")
def volumes() -> list[dict[str, np.ndarray]]:
    return [brats.make_volumes(number, 3, shape=(48, 48, 40)) for number in range(CASES)]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("dagm")
    dagm.write_cohort(out, cases=8, seed=3, classes=(1, 7), size=64)
    return out


def test_brats_layout(cohort):
    names = [f"BraTS2021_{n:05d}" for n in range(CASES)]
    expected = {f"{c}/{c}_{m}.nii.gz" for c in names for m in (*MODALITIES, "seg")}
    assert set(contents(cohort)) == expected


def test_brats_files_are_as_the_real_ones(cohort):
    for path in cohort.rglob("*.nii.gz"):
        image = nib.load(path)
        is_label = path.name.endswith("_seg.nii.gz")
        assert image.shape == SHAPE
        assert image.get_data_dtype() == (np.uint8 if is_label else np.int16)
        expected = [[-1, 0, 0, 0], [0, -1, 0, SHAPE[1] - 1], [0, 0, 1, 0], [0, 0, 0, 1]]
        np.testing.assert_array_equal(image.affine, expected)
        header = image.header
        assert (header["qform_code"], header["sform_code"], header["xyzt_units"]) == (1, 1, 2)
        assert header.get_zooms() == (1, 1, 1) and np.isnan(header["scl_slope"])


def test_brats_gzip_holds_neither_time_nor_name(cohort):
    for content in contents(cohort).values():
        assert content[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"


def test_brats_reader_finds_no_problem(cohort):
    listing = Brats().list_cases(cohort)
    assert len(listing.cases) == CASES and not listing.problems and not listing.ignored
    assert Brats().read_case(listing.cases[0]).image.shape == (*SHAPE, 4)


@pytest.mark.parametrize("shape", [(16, 16, 16), (48, 48, 40), (33, 64, 17)])
def test_brats_labels(shape):
    for number in range(16):
        labels = np.unique(brats.make_volumes(number, 11, shape=shape)["seg"]).tolist()
        assert labels == ([0, 1, 2] if number % 8 == LACKS_RIM else [0, 1, 2, 4])


def test_brats_background_is_zero_in_all_modalities(volumes):
    for case in volumes:
        brain = case["t1"] > 0
        assert 0.1 < brain.mean() < 0.25
        assert all(np.array_equal(case[m] > 0, brain) for m in MODALITIES)
        assert not case["seg"][~brain].any()


def test_brats_tumour_shows_as_in_nature(volumes):
    dark = []
    for number, case in enumerate(volumes):
        label, brain = case["seg"], case["t1"] > 0
        mean = {
            m: {v: case[m][brain & (label == v)].mean() for v in np.unique(label)} for m in case
        }
        assert mean["flair"][2] > mean["flair"][0]
        assert mean["t2"][2] > mean["t2"][0] and mean["t2"][1] > mean["t2"][0]
        dark.append(mean["t1"][1] / mean["t1"][0])
        if number != LACKS_RIM:
            assert mean["t1ce"][4] > 1.15 * max(mean["t1ce"][v] for v in (0, 1, 2))
    assert np.mean(dark) < 0.95  # of a single case, the bias field may hide it


def test_brats_tumour_is_nested(volumes):
    for number, case in enumerate(volumes):
        centre = np.argwhere(case["seg"] == 1).mean(0)
        order = (1, 2) if number == LACKS_RIM else (1, 4, 2)
        far = [np.linalg.norm(np.argwhere(case["seg"] == v) - centre, axis=1).mean() for v in order]
        assert far == sorted(far)


def test_brats_is_no_threshold(volumes):
    """Healthy tissue reaches the intensities of oedema, and gains differ between cases."""
    for case in volumes:
        healthy = case["flair"][(case["t1"] > 0) & (case["seg"] == 0)]
        assert healthy.max() > np.quantile(case["flair"][case["seg"] == 2], 0.2)
    for modality in MODALITIES:
        gains = [np.median(case[modality][case[modality] > 0]) for case in volumes]
        assert max(gains) > 1.3 * min(gains)


def test_brats_case_does_not_depend_on_the_others(cohort, tmp_path):
    brats.write_cohort(tmp_path / "few", cases=2, seed=3, shape=SHAPE)
    few, all_files = contents(tmp_path / "few"), contents(cohort)
    assert len(few) == 10 and few.items() <= all_files.items()
    brats.write_cohort(tmp_path / "other", cases=2, seed=4, shape=SHAPE)
    assert all(few[name] != content for name, content in contents(tmp_path / "other").items())


def test_brats_graded_moves_cases_only(cohort, tmp_path):
    brats.write_cohort(tmp_path, cases=8, seed=3, shape=SHAPE, graded=True)
    assert sorted(p.name[-1] for p in (tmp_path / "LGG").iterdir()) == ["1", "5"]
    assert len(list((tmp_path / "HGG").iterdir())) == 6
    moved = {name.split("/", 1)[1]: content for name, content in contents(tmp_path).items()}
    assert moved.items() <= contents(cohort).items()


def test_brats_unequal_shapes():
    shapes = {brats.make_volumes(n, 0, shape=SHAPE, unequal=True)["t2"].shape for n in range(6)}
    assert len(shapes) == 6
    assert all(abs(a - b) <= 0.1 * b + 0.5 for s in shapes for a, b in zip(s, SHAPE, strict=True))


def test_dagm_layout(photographs):
    part = {f"Class1/Train/{n:04d}.PNG" for n in range(576, 584)}
    part |= {f"Class1/Train/Label/{n:04d}_label.PNG" for n in (576, 578, 580, 582)}
    part |= {"Class1/Test/0001.PNG", "Class1/Test/0002.PNG", "Class1/Test/Label/0001_label.PNG"}
    part |= {f"Class1/{split}/Label/Labels.txt" for split in ("Train", "Test")}
    assert {n for n in contents(photographs) if n.startswith("Class1/")} == part
    names = sorted(p.name for p in (photographs / "Class7/Train").glob("*.PNG"))
    assert names == [f"{n}.PNG" for n in range(1151, 1159)]


def test_dagm_labels_txt_is_ragged(photographs):
    assert (photographs / "Class1/Test/Label/Labels.txt").read_bytes() == (
        b"1\r\n0001\t1\t0001.PNG\t0\t0001_label.PNG\r\n0002\t0\t0002.PNG\t0\t0\t\r\n"
    )
    rows = (photographs / "Class1/Train/Label/Labels.txt").read_bytes().split(b"\r\n")
    assert rows[2] == b"0577\t0\t0577.PNG\t0\t0\t" and len(rows) == 1 + 8 + 1


def test_dagm_images(photographs):
    for path in photographs.rglob("*.PNG"):
        image = Image.open(path)
        assert (image.mode, image.size) == ("L", (64, 64))
        if path.parent.name == "Label":
            assert np.unique(np.asarray(image)).tolist() == [0, 255]


def test_dagm_reader_finds_no_problem(photographs):
    listing = Dagm().list_cases(photographs)
    assert len(listing.cases) == 20 and not listing.problems and not listing.ignored
    assert sum(case.label is not None for case in listing.cases) == 10


def test_dagm_image_does_not_depend_on_the_others(photographs, tmp_path):
    dagm.write_cohort(tmp_path / "few", cases=3, seed=3, classes=[7], size=64)
    few, all_files = contents(tmp_path / "few"), contents(photographs)
    same = {n for n in few if n.endswith(".PNG")}
    assert len(same) == 3 + 2 + 1 + 1 and all(few[n] == all_files[n] for n in same)
    dagm.write_cohort(tmp_path / "other", cases=3, seed=4, classes=[7], size=64)
    other = contents(tmp_path / "other")
    assert all(other[n] != few[n] for n in same)


@pytest.mark.parametrize("number", SURFACES)
def test_dagm_flaw_stays_in_an_ellipse(number):
    for seed in range(4):
        flawed, mask = make_image(
            np.random.default_rng(seed), SURFACES[number], 128, defective=True
        )
        clean, none = make_image(
            np.random.default_rng(seed), SURFACES[number], 128, defective=False
        )
        assert none is None
        np.testing.assert_array_equal(flawed[mask == 0], clean[mask == 0])
        assert (flawed != clean)[mask > 0].mean() > 0.04
        points = np.argwhere(mask > 0)
        if points.min() > 0 and points.max() < 127:
            area = 4 * np.pi * np.sqrt(np.linalg.det(np.cov(points.T)))
            assert len(points) == pytest.approx(area, rel=0.03)


@pytest.mark.parametrize(
    ("share", "flagged"), [(0.5, [0, 2, 4, 6]), (0.1, [1, 3]), (0, []), (1, list(range(8)))]
)
def test_dagm_is_defective(share, flagged):
    assert [index for index in range(8) if dagm.is_defective(index, share)] == flagged


def test_smooth_noise_is_one_field_on_every_grid():
    fine, coarse = np.linspace(-1, 1, 81, dtype="f"), np.linspace(-1, 1, 21, dtype="f")
    fields = [
        smooth_noise(np.random.default_rng(0), (a, a), scale=0.1, reach=1) for a in (fine, coarse)
    ]
    np.testing.assert_allclose(fields[0][::4, ::4], fields[1], atol=1e-5)
    assert abs(fields[0].mean()) < 0.2 and fields[0].std() == pytest.approx(1, abs=0.15)


def test_shares_of_a_voxel():
    distance = np.array([-2, -0.5, 0, 0.5, 2], np.float32)
    np.testing.assert_allclose(inside(distance, 2), [1, 0.75, 0.5, 0.25, 0])
    np.testing.assert_allclose(sheet(np.abs(distance), 0.25, 1), [0, 0.25, 0.5, 0.25, 0])


@pytest.mark.parametrize(
    ("write", "options", "message"),
    [
        (brats.write_cohort, {"cases": 0}, "cases must be at least 1, got 0"),
        (brats.write_cohort, {"seed": -1}, "seed must be at least 0, got -1"),
        (brats.write_cohort, {"shape": (16, 16, 15)}, r"shape must be .* got \(16, 16, 15\)"),
        (nnunet.write_cohort, {"cases": 0, "shape": SHAPE}, "cases must be at least 1, got 0"),
        (nnunet.write_cohort, {"shape": (16, 16, 15)}, r"shape must be .* got \(16, 16, 15\)"),
        (dagm.write_cohort, {"cases": 0}, "cases must be at least 1, got 0"),
        (dagm.write_cohort, {"cases": 2304}, "cases must be at most 2303, .* got 2304"),
        (dagm.write_cohort, {"size": 15}, "size must be at least 16 pixels, got 15"),
        (dagm.write_cohort, {"classes": (1, 11)}, r"classes must be .* got \(1, 11\)"),
        (dagm.write_cohort, {"classes": (1, 1)}, r"classes must be .* got \(1, 1\)"),
        (dagm.write_cohort, {"defective": 1.5}, "defective must be .* got 1.5"),
    ],
)
def test_numbers_out_of_range(write, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write(tmp_path, **{"cases": 1, "seed": 0, **options})
    assert not any(tmp_path.iterdir())


def run_command(*words: object) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(word) for word in words]))


def test_command_writes_brats(tmp_path, capsys):
    out = tmp_path / "new"
    assert run_command("brats", out, "--cases", 2, "--shape", 16, 17, 18, "--graded") == 0
    assert (out / "LGG/BraTS2021_00001/BraTS2021_00001_seg.nii.gz").is_file()
    line = f"wrote 2 BraTS case(s) of (16, 17, 18) voxels, seed 0, to {out}\n"
    assert capsys.readouterr().out == line


def test_nnunet_cohort_is_that_of_brats_in_other_files(tmp_path):
    from beam_preprocess.config import DataConfig
    from beam_preprocess.datasets import get_dataset

    nnunet.write_cohort(tmp_path, cases=4, seed=3, shape=SHAPE)
    dataset = get_dataset(DataConfig(dataset="nnunet", root=str(tmp_path)))
    listing = dataset.list_cases(tmp_path)
    assert listing.problems == ()
    assert [c.split for c in listing.cases] == ["cv"] * 4 + ["unlabelled"]
    case = dataset.read_case(listing.cases[1])
    volumes = brats.make_volumes(1, 3, shape=SHAPE)
    np.testing.assert_array_equal(case.image[..., 0], volumes["t1ce"])
    np.testing.assert_array_equal(case.image[..., 1], volumes["flair"])
    np.testing.assert_array_equal(case.label == 3, volumes["seg"] == 4)
    assert dataset.info.regions["whole_tumor"] == (1, 2, 3)


def test_command_writes_nnunet(tmp_path, capsys):
    assert run_command("nnunet", tmp_path, "--cases", 1, "--shape", 16, 16, 16) == 0
    assert (tmp_path / "imagesTr/tumour_000_0001.nii.gz").is_file()
    assert (tmp_path / "dataset.json").is_file()
    assert capsys.readouterr().out.startswith("wrote 1 nnU-Net case(s) of (16, 16, 16) voxels")


def test_command_writes_dagm(tmp_path, capsys):
    assert run_command("dagm", tmp_path, "--cases", 4, "--classes", 2, 8, "--size", 16) == 0
    assert (tmp_path / "Class8/Test/0001.PNG").is_file()
    assert capsys.readouterr().out.startswith("wrote 4 train and 1 test image(s) of 16 px")


def test_command_refuses_a_folder_in_use(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(ValueError, match="OUT must be a new or an empty folder"):
        run_command("dagm", tmp_path, "--cases", 1)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_command_imports_nothing_heavy():
    code = "import sys, beam_preprocess.synth.command; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
