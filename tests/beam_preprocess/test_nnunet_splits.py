"""nnU-Net's splits_final.json: written as it does, read as it is, and all that can be wrong."""

import json
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_preprocess.case import CaseFiles
from beam_preprocess.cohort import Cohort, list_cohort
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets import get_dataset
from beam_preprocess.folds import assign_folds
from beam_preprocess.nnunet_splits import check_given_folds, read_splits, write_splits

CORRECT = "correct the file, or leave data.splits out"
IDS = [f"BraTS2021_{n:05d}" for n in range(6)]


def case(case_id, group=None, split="cv"):
    return CaseFiles(
        case_id=case_id, group=group or case_id, stratum="s", images=(), label=None, split=split
    )


def content_of(*val: list[str]) -> list[dict[str, list[str]]]:
    """What nnU-Net writes for folds of these cases."""
    everyone = sorted(c for ids in val for c in ids)
    return [{"train": [c for c in everyone if c not in ids], "val": ids} for ids in val]


def save(path: Path, content) -> Path:
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return path


def config_of(path, root="/data", **values) -> DataConfig:
    values = {"dataset": "brats", "root": str(root), "folds": 2, "splits": str(path)} | values
    return DataConfig(**values)


def cohort_of(config: DataConfig) -> Cohort:
    return list_cohort(get_dataset(config), config)


def members(cohort: Cohort) -> dict[str, list[str]]:
    return {name: [c.case_id for c in cases] for name, cases in cohort.splits.items()}


def in_words(problems) -> list[str]:
    return [str(p) for p in problems]


def test_written_as_nnunet_does(tmp_path):
    """Fold i of the file is fold-i, 10 comes after 9, and what is in no fold is left out."""
    splits = {f"fold-{n}": (case(f"c{n:02d}"),) for n in (0, 1, 10, *range(2, 10))}
    splits |= {"test": (case("t", split="test"),), "unlabelled": (case("u", split="unlabelled"),)}
    path = tmp_path / "new" / "splits_final.json"
    write_splits(splits, path)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content == content_of(*([f"c{n:02d}"] for n in range(11)))
    assert [list(fold) for fold in content] == [["train", "val"]] * 11
    assert content[10]["val"] == ["c10"] and content[10]["train"][:2] == ["c00", "c01"]


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    ids=st.sets(st.text('aZ09_-. "\\ä本', min_size=1, max_size=4), min_size=2, max_size=20),
    seed=st.integers(0, 1000),
    data=st.data(),
)
def test_read_is_what_was_written(tmp_path_factory, ids, seed, data):
    """Any ids, as many folds as there may be."""
    folds = data.draw(st.integers(2, len(ids)))
    assigned = assign_folds([case(i) for i in ids], folds=folds, seed=seed)
    splits = defaultdict(list)
    for case_id, fold in assigned.items():
        splits[f"fold-{fold}"].append(case(case_id))
    path = tmp_path_factory.getbasetemp() / "splits_final.json"
    write_splits(splits, path)
    assert read_splits(path) == (assigned, [])


def test_byte_order_mark(tmp_path):
    path = tmp_path / "s.json"
    path.write_text(json.dumps(content_of(["a"], ["b"])), encoding="utf-8-sig")
    assert read_splits(path) == ({"a": 0, "b": 1}, [])


def test_missing_file(tmp_path):
    path = tmp_path / "s.json"
    given_folds, (problem,) = read_splits(path)
    assert given_folds == {}
    assert str(problem) == (
        "cohort: data.splits must be a list of folds with train and val, it is not: [Errno 2] No"
        f" such file or directory: '{path}' ({path}): {CORRECT}"
    )


OTHER_CONTENT = {
    "no JSON": ("fold 1: a, b", "Expecting value: line 1 column 1 (char 0)"),
    "empty": ("", "Expecting value: line 1 column 1 (char 0)"),
    "an object": ({"train": ["a"], "val": ["b"]}, "it holds {'train': ['a'], 'val': ['b']}"),
    "a number": ("5", "it holds 5"),
    "null": ("null", "it holds None"),
    "no fold": ("[]", "it holds []"),
    "folds of lists": ([["a"], ["b"]], "train of fold 0 is no list of ids, or empty"),
    "no train": ([{"val": ["a"]}], "train of fold 0 is no list of ids, or empty"),
    "no val": ([*content_of(["a"], ["b"]), {"train": ["a"]}], "val of fold 2 is no list of ids"),
    "val of one text": (
        [{"train": ["a"], "val": "b"}],
        "val of fold 0 is no list of ids, or empty",
    ),
    "ids that are numbers": (content_of([1], [2]), "train of fold 0 is no list of ids, or empty"),
    "ids that are lists": ([{"train": ["a"], "val": [["b"]]}], "val of fold 0 is no list of ids"),
    "an empty fold": (content_of(["a"], [], ["b"]), "val of fold 1 is no list of ids, or empty"),
}


