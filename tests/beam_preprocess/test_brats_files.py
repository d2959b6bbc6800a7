"""Names of BraTS files until 2021 and from 2023 on, and what enhancing tumour is stored as."""

import gzip
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from beam_preprocess.case import canonical_label
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets import get_dataset, get_reader
from beam_preprocess.datasets.brats import BRATS, Brats, brats_info
from beam_preprocess.synth.brats import nifti_bytes

NEW_NAMES = {"t1": "t1n", "t1ce": "t1c", "t2": "t2w", "flair": "t2f", "seg": "seg"}
OTHER = "BraTS2021_00099"
LEAVE_OUT = "leave the case out with data.exclude"


def config_of(root: Path, **values) -> DataConfig:
    return DataConfig(dataset="brats", root=str(root), folds=2, **values)


def rename_as_2023(folder: Path, case_id: str) -> Path:
    """Gives a case folder the names and the label values of 2023."""
    renamed = folder.with_name(case_id)
    folder.rename(renamed)
    for path in renamed.iterdir():
        modality, end = re.fullmatch(rf"{folder.name}_(\w+)(\.nii.*)", path.name).groups()
        path.rename(renamed / f"{case_id}-{NEW_NAMES[modality]}{end}")
    seg = renamed / f"{case_id}-seg.nii.gz"
    label = np.array(nib.load(seg).dataobj)
    seg.write_bytes(nifti_bytes(np.where(label == 4, 3, label).astype(np.uint8)))
    return renamed


def new_id(number: int) -> str:
    return f"BraTS-GLI-{number:05d}-000"


@pytest.fixture
def root_2023(brats_root) -> Path:
    for number, folder in enumerate(sorted(brats_root.iterdir())):
        rename_as_2023(folder, new_id(number))
    return brats_root


def test_channels_of_2023_are_those_of_2021(brats_cohort, root_2023):
    before = Brats().list_cases(brats_cohort).cases[2]
    after = Brats().list_cases(root_2023).cases[2]
    assert (after.case_id, after.group) == ("BraTS-GLI-00002-000", "BraTS-GLI-00002")
    assert [p.name.split("-")[-1] for p in (*after.images, after.label)] == [
        f"{name}.nii.gz" for name in ("t1n", "t1c", "t2w", "t2f", "seg")
    ]
    old, new = Brats().read_case(before), Brats().read_case(after)
    np.testing.assert_array_equal(old.image, new.image)
    assert {*np.unique(old.label)} == {0, 1, 2, 4} and {*np.unique(new.label)} == {0, 1, 2, 3}
    np.testing.assert_array_equal(old.label == 4, new.label == 3)


def test_cohort_of_2023_has_enhancing_tumour_3(root_2023):
    info = get_dataset(config_of(root_2023)).info
    assert info.label_values == (0, 1, 2, 3)
    assert info.label_names == {1: "TumorCore", 2: "PeritumoralEdema", 3: "EnhancingTumor"}
    whole = (1, 2, 3)
    assert info.regions == {"ET": (3,), "TC": (1, 3), "WT": whole, "WholeTumor": whole}
    assert info.label_aliases == {4: 3}
    assert info.channels == ("t1", "t1ce", "t2", "flair")


def test_cohort_until_2021_has_enhancing_tumour_4(brats_cohort):
    info = get_dataset(config_of(brats_cohort)).info
    assert info == BRATS and info.label_values == (0, 1, 2, 4)
    assert info.label_names == {1: "TumorCore", 2: "PeritumoralEdema", 4: "EnhancingTumor"}
    whole = (1, 2, 4)
    assert info.regions == {"ET": (4,), "TC": (1, 4), "WT": whole, "WholeTumor": whole}
    assert info.label_aliases == {3: 4}


def test_mixed_cohort_has_4_and_labels_stay_as_they_are(brats_root, check_data):
    rename_as_2023(brats_root / "BraTS2021_00002", "BraTS-GLI-00002-000")
    dataset = get_dataset(config_of(brats_root))
    assert dataset.info == BRATS
    assert check_data(config_of(brats_root)).messages == []
    cases = {c.case_id: dataset.read_case(c) for c in dataset.list_cases(brats_root).cases}
    assert len(cases) == 6
    stored = cases["BraTS-GLI-00002-000"].label
    assert {*np.unique(stored)} == {0, 1, 2, 3}
    assert {*np.unique(canonical_label(stored, dataset.info))} == {0, 1, 2, 4}


