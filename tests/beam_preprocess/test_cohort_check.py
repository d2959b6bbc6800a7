"""A whole cohort: in one process and in several, in order and broken, with folds and without."""

import shutil
from dataclasses import replace

import pytest

from beam_preprocess.case import Problem
from beam_preprocess.cohort import list_cohort
from beam_preprocess.cohort_check import (
    check_cohort,
    for_comparison,
    list_without_folds,
    undescribed,
    verdict,
)
from beam_preprocess.cohort_summary import LabelSummary, Range, Split, summarise
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets import get_dataset

CRASHING = '''
import os
from beam_preprocess.datasets.brats import Brats


class Crashing(Brats):
    """Fails on two cases: with an error that no reader foresees, and with its whole process."""

    def read_case(self, files):
        if files.case_id == "BraTS2021_00002":
            raise RuntimeError("a defect")
        if files.case_id == "BraTS2021_00004":
            os._exit(9)
        return super().read_case(files)
'''


def check(config: DataConfig, **options):
    return check_cohort(get_dataset(config), config, **options)


def brats(root, **changes) -> DataConfig:
    return DataConfig(**{"dataset": "brats", "root": str(root), "folds": 3, **changes})


@pytest.fixture
def crashing(tmp_path, monkeypatch) -> str:
    """The import path of a reader that new processes find too."""
    (tmp_path / "crashing_reader.py").write_text(CRASHING)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "crashing_reader.Crashing"


def messages(checked) -> list[str]:
    return [str(p) for p in checked.problems]


def test_a_cohort_in_order(brats_cohort):
    checked = check(brats(brats_cohort))
    assert checked.problems == ()
    assert [s["case_id"] for s in checked.statistics] == [f"BraTS2021_0000{i}" for i in range(6)]
    assert checked.count("fold-") == 6
    assert verdict(checked) == "OK: 6 cases can be trained on"


@pytest.mark.slow
def test_processes_find_what_one_finds(brats_root):
    (brats_root / "BraTS2021_00001" / "BraTS2021_00001_t1.nii.gz").write_bytes(b"torn")
    shutil.rmtree(brats_root / "BraTS2021_00003")
    alone = check(brats(brats_root))
    together = check(brats(brats_root), workers=2)
    assert together == alone
    assert [p.case_id for p in alone.errors] == ["BraTS2021_00001"]
    assert len(alone.statistics) == 4


def test_every_split_is_examined(dagm_root):
    """Also the cases that are kept out of cross-validation."""
    (dagm_root / "Class2" / "Test" / "0002.PNG").write_bytes(b"torn")
    checked = check(DataConfig(dataset="dagm", root=str(dagm_root), folds=2))
    assert [p.case_id for p in checked.errors] == ["Class2_Test_0002"]
    assert len(checked.statistics) == 2 * (8 + 2) - 1
    assert checked.split_of()["Class1_Test_0001"] == "test"
    assert verdict(checked).startswith("1 error in 1 case: repair the data, or leave cases out")


def test_counts_of_a_verdict_by_split(dagm_cohort):
    checked = check(DataConfig(dataset="dagm", root=str(dagm_cohort), folds=2))
    assert verdict(checked) == "OK: 16 cases can be trained on, 4 for testing"


def test_problems_of_list_cases_and_comparison_come_together(brats_root):
    twin = brats_root / "BraTS2021_00009"
    twin.mkdir()
    for path in (brats_root / "BraTS2021_00000").iterdir():
        shutil.copy(path, twin / path.name.replace("00000", "00009"))
    (brats_root / "BraTS2021_00001" / "BraTS2021_00001_flair.nii.gz").unlink()
    (brats_root / "BraTS2021_00002" / "BraTS2021_00002_t2.nii.gz").write_bytes(b"torn")
    checked = check(brats(brats_root, folds=20))
    assert [p.case_id for p in checked.errors] == [
        *(f"BraTS2021_0000{i}" for i in (0, 1, 2, 9)),
        "cohort",
    ]
    assert verdict(checked).startswith("5 errors (4 in 4 cases, 1 in the cohort as a whole): ")


def test_an_unforeseen_error_names_its_case(brats_cohort, crashing):
    exclude = {"BraTS2021_00004": "would end this process"}
    checked = check(brats(brats_cohort, dataset=crashing, exclude=exclude))
    (problem,) = checked.errors
    assert problem.case_id == "BraTS2021_00002"
    assert "it ended with RuntimeError: a defect" in problem.rule
    assert problem.path.endswith("BraTS2021_00002_t1.nii.gz")
    assert "report it" in problem.remedy
    assert len(checked.statistics) == 4


@pytest.mark.slow
def test_a_killed_process_names_its_case_and_loses_no_other(brats_cohort, crashing):
    checked = check(brats(brats_cohort, dataset=crashing), workers=2)
    assert [p.case_id for p in checked.errors] == ["BraTS2021_00002", "BraTS2021_00004"]
    assert "it ended with the end of its process (killed, or out of memory)" in messages(checked)[1]
    assert [s["case_id"][-1] for s in checked.statistics] == ["0", "1", "3", "5"]


