"""dataset.json: both versions of it, what follows from it, and what is told of bad ones."""

import json
from pathlib import Path

import pytest

from beam_preprocess.case import DataError
from beam_preprocess.datasets.dataset_json import (
    Description,
    check_content,
    check_count,
    dataset_info,
    describe,
    feature_names,
    ignored_paths,
    load,
)

OLD = {"modality": {"0": "FLAIR", "1": "T1w"}, "labels": {"0": "background", "1": "edema"}}
NEW = {"channel_names": {"0": "FLAIR", "1": "T1w"}, "labels": {"background": 0, "edema": 1}}
REGIONS = {
    "background": 0,
    "whole_tumor": [1, 2, 3],
    "tumor_core": [3, 2],
    "enhancing": 3,
}


def described(**content) -> Description:
    return describe(Path("/d/task"), NEW | content)


def rules_of(content: dict) -> list[str]:
    problems = check_content(Path("/d/task/dataset.json"), content)
    assert {(p.case_id, p.path) for p in problems} <= {("task", "/d/task/dataset.json")}
    return [f"{p.rule}: {p.remedy}" for p in problems]


@pytest.mark.parametrize("content", [OLD, NEW, {**OLD, **NEW}])
def test_both_versions_say_the_same(content):
    assert rules_of(content) == []
    found = describe(Path("/d/task"), content)
    assert found.channels == ("FLAIR", "T1w")
    assert found.labels == {"background": (0,), "edema": (1,)}
    assert found.path == Path("/d/task/dataset.json")


def test_volumes():
    info = dataset_info(described(), name="nnunet", rank=3)
    assert (info.name, info.rank, info.task, info.quantised) == ("nnunet", 3, "regions", False)
    assert info.channels == ("flair", "t1w")
    assert (info.label_values, info.label_names, info.regions) == ((0, 1), {1: "edema"}, {})
    assert info.foreground == "nonzero"
    assert info.serving_dtypes == ("float32", "int16")
    assert info.label_suffixes == (".nii.gz", ".nii")
    assert info.limits.size == (1, 4096) and info.limits.spacing_mm == (0.05, 20)


def test_photographs():
    info = dataset_info(described(), name="nnunet", rank=2)
    assert (info.rank, info.foreground) == (2, "all")
    assert (info.serving_dtypes, info.label_suffixes) == (("float32", "uint8"), (".png",))
    assert info.limits.size == (16, 16384) and info.limits.spacing_mm == (1, 1)


@pytest.mark.parametrize(
    "name", ["CT", "ct", "noNorm", "rescale_to_0_1", "rescale_0_1", "rgb_to_0_1", "RGB_to_0_1"]
)
def test_zero_is_a_value_of_channels_named_so(name):
    info = dataset_info(described(channel_names={"0": "PET", "1": name}), name="n", rank=3)
    assert info.foreground == "all"


def test_regions():
    info = dataset_info(described(labels=REGIONS), name="nnunet", rank=3)
    assert info.label_values == (0, 1, 2, 3)
    assert info.label_names == {1: "label_1", 2: "label_2", 3: "enhancing"}
    assert info.regions == {"whole_tumor": (1, 2, 3), "tumor_core": (2, 3)}


def test_list_of_one_value_is_a_label():
    labels = {"background": 0, "whole": [1, 2], "core": [2]}
    info = dataset_info(described(labels=labels), name="nnunet", rank=3)
    assert info.label_names == {1: "label_1", 2: "core"} and info.regions == {"whole": (1, 2)}


def test_more_than_ten_channels_and_labels_keep_their_order():
    """Their keys are text, of which "10" comes before "2"."""
    numbers = sorted(map(str, range(12)))
    content = {
        "modality": {n: f"c{n}" for n in numbers},
        "labels": {n: "background" if n == "0" else f"l{n}" for n in numbers},
    }
    info = dataset_info(describe(Path("/d"), content), name="nnunet", rank=3)
    assert info.channels == tuple(f"c{n}" for n in range(12))
    assert info.label_values == tuple(range(12)) and info.label_names[10] == "l10"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["T2", "ADC"], ("t2", "adc")),
        (["CT", "CT", "ct"], ("ct", "ct_2", "ct_3")),
        (["ct_2", "CT", "CT"], ("ct_2", "ct", "ct_3")),
        (["T1 (post-Gd)", "µ", "?"], ("t1_post_gd", "channel", "channel_2")),
    ],
)
def test_feature_names(names, expected):
    assert feature_names(names) == expected


