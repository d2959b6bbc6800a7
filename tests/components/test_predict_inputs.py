"""Which cases a folder or a list holds, for prediction: names, files, and what is wrong."""

import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from beam_preprocess.datasets import get_reader
from beam_preprocess.datasets.brats import BRATS
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.synth import brats
from components.predict_inputs import find_inputs

NNUNET = replace(BRATS, name="nnunet", channels=("t1", "t2"))
FOLDERS = replace(DAGM, name="folders", label_suffixes=(".png",), quantised=False)


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("brats")
    brats.write_cohort(root, cases=3, seed=0, shape=(16, 18, 20))
    return root


def write_volume(path: Path) -> Path:
    voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), path)
    return path


def write_photograph(path: Path, first: int = 7) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(first, first + 20, dtype=np.uint8).reshape(4, 5)).save(path)
    return path


def names(dataset_info, source: Path) -> list[str]:
    return [case.name for case in find_inputs(get_reader(dataset_info), source).cases]


def test_folder_in_the_layout_of_the_dataset(scans):
    folders = sorted(p.name for p in scans.iterdir() if p.is_dir())
    found = find_inputs(get_reader(BRATS), scans)
    assert [case.name for case in found.cases] == folders and len(folders) == 3
    assert found.problems == ()
    case = found.cases[1].read()
    assert case.image.shape == (16, 18, 20, 4) and case.label is None
    assert found.cases[1].files == case.files.images


def test_labels_are_not_needed_and_not_looked_at(scans, tmp_path):
    root = shutil.copytree(scans, tmp_path / "cohort")
    first, second, _ = sorted(root.glob("**/*_seg.nii.gz"))
    first.unlink()
    second.write_bytes(b"torn")
    found = find_inputs(get_reader(BRATS), root)
    assert len(found.cases) == 3 and not found.problems
    assert all(case.read().label is None for case in found.cases)


def test_case_that_lacks_a_file_is_told_and_the_others_are_found(scans, tmp_path):
    root = shutil.copytree(scans, tmp_path / "cohort")
    missing = sorted(root.glob("**/*_flair.nii.gz"))[1]
    missing.unlink()
    found = find_inputs(get_reader(BRATS), root)
    assert len(found.cases) == 2 and [p.case_id for p in found.problems] == [missing.parent.name]
    assert missing.name in str(found.problems[0])


def test_folder_of_volumes_of_nnunet(tmp_path):
    """imagesTs alone: two channels are one case; names end where the channel begins."""
    for name in ("b_0000", "b_0001", "a_01_0001", "a_01_0000"):
        write_volume(tmp_path / f"{name}.nii.gz")
    (tmp_path / ".DS_Store").touch()
    (tmp_path / "notes.txt").touch()
    found = find_inputs(get_reader(NNUNET), tmp_path)
    assert [case.name for case in found.cases] == ["a_01", "b"]
    assert [p.name for p in found.cases[1].files] == ["b_0000.nii.gz", "b_0001.nii.gz"]
    assert found.cases[0].read().image.shape == (3, 4, 5, 2)


@pytest.mark.parametrize("info", [DAGM, FOLDERS], ids=["dagm", "folders"])
def test_folder_of_photographs(info, tmp_path):
    for name in ("b_0001.png", "a.v2.PNG", "c.bmp"):
        write_photograph(tmp_path / name)
    assert names(info, tmp_path) == ["a.v2", "b_0001", "c"]
    assert find_inputs(get_reader(info), tmp_path).cases[0].read().image.shape == (4, 5, 1)


def test_folder_without_cases(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match="input must hold cases of dataset 'dagm', none can be"):
        find_inputs(get_reader(DAGM), tmp_path)


def test_folder_of_another_dataset(tmp_path):
    """A volume beside the case folders is no case of BraTS: what is wrong with it is told."""
    write_volume(tmp_path / "scan.nii.gz")
    message = (
        r"none can be read in '.*' \(to predict one case, output must end in .nii.gz or .nii\)"
    )
    with pytest.raises(ValueError, match=message) as raised:
        find_inputs(get_reader(BRATS), tmp_path)
    assert "must lie in the folder of the case" in str(raised.value)


