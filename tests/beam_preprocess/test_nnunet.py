"""nnU-Net's raw format: dataset.json, volumes that are read, and what is told of bad ones."""

import hashlib
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from beam_preprocess.case import DataError
from beam_preprocess.config import DataConfig
from beam_preprocess.crop import crop, uncrop
from beam_preprocess.datasets import get_dataset, get_reader
from beam_preprocess.datasets.brats import Brats
from beam_preprocess.datasets.nnunet import NnUnet
from beam_preprocess.records import decode_raw, encode_raw

from .whole_cohort import messages_of, read_by_id

SHAPE = (6, 7, 8)
OBLIQUE = np.array(
    [[-0.75, 0.25, 0, 91.5], [0.25, 0.75, 0, -126], [0, 0, 2.5, -72.25], [0, 0, 0, 1]]
)
"""Turned about z, x flipped; all numbers are float32, as the header holds them."""
FLIPPED = np.diag([-1.0, -2.0, -3.0, 1.0])
LABELS = {"background": 0, "prostate": 1, "lesion": 2}
REPAIR = "repair the file, or leave the case out with data.exclude"
RESAMPLE = "resample or register the files of the case, or leave it out with data.exclude"


def write_volume(path: Path, voxels: np.ndarray, affine: np.ndarray = OBLIQUE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, affine), path)


def scan(seed: int, dtype=np.int16) -> np.ndarray:
    """Intensities with a border of zeros."""
    inner = np.random.default_rng(seed).integers(1, 100, [n - 2 for n in SHAPE])
    return np.pad(inner, 1).astype(dtype)


def label(dtype=np.uint8) -> np.ndarray:
    voxels = np.zeros(SHAPE, dtype)
    voxels[2:4, 2:4, 2:4] = 1
    voxels[3, 3, 3:5] = 2
    return voxels


def write_json(root: Path, **changes) -> None:
    content = {
        "channel_names": {"0": "T2", "1": "ADC"},
        "labels": LABELS,
        "numTraining": 3,
        "file_ending": ".nii.gz",
    }
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.json").write_text(json.dumps(content | changes))


@pytest.fixture
def root(tmp_path) -> Path:
    """Training cases p_1, p_2 and p_3, p_4 to test and p_5 to predict, of two channels."""
    root = tmp_path / "Dataset005_Prostate"
    write_json(root)
    for number, part in enumerate(("Tr", "Tr", "Tr", "Ts", "Ts"), 1):
        for channel in (0, 1):
            path = root / f"images{part}" / f"p_{number}_{channel:04d}.nii.gz"
            write_volume(path, scan(10 * number + channel))
        if number < 5:
            write_volume(root / f"labels{part}" / f"p_{number}.nii.gz", label())
    return root


def dataset(root: Path) -> NnUnet:
    found = get_dataset(DataConfig(dataset="nnunet", root=str(root)))
    assert isinstance(found, NnUnet)
    return found


def read(root: Path, case_id: str):
    return read_by_id(dataset(root), root, case_id)


def messages(root: Path) -> list[str]:
    return messages_of(dataset(root), root)


def test_version_1_is_read(root):
    content = {
        "name": "PROSTATE",
        "tensorImageSize": "4D",
        "modality": {"0": "T2", "1": "ADC"},
        "labels": {"0": "background", "1": "prostate", "2": "lesion"},
        "numTraining": 3,
        "numTest": 2,
        "training": [{"image": "./imagesTr/p_1.nii.gz", "label": "./labelsTr/p_1.nii.gz"}],
        "test": ["./imagesTs/p_4.nii.gz"],
    }
    version_2 = dataset(root).info
    (root / "dataset.json").write_text(json.dumps(content))
    assert dataset(root).info == version_2
    assert version_2.channels == ("t2", "adc")
    assert version_2.label_names == {1: "prostate", 2: "lesion"}
    assert messages(root) == []


def test_read_case(root):
    case = read(root, "p_1")
    for channel in (0, 1):
        np.testing.assert_array_equal(case.image[..., channel], scan(10 + channel))
    np.testing.assert_array_equal(case.label, label())
    assert (case.image.dtype, case.label.dtype) == (np.int16, np.uint8)
    assert case.spacing == pytest.approx((0.790569, 0.790569, 2.5))
    paths = [root / "imagesTr" / f"p_1_000{n}.nii.gz" for n in (0, 1)]
    assert case.sources == {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest()
        for p in [*paths, root / "labelsTr" / "p_1.nii.gz"]
    }


