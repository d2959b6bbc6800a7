"""BraTS folders: what is listed and read, and what is told of damaged cases."""

import hashlib
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from beam_preprocess.case import UNLABELLED, DataError
from beam_preprocess.config import DataConfig
from beam_preprocess.crop import crop, uncrop
from beam_preprocess.datasets.brats import BRATS, Brats, patient_of
from beam_preprocess.records import decode_raw, encode_raw
from beam_preprocess.synth import brats

CASE = "BraTS2021_00002"
SHAPE = (16, 18, 20)
REPAIR = "repair the file, or leave the case out with data.exclude"
COPY = "copy the file again, or leave the case out with data.exclude"
RESAMPLE = "resample or register the files of the case, or leave it out with data.exclude"


def file(root: Path, modality: str, case_id: str = CASE) -> Path:
    return root / case_id / f"{case_id}_{modality}.nii.gz"


def edit(path: Path, change) -> None:
    """Replaces the voxels of a file, of which `change` gets a copy; header and affine stay."""
    image = nib.load(path)
    voxels = change(np.array(image.dataobj))
    nib.save(nib.Nifti1Image(voxels, image.affine), path)


def move(path: Path, *, mm: float) -> None:
    image = nib.load(path)
    affine = image.affine.copy()
    affine[0, 3] += mm
    nib.save(nib.Nifti1Image(np.array(image.dataobj), affine), path)


def with_nan(voxels: np.ndarray) -> np.ndarray:
    voxels = voxels.astype(np.float32)
    voxels[8, 9, 10:12] = np.nan
    return voxels


def with_seven(label: np.ndarray) -> np.ndarray:
    label[0, 0, 0] = 7
    return label


def with_one_and_a_half(label: np.ndarray) -> np.ndarray:
    """As an interpolation leaves it behind."""
    label = label.astype(np.float32)
    label[0, 0, 0] = 1.5
    return label


def with_three(label: np.ndarray) -> np.ndarray:
    assert (label == 4).any()
    label[0, 0, 0] = 3
    return label


def unpack_beside(path: Path) -> None:
    nib.save(nib.load(path), path.with_suffix(""))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