def test_resection_cavity_is_no_enhancing_tumour(root_2023, check_data):
    """BraTS 2024 stores it as 4; where the config says that 4 is enhancing tumour, it is."""
    path = sorted(root_2023.glob("*/*-seg.nii.gz"))[0]
    label = nib.load(path)
    voxels = np.array(label.dataobj)
    nib.save(nib.Nifti1Image(np.where(voxels == 3, 4, voxels), label.affine), path)
    (message,) = check_data(config_of(root_2023)).messages
    assert message == (
        f"{path.parent.name}: enhancing tumour is 3 in cases named as from 2023 on, the label of"
        f" this one has 4 ({path}): relabel the resection cavity of BraTS 2024, or leave the case"
        " out with data.exclude; where 4 is enhancing tumour, set data.labels.EnhancingTumor to 4"
    )
    assert check_data(config_of(root_2023, labels={"EnhancingTumor": 4})).messages == []


def test_graded_folders_of_2023(root_2023):
    (root_2023 / "HGG").mkdir()
    for folder in list(root_2023.glob("BraTS*")):
        folder.rename(root_2023 / "HGG" / folder.name)
    assert get_dataset(config_of(root_2023)).info.label_values == (0, 1, 2, 3)


def test_folder_that_is_no_case_does_not_decide(root_2023):
    (root_2023 / "notes").mkdir()
    assert get_dataset(config_of(root_2023)).info.label_values == (0, 1, 2, 3)


@pytest.mark.parametrize("root", ["", "missing"])
def test_nothing_there_is_until_2021(tmp_path, monkeypatch, root_2023, root):
    """An empty root is not the working directory."""
    monkeypatch.chdir(root_2023)
    assert Brats.describe(DataConfig(dataset="brats", root=root)) == BRATS


def test_config_says_what_enhancing_tumour_is(brats_cohort, root_2023):
    three, four = ({"EnhancingTumor": value} for value in (3, 4))
    assert Brats.describe(config_of(brats_cohort, labels=three)) == brats_info(3)
    assert Brats.describe(config_of(root_2023, labels=four)) == brats_info(4) == BRATS


@pytest.mark.parametrize(
    "labels",
    [{"EnhancingTumor": 2}, {"ET": 4}, {"EnhancingTumor": 4, "TumorCore": 1}],
    ids=["other value", "other name", "one too many"],
)
def test_other_labels_are_refused(brats_cohort, labels):
    with pytest.raises(ValueError) as error:
        get_dataset(config_of(brats_cohort, labels=labels))
    assert str(error.value) == (
        "data.labels must be {'EnhancingTumor': 3}, {'EnhancingTumor': 4} or empty for dataset"
        f" 'brats', got {labels}"
    )


@pytest.mark.parametrize("seg", [True, False], ids=["with segmentation", "without"])
def test_read_image_of_2023(root_2023, seg):
    folder = root_2023 / new_id(2)
    expected = Brats().read_case(Brats().list_cases(root_2023).cases[2])
    if not seg:
        (folder / f"{folder.name}-seg.nii.gz").unlink()
    case = get_reader(brats_info(3)).read_image(folder)
    np.testing.assert_array_equal(case.image, expected.image)
    assert case.label is None and case.files.case_id == folder.name


def test_read_image_tells_what_a_folder_of_2023_lacks(root_2023):
    folder = root_2023 / new_id(2)
    (folder / f"{folder.name}-t1c.nii.gz").unlink()
    with pytest.raises(ValueError) as error:
        Brats().read_image(folder)
    assert str(error.value) == (
        f"a BraTS case folder must hold one file each of t1n, t1c, t2w, t2f, {str(folder)!r} lacks"
        f" {folder.name}-t1c.nii.gz (or has .nii and .nii.gz of it)"
    )


def test_missing_file_of_2023_is_told(root_2023, check_data):
    path = root_2023 / new_id(2) / f"{new_id(2)}-t2f.nii.gz"
    path.unlink()
    assert check_data(config_of(root_2023)).messages == [
        f"{new_id(2)}: every case needs one file of modality 't2f', found 0 ({path}): add the file,"
        f" or {LEAVE_OUT}"
    ]