@pytest.mark.parametrize("name", OTHER_CONTENT)
def test_other_content(tmp_path, name):
    content, words = OTHER_CONTENT[name]
    path = save(tmp_path / "s.json", content)
    given_folds, (problem,) = read_splits(path)
    start = "data.splits must be a list of folds with train and val, it is not: "
    assert problem.rule.startswith(start + words)
    assert given_folds == {} and (problem.path, problem.remedy) == (str(path), CORRECT)


def test_content_that_is_no_text(tmp_path):
    """A pickle, as nnU-Net 1 wrote it: the message does not hold the file."""
    path = tmp_path / "splits_final.pkl"
    path.write_bytes(b"\x80\x04\x95" + bytes(10_000))
    (problem,) = read_splits(path)[1]
    assert "can't decode byte 0x80 in position 0" in problem.rule and len(problem.rule) < 200


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (content_of(["a", "b"], ["b", "c"]), "b"),
        (content_of(["a", "a"], ["b"]), "a"),
        (content_of([*"gfedcbax"], [*"abcdefgy"]), "a, b, c, d, e and 2 more"),
    ],
    ids=["two folds", "one fold twice", "many"],
)
def test_case_that_is_held_out_twice(tmp_path, content, named):
    path = save(tmp_path / "s.json", content)
    given_folds, (problem,) = read_splits(path)
    assert given_folds == {}
    assert str(problem) == (
        f"cohort: every case must be in val once, more often are {named} ({path}): {CORRECT}"
    )


@pytest.mark.parametrize(
    ("train", "named"),
    [
        (["a"], "c"),
        (["a", "c", "b"], "b"),
        (["a", "c", "x"], "x"),
        (["x", "y", "z", "q", "b"], "a, b, c, q, x and 2 more"),
    ],
    ids=["one lacks", "trained on what is held out", "held out nowhere", "many"],
)
def test_train_that_is_not_the_rest(tmp_path, train, named):
    content = content_of(["a"], ["b"], ["c"])
    content[1]["train"] = train
    path = save(tmp_path / "s.json", content)
    given_folds, (problem,) = read_splits(path)
    assert given_folds == {}
    assert str(problem) == (
        "cohort: train of fold 1 must be all cases of the other folds' val, different are"
        f" {named} ({path}): {CORRECT}"
    )


def check(val, cases, unusable=frozenset(), **values) -> list[str]:
    given_folds = {case_id: fold for fold, ids in enumerate(val) for case_id in ids}
    config = config_of("/s.json", **values)
    return in_words(check_given_folds(given_folds, cases, config=config, unusable=unusable))


def test_folds_of_the_cohort():
    assert check([["a", "b"], ["c"]], [case("a"), case("b"), case("c")]) == []


@pytest.mark.parametrize(("folds", "found"), [(5, 2), (2, 3)])
def test_another_number_of_folds(folds, found):
    ids = ["a", "b", "c"][:found]
    assert check([[i] for i in ids], [case(i) for i in ids], folds=folds) == [
        f"cohort: data.splits must have data.folds = {folds} folds, it has {found} (/s.json):"
        f" set data.folds to {found}"
    ]


def test_case_in_no_fold():
    assert check([["a"], ["b"]], [case("a"), case("b"), case("d"), case("c")]) == [
        "cohort: every case must be in a fold of data.splits, in none are c, d (/s.json):"
        " add them, or use data.exclude"
    ]


SURPLUS = f"data.splits must name cases of cross-validation, no such are c (/s.json): {CORRECT}"


def test_case_that_is_not_there():
    assert check([["a", "c"], ["b"]], [case("a"), case("b")]) == [f"cohort: {SURPLUS}"]


def test_excluded_case_may_be_in_a_fold():
    cases = [case("a"), case("b")]
    assert check([["a", "c"], ["b"]], cases, exclude={"c": "motion"}) == []


def test_case_to_be_repaired_may_be_in_a_fold():
    """It is told for what it lacks: that it is not in the folder would be wrong."""
    assert check([["a", "c"], ["b"]], [case("a"), case("b")], unusable={"c"}) == []


def test_fold_of_excluded_cases_only():
    """It would be a fold without a case: nothing to score."""
    exclude = {"b": "motion", "c": "motion"}
    assert check([["a"], ["b", "c"], ["d"]], [case("a"), case("d")], folds=3, exclude=exclude) == [
        "cohort: every fold of data.splits must keep a case, all of fold 1 are in data.exclude"
        f" (/s.json): {CORRECT}"
    ]


def test_lacking_and_surplus_cases_are_told_together():
    assert [m.partition(",")[0] for m in check([["a"], ["c"]], [case("a"), case("b")])] == [
        "cohort: every case must be in a fold of data.splits",
        "cohort: data.splits must name cases of cross-validation",
    ]


def test_patients_in_two_folds():
    cases = [case("a", "p"), case("b", "p"), case("c", "q"), case("d", "q"), case("e", "r")]
    assert check([["a", "c"], ["b"], ["d", "e"]], cases, folds=3) == [
        f"cohort: all cases of a patient must be in one fold, {words} (/s.json): {CORRECT}"
        for words in ("p is in [0, 1]", "q is in [0, 2]")
    ]