def test_list(tmp_path, monkeypatch):
    """Relative paths start from the current folder; blank lines and comments are left out."""
    monkeypatch.chdir(tmp_path)
    one, two = write_photograph(Path("x/one.png"), 1), write_photograph(tmp_path / "two.png", 2)
    file = tmp_path / "lists" / "cases.txt"
    file.parent.mkdir()
    file.write_bytes(f"\ufeff# of Monday\n{one}\n\n  {two}  \r\nx/missing.png\n".encode())
    found = find_inputs(get_reader(DAGM), file)
    assert [case.name for case in found.cases] == ["one", "two", "missing"]
    assert [case.read().image[0, 0, 0] for case in found.cases[:2]] == [1, 2]
    assert found.cases[0].source == str(tmp_path / "x" / "one.png")
    with pytest.raises(ValueError, match=r"^input must exist, got 'x/missing.png'$"):
        found.cases[2].read()


def test_list_of_case_folders(scans, tmp_path):
    folders = sorted(p for p in scans.iterdir() if p.is_dir())[:2]
    (tmp_path / "cases.txt").write_text("\n".join(map(str, folders)))
    found = find_inputs(get_reader(BRATS), tmp_path / "cases.txt")
    assert [case.name for case in found.cases] == [f.name for f in folders]
    assert found.cases[0].read().image.shape == (16, 18, 20, 4)
    assert [p.name for p in found.cases[0].files] == [
        f"{folders[0].name}_{modality}.nii.gz" for modality in ("t1", "t1ce", "t2", "flair")
    ]


def places(dataset_info, source: Path) -> list[tuple]:
    """What tells the cases apart, and whether their files have changed."""
    found = find_inputs(get_reader(dataset_info), source)
    return [(case.source, [p.name for p in case.files]) for case in found.cases]


def test_cases_of_a_list_are_those_of_the_folder(scans, tmp_path):
    folders = sorted(p for p in scans.iterdir() if p.is_dir())
    (tmp_path / "cases.txt").write_text("\n".join(map(str, folders)))
    assert places(BRATS, tmp_path / "cases.txt") == places(BRATS, scans)


def test_case_of_nnunet_is_the_same_by_any_channel_and_without_one(tmp_path):
    for name in ("a_0000", "a_0001"):
        write_volume(tmp_path / f"{name}.nii.gz")
    expected = places(NNUNET, tmp_path)
    assert expected == [(str(tmp_path / "a"), ["a_0000.nii.gz", "a_0001.nii.gz"])]
    for name in ("a_0000.nii.gz", "a_0001.nii.gz", "a"):
        (tmp_path / "cases.txt").write_text(f"{tmp_path / name}\n")
        assert places(NNUNET, tmp_path / "cases.txt") == expected


@pytest.mark.parametrize("content", [b"", b"\n# nothing\n  \n"])
def test_empty_list(content, tmp_path):
    (tmp_path / "cases.txt").write_bytes(content)
    with pytest.raises(ValueError, match="must name one per line, '.*cases.txt' names none"):
        find_inputs(get_reader(DAGM), tmp_path / "cases.txt")


def test_list_that_is_no_text(tmp_path):
    (tmp_path / "cases.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="must be text in UTF-8, '.*cases.txt' is not"):
        find_inputs(get_reader(DAGM), tmp_path / "cases.txt")


def test_two_cases_of_one_name(tmp_path):
    paths = [write_photograph(tmp_path / f / "a.png") for f in "xy"]
    (tmp_path / "cases.txt").write_text("\n".join(map(str, paths)))
    with pytest.raises(ValueError) as raised:
        find_inputs(get_reader(DAGM), tmp_path / "cases.txt")
    message = str(raised.value)
    assert message.startswith("cases must have different names")
    assert all(f"'{path}'" in message for path in paths) and "two folders" in message


def test_one_case_named_twice_in_a_list(tmp_path):
    path = write_photograph(tmp_path / "a.png")
    (tmp_path / "cases.txt").write_text(f"{path}\n{path}\n")
    with pytest.raises(ValueError, match="cases must have different names"):
        find_inputs(get_reader(DAGM), tmp_path / "cases.txt")