DAMAGES = {
    "missing modality": (
        Path.unlink,
        "t2",
        "every case needs one file of modality 't2', found 0",
        "add the file, or leave the case out with data.exclude",
    ),
    "missing segmentation": (
        Path.unlink,
        "seg",
        "every case needs one file of modality 'seg', found 0",
        "add the file, or take the case for prediction only with data.allow_unlabelled, or leave"
        " the case out with data.exclude",
    ),
    "two files of a modality": (
        unpack_beside,
        "t1",
        "every case needs one file of modality 't1', found 2",
        "remove one of .nii and .nii.gz, or leave the case out with data.exclude",
    ),
    "truncated": (
        truncate,
        "t1ce",
        f"{CASE}_t1ce.nii.gz is no complete NIfTI file: Compressed file ended before the"
        " end-of-stream marker was reached",
        COPY,
    ),
    "empty file": (
        lambda path: path.write_bytes(b""),
        "flair",
        f"{CASE}_flair.nii.gz is no complete NIfTI file: Binary block is wrong size",
        COPY,
    ),
    "no NIfTI": (
        lambda path: path.write_text("<html>502 Bad Gateway</html>"),
        "t1",
        f"{CASE}_t1.nii.gz is no complete NIfTI file: Not a gzipped file (b'<h')",
        COPY,
    ),
    "unequal shapes": (
        lambda path: edit(path, lambda v: v[:, :, :-1]),
        "t2",
        f"all files of a case must have one shape, {CASE}_t2.nii.gz has (16, 18, 19) and"
        f" {CASE}_t1.nii.gz has (16, 18, 20)",
        RESAMPLE,
    ),
    "unequal affines": (
        lambda path: move(path, mm=0.5),
        "seg",
        f"all files of a case must have one affine, {CASE}_seg.nii.gz has [[-1.0, 0.0, 0.0, 0.5],"
        f" [0.0, -1.0, 0.0, 17.0], [0.0, 0.0, 1.0, 0.0]] and {CASE}_t1.nii.gz has"
        " [[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 17.0], [0.0, 0.0, 1.0, 0.0]]",
        RESAMPLE,
    ),
    "four axes": (
        lambda path: edit(path, lambda v: np.stack([v, v], axis=-1)),
        "flair",
        f"a modality must have 3 axes, {CASE}_flair.nii.gz has shape (16, 18, 20, 2)",
        REPAIR,
    ),
    "label 7": (
        lambda path: edit(path, with_seven),
        "seg",
        f"label values must be among [0, 1, 2, 4, 3], {CASE}_seg.nii.gz has [7]",
        REPAIR,
    ),
    "label 1.5": (
        lambda path: edit(path, with_one_and_a_half),
        "seg",
        f"label values must be among [0, 1, 2, 4, 3], {CASE}_seg.nii.gz has [1.5]",
        REPAIR,
    ),
    "labels 3 and 4": (
        lambda path: edit(path, with_three),
        "seg",
        "enhancing tumour must be stored as 3 or as 4, the label of the case has both",
        "relabel what is no enhancing tumour (in BraTS 2024 value 4 is the resection cavity), or"
        " leave the case out with data.exclude",
    ),
    "NaN voxels": (
        lambda path: edit(path, with_nan),
        "t1ce",
        f"intensities must be finite, {CASE}_t1ce.nii.gz has 2 NaN or infinite of 5760",
        REPAIR,
    ),
    "all zero": (
        lambda path: edit(path, np.zeros_like),
        "flair",
        f"an image must have voxels other than 0, {CASE}_flair.nii.gz has none of 5760",
        REPAIR,
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told(brats_root, check_data, damage):
    change, modality, rule, remedy = DAMAGES[damage]
    path = file(brats_root, modality)
    change(path)
    checked = check_data(DataConfig(dataset="brats", root=str(brats_root), folds=2))
    assert checked.messages == [f"{CASE}: {rule} ({path}): {remedy}"]
    assert checked.cohort.listed == 6


def test_unreadable_file_is_told(brats_root, check_data, monkeypatch):
    path, read_bytes = file(brats_root, "t1"), Path.read_bytes

    def refuse(self):
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return read_bytes(self)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    checked = check_data(DataConfig(dataset="brats", root=str(brats_root), folds=2))
    assert checked.messages == [
        f"{CASE}: {path.name} is no complete NIfTI file: [Errno 13] Permission denied: '{path}'"
        f" ({path}): {COPY}"
    ]


def test_all_problems_of_a_case_at_once(brats_root):
    edit(file(brats_root, "t1"), np.zeros_like)
    edit(file(brats_root, "seg"), with_seven)
    move(file(brats_root, "t2"), mm=-3)
    truncate(file(brats_root, "flair"))
    files = next(c for c in Brats().list_cases(brats_root).cases if c.case_id == CASE)
    with pytest.raises(DataError) as error:
        Brats().read_case(files)
    paths = [Path(p.path).name.removeprefix(f"{CASE}_") for p in error.value.problems]
    assert sorted(paths) == ["flair.nii.gz", "seg.nii.gz", "t1.nii.gz", "t2.nii.gz"]


@pytest.mark.parametrize("folder", [".", "HGG"])
def test_file_beside_the_case_folders_is_told(tmp_path, folder):
    brats.write_cohort(tmp_path, cases=2, seed=0, shape=(16, 16, 16), graded=True)
    path = tmp_path / folder / "BraTS2021_00009_t1.nii.gz"
    path.touch()
    (tmp_path / "HGG" / "Thumbs.db").touch()
    listing = Brats().list_cases(tmp_path)
    assert [str(p) for p in listing.problems] == [
        f"{path.name}: a file of a case must lie in the folder of the case, this one lies beside it"
        f" ({path}): move it to its case folder or out of the root, or leave it out with"
        " data.exclude"
    ]
    assert listing.ignored == (tmp_path / "HGG" / "Thumbs.db",)


def test_case_without_segmentation_is_for_prediction_where_that_is_allowed(brats_root):
    file(brats_root, "seg").unlink()
    config = DataConfig(dataset="brats", root=str(brats_root), allow_unlabelled=True)
    listing = Brats(BRATS, config).list_cases(brats_root)
    assert [c.split for c in listing.cases] == ["cv", "cv", UNLABELLED, "cv", "cv", "cv"]
    files = listing.cases[2]
    assert (files.case_id, files.label, listing.problems) == (CASE, None, ())
    case = Brats(BRATS, config).read_case(files)
    assert case.label is None and case.image.shape == (*SHAPE, 4)


def test_two_segmentations_are_told_where_none_is_needed(brats_root):
    unpack_beside(file(brats_root, "seg"))
    config = DataConfig(dataset="brats", root=str(brats_root), allow_unlabelled=True)
    (problem,) = Brats(BRATS, config).list_cases(brats_root).problems
    assert problem.rule == "every case needs one file of modality 'seg', found 2"


def test_cases_are_listed_in_order_with_their_files(brats_cohort):
    listing = Brats().list_cases(brats_cohort)
    assert [c.case_id for c in listing.cases] == [f"BraTS2021_{n:05d}" for n in range(6)]
    case = listing.cases[2]
    assert (case.group, case.stratum, case.split) == (CASE, "none", "cv")
    assert case.images == tuple(file(brats_cohort, m) for m in ("t1", "t1ce", "t2", "flair"))
    assert case.label == file(brats_cohort, "seg")


def test_graded_folders_are_strata(tmp_path):
    brats.write_cohort(tmp_path, cases=6, seed=0, shape=(16, 16, 16), graded=True)
    listing = Brats().list_cases(tmp_path)
    assert [c.stratum for c in listing.cases] == ["HGG", "LGG", "HGG", "HGG", "HGG", "LGG"]
    assert listing.problems == ()


def test_case_in_both_grades_is_told(tmp_path, check_data):
    brats.write_cohort(tmp_path / "in", cases=6, seed=0, shape=(16, 16, 16), graded=True)
    root = tmp_path / "in"
    shutil.copytree(root / "HGG" / CASE, root / "LGG" / CASE)
    checked = check_data(DataConfig(dataset="brats", root=str(root), folds=2))
    assert checked.messages == [
        f"{CASE}: a case id must be unique, found 2 folders of that name ({root / grade / CASE}):"
        " remove or rename one of the folders"
        for grade in ("HGG", "LGG")
    ]


def test_stray_files_and_folders_are_ignored(brats_root, check_data):
    for name in ("Thumbs.db", ".DS_Store", "survival_info.csv"):
        (brats_root / name).touch()
    (brats_root / ".ipynb_checkpoints").mkdir()
    (brats_root / CASE / "notes.txt").touch()
    checked = check_data(DataConfig(dataset="brats", root=str(brats_root), folds=2))
    assert checked.messages == []
    assert (checked.cohort.listed, checked.cohort.ignored) == (6, 4)


@pytest.mark.parametrize(
    ("case_id", "patient"),
    [
        ("BraTS2021_00006", "BraTS2021_00006"),
        ("BraTS-GLI-00006-001", "BraTS-GLI-00006"),
        ("BraTS-MEN-01234-000", "BraTS-MEN-01234"),
        ("Brats17_TCIA_105_1", "Brats17_TCIA_105"),
        ("Brats18_2013_10_1", "Brats18_2013_10"),
        ("BraTS19_2013_10_1", "BraTS19_2013_10_1"),
        ("BraTS20_Training_001", "BraTS20_Training_001"),
        ("anything", "anything"),
    ],
)
def test_patient_of(case_id, patient):
    assert patient_of(case_id) == patient


def test_time_points_of_a_patient_are_one_group(tmp_path):
    for case_id in ("BraTS-GLI-00006-000", "BraTS-GLI-00006-001", "BraTS-GLI-00007-000"):
        for modality in ("t1", "t1ce", "t2", "flair", "seg"):
            path = file(tmp_path, modality, case_id)
            path.parent.mkdir(exist_ok=True)
            path.touch()
    groups = [c.group for c in Brats().list_cases(tmp_path).cases]
    assert groups == ["BraTS-GLI-00006", "BraTS-GLI-00006", "BraTS-GLI-00007"]


def test_read_case(brats_cohort, brats_case):
    folder = brats_cohort / "BraTS2021_00000"
    for channel, name in enumerate(("t1", "t1ce", "t2", "flair")):
        voxels = np.asarray(nib.load(folder / f"BraTS2021_00000_{name}.nii.gz").dataobj)
        np.testing.assert_array_equal(brats_case.image[..., channel], voxels)
    label = np.asarray(nib.load(folder / "BraTS2021_00000_seg.nii.gz").dataobj)
    np.testing.assert_array_equal(brats_case.label, label)
    assert (brats_case.image.dtype, brats_case.label.dtype) == (np.int16, np.uint8)
    assert brats_case.spacing == (1, 1, 1)
    assert brats_case.sources == {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()
    }


def test_unpacked_float_and_mixed_files_are_read(brats_root):
    """Kaggle has .nii; labels come as float; a float modality makes the image float."""
    unpack_beside(file(brats_root, "t1"))
    file(brats_root, "t1").unlink()
    edit(file(brats_root, "t2"), lambda v: v.astype(np.float32) / 2)
    edit(file(brats_root, "seg"), lambda v: v.astype(np.float32))
    files = next(c for c in Brats().list_cases(brats_root).cases if c.case_id == CASE)
    case = Brats().read_case(files)
    assert case.files.images[0].name == f"{CASE}_t1.nii"
    assert (case.image.dtype, case.label.dtype) == (np.float32, np.uint8)
    assert set(np.unique(case.label)) == {0, 1, 2, 4} and (case.image % 1 == 0.5).any()


def test_read_image_needs_no_segmentation(brats_root):
    file(brats_root, "seg").unlink()
    case = Brats().read_image(brats_root / CASE)
    assert case.label is None and case.image.shape == (*SHAPE, 4)
    assert (case.files.case_id, case.files.split) == (CASE, UNLABELLED)


def test_read_image_tells_what_is_wrong(brats_root):
    with pytest.raises(ValueError, match="input must be a BraTS case folder, got .*: name the"):
        Brats().read_image(file(brats_root, "t1"))
    file(brats_root, "t2").unlink()
    with pytest.raises(ValueError, match=rf"'{brats_root / CASE}' lacks {CASE}_t2.nii.gz"):
        Brats().read_image(brats_root / CASE)
    shutil.copy(file(brats_root, "t1"), file(brats_root, "t2"))
    truncate(file(brats_root, "t1"))
    with pytest.raises(DataError, match=f"{CASE}_t1.nii.gz is no complete NIfTI file"):
        Brats().read_image(brats_root / CASE)


@pytest.mark.parametrize("suffix", BRATS.label_suffixes)
def test_written_label_lies_where_the_case_lies(brats_case, tmp_path, suffix):
    path = tmp_path / "new" / f"prediction{suffix}"
    Brats().write_label(brats_case.label, brats_case, path)
    written = nib.load(path)
    np.testing.assert_array_equal(np.asarray(written.dataobj), brats_case.label)
    np.testing.assert_array_equal(written.affine, brats_case.affine)


@pytest.mark.realdata
def test_real_case(real_data):
    (files,) = Brats().list_cases(real_data / "brats").cases
    case = Brats().read_case(files)
    assert case.files.case_id == "BraTS2021_00006"
    assert case.image.shape == (240, 240, 155, 4) and case.image.dtype == np.int16
    assert case.label.dtype == np.uint8 and set(np.unique(case.label)) == {0, 1, 2, 4}
    assert case.spacing == (1, 1, 1)
    expected = [[-1, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_array_equal(case.affine, expected)

    record = decode_raw(encode_raw(case, foreground="nonzero"))
    np.testing.assert_array_equal(record.image, crop(case.image, record.box))
    np.testing.assert_array_equal(record.label, crop(case.label, record.box))
    np.testing.assert_array_equal(record.affine, case.affine)
    assert record.image.size < 0.5 * case.image.size and record.sources == case.sources
    full = uncrop(record.image, record.box, record.full_shape)
    np.testing.assert_array_equal(full, case.image)
    full_label = uncrop(record.label, record.box, record.full_shape)
    np.testing.assert_array_equal(full_label, case.label)
