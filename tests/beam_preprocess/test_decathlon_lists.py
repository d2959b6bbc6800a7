"""Lists of the Decathlon's dataset.json: which cases there are, and what is told of bad lists.

Listing reads no voxel: the files are empty.
"""

import json
from pathlib import Path

import pytest

from beam_preprocess.case import TEST, UNLABELLED
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets.decathlon import Decathlon

CORRECT = "correct the entries in dataset.json, or leave the case out with data.exclude"


def pair(number: int) -> dict[str, str]:
    return {k: f"./{k}sTr/B_{number}.nii.gz" for k in ("image", "label")}


def write_json(root: Path, **changes) -> None:
    content = {
        "modality": {"0": "FLAIR", "1": "T1w"},
        "labels": {"0": "background", "1": "edema"},
        "numTraining": 2,
        "numTest": 1,
        "training": [pair(2), pair(1)],
        "test": ["./imagesTs/B_3.nii.gz"],
    }
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.json").write_text(json.dumps(content | changes))


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.fixture
def root(tmp_path) -> Path:
    """Training cases B_1 and B_2, B_3 to predict."""
    root = tmp_path / "Task01_BrainTumour"
    write_json(root)
    for path in ("imagesTr/B_1", "labelsTr/B_1", "imagesTr/B_2", "labelsTr/B_2", "imagesTs/B_3"):
        touch(root / f"{path}.nii.gz")
    return root


def listing(root: Path, **config):
    data = DataConfig(dataset="decathlon", root=str(root), **config)
    return Decathlon(Decathlon.describe(data), data).list_cases(root)


def messages(root: Path) -> list[str]:
    return [str(p) for p in listing(root).problems]


def test_cases_are_listed_in_order_with_their_files(root):
    found = listing(root)
    assert (found.problems, found.ignored) == ((), ())
    assert [c.case_id for c in found.cases] == ["B_1", "B_2", "B_3"]
    assert [c.split for c in found.cases] == ["cv", "cv", UNLABELLED]
    case = found.cases[0]
    assert (case.group, case.stratum, case.index) == ("B_1", "none", 0)
    assert case.images == (root / "imagesTr" / "B_1.nii.gz",)
    assert case.label == root / "labelsTr" / "B_1.nii.gz"
    assert found.cases[2].label is None


def test_label_of_another_name(root):
    """The list says which label it is, not the name."""
    (root / "labelsTr" / "B_1.nii.gz").rename(root / "labelsTr" / "one.nii.gz")
    write_json(root, training=[pair(1) | {"label": "labelsTr/one.nii.gz"}, pair(2)])
    found = listing(root)
    assert found.problems == ()
    assert found.cases[0].label == root / "labelsTr" / "one.nii.gz"


def test_test_cases_may_have_labels(root):
    touch(root / "labelsTs" / "B_3.nii.gz")
    entry = {"image": "./imagesTs/B_3.nii.gz", "label": "./labelsTs/B_3.nii.gz"}
    write_json(root, test=[entry])
    found = listing(root)
    assert found.problems == () and found.cases[2].split == TEST
    assert found.cases[2].label == root / "labelsTs" / "B_3.nii.gz"


def test_cases_without_label_are_taken_where_the_config_says_so(root):
    (root / "labelsTr" / "B_2.nii.gz").unlink()
    write_json(root, training=[pair(1), {"image": "./imagesTr/B_2.nii.gz"}])
    assert messages(root) == [
        'B_2: every entry of "training" needs a label, this one has none'
        f' ({root / "dataset.json"}): add "label", set data.allow_unlabelled to take the case for'
        " prediction only, or leave the case out with data.exclude"
    ]
    found = listing(root, allow_unlabelled=True)
    assert found.problems == ()
    assert [c.split for c in found.cases] == ["cv", UNLABELLED, UNLABELLED]
    assert found.cases[1].label is None


def test_stray_files_are_ignored(root):
    """The archives of the challenge hold a `._` file for every file."""
    for folder in ("imagesTr", "labelsTr", "imagesTs"):
        touch(root / folder / "._B_1.nii.gz")
    touch(root / "._dataset.json")
    found = listing(root)
    assert found.problems == () and len(found.cases) == 3
    assert [p.name for p in found.ignored] == ["._dataset.json", *["._B_1.nii.gz"] * 3]


