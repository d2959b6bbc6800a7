"""What lies in the folders of DAGM and does not belong there."""

import shutil
from pathlib import Path

import pytest

from beam_preprocess.config import DataConfig
from beam_preprocess.datasets.dagm import DAGM, Dagm

REMEDY = "rename it, move it out of the dataset, or leave it out with data.exclude"
ROOT = "the root must hold folders Class1 to Class10 only"
CLASS = "a class must hold folders Train and Test, and a list of each, only"
PARTS = "a part must hold PNG images and the folder Label only"
LABEL = "a folder Label must hold PNG masks and Labels.txt only"


def config_of(root: Path, **values) -> DataConfig:
    return DataConfig(dataset="dagm", root=str(root), folds=2, **values)


def told_of(root: Path, **values) -> list[str]:
    listing = Dagm(DAGM, config_of(root, **values)).list_cases(root)
    return [str(p) for p in listing.problems]


FOLDERS = {  # a folder that belongs nowhere -> the rule
    "class2": ROOT,
    "CLASS3": ROOT,
    "Class11": ROOT,
    "Class0": ROOT,
    "Class02": ROOT,
    "Class 3": ROOT,
    "Class1 (copy)": ROOT,
    "Class_4": ROOT,
    "notes": ROOT,
    "Class1/test": CLASS,
    "Class1/TRAIN": CLASS,
    "Class1/Validation": CLASS,
    "Class1/Label": CLASS,
    "Class1/Train/label": PARTS,
    "Class1/Train/more": PARTS,
    "Class1/Train/Label/more": LABEL,
}
FILES = {
    "Class3.zip": ROOT,
    "0576.PNG": ROOT,
    "Class1/0576.PNG": CLASS,
    "Class1/Labels.txt": CLASS,
    "Class1/valid_list.csv": CLASS,
    "Class1/Test/0003.jpg": PARTS,
    "Class1/Test/Labels.txt": PARTS,
    "Class1/Test/Label/labels.csv": LABEL,
}


@pytest.mark.parametrize("name", [*FOLDERS, *FILES])
def test_what_belongs_nowhere_is_told(dagm_root, check_data, name):
    path = dagm_root / name
    path.mkdir() if name in FOLDERS else path.touch()
    rule = {**FOLDERS, **FILES}[name]
    case_id = name.replace("/", "_")
    assert check_data(config_of(dagm_root)).messages == [
        f"{case_id}: {rule}, found {path.name!r} ({path}): {REMEDY}"
    ]
    excluded = check_data(config_of(dagm_root, exclude={case_id: "no part of it"}))
    assert excluded.messages == [] and excluded.cohort.excluded == {case_id: "no part of it"}


def test_renamed_part_is_told_and_missed(dagm_root):
    folder = dagm_root / "Class2"
    (folder / "Train").rename(folder / "train")
    assert told_of(dagm_root) == [
        f"Class2: every class folder needs a part Train, found ['Test', 'train'] ({folder}/Train):"
        " restore the part, or leave the class out with data.classes",
        f"Class2_train: {CLASS}, found 'train' ({folder}/train): {REMEDY}",
    ]


def test_list_without_its_part_is_told(dagm_root):
    folder = dagm_root / "Class2"
    shutil.rmtree(folder / "Test")
    (folder / "test_list.csv").touch()
    assert told_of(dagm_root) == [
        f"Class2_test_list.csv: {CLASS}, found 'test_list.csv' ({folder}/test_list.csv): {REMEDY}"
    ]


def test_several_are_told_at_once(dagm_root):
    (dagm_root / "class3").mkdir()
    (dagm_root / "Class1" / "Train" / "0578.PNG").unlink()
    (dagm_root / "Class2" / "Test" / "notes.txt").touch()
    listing = Dagm().list_cases(dagm_root)
    assert sorted(p.case_id for p in listing.problems) == [
        "Class1_Train_0578",
        "Class2_Test_notes.txt",
        "class3",
    ]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("class2", False),
        ("Class11", False),
        ("notes", False),
        ("class1", True),
        ("Class 01", True),
        ("Class1 (copy)", True),
        ("Class2/test", False),
        ("Class1/test", True),
    ],
)
def test_selected_classes_are_what_matters(dagm_root, name, told):
    (dagm_root / name).mkdir()
    assert len(told_of(dagm_root, classes=(1,))) == told


@pytest.mark.parametrize(("name", "told"), [("Class2.zip", False), ("0576.PNG", True)])
def test_files_beside_selected_classes(dagm_root, name, told):
    (dagm_root / name).touch()
    assert len(told_of(dagm_root, classes=(1,))) == told


def test_selected_class_of_a_wrong_name_is_told_and_missed(dagm_root):
    (dagm_root / "Class2").rename(dagm_root / "class2")
    assert told_of(dagm_root, classes=(1, 2)) == [
        f"Class2: every class of data.classes needs a folder, found ['Class1']"
        f" ({dagm_root}/Class2): set data.root to the parent of the class folders, and data.classes"
        " to those that are there",
        f"class2: {ROOT}, found 'class2' ({dagm_root}/class2): {REMEDY}",
    ]


def test_class_folders_beside_raw_images_are_used(dagm_root):
    """Which of the two is meant is not for us to say."""
    (dagm_root / "raw_images" / "private").mkdir(parents=True)
    listing = Dagm().list_cases(dagm_root)
    assert len(listing.cases) == 20
    (problem,) = listing.problems
    assert problem.rule == f"{ROOT}, found 'raw_images'"


def test_files_that_the_config_names_may_lie_in_the_root(dagm_root):
    for name in ("cases.csv", "splits_final.json"):
        (dagm_root / name).touch()
    assert len(told_of(dagm_root)) == 2
    named = {"case_table": "cases.csv", "splits": "splits_final.json"}
    assert told_of(dagm_root, **{k: str(dagm_root / v) for k, v in named.items()}) == []


STRAYS = (
    *("Thumbs.db", "Class1/.DS_Store", "Class1/Train/Thumbs.db", "Class1/Train/._0576.PNG"),
    "Class2/Test/Label/desktop.ini",
)


def test_strays_are_ignored_and_counted(dagm_root):
    for name in STRAYS:
        (dagm_root / name).touch()
    (dagm_root / "__MACOSX").mkdir()
    listing = Dagm().list_cases(dagm_root)
    assert len(listing.cases) == 20 and listing.problems == ()
    names = sorted(str(p.relative_to(dagm_root)) for p in listing.ignored)
    assert names == sorted([*STRAYS, "__MACOSX"])