def test_folds_of_a_cohort_are_those_of_the_file(brats_cohort, tmp_path):
    """Two folds of other sizes than ours."""
    val = [IDS[4:5], [*IDS[:4], IDS[5]]]
    cohort = cohort_of(config_of(save(tmp_path / "s.json", content_of(*val)), brats_cohort))
    assert members(cohort) == {"fold-0": val[0], "fold-1": val[1]}
    assert cohort.problems == ()


def test_our_folds_are_read_back(brats_cohort, tmp_path):
    dealt = cohort_of(config_of("", brats_cohort, folds=4))
    write_splits(dealt.splits, tmp_path / "s.json")
    given_back = cohort_of(config_of(tmp_path / "s.json", brats_cohort, folds=4, fold_seed=9))
    assert given_back == dealt and len(dealt.splits) == 4


def test_excluded_cases_of_a_cohort_need_no_fold(brats_cohort, tmp_path):
    path = save(tmp_path / "s.json", content_of(IDS[1:3], IDS[3:]))
    exclude = {IDS[0]: "motion", IDS[3]: "motion"}
    cohort = cohort_of(config_of(path, brats_cohort, exclude=exclude))
    assert members(cohort) == {"fold-0": IDS[1:3], "fold-1": IDS[4:]}
    assert (cohort.problems, cohort.excluded) == ((), exclude)


def test_unlabelled_cases_of_a_cohort_need_no_fold(brats_root, tmp_path):
    next(brats_root.rglob(f"{IDS[0]}_seg.nii.gz")).unlink()
    path = save(tmp_path / "s.json", content_of(IDS[1:3], IDS[3:]))
    cohort = cohort_of(config_of(path, brats_root, allow_unlabelled=True))
    assert members(cohort) == {"fold-0": IDS[1:3], "fold-1": IDS[3:], "unlabelled": IDS[:1]}
    assert cohort.problems == ()


def test_unlabelled_case_cannot_be_in_a_fold(brats_root, tmp_path):
    next(brats_root.rglob(f"{IDS[0]}_seg.nii.gz")).unlink()
    path = save(tmp_path / "s.json", content_of(IDS[:3], IDS[3:]))
    cohort = cohort_of(config_of(path, brats_root, allow_unlabelled=True))
    assert in_words(cohort.problems) == [
        f"cohort: data.splits must name cases of cross-validation, no such are {IDS[0]} ({path}):"
        f" {CORRECT}"
    ]


def test_test_images_of_a_cohort_need_no_fold(dagm_cohort, tmp_path):
    ids = [f"Class1_Train_{n:04d}" for n in range(576, 584)]
    path = save(tmp_path / "s.json", content_of(ids[:2], ids[2:]))
    cohort = cohort_of(config_of(path, dagm_cohort, dataset="dagm", classes=(1,)))
    tests = ["Class1_Test_0001", "Class1_Test_0002"]
    assert members(cohort) == {"fold-0": ids[:2], "fold-1": ids[2:], "test": tests}
    assert cohort.problems == ()


def test_damaged_case_of_a_cohort_is_told_once(brats_root, tmp_path):
    next(brats_root.rglob(f"{IDS[2]}_t1.nii.gz")).unlink()
    path = save(tmp_path / "s.json", content_of(IDS[:3], IDS[3:]))
    (problem,) = cohort_of(config_of(path, brats_root)).problems
    assert problem.case_id == IDS[2] and "modality 't1', found 0" in problem.rule


def test_wrong_file_puts_no_case_into_a_fold(brats_cohort, tmp_path):
    """The cases are kept, to be checked all the same."""
    path = save(tmp_path / "s.json", content_of(IDS[:3], IDS[3:5]))
    cohort = cohort_of(config_of(path, brats_cohort))
    assert members(cohort) == {"cv": IDS}
    assert [p.rule for p in cohort.problems] == [
        f"every case must be in a fold of data.splits, in none are {IDS[5]}"
    ]


def test_missing_folder_says_nothing_of_folds(tmp_path):
    path = save(tmp_path / "s.json", content_of(IDS[:3], IDS[3:]))
    (problem,) = cohort_of(config_of(path, tmp_path / "missing")).problems
    assert problem.rule.startswith("data.root must be a folder of the dataset")


def test_time_points_of_a_patient_in_two_folds(tmp_path):
    """The names of BraTS tell the patient, of which nnU-Net knows nothing."""
    ids = ["BraTS-GLI-00006-000", "BraTS-GLI-00006-001"]
    for case_id in ids:
        for name in ("t1n", "t1c", "t2w", "t2f", "seg"):
            file = tmp_path / "data" / case_id / f"{case_id}-{name}.nii.gz"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    path = save(tmp_path / "s.json", content_of(ids[:1], ids[1:]))
    rules = [p.rule for p in cohort_of(config_of(path, tmp_path / "data")).problems]
    assert rules[0] == ("all cases of a patient must be in one fold, BraTS-GLI-00006 is in [0, 1]")