def test_unpacked_files_of_2023_are_read(root_2023):
    for path in (root_2023 / new_id(2)).iterdir():
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    listing = Brats().list_cases(root_2023)
    assert listing.problems == () and listing.cases[2].label.name == f"{new_id(2)}-seg.nii"
    assert Brats().read_case(listing.cases[2]).image.shape[-1] == 4


def empty(folder: Path) -> None:
    """Leaves notes, which are no file of a case."""
    (folder / "notes.txt").touch()


def of_another_case(folder: Path) -> None:
    for path in (folder.parent / "BraTS2021_00002").iterdir():
        shutil.copy(path, folder)


def of_another_case_2023(folder: Path) -> None:
    for name in NEW_NAMES.values():
        (folder / f"{new_id(7)}-{name}.nii.gz").touch()


def of_both_namings(folder: Path) -> None:
    for name in ("_t1", "_t1ce", "_t2", "_flair", "-seg"):
        (folder / f"{OTHER}{name}.nii.gz").touch()


def of_another_dataset(folder: Path) -> None:
    (folder / "lesion.nii.gz").touch()


def of_folders(folder: Path) -> None:
    (folder / "BraTS2021_00100").mkdir()


NO_CASE = (
    "a folder in the root must be a case, this one holds no file of a BraTS case",
    "remove it from the root, leave it out with data.exclude, or set data.root to it if it holds"
    " the case folders",
)
FOLDERS = {
    "empty": (empty, *NO_CASE),
    "other volumes": (of_another_dataset, *NO_CASE),
    "folders": (of_folders, *NO_CASE),
    "named after another case": (
        of_another_case,
        "the files of a case must be named after its folder, found BraTS2021_00002_flair.nii.gz,"
        " BraTS2021_00002_seg.nii.gz, BraTS2021_00002_t1.nii.gz and 2 more",
        "rename the folder or its files, or leave it out with data.exclude",
    ),
    "named after another case of 2023": (
        of_another_case_2023,
        "the files of a case must be named after its folder, found"
        " BraTS-GLI-00007-000-seg.nii.gz, BraTS-GLI-00007-000-t1c.nii.gz,"
        " BraTS-GLI-00007-000-t1n.nii.gz and 2 more",
        "rename the folder or its files, or leave it out with data.exclude",
    ),
    "both namings": (
        of_both_namings,
        f"the files of a case must follow one naming, found {OTHER}_flair.nii.gz,"
        f" {OTHER}_t1.nii.gz, {OTHER}_t1ce.nii.gz and 1 more beside {OTHER}-seg.nii.gz",
        f"remove or rename the files of one naming, or {LEAVE_OUT}",
    ),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_folder_that_is_no_case_is_one_problem(brats_root, check_data, kind):
    fill, rule, remedy = FOLDERS[kind]
    folder = brats_root / OTHER
    folder.mkdir()
    fill(folder)
    assert check_data(config_of(brats_root)).messages == [f"{OTHER}: {rule} ({folder}): {remedy}"]
    excluded = check_data(config_of(brats_root, exclude={OTHER: "no case"}))
    assert excluded.messages == [] and excluded.cohort.excluded == {OTHER: "no case"}


def test_file_that_may_be_the_missing_one_is_named(brats_root, check_data):
    """Case 355 of BraTS 2020 came with such a segmentation."""
    folder = brats_root / "BraTS2021_00002"
    seg = folder / "BraTS2021_00002_seg.nii.gz"
    seg.rename(folder / "W39_1998.09.19_Segm.nii.gz")
    (folder / "._W39_1998.09.19_Segm.nii.gz").touch()
    assert check_data(config_of(brats_root)).messages == [
        f"BraTS2021_00002: every case needs one file of modality 'seg', found 0 ({seg}): add the"
        " file, or rename W39_1998.09.19_Segm.nii.gz, or take the case for prediction only with"
        f" data.allow_unlabelled, or {LEAVE_OUT}"
    ]


def test_unreadable_folder_is_told(brats_root, check_data, monkeypatch):
    folder, iterdir = brats_root / "BraTS2021_00002", Path.iterdir

    def refuse(self):
        if self == folder:
            raise PermissionError(13, "Permission denied", str(self))
        return iterdir(self)

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert check_data(config_of(brats_root)).messages == [
        f"BraTS2021_00002: a case folder must be readable: [Errno 13] Permission denied:"
        f" '{folder}' ({folder}): repair the file, or {LEAVE_OUT}"
    ]