CHANNELS = 'number the channels from 0, as in {"0": "T2", "1": "ADC"}, in dataset.json'
LABELS = 'write labels as in {"background": 0, "liver": 1}, in dataset.json'
ZERO = 'give 0 to "background" alone, in dataset.json and in the label files'
BAD = {  # what is changed, the rule, the remedy
    "no channels": (
        {"channel_names": {}},
        "channel_names (or modality) must map channel numbers to names, got {}",
        CHANNELS,
    ),
    "channels as a list": (
        {"channel_names": ["T1"]},
        "channel_names (or modality) must map channel numbers to names, got ['T1']",
        CHANNELS,
    ),
    "channel left out": (
        {"channel_names": {"0": "T1", "2": "T2"}},
        "the channels of channel_names must be numbered 0 to 1, got ['0', '2']",
        CHANNELS,
    ),
    "channel without number": (
        {"channel_names": {"T1": "0"}},
        "the channels of channel_names must be numbered 0 to 0, got ['T1']",
        CHANNELS,
    ),
    "no labels": ({"labels": None}, "labels must map label names to values, got None", LABELS),
    "label that is no number": (
        {"labels": {"background": 0, "liver": 1.5}},
        "a label must be a number from 0 to 255 or a list of them, 'liver' is 1.5",
        LABELS,
    ),
    "label above 255": (
        {"labels": {"background": 0, "liver": 256}},
        "a label must be a number from 0 to 255 or a list of them, 'liver' is 256",
        LABELS,
    ),
    "empty region": (
        {"labels": {"background": 0, "liver": []}},
        "a label must be a number from 0 to 255 or a list of them, 'liver' is []",
        LABELS,
    ),
    "two values of one name": (
        {"labels": {"0": "background", "1": "liver", "2": "liver"}},
        "a label name must have one value, 'liver' has several",
        LABELS,
    ),
    "two names of one value": (
        {"labels": {"background": 0, "liver": 1, "tumour": 1}},
        "a label value must have one name, 1 has ['liver', 'tumour']",
        "remove all but one of the names from dataset.json",
    ),
    "no background": (
        {"labels": {"liver": 1}},
        'labels must have "background" with value 0 and no other name for 0, got {}',
        ZERO,
    ),
    "background other than 0": (
        {"labels": {"background": 1, "liver": 0}},
        'labels must have "background" with value 0 and no other name for 0, got'
        " {'background': 1, 'liver': 0}",
        ZERO,
    ),
    "background in a region": (
        {"labels": {"background": 0, "liver": [0, 1]}},
        'labels must have "background" with value 0 and no other name for 0, got'
        " {'background': 0, 'liver': [0, 1]}",
        ZERO,
    ),
    "background alone": (
        {"labels": {"background": 0}},
        "labels must have a label beside \"background\", got ['background']",
        "add the labels of the label files to dataset.json",
    ),
    "ignore label": (
        {"labels": {"background": 0, "liver": 1, "ignore": 2}},
        'the label "ignore" (value 2) is not supported',
        "label those voxels as what they are in the label files, or as background, and remove"
        ' "ignore" from dataset.json; or leave the cases that have it out of the folder',
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_content_is_told(kind):
    change, rule, remedy = BAD[kind]
    assert f"{rule}: {remedy}" in rules_of(NEW | change)


def test_bad_channels_and_labels_are_told_together():
    rules = rules_of({"modality": {"1": "T1"}, "labels": {"a": 1, "b": 1, "ignore": 2}})
    assert [r.split(" ")[1] for r in rules] == ["channels", "must", "label", "label"]


UNREADABLE = {
    "no JSON": ("{'labels'", "Expecting property name enclosed in double quotes"),
    "cut off": ('{"labels": {', "Expecting property name enclosed in double quotes"),
    "two equal keys": (
        '{"labels": {"ignore": 4, "ignore": 5}}',
        "an object has the key 'ignore' more than once",
    ),
    "no text": (b"\xff\xfe\x00", "'utf-8' codec can't decode byte 0xff in position 0"),
    "list": ("[]", "dataset.json must hold a JSON object, it holds a list"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_unreadable_file_is_told(kind, tmp_path):
    content, words = UNREADABLE[kind]
    path = tmp_path / "dataset.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as error:
        load(tmp_path)
    (problem,) = error.value.problems
    assert words in problem.rule
    assert (problem.case_id, problem.path) == (tmp_path.name, str(path))
    assert problem.remedy == "correct or restore the file"


def test_missing_file_is_told(tmp_path):
    with pytest.raises(DataError) as error:
        load(tmp_path)
    assert [str(p) for p in error.value.problems] == [
        f"{tmp_path.name}: data.root must be a folder that holds dataset.json, and it holds none"
        f" ({tmp_path / 'dataset.json'}): set data.root to the folder of one dataset"
    ]
    (tmp_path / "Dataset001_Liver").mkdir()
    (tmp_path / "Dataset001_Liver" / "dataset.json").write_text("{}")
    with pytest.raises(DataError, match="folder of one dataset, such as Dataset001_Liver in it"):
        load(tmp_path)
    with pytest.raises(DataError, match="must be a folder that holds dataset.json"):
        load(tmp_path / "missing")


def test_byte_order_mark_is_skipped(tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps(NEW), encoding="utf-8-sig")
    assert load(tmp_path) == NEW


def test_check_count():
    description = described(numTraining=3, numTest="2")
    assert check_count(description, "numTraining", found=3) == []
    assert check_count(description, "numTest", found=2) == []
    assert check_count(description, "numValidation", found=7) == []
    (problem,) = check_count(description, "numTraining", found=2)
    assert problem.severity == "error"
    assert str(problem) == (
        "task: numTraining must be the number of cases, dataset.json says 3 and there are 2"
        " (/d/task/dataset.json): correct numTraining in dataset.json, or restore the files that"
        " are missing"
    )


def test_ignored_paths(tmp_path):
    for name in ("imagesTr/._a.nii.gz", "imagesTr/a.nii.gz", "labelsTs/Thumbs.db", "imagesVal/b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in ("dataset.json", ".DS_Store", "splits_final.json"):
        (tmp_path / name).touch()
    assert [str(p.relative_to(tmp_path)) for p in ignored_paths(tmp_path)] == [
        *(".DS_Store", "imagesTr/._a.nii.gz", "imagesVal", "labelsTs/Thumbs.db"),
        "splits_final.json",
    ]