def lost(key: str) -> str:
    return (
        f"restore the file, or remove the entry and correct {key}, or leave the case out with"
        " data.exclude"
    )


ADD = "add the file to dataset.json, or remove it"
DAMAGES = {  # what is done to which file, the case, rule and remedy
    "missing image": (
        *(Path.unlink, "imagesTr/B_1.nii.gz", "B_1"),
        '"training" of dataset.json lists B_1.nii.gz, which is missing',
        lost("numTraining"),
    ),
    "missing label": (
        *(Path.unlink, "labelsTr/B_1.nii.gz", "B_1"),
        '"training" of dataset.json lists B_1.nii.gz, which is missing',
        lost("numTraining"),
    ),
    "missing test image": (
        *(Path.unlink, "imagesTs/B_3.nii.gz", "B_3"),
        '"test" of dataset.json lists B_3.nii.gz, which is missing',
        lost("numTest"),
    ),
    "image without entry": (
        *(touch, "imagesTr/B_9.nii.gz", "B_9"),
        "files of imagesTr must be in a list of dataset.json, B_9.nii.gz is not",
        ADD,
    ),
    "label without entry": (
        *(touch, "labelsTs/B_3.nii.gz", "B_3"),
        "files of labelsTs must be in a list of dataset.json, B_3.nii.gz is not",
        ADD,
    ),
    "other file": (
        *(touch, "imagesTr/notes.txt", "notes.txt"),
        "files of imagesTr must be in a list of dataset.json, notes.txt is not",
        ADD,
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told(root, damage):
    change, name, case_id, rule, remedy = DAMAGES[damage]
    change(root / name)
    assert messages(root) == [f"{case_id}: {rule} ({root / name}): {remedy}"]
    assert case_id not in {c.case_id for c in listing(root).cases}


@pytest.mark.parametrize(("key", "there"), [("numTraining", 2), ("numTest", 1)])
def test_wrong_count_is_told(root, key, there):
    write_json(root, **{key: 484})
    assert messages(root) == [
        f"Task01_BrainTumour: {key} must be the number of cases, dataset.json says 484 and there"
        f" are {there} ({root / 'dataset.json'}): correct {key} in dataset.json, or restore the"
        " files that are missing"
    ]
    assert len(listing(root).cases) == 3


def test_counts_may_be_left_out(root):
    content = json.loads((root / "dataset.json").read_text())
    del content["numTraining"], content["numTest"]
    (root / "dataset.json").write_text(json.dumps(content))
    assert messages(root) == []


def test_case_listed_twice_is_told(root):
    write_json(root, test=["./imagesTs/B_3.nii.gz", "./imagesTr/B_1.nii.gz"], numTest=2)
    assert messages(root) == [
        f"B_1: a case must be listed once, this one is listed 2 times ({root / name}): {CORRECT}"
        for name in ("imagesTr/B_1.nii.gz", "labelsTr/B_1.nii.gz")
    ]
    assert [c.case_id for c in listing(root).cases] == ["B_2", "B_3"]


def test_label_listed_for_two_cases_is_told(root):
    (root / "labelsTr" / "B_2.nii.gz").unlink()
    write_json(root, training=[pair(1), pair(2) | {"label": pair(1)["label"]}])
    path = root / "labelsTr" / "B_1.nii.gz"
    assert messages(root) == [
        f"{case_id}: a label must be that of one case, B_1.nii.gz is listed for several ({path}):"
        f" {CORRECT}"
        for case_id in ("B_1", "B_2")
    ]


@pytest.mark.parametrize(
    "entry", [{"label": "./labelsTr/B_1.nii.gz"}, ["a", "b"], {"image": "a", "label": 1}, "", None]
)
def test_malformed_entry_is_told(root, entry):
    write_json(root, training=[pair(1), pair(2), entry], numTraining=3)
    assert messages(root) == [
        'Task01_BrainTumour: every entry of "training" must name "image" and "label", got'
        f" {entry!r} ({root / 'dataset.json'}): correct or remove the entry in dataset.json"
    ]


def test_format_of_nnunet_is_recognised(root):
    for path in (root / "imagesTr").iterdir():
        path.rename(path.with_name(path.name.replace(".nii", "_0000.nii")))
    missing = [m for m in messages(root) if "which is missing" in m]
    hint = "; a file per channel is nnU-Net's format: data.dataset nnunet"
    assert len(missing) == 2 and all(m.endswith(hint) for m in missing)
