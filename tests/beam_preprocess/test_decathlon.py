"""Medical Segmentation Decathlon: what is listed and read, and what is told of bad datasets."""

import hashlib
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from beam_preprocess.case import DataError
from beam_preprocess.config import DataConfig
from beam_preprocess.crop import uncrop
from beam_preprocess.datasets import get_dataset, get_reader
from beam_preprocess.datasets.decathlon import Decathlon
from beam_preprocess.records import decode_raw, encode_raw

from .whole_cohort import messages_of, read_by_id

SHAPE = (6, 7, 8)
OBLIQUE = np.array([[-1, 0.5, 0, 91.5], [0.5, 1, 0, -126], [0, 0, 2.5, -72.25], [0, 0, 0, 1]])
FLIPPED = np.diag([-1.0, -2.0, -3.0, 1.0])
FOUR = {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}
REPAIR = "repair the file, or leave the case out with data.exclude"
RESAMPLE = "resample or register the files of the case, or leave it out with data.exclude"


def write_volume(path: Path, voxels: np.ndarray, affine: np.ndarray = OBLIQUE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, affine), path)


def scan(seed: int, channels: int = 4, dtype=np.float32) -> np.ndarray:
    """Intensities with a border of zeros, [X, Y, Z, C]."""
    shape = [*(n - 2 for n in SHAPE), channels]
    inner = np.random.default_rng(seed).integers(1, 100, shape)
    return np.pad(inner, [(1, 1)] * 3 + [(0, 0)]).astype(dtype)


def label(dtype=np.uint8) -> np.ndarray:
    voxels = np.zeros(SHAPE, dtype)
    voxels[2:4, 2:4, 2:4] = 1
    voxels[3, 3, 3:5] = 3
    return voxels


def write_json(root: Path, **changes) -> None:
    content = {
        "name": "BRATS",
        "tensorImageSize": "4D",
        "modality": FOUR,
        "labels": {
            "0": "background",
            "1": "edema",
            "2": "non-enhancing tumor",
            "3": "enhancing tumour",
        },
        "numTraining": 2,
        "numTest": 1,
        "training": [
            {"image": f"./imagesTr/B_{n}.nii.gz", "label": f"./labelsTr/B_{n}.nii.gz"}
            for n in (2, 1)
        ],
        "test": ["./imagesTs/B_3.nii.gz"],
    }
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.json").write_text(json.dumps(content | changes))


@pytest.fixture
def root(tmp_path) -> Path:
    """Training cases B_1 and B_2 of four modalities, B_3 to predict."""
    root = tmp_path / "Task01_BrainTumour"
    write_json(root)
    for number, part in enumerate(("Tr", "Tr", "Ts"), 1):
        write_volume(root / f"images{part}" / f"B_{number}.nii.gz", scan(number))
        if part == "Tr":
            write_volume(root / "labelsTr" / f"B_{number}.nii.gz", label())
    return root


def dataset(root: Path) -> Decathlon:
    found = get_dataset(DataConfig(dataset="decathlon", root=str(root)))
    assert isinstance(found, Decathlon)
    return found


def read(root: Path, case_id: str):
    return read_by_id(dataset(root), root, case_id)


def messages(root: Path) -> list[str]:
    return messages_of(dataset(root), root)


def test_describe(root):
    info = dataset(root).info
    assert (info.name, info.rank, info.task) == ("decathlon", 3, "regions")
    assert info.channels == ("flair", "t1w", "t1gd", "t2w")
    assert info.label_values == (0, 1, 2, 3) and info.regions == {}
    assert info.label_names[3] == "enhancing tumour"
    assert info.foreground == "nonzero"


def test_read_case(root):
    case = read(root, "B_1")
    np.testing.assert_array_equal(case.image, scan(1))
    np.testing.assert_array_equal(case.label, label())
    assert (case.image.dtype, case.label.dtype) == (np.float32, np.uint8)
    assert case.spacing == pytest.approx((np.sqrt(1.25), np.sqrt(1.25), 2.5))
    assert case.sources == {
        f"{name}/B_1.nii.gz": hashlib.sha256((root / name / "B_1.nii.gz").read_bytes()).hexdigest()
        for name in ("imagesTr", "labelsTr")
    }


def test_image_lies_in_memory_channel_by_channel(root):
    """As `stack_channels` lays it out: all that follows walks through adjacent memory."""
    assert read(root, "B_1").image.flags.f_contiguous


