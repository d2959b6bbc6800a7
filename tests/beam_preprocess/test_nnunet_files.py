"""Files of nnU-Net's raw format: which are listed as which case, and what is told of others.

Listing reads no voxel: the files are empty.
"""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from beam_preprocess.case import TEST, UNLABELLED, DatasetInfo
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets.nnunet import NnUnet
from beam_preprocess.datasets.nnunet_files import channel_faults, find_channels

UNLABELLED_REMEDY = (
    "add the label, set data.allow_unlabelled to take the case for prediction only, or leave the"
    " case out with data.exclude"
)


def write_json(root: Path, **changes) -> None:
    content = {
        "channel_names": {"0": "T2", "1": "ADC"},
        "labels": {"background": 0, "prostate": 1},
        "numTraining": 3,
        "file_ending": ".nii.gz",
    }
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.json").write_text(json.dumps(content | changes))


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.fixture
def root(tmp_path) -> Path:
    """Training cases p_1, p_2 and p_3, p_4 to test and p_5 to predict, of two channels."""
    root = tmp_path / "Dataset005_Prostate"
    write_json(root)
    for number, part in enumerate(("Tr", "Tr", "Tr", "Ts", "Ts"), 1):
        for channel in (0, 1):
            touch(root / f"images{part}" / f"p_{number}_{channel:04d}.nii.gz")
        if number < 5:
            touch(root / f"labels{part}" / f"p_{number}.nii.gz")
    return root


def listing(root: Path, **config):
    data = DataConfig(dataset="nnunet", root=str(root), **config)
    return NnUnet(NnUnet.describe(data), data).list_cases(root)


def messages(root: Path) -> list[str]:
    return [str(p) for p in listing(root).problems]


def info_of(root: Path) -> DatasetInfo:
    return NnUnet.describe(DataConfig(dataset="nnunet", root=str(root)))


def test_cases_are_listed_in_order_with_their_files(root):
    found = listing(root)
    assert (found.problems, found.ignored) == ((), ())
    assert [c.case_id for c in found.cases] == ["p_1", "p_2", "p_3", "p_4", "p_5"]
    assert [c.split for c in found.cases] == ["cv", "cv", "cv", TEST, UNLABELLED]
    case = found.cases[1]
    assert (case.group, case.stratum, case.index) == ("p_2", "none", 0)
    assert case.images == tuple(root / "imagesTr" / f"p_2_000{n}.nii.gz" for n in (0, 1))
    assert case.label == root / "labelsTr" / "p_2.nii.gz"
    assert found.cases[3].label == root / "labelsTs" / "p_4.nii.gz"
    assert found.cases[4].label is None


def test_case_ids_may_hold_numbers_of_four_digits(root):
    for name in ("imagesTs/a_0001_0000", "imagesTs/a_0001_0001", "imagesTs/a.b_0000"):
        touch(root / f"{name}.nii.gz")
    touch(root / "imagesTs" / "a.b_0001.nii.gz")
    found = listing(root)
    assert found.problems == ()
    assert [c.case_id for c in found.cases][:2] == ["a.b", "a_0001"]


def test_stray_files_are_ignored(root):
    for name in ("imagesTr/._p_1_0000.nii.gz", "labelsTr/.DS_Store", "imagesTs/Thumbs.db"):
        touch(root / name)
    touch(root / "splits_final.json")
    found = listing(root)
    assert found.problems == () and len(found.cases) == 5
    assert [p.name for p in found.ignored] == [
        *("._p_1_0000.nii.gz", "Thumbs.db", ".DS_Store", "splits_final.json")
    ]


def test_cases_without_label_are_taken_where_the_config_says_so(root):
    path = root / "labelsTr" / "p_2.nii.gz"
    path.unlink()
    assert messages(root) == [
        f"p_2: every training case needs a label, this one has none ({path}): {UNLABELLED_REMEDY}"
    ]
    assert [c.case_id for c in listing(root).cases] == ["p_1", "p_3", "p_4", "p_5"]
    found = listing(root, allow_unlabelled=True)
    assert found.problems == ()
    assert [c.split for c in found.cases] == ["cv", UNLABELLED, "cv", TEST, UNLABELLED]
    assert found.cases[1].label is None