def test_test_cases_have_a_label_and_others_none(root):
    np.testing.assert_array_equal(read(root, "p_4").label, label())
    assert read(root, "p_5").label is None


@pytest.mark.parametrize("affine", [OBLIQUE, FLIPPED])
@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
def test_label_comes_back_where_it_was(root, tmp_path, affine, ending):
    for folder in ("imagesTr", "labelsTr"):
        for path in (root / folder).iterdir():
            write_volume(path, np.asarray(nib.load(path).dataobj), affine)
    case = read(root, "p_1")
    np.testing.assert_array_equal(case.affine, affine)
    path = tmp_path / "out" / f"p_1{ending}"
    dataset(root).write_label(case.label, case, path)
    written = nib.load(path)
    np.testing.assert_array_equal(written.affine, affine)
    np.testing.assert_array_equal(np.asarray(written.dataobj), label())


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("label_dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_types(root, dtype, label_dtype):
    for channel in (0, 1):
        write_volume(root / "imagesTr" / f"p_1_000{channel}.nii.gz", scan(channel, dtype))
    write_volume(root / "labelsTr" / "p_1.nii.gz", label(label_dtype))
    case = read(root, "p_1")
    assert (case.image.dtype, case.label.dtype) == (dtype, np.uint8)
    np.testing.assert_array_equal(case.image[..., 1], scan(1, dtype))
    np.testing.assert_array_equal(case.label, label())


def test_last_axis_of_one_voxel_counts_as_none(root):
    write_volume(root / "imagesTr" / "p_1_0001.nii.gz", scan(11)[..., np.newaxis])
    write_volume(root / "labelsTr" / "p_1.nii.gz", label()[..., np.newaxis])
    case = read(root, "p_1")
    assert case.image.shape == (*SHAPE, 2) and case.label.shape == SHAPE
    np.testing.assert_array_equal(case.image[..., 1], scan(11))


def test_regions(root):
    labels = {"background": 0, "prostate": [1, 2], "lesion": 2}
    write_json(root, labels=labels, regions_class_order=[1, 2])
    info = dataset(root).info
    assert (info.label_values, info.regions) == ((0, 1, 2), {"prostate": (1, 2)})
    assert info.label_names == {1: "label_1", 2: "lesion"}
    assert messages(root) == []
    np.testing.assert_array_equal(read(root, "p_1").label, label())


@pytest.mark.parametrize(("name", "foreground"), [("CT", "all"), ("T1", "nonzero")])
def test_record_and_back(root, name, foreground):
    write_json(root, channel_names={"0": name, "1": "PET"})
    assert dataset(root).info.foreground == foreground
    case = read(root, "p_1")
    record = decode_raw(encode_raw(case, foreground=foreground))
    whole = tuple((0, n) for n in SHAPE)
    inner = tuple((1, n - 1) for n in SHAPE)
    assert record.box == (whole if foreground == "all" else inner)
    np.testing.assert_array_equal(record.label, crop(label(), record.box))
    np.testing.assert_array_equal(record.affine, OBLIQUE)
    np.testing.assert_array_equal(uncrop(record.image, record.box, SHAPE), case.image)
    assert record.sources == case.sources


def replace(path: Path, change) -> None:
    """Replaces the voxels of a file, of which `change` gets a copy; the affine stays."""
    image = nib.load(path)
    write_volume(path, change(np.array(image.dataobj)), image.affine)


def set_first(value: float):
    def change(voxels: np.ndarray) -> np.ndarray:
        voxels = voxels.astype(np.float32)
        voxels[0, 0, 0] = value
        return voxels

    return change


DAMAGES = {  # the file -> what is done to it, the rule, the remedy
    "truncated": (
        "imagesTr/p_1_0000.nii.gz",
        lambda path: path.write_bytes(path.read_bytes()[:-30]),
        "p_1_0000.nii.gz is no complete NIfTI file: Compressed file ended before the"
        " end-of-stream marker was reached",
        "copy the file again, or leave the case out with data.exclude",
    ),
    "link to nowhere": (
        "labelsTr/p_1.nii.gz",
        lambda path: (path.unlink(), path.symlink_to("nowhere")),
        "p_1.nii.gz is no complete NIfTI file: [Errno 2] No such file or directory: '{path}'",
        "copy the file again, or leave the case out with data.exclude",
    ),
    "unequal shapes": (
        "imagesTr/p_1_0001.nii.gz",
        lambda path: replace(path, lambda v: v[:, :, 1:]),
        "all files of a case must have one shape, p_1_0001.nii.gz has (6, 7, 7) and"
        " p_1_0000.nii.gz has (6, 7, 8)",
        RESAMPLE,
    ),
    "unequal affines": (
        "labelsTr/p_1.nii.gz",
        lambda path: write_volume(path, label(), FLIPPED),
        "all files of a case must have one affine, p_1.nii.gz has [[-1.0, 0.0, 0.0, 0.0], [0.0,"
        " -2.0, 0.0, 0.0], [0.0, 0.0, -3.0, 0.0]] and p_1_0000.nii.gz has [[-0.75, 0.25, 0.0,"
        " 91.5], [0.25, 0.75, 0.0, -126.0], [0.0, 0.0, 2.5, -72.25]]",
        RESAMPLE,
    ),
    "two volumes in a file": (
        "imagesTr/p_1_0001.nii.gz",
        lambda path: replace(path, lambda v: np.stack([v, v], -1)),
        "a modality must have 3 axes, p_1_0001.nii.gz has shape (6, 7, 8, 2)",
        REPAIR,
    ),
    "unknown label value": (
        "labelsTr/p_1.nii.gz",
        lambda path: replace(path, set_first(3)),
        "label values must be among [0, 1, 2], p_1.nii.gz has [3.0]",
        REPAIR,
    ),
    "label value between two": (
        "labelsTr/p_1.nii.gz",
        lambda path: replace(path, set_first(0.5)),
        "label values must be among [0, 1, 2], p_1.nii.gz has [0.5]",
        REPAIR,
    ),
    "NaN": (
        "imagesTr/p_1_0001.nii.gz",
        lambda path: replace(path, set_first(np.nan)),
        "intensities must be finite, p_1_0001.nii.gz has 1 NaN or infinite of 336",
        REPAIR,
    ),
    "empty channel": (
        "imagesTr/p_1_0001.nii.gz",
        lambda path: replace(path, np.zeros_like),
        "an image must have voxels other than 0, p_1_0001.nii.gz has none of 336",
        REPAIR,
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told(root, damage):
    name, change, rule, remedy = DAMAGES[damage]
    path = root / name
    change(path)
    assert messages(root) == [f"p_1: {rule.format(path=path)} ({path}): {remedy}"]


def test_all_damages_are_told_together(root):
    (root / "imagesTr" / "p_1_0001.nii.gz").unlink()
    (root / "imagesTr" / "p_6.nii.gz").touch()
    replace(root / "labelsTr" / "p_2.nii.gz", set_first(9))
    replace(root / "imagesTr" / "p_2_0001.nii.gz", np.zeros_like)
    write_json(root, numTraining=7)
    assert [m.split(":")[0] for m in messages(root)] == [
        *("Dataset005_Prostate", "p_1", "p_2", "p_2", "p_6")
    ]


BAD_JSON = {
    "unknown file ending": (
        {"file_ending": ".nrrd"},
        "file_ending must be one of .nii.gz, .nii, .png, .bmp, .tif, .tiff, got '.nrrd'",
        "convert the files, volumes to .nii.gz, and correct file_ending",
    ),
    "file ending that is no text": (
        {"file_ending": [".nii.gz"]},
        "file_ending must be one of .nii.gz, .nii, .png, .bmp, .tif, .tiff, got ['.nii.gz']",
        "convert the files, volumes to .nii.gz, and correct file_ending",
    ),
    "3D TIFF": (
        {"file_ending": ".tif", "overwrite_image_reader_writer": "Tiff3DIO"},
        "TIFF files must hold photographs, overwrite_image_reader_writer is 'Tiff3DIO'",
        "convert the volumes to .nii.gz, and correct file_ending",
    ),
    "no numTraining": (
        {"numTraining": None},
        "numTraining must be the number of training cases, got None",
        "add it to dataset.json: a case that gets lost is noticed by it",
    ),
    "list of cases": (
        {"dataset": ["p_1"]},
        '"dataset" must map case ids to files, got a list',
        "correct or remove it in dataset.json",
    ),
    "label values with a gap": (
        {"labels": {"background": 0, "prostate": 1, "lesion": 3}},
        "label values must be consecutive numbers from 0 (nnU-Net's rule), got [0, 1, 3]",
        "renumber the labels in the label files and in dataset.json",
    ),
    "region of unnamed values with a gap": (
        {"labels": {"background": 0, "prostate": [1, 4]}},
        "label values must be consecutive numbers from 0 (nnU-Net's rule), got [0, 1, 4]",
        "renumber the labels in the label files and in dataset.json",
    ),
    "ignore label": (
        {"labels": {**LABELS, "ignore": 3}},
        'the label "ignore" (value 3) is not supported',
        "label those voxels as what they are in the label files, or as background, and remove"
        ' "ignore" from dataset.json; or leave the cases that have it out of the folder',
    ),
    "background other than 0": (
        {"labels": {"prostate": 0, "background": 1}},
        'labels must have "background" with value 0 and no other name for 0, got'
        " {'prostate': 0, 'background': 1}",
        'give 0 to "background" alone, in dataset.json and in the label files',
    ),
}


@pytest.mark.parametrize("kind", BAD_JSON)
def test_bad_dataset_json_is_told(root, kind):
    change, rule, remedy = BAD_JSON[kind]
    reader = dataset(root)
    write_json(root, **change)
    expected = [f"Dataset005_Prostate: {rule} ({root / 'dataset.json'}): {remedy}"]
    with pytest.raises(DataError) as error:
        dataset(root)
    assert [str(p) for p in error.value.problems] == expected
    assert [str(p) for p in reader.list_cases(root).problems] == expected


def test_all_that_is_wrong_with_dataset_json_is_told_together(root):
    write_json(root, numTraining="many", file_ending=".mha", labels={"background": 0, "a": 2})
    with pytest.raises(DataError) as error:
        dataset(root)
    words = [p.rule.split(" ")[0] for p in error.value.problems]
    assert words == ["file_ending", "label", "numTraining"]


def test_missing_root_is_told(root, tmp_path):
    (problem,) = dataset(root).list_cases(tmp_path / "missing").problems
    assert problem.rule.startswith("data.root must be a folder of the dataset")


@pytest.mark.parametrize("name", ["p_5_0000.nii.gz", "p_5_0001.nii.gz", "p_5"])
def test_read_image(root, name):
    case = get_reader(dataset(root).info).read_image(root / "imagesTs" / name)
    assert case.files.case_id == "p_5" and case.label is None
    assert [p.name for p in case.files.images] == ["p_5_0000.nii.gz", "p_5_0001.nii.gz"]
    np.testing.assert_array_equal(case.image[..., 1], scan(51))
    np.testing.assert_array_equal(case.affine, OBLIQUE)


@pytest.mark.realdata
def test_real_scans(real_data, tmp_path):
    """A case of BraTS, linked into nnU-Net's layout, is what the reader of BraTS reads."""
    (files,) = Brats().list_cases(real_data / "brats").cases
    root = tmp_path / "Dataset042_BraTS"
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    for channel, path in enumerate(files.images):
        (root / "imagesTr" / f"b_{channel:04d}.nii.gz").symlink_to(path)
    (root / "labelsTr" / "b.nii.gz").symlink_to(files.label)
    write_json(
        root,
        channel_names={str(n): name for n, name in enumerate(Brats().info.channels)},
        labels={"background": 0, "whole": [1, 2, 3, 4], "core": [1, 4], "enhancing": 4},
        numTraining=1,
    )
    assert dataset(root).list_cases(root).problems == ()
    case, expected = read(root, "b"), Brats().read_case(files)
    np.testing.assert_array_equal(case.image, expected.image)
    np.testing.assert_array_equal(case.label, expected.label)
    np.testing.assert_array_equal(case.affine, expected.affine)
    assert sorted(case.sources.values()) == sorted(expected.sources.values())
