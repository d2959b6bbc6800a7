"""The cohort: splits, exclusions, counts, and what is wrong with the folder as a whole."""

import json
import shutil

import pytest

from beam_preprocess.case import CaseFiles, Listing, Problem
from beam_preprocess.cohort import fold_name, list_cohort
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets import get_dataset
from beam_preprocess.datasets.brats import BRATS, Brats
from beam_preprocess.datasets.dagm import DAGM, Dagm

REMEDY_ROOT = "set data.root to the folder that holds the dataset"
REMEDY_LAYOUT = "set data.root to the folder that holds the cases, and data.dataset to their layout"


def brats_config(root, **values):
    return DataConfig(**{"dataset": "brats", "root": str(root), "folds": 2, **values})


def ids(cases):
    return [case.case_id for case in cases]


class Made:
    """A dataset whose listing is given."""

    def __init__(self, listing, info=BRATS):
        self._listing, self.info = listing, info

    def list_cases(self, root):
        return self._listing


def made_case(number, *, group=None, split="cv"):
    case_id = f"case-{number}"
    return CaseFiles(
        case_id=case_id, group=group or case_id, stratum="s", images=(), label=None, split=split
    )


def test_missing_root(tmp_path, check_data):
    root = tmp_path / "missing"
    checked = check_data(brats_config(root))
    assert checked.messages == [
        f"missing: data.root must be a folder of the dataset, and '{root}' does not exist ({root}):"
        f" {REMEDY_ROOT}"
    ]
    assert check_data(DataConfig(dataset="dagm", root=str(root))).messages == checked.messages


def test_root_that_is_a_file(brats_cohort, check_data):
    root = next(brats_cohort.rglob("*_t1.nii.gz"))
    assert check_data(brats_config(root)).messages == [
        f"{root.name}: data.root must be a folder of the dataset, and '{root}' is not a folder"
        f" ({root}): {REMEDY_ROOT}"
    ]


@pytest.mark.parametrize("dataset", ["brats", "dagm"])
def test_empty_root(tmp_path, check_data, dataset):
    root = tmp_path / "empty"
    root.mkdir()
    (root / "Thumbs.db").touch()
    assert check_data(DataConfig(dataset=dataset, root=str(root))).messages == [
        f"cohort: the folder must hold cases of dataset '{dataset}', found none ({root}):"
        f" {REMEDY_LAYOUT}"
    ]


def test_root_inside_the_dataset(dagm_cohort, check_data):
    (message,) = check_data(
        DataConfig(dataset="dagm", root=str(dagm_cohort / "Class1" / "Train"))
    ).messages
    assert message.startswith("cohort: the folder must hold cases of dataset 'dagm', found none")


@pytest.mark.parametrize(("folds", "enough"), [(5, True), (6, True), (7, False), (20, False)])
def test_fewer_cases_than_folds(brats_cohort, check_data, folds, enough):
    message = (
        f"cohort: {folds} folds need at least {folds} patients (or images), found 6"
        f" ({brats_cohort}): lower data.folds or add cases"
    )
    messages = check_data(brats_config(brats_cohort, folds=folds)).messages
    assert messages == ([] if enough else [message])


def test_test_images_are_in_no_fold(dagm_cohort, check_data):
    """Class 1 has eight train images and two test images."""
    config = DataConfig(dataset="dagm", root=str(dagm_cohort), classes=(1,), folds=9)
    (message,) = check_data(config).messages
    assert "9 folds need at least 9 patients (or images), found 8" in message


def test_cases_to_be_repaired_count_as_cases(brats_root, check_data):
    """Once the file is added there are six cases, enough for six folds."""
    next(brats_root.rglob("*_t1.nii.gz")).unlink()
    (message,) = check_data(brats_config(brats_root, folds=6)).messages
    assert "every case needs one file of modality 't1', found 0" in message


def test_excluded_cases_do_not_count_for_folds(brats_cohort, check_data):
    exclude = {"BraTS2021_00000": "motion"}
    (message,) = check_data(brats_config(brats_cohort, folds=6, exclude=exclude)).messages
    assert "6 folds need at least 6 patients (or images), found 5" in message


def test_unknown_excluded_case(brats_cohort, check_data):
    exclude = {"BraTS2021_00001": "motion", "BraTS2021_1": "typing error"}
    checked = check_data(brats_config(brats_cohort, exclude=exclude))
    assert checked.messages == [
        "BraTS2021_1: every case of data.exclude must be in the folder, this one is not"
        f" ({brats_cohort}): correct the case id in data.exclude, or remove it there"
    ]
    assert checked.cohort.excluded == {"BraTS2021_00001": "motion"}