RENAME = "rename or remove the file"
ONE_FILE = f"{RENAME}; images with all channels in one file have data.dataset decathlon"
ADD = "add the file, or leave the case out with data.exclude"
RENAME_LABEL = "add the images, or rename or remove the label"
DAMAGES = {  # what is done to which file, the case that is told, rule and remedy
    "missing channel": (
        *(Path.unlink, "imagesTr/p_1_0001.nii.gz", "p_1"),
        "every case needs a file of channel 1 (adc), p_1_0001.nii.gz is missing",
        ADD,
    ),
    "missing first channel of a test case": (
        *(Path.unlink, "imagesTs/p_5_0000.nii.gz", "p_5"),
        "every case needs a file of channel 0 (t2), p_5_0000.nii.gz is missing",
        ADD,
    ),
    "surplus channel": (
        *(touch, "imagesTr/p_1_0003.nii.gz", "p_1"),
        "dataset.json names 2 channels, p_1_0003.nii.gz is one more",
        "correct channel_names in dataset.json, or remove the file",
    ),
    "label without images": (
        *(touch, "labelsTr/p_9.nii.gz", "p_9"),
        "every label needs images, those of p_9.nii.gz are not in imagesTr",
        RENAME_LABEL,
    ),
    "label with a channel number": (
        *(touch, "labelsTr/p_1_0000.nii.gz", "p_1_0000"),
        "every label needs images, those of p_1_0000.nii.gz are not in imagesTr",
        RENAME_LABEL,
    ),
    "test label without images": (
        *(touch, "labelsTs/p_6.nii.gz", "p_6"),
        "every label needs images, those of p_6.nii.gz are not in imagesTs",
        RENAME_LABEL,
    ),
    "no channel number": (
        *(touch, "imagesTs/p_6.nii.gz", "p_6"),
        "files of imagesTs must be named as CASE_0000.nii.gz, found p_6.nii.gz",
        ONE_FILE,
    ),
    "channel number of three digits": (
        *(touch, "imagesTr/p_6_001.nii.gz", "p_6_001"),
        "files of imagesTr must be named as CASE_0000.nii.gz, found p_6_001.nii.gz",
        ONE_FILE,
    ),
    "no case id": (
        *(touch, "imagesTr/_0000.nii.gz", "_0000"),
        "files of imagesTr must be named as CASE_0000.nii.gz, found _0000.nii.gz",
        ONE_FILE,
    ),
    "image of another ending": (
        *(touch, "imagesTs/p_6_0000.nii", "p_6_0000.nii"),
        "files of imagesTs must be named as CASE_0000.nii.gz, found p_6_0000.nii",
        RENAME,
    ),
    "label of another ending": (
        *(touch, "labelsTr/p_1.txt", "p_1.txt"),
        "files of labelsTr must be named as CASE.nii.gz, found p_1.txt",
        RENAME,
    ),
    "folder": (
        *(Path.mkdir, "imagesTr/p_6", "p_6"),
        "files of imagesTr must be named as CASE_0000.nii.gz, found p_6",
        RENAME,
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told(root, damage):
    change, name, case_id, rule, remedy = DAMAGES[damage]
    change(root / name)
    assert messages(root) == [f"{case_id}: {rule} ({root / name}): {remedy}"]


def test_case_with_a_problem_is_not_listed(root):
    (root / "imagesTr" / "p_1_0001.nii.gz").unlink()
    (root / "imagesTs" / "p_5_0000.nii.gz").unlink()
    assert [c.case_id for c in listing(root).cases] == ["p_2", "p_3", "p_4"]


def test_lost_training_case_is_told(root):
    for path in (*(root / "imagesTr").glob("p_3_*"), root / "labelsTr" / "p_3.nii.gz"):
        path.unlink()
    assert messages(root) == [
        "Dataset005_Prostate: numTraining must be the number of cases, dataset.json says 3 and"
        f" there are 2 ({root / 'dataset.json'}): correct numTraining in dataset.json, or restore"
        " the files that are missing"
    ]
    assert len(listing(root).cases) == 4


def test_missing_folder_of_images_is_told(root):
    for path in (*(root / "imagesTr").iterdir(), *(root / "labelsTr").iterdir()):
        path.unlink()
    (root / "imagesTr").rmdir()
    (message,) = messages(root)
    assert "dataset.json says 3 and there are 0" in message


def test_case_in_training_and_test_is_told(root):
    for channel in (0, 1):
        touch(root / "imagesTs" / f"p_1_000{channel}.nii.gz")
    assert messages(root) == [
        "p_1: a case must be in imagesTr or in imagesTs, this one is in both"
        f" ({root / 'imagesTs' / 'p_1_0000.nii.gz'}): remove or rename the case in one of the two"
    ]
    assert [c.case_id for c in listing(root).cases] == ["p_2", "p_3", "p_4", "p_5"]


def write_entries(root: Path, elsewhere: Path, **changes) -> None:
    """Lists p_1 by paths from the root and p_2 by absolute ones with other names; p_3 is not."""
    for name in ("t2", "adc", "seg"):
        touch(elsewhere / f"{name}.nii.gz")
    near = {
        "images": ["imagesTr/p_1_0000.nii.gz", "imagesTr/p_1_0001.nii.gz"],
        "label": "labelsTr/p_1.nii.gz",
    }
    far = {
        "images": [str(elsewhere / "t2.nii.gz"), str(elsewhere / "adc.nii.gz")],
        "label": str(elsewhere / "seg.nii.gz"),
    }
    entries = {"p_2": far, "p_1": near} | changes
    write_json(root, numTraining=len(entries), dataset=entries)


def test_dataset_json_may_list_the_files(root, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    write_entries(root, elsewhere)
    found = listing(root)
    assert found.problems == ()
    assert [c.case_id for c in found.cases] == ["p_1", "p_2", "p_4", "p_5"]
    assert found.cases[0].label == root / "labelsTr" / "p_1.nii.gz"
    assert found.cases[1].images == (elsewhere / "t2.nii.gz", elsewhere / "adc.nii.gz")


ENTRIES = {
    "nothing": None,
    "one channel": {"images": ["imagesTr/p_1_0000.nii.gz"], "label": "labelsTr/p_1.nii.gz"},
    "three channels": {"images": ["a", "b", "c"], "label": "labelsTr/p_1.nii.gz"},
    "images that are no list": {"images": "imagesTr/p_1_0000.nii.gz"},
    "path that is no text": {"images": ["a", 1], "label": "labelsTr/p_1.nii.gz"},
    "label that is no text": {"images": ["a", "b"], "label": ["labelsTr/p_1.nii.gz"]},
}


@pytest.mark.parametrize("kind", ENTRIES)
def test_malformed_entry_is_told(root, tmp_path, kind):
    write_entries(root, tmp_path / "elsewhere", p_9=ENTRIES[kind])
    assert messages(root) == [
        'p_9: "dataset" must give every case "images", a path for each of 2 channels (t2, adc), and'
        f' the path "label", got {ENTRIES[kind]!r} ({root / "dataset.json"}): correct the entry in'
        " dataset.json, or leave the case out with data.exclude"
    ]


def test_listed_file_that_is_missing_is_told(root, tmp_path):
    write_entries(root, tmp_path / "elsewhere")
    paths = [tmp_path / "elsewhere" / f"{name}.nii.gz" for name in ("adc", "seg")]
    for path in paths:
        path.unlink()
    assert messages(root) == [
        f'p_2: "dataset" of dataset.json names {path.name}, which is missing ({path}): restore the'
        " file or correct its path in dataset.json, or leave the case out with data.exclude"
        for path in paths
    ]


def test_listed_case_without_label_is_told(root, tmp_path):
    images = ["imagesTr/p_3_0000.nii.gz", "imagesTr/p_3_0001.nii.gz"]
    write_entries(root, tmp_path / "elsewhere", p_3={"images": images})
    (message,) = messages(root)
    assert message.startswith("p_3: every training case needs a label, this one has none")
    found = listing(root, allow_unlabelled=True)
    assert [c.split for c in found.cases] == ["cv", "cv", UNLABELLED, TEST, UNLABELLED]


@pytest.mark.parametrize(
    ("rank", "numbers", "missing", "surplus"),
    [
        (3, {0, 1}, [], []),
        (3, {0}, [1], []),
        (3, {1, 2, 7}, [0], [2, 7]),
        (2, {0}, [], []),
        (2, {1}, [0], []),
        (2, {0, 1, 2}, [], [2]),
    ],
)
def test_channel_faults(root, rank, numbers, missing, surplus):
    assert channel_faults(numbers, replace(info_of(root), rank=rank)) == (missing, surplus)


@pytest.mark.parametrize("name", ["p_5_0000.nii.gz", "p_5_0001.nii.gz", "p_5"])
def test_find_channels(root, name):
    case_id, images = find_channels(root / "imagesTs" / name, info_of(root))
    assert case_id == "p_5"
    assert images == tuple(root / "imagesTs" / f"p_5_000{n}.nii.gz" for n in (0, 1))


NOT_FOUND = {  # files beside p_5's two, files that are missing -> the input, what is said of it
    "other case": ([], [], "p_9", "has no files: name one of the files"),
    "no channel number": ([], [], "p_5.nii.gz", "has no files: name one of the files"),
    "lacking channel": (
        *([], ["p_5_0000.nii.gz"], "p_5_0001.nii.gz"),
        "lacks p_5_0000.nii.gz: add the files",
    ),
    "surplus channel": (
        *(["p_5_0002.nii.gz"], [], "p_5_0000.nii.gz"),
        "has also p_5_0002.nii.gz: predict with a model of these channels, or remove the files",
    ),
    "two endings": (
        *(["p_5_0000.nii"], [], "p_5"),
        "has files of .nii.gz and .nii: name one of the files",
    ),
}


@pytest.mark.parametrize("kind", NOT_FOUND)
def test_files_that_are_no_case_are_told(root, kind):
    more, missing, name, words = NOT_FOUND[kind]
    for other in more:
        touch(root / "imagesTs" / other)
    for other in missing:
        (root / "imagesTs" / other).unlink()
    path = root / "imagesTs" / name
    with pytest.raises(ValueError, match=re.escape(f"{str(path)!r} {words}")):
        find_channels(path, info_of(root))