@pytest.mark.parametrize("affine", [OBLIQUE, FLIPPED])
def test_label_comes_back_where_it_was(root, tmp_path, affine):
    write_volume(root / "imagesTr" / "B_1.nii.gz", scan(1), affine)
    write_volume(root / "labelsTr" / "B_1.nii.gz", label(), affine)
    case = read(root, "B_1")
    np.testing.assert_array_equal(case.affine, affine)
    dataset(root).write_label(case.label, case, tmp_path / "out.nii.gz")
    written = nib.load(tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(written.affine, affine)
    np.testing.assert_array_equal(np.asarray(written.dataobj), label())


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("label_dtype", [np.uint8, np.int16, np.float32])
def test_types(root, dtype, label_dtype):
    write_volume(root / "imagesTr" / "B_1.nii.gz", scan(1, dtype=dtype))
    write_volume(root / "labelsTr" / "B_1.nii.gz", label(label_dtype))
    case = read(root, "B_1")
    assert (case.image.dtype, case.label.dtype) == (dtype, np.uint8)
    np.testing.assert_array_equal(case.image, scan(1, dtype=dtype))
    np.testing.assert_array_equal(case.label, label())


@pytest.mark.parametrize("trailing", [False, True])
def test_one_modality(tmp_path, trailing):
    root = tmp_path / "Task09_Spleen"
    write_json(
        root,
        modality={"0": "CT"},
        labels={"0": "background", "1": "spleen", "2": "a", "3": "b"},
        training=[{"image": "./imagesTr/s_1.nii.gz", "label": "./labelsTr/s_1.nii.gz"}],
        test=[],
        numTraining=1,
        numTest=0,
    )
    voxels = scan(1, channels=1, dtype=np.int16) - 50
    write_volume(root / "imagesTr" / "s_1.nii.gz", voxels if trailing else voxels[..., 0])
    write_volume(root / "labelsTr" / "s_1.nii.gz", label())
    assert dataset(root).info.foreground == "all"
    case = read(root, "s_1")
    assert case.image.shape == (*SHAPE, 1)
    np.testing.assert_array_equal(case.image, voxels)


def test_record_and_back(root):
    reader = dataset(root)
    case = reader.read_case(reader.list_cases(root).cases[0])
    record = decode_raw(encode_raw(case, foreground=reader.info.foreground))
    assert record.box == tuple((1, n - 1) for n in SHAPE)
    np.testing.assert_array_equal(uncrop(record.label, record.box, SHAPE), label())
    np.testing.assert_array_equal(uncrop(record.image, record.box, SHAPE), scan(1))
    np.testing.assert_array_equal(record.affine, OBLIQUE)
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


def flatten(path: Path) -> None:
    """Gives a file an affine without a third axis."""
    image = nib.load(path)
    header = image.header.copy()
    header.set_sform(np.diag([1.0, 1.0, 0.0, 1.0]), code=1)
    nib.save(nib.Nifti1Image(np.array(image.dataobj), None, header), path)


DAMAGES = {  # the file -> what is done to it, the case, rule and remedy
    "no NIfTI": (
        "imagesTs/B_3.nii.gz",
        lambda path: path.write_text("<html>502 Bad Gateway</html>"),
        "B_3",
        "B_3.nii.gz is no complete NIfTI file: Not a gzipped file (b'<h')",
        "copy the file again, or leave the case out with data.exclude",
    ),
    "three channels": (
        "imagesTr/B_1.nii.gz",
        lambda path: replace(path, lambda v: v[..., :3]),
        "B_1",
        "an image must have 4 axes, the last with the 4 channels flair, t1w, t1gd, t2w,"
        " B_1.nii.gz has shape (6, 7, 8, 3)",
        REPAIR,
    ),
    "one channel": (
        "imagesTr/B_1.nii.gz",
        lambda path: replace(path, lambda v: v[..., 0]),
        "B_1",
        "an image must have 4 axes, the last with the 4 channels flair, t1w, t1gd, t2w,"
        " B_1.nii.gz has shape (6, 7, 8)",
        REPAIR,
    ),
    "label of channels": (
        "labelsTr/B_1.nii.gz",
        lambda path: replace(path, lambda v: np.stack([v, v], -1)),
        "B_1",
        "a modality must have 3 axes, B_1.nii.gz has shape (6, 7, 8, 2)",
        REPAIR,
    ),
    "unequal shapes": (
        "labelsTr/B_1.nii.gz",
        lambda path: replace(path, lambda v: v[:-1]),
        "B_1",
        "all files of a case must have one shape, B_1.nii.gz has (5, 7, 8) and B_1.nii.gz has"
        " (6, 7, 8)",
        RESAMPLE,
    ),
    "affine that cannot be inverted": (
        "imagesTs/B_3.nii.gz",
        flatten,
        "B_3",
        "an affine must be finite and invertible, B_3.nii.gz has [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0,"
        " 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]",
        REPAIR,
    ),
    "unknown label value": (
        "labelsTr/B_1.nii.gz",
        lambda path: replace(path, set_first(4)),
        "B_1",
        "label values must be among [0, 1, 2, 3], B_1.nii.gz has [4.0]",
        REPAIR,
    ),
    "infinite": (
        "imagesTr/B_1.nii.gz",
        lambda path: replace(path, set_first(np.inf)),
        "B_1",
        "intensities must be finite, B_1.nii.gz has 4 NaN or infinite of 1344",
        REPAIR,
    ),
    "empty image": (
        "imagesTr/B_1.nii.gz",
        lambda path: replace(path, np.zeros_like),
        "B_1",
        "an image must have voxels other than 0, B_1.nii.gz has none of 1344",
        REPAIR,
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told(root, damage):
    name, change, case_id, rule, remedy = DAMAGES[damage]
    change(root / name)
    assert messages(root) == [f"{case_id}: {rule} ({root / name}): {remedy}"]


def test_all_damages_are_told_together(root):
    replace(root / "imagesTr" / "B_1.nii.gz", lambda v: v[..., :2])
    replace(root / "labelsTr" / "B_1.nii.gz", set_first(9))
    (root / "labelsTr" / "B_2.nii.gz").unlink()
    (root / "imagesTs" / "B_8.nii.gz").touch()
    write_json(root, numTraining=3, numTest=4)
    assert [m.split(":")[0] for m in messages(root)] == [
        *("B_1", "B_1", "B_2", "B_8", "Task01_BrainTumour", "Task01_BrainTumour")
    ]


BAD_JSON = {
    "no training list": (
        {"training": []},
        '"training" must list the training cases, it is missing or empty',
        "correct or restore dataset.json; data in nnU-Net's format has data.dataset nnunet",
    ),
    "test that is no list": (
        {"test": {"B_3": "./imagesTs/B_3.nii.gz"}},
        '"test" must be a list of cases, got a dict',
        "correct or restore dataset.json",
    ),
    "no modality": (
        {"modality": {}},
        "channel_names (or modality) must map channel numbers to names, got {}",
        'number the channels from 0, as in {"0": "T2", "1": "ADC"}, in dataset.json',
    ),
    "no background": (
        {"labels": {"1": "liver"}},
        'labels must have "background" with value 0 and no other name for 0, got {}',
        'give 0 to "background" alone, in dataset.json and in the label files',
    ),
}


@pytest.mark.parametrize("kind", BAD_JSON)
def test_bad_dataset_json_is_told(root, kind):
    change, rule, remedy = BAD_JSON[kind]
    reader = dataset(root)
    write_json(root, **change)
    expected = [f"Task01_BrainTumour: {rule} ({root / 'dataset.json'}): {remedy}"]
    with pytest.raises(DataError) as error:
        dataset(root)
    assert [str(p) for p in error.value.problems] == expected
    assert [str(p) for p in reader.list_cases(root).problems] == expected


def test_label_values_may_have_gaps(root):
    """nnU-Net's rule; neither the challenge nor the records need it."""
    labels = {"0": "background", "1": "edema", "3": "enhancing tumour"}
    write_json(root, labels=labels)
    assert messages(root) == [] and dataset(root).info.label_values == (0, 1, 3)


def test_read_image(root):
    reader = get_reader(dataset(root).info)
    case = reader.read_image(root / "imagesTs" / "B_3.nii.gz")
    assert (case.files.case_id, case.label) == ("B_3", None)
    np.testing.assert_array_equal(case.image, scan(3))
    np.testing.assert_array_equal(case.affine, OBLIQUE)
    with pytest.raises(DataError, match="B_9.nii.gz is no complete NIfTI file"):
        reader.read_image(root / "imagesTs" / "B_9.nii.gz")