def test_excluded_damaged_cases_are_no_problem_and_are_counted(brats_root, check_data):
    """One that cannot be listed, and one that could not be read."""
    next(brats_root.glob("BraTS2021_00001/*_t1.nii.gz")).unlink()
    next(brats_root.glob("BraTS2021_00003/*_t2.nii.gz")).write_bytes(b"damaged")
    exclude = {"BraTS2021_00001": "lacks T1", "BraTS2021_00003": "damaged T2"}
    checked = check_data(brats_config(brats_root, exclude=exclude))
    assert checked.messages == []
    assert checked.cohort.excluded == exclude and checked.cohort.listed == 6
    members = sorted(c for cases in checked.cohort.splits.values() for c in ids(cases))
    assert members == [f"BraTS2021_{n:05d}" for n in (0, 2, 4, 5)]


def test_splits_are_the_folds(brats_cohort):
    cohort = list_cohort(Brats(), brats_config(brats_cohort, folds=4))
    assert list(cohort.splits) == ["fold-0", "fold-1", "fold-2", "fold-3"]
    assert sorted(map(len, cohort.splits.values())) == [1, 1, 2, 2]
    members = [c for cases in cohort.splits.values() for c in ids(cases)]
    assert sorted(members) == [f"BraTS2021_{n:05d}" for n in range(6)]
    assert all(ids(cases) == sorted(ids(cases)) for cases in cohort.splits.values())
    assert (cohort.problems, cohort.excluded, cohort.ignored) == ((), {}, 0)


def test_official_test_part_is_a_split_of_its_own(dagm_cohort):
    config = DataConfig(dataset="dagm", root=str(dagm_cohort), folds=2)
    splits = list_cohort(Dagm(), config).splits
    assert list(splits) == ["fold-0", "fold-1", "test"]
    assert ids(splits["test"]) == [
        *("Class1_Test_0001", "Class1_Test_0002", "Class2_Test_0001", "Class2_Test_0002")
    ]
    for fold in ("fold-0", "fold-1"):
        strata = [case.stratum for case in splits[fold]]
        assert {s: strata.count(s) for s in strata} == {
            f"Class{n}-{kind}": 2 for n in (1, 2) for kind in ("clean", "defective")
        }


def test_splits_do_not_depend_on_where_the_folder_is(brats_cohort, tmp_path):
    copy = shutil.copytree(brats_cohort, tmp_path / "elsewhere")
    here = list_cohort(Brats(), brats_config(brats_cohort)).splits
    there = list_cohort(Brats(), brats_config(copy)).splits
    assert {s: ids(c) for s, c in here.items()} == {s: ids(c) for s, c in there.items()}


def test_seed_changes_the_splits(brats_cohort):
    def members(seed):
        splits = list_cohort(Brats(), brats_config(brats_cohort, fold_seed=seed)).splits
        return {name: ids(cases) for name, cases in splits.items()}

    assert len({str(members(seed)) for seed in range(5)}) > 1


def test_patients_are_counted_and_not_their_scans():
    cases = tuple(made_case(n, group=f"patient-{n // 2}") for n in range(6))
    cohort = list_cohort(Made(Listing(cases=cases)), brats_config("/data", folds=4))
    (problem,) = cohort.problems
    assert "4 folds need at least 4 patients (or images), found 3" in problem.rule


def test_cases_of_the_test_part_are_no_folds():
    cases = tuple(made_case(n, split="cv" if n < 4 else "test") for n in range(6))
    cohort = list_cohort(Made(Listing(cases=cases)), brats_config("/data"))
    assert ids(cohort.splits["test"]) == ["case-4", "case-5"] and cohort.listed == 6


def test_folder_that_cannot_be_listed_says_nothing_of_folds():
    problem = Problem(case_id="Class1_Train", rule="r", path="p")
    listing = Listing(cases=(made_case(0, split="test"),), problems=(problem,))
    cohort = list_cohort(Made(listing), brats_config("/data", folds=5))
    assert cohort.problems == (problem,)


def test_names():
    assert fold_name(3) == "fold-3"
    assert isinstance(get_dataset(DataConfig(dataset="brats")), Brats)
    assert isinstance(get_dataset(DataConfig(dataset="dagm")), Dagm)


def test_get_dataset_passes_the_classes_on(dagm_cohort):
    dataset = get_dataset(DataConfig(dataset="dagm", classes=(2,)))
    assert len(dataset.list_cases(dagm_cohort).cases) == 10