def test_progress_gets_every_finding(brats_cohort):
    seen = []

    def progress(findings, total):
        for finding in findings:
            seen.append((finding.statistics["case_id"], total))
            yield finding

    checked = check(brats(brats_cohort), progress=progress)
    assert sorted(seen) == [(s["case_id"], 6) for s in checked.statistics]


def test_without_folds_any_number_of_cases_will_do(brats_root):
    for i in range(1, 6):
        shutil.rmtree(brats_root / f"BraTS2021_0000{i}")
    with_folds, without = check(brats(brats_root)), check(brats(brats_root), folds=False)
    assert ["3 folds need at least 3 patients" in m for m in messages(with_folds)] == [True]
    assert without.problems == ()
    assert list(without.cohort.splits) == ["cv"]
    assert verdict(without) == "OK: 1 case can be read"


def test_without_folds_labels_may_be_missing(brats_root):
    (brats_root / "BraTS2021_00003" / "BraTS2021_00003_seg.nii.gz").unlink()
    checked = check(for_comparison(brats(brats_root)), folds=False)
    assert checked.problems == ()
    assert checked.split_of()["BraTS2021_00003"] == "unlabelled"
    assert "label_1_voxels" not in checked.statistics[3]


def test_what_was_written_for_another_cohort_is_left_aside(brats_cohort, tmp_path):
    (tmp_path / "table.csv").write_text("case_id,patient\nelsewhere,p\n")
    config = brats(
        brats_cohort,
        case_table=str(tmp_path / "table.csv"),
        splits=str(tmp_path / "missing.json"),
        exclude={"elsewhere": "torn", "BraTS2021_00001": "motion"},
    )
    checked = check(for_comparison(config), folds=False)
    assert checked.problems == ()
    assert checked.cohort.excluded == {"BraTS2021_00001": "motion"}
    assert (checked.cohort.listed, len(checked.statistics)) == (6, 5)


def test_the_same_cases_are_listed_without_folds(dagm_root):
    (dagm_root / "Class1" / "Train" / "Thumbs.db").touch()
    (dagm_root / "Class1" / "Train" / "0576.PNG").unlink()
    config = DataConfig(dataset="dagm", root=str(dagm_root), folds=2)
    dataset = get_dataset(config)
    folded, unfolded = list_cohort(dataset, config), list_without_folds(dataset, config)
    assert sorted(unfolded.splits) == ["cv", "test"]
    assert sum(map(len, unfolded.splits.values())) == sum(map(len, folded.splits.values())) == 19
    assert replace(unfolded, splits={}) == replace(folded, splits={})
    assert (unfolded.listed, unfolded.ignored, len(unfolded.problems)) == (20, 1, 1)


def test_an_empty_folder_is_an_error_without_folds_too(tmp_path):
    checked = check(brats(tmp_path), folds=False)
    (problem,) = checked.errors
    assert problem.rule == "the folder must hold cases of dataset 'brats', found none"
    assert verdict(checked).startswith("1 error in the cohort as a whole: ")


def test_a_folder_that_does_not_tell_what_is_in_it():
    problem = Problem(case_id="data", rule="dataset.json must be there", path="/d/dataset.json")
    checked = undescribed(DataConfig(dataset="nnunet", root="/d/data"), [problem])
    assert checked.errors == [problem]
    assert (checked.info, checked.statistics, checked.cohort.listed) == (None, (), 0)
    assert verdict(checked).startswith("1 error in the cohort as a whole: ")
    assert summarise(checked).splits == summarise(checked).ranges == ()


def test_summary_of_a_cohort_by_hand(dagm_cohort):
    """Folds by name, ranges over cases, and the voxels of labels as counted here by hand."""
    checked = check(DataConfig(dataset="dagm", root=str(dagm_cohort), folds=2))
    statistics = [
        {**s, "label_0_voxels": 4096 - n, "label_255_voxels": n, "size_x": size}
        for s, n, size in zip(checked.statistics[:4], [0, 10, 30, 60], [8, 4, 2, 1], strict=True)
    ]
    summary = summarise(replace(checked, statistics=tuple(statistics)))
    strata = {f"Class{n}-{kind}": 2 for n in (1, 2) for kind in ("clean", "defective")}
    assert summary.splits[0] == Split(name="fold-0", cases=8, patients=8, strata=strata)
    assert [s.name for s in summary.splits] == ["fold-0", "fold-1", "test"]
    assert summary.ranges[2] == Range(name="size_x", minimum=1, median=3, maximum=8)
    assert summary.counts == {"orientation": {"image": 4}, "dtype": {"uint8": 4}}
    assert summary.labels == (
        LabelSummary(
            value=255,
            name="defect",
            cases=3,
            labelled=4,
            voxels=Range(name="voxels", minimum=10, median=30, maximum=60),
            share_of_foreground=1.0,
            share_of_grid=100 / (4 * 4096),
        ),
    )


def test_fold_10_comes_after_fold_9(brats_cohort):
    checked = check(brats(brats_cohort))
    names = ("fold-10", "fold-9", "test", "fold-0")
    splits = dict.fromkeys(names, checked.cohort.splits["fold-0"])
    summary = summarise(replace(checked, cohort=replace(checked.cohort, splits=splits)))
    assert [s.name for s in summary.splits] == ["fold-0", "fold-9", "fold-10", "test"]