def test_photographs_without_a_defect_are_a_problem(tmp_path):
    label = tmp_path / "Class1" / "Train" / "Label"
    label.mkdir(parents=True)
    names = [f"000{i}" for i in range(1, 5)]
    rows = "".join(f"{n}\t0\t{n}.PNG\t0\t0\t\r\n" for n in names)
    (label / "Labels.txt").write_bytes(f"1\r\n{rows}".encode())
    for name in names:
        (label.parent / f"{name}.PNG").write_bytes(b"")
    config = DataConfig(dataset="dagm", root=str(tmp_path), folds=2)
    (problem,) = list_cohort(get_dataset(config), config).problems
    assert problem.rule == "at least one photograph must be defective, found none of 4"


def test_warnings_do_not_stop_a_cohort():
    """A warning makes no case, and what only a cohort without errors is told is told."""
    warning = Problem(case_id="stray", rule="r", path="p", severity="warning")
    cases = tuple(made_case(n) for n in range(4))
    made = Made(Listing(cases=cases, problems=(warning,)), info=DAGM)
    cohort = list_cohort(made, brats_config("/data"))
    assert cohort.listed == 4
    assert [p.rule for p in cohort.problems] == [
        "r",
        "at least one photograph must be defective, found none of 4",
    ]
    few = list_cohort(made, brats_config("/data", folds=5))
    assert "5 folds need at least 5 patients (or images), found 4" in few.problems[-1].rule


def test_warnings_of_excluded_cases_are_left_out():
    warning = Problem(case_id="case-1", rule="r", path="p", severity="warning")
    listing = Listing(cases=tuple(made_case(n) for n in range(3)), problems=(warning,))
    assert list_cohort(Made(listing), brats_config("/data")).problems == (warning,)
    config = brats_config("/data", exclude={"case-1": "motion"})
    cohort = list_cohort(Made(listing), config)
    assert cohort.problems == () and cohort.excluded == {"case-1": "motion"}


def test_excluded_case_that_only_a_warning_names_is_unknown():
    warning = Problem(case_id="stray", rule="r", path="p", severity="warning")
    listing = Listing(cases=tuple(made_case(n) for n in range(3)), problems=(warning,))
    (problem,) = list_cohort(
        Made(listing), brats_config("/data", exclude={"stray": "no case"})
    ).problems
    assert problem.rule == "every case of data.exclude must be in the folder, this one is not"


def test_unlabelled_cases_are_no_folds():
    cases = tuple(made_case(n, split="cv" if n < 4 else "unlabelled") for n in range(6))
    cohort = list_cohort(Made(Listing(cases=cases)), brats_config("/data"))
    assert list(cohort.splits) == ["fold-0", "fold-1", "unlabelled"]
    assert ids(cohort.splits["unlabelled"]) == ["case-4", "case-5"]
    (problem,) = list_cohort(Made(Listing(cases=cases)), brats_config("/data", folds=5)).problems
    assert "5 folds need at least 5 patients (or images), found 4" in problem.rule


def test_table_and_splits_are_checked_together(tmp_path):
    """Both files are wrong, and the patients too few."""
    (tmp_path / "t.csv").write_text("case_id,patient\ncase-9,p\n")
    (tmp_path / "s.json").write_text("{}")
    files = {"case_table": str(tmp_path / "t.csv"), "splits": str(tmp_path / "s.json")}
    listing = Listing(cases=tuple(made_case(n) for n in range(3)))
    problems = list_cohort(Made(listing), brats_config("/data", folds=4, **files)).problems
    assert [(p.case_id, p.rule, p.path) for p in problems] == [
        (
            "cohort",
            "data.case_table must name cases of the folder, no such are case-9",
            files["case_table"],
        ),
        (
            "cohort",
            "data.splits must be a list of folds with train and val, it is not: it holds {}",
            files["splits"],
        ),
        ("cohort", "4 folds need at least 4 patients (or images), found 3", "/data"),
    ]


def test_patients_of_the_table_must_agree_with_the_splits(tmp_path):
    (tmp_path / "t.csv").write_text("case_id,patient\ncase-0,p\ncase-2,p\n")
    content = [
        {"train": ["case-2", "case-3"], "val": ["case-0", "case-1"]},
        {"train": ["case-0", "case-1"], "val": ["case-2", "case-3"]},
    ]
    (tmp_path / "s.json").write_text(json.dumps(content))
    files = {"case_table": str(tmp_path / "t.csv"), "splits": str(tmp_path / "s.json")}
    listing = Listing(cases=tuple(made_case(n) for n in range(4)))
    (problem,) = list_cohort(Made(listing), brats_config("/data", **files)).problems
    assert problem.rule == "all cases of a patient must be in one fold, p is in [0, 1]"
