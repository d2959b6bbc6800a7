"""Cases of a run or of a folder: which they are, and what is known of them before they are read."""

from pathlib import Path

import pytest

from beam_preprocess.case import DataError
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets.dagm import DAGM
from components.labelled_cases import cases_of_folder, cases_of_run


def test_cases_of_a_run_are_those_of_test_or_of_a_fold(run_examples: Path) -> None:
    test = cases_of_run(run_examples, DAGM, "")
    assert (test.split, test.groups, test.trained_on) == ("test", {"t": "patient-t"}, False)
    fold = cases_of_run(run_examples, DAGM, "fold-0")
    assert (fold.groups, fold.trained_on) == ({"a": "patient-a"}, True)


@pytest.mark.parametrize("split", ["fold-1", "unlabelled"])
def test_split_that_a_run_has_not(run_examples: Path, split: str) -> None:
    with pytest.raises(ValueError, match="^--split must be one of fold-0, test, got "):
        cases_of_run(run_examples, DAGM, split)


def test_cases_of_a_folder_are_all_that_have_a_label(photographs: Path, tmp_path: Path) -> None:
    cases = cases_of_folder(DataConfig(dataset="dagm", root=str(photographs)), "")
    one = next(iter(cases.groups))
    assert cases.split == "all" and not cases.failures
    table = tmp_path / "table.csv"
    table.write_text(f"case_id,patient,camera\n{one},p,left\n")
    config = DataConfig(dataset="dagm", root=str(photographs), case_table=str(table))
    tabled = cases_of_folder(config, "")
    assert tabled.groups == dict(cases.groups) | {one: "p"}
    assert tabled.columns[one] == {"camera": "left"}
    parts = [cases_of_folder(config, split).groups for split in ("cv", "test")]
    assert parts[0] and parts[1] and {**parts[0], **parts[1]} == tabled.groups
    assert len(parts[0]) + len(parts[1]) == len(cases.groups)


def test_folder_without_labelled_cases(photographs: Path, tmp_path: Path) -> None:
    config = DataConfig(dataset="dagm", root=str(photographs))
    with pytest.raises(
        ValueError, match=r"split 'fold-0' must have labelled cases in .* in cv, \d in test$"
    ):
        cases_of_folder(config, "fold-0")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="must hold cases of dataset 'brats', found none"):
        cases_of_folder(DataConfig(dataset="brats", root=str(tmp_path / "empty")), "")


def test_wrong_case_table(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("case_id,patient\nnobody,p\n")
    config = DataConfig(
        dataset="dagm", root=str(photographs), case_table=str(tmp_path / "table.csv")
    )
    with pytest.raises(DataError, match="no such are nobody"):
        cases_of_folder(config, "")


def test_image_is_known_by_its_content(photographs: Path, run_examples: Path) -> None:
    """Of a run, CaseGen has hashed it; a file is read for it."""
    assert cases_of_run(run_examples, DAGM, "fold-0").content_of("a") == "#a"
    cases = cases_of_folder(DataConfig(dataset="dagm", root=str(photographs)), "cv")
    for case_id, read in cases.sources:
        assert cases.content_of(case_id) == read().content != ""
    for path in photographs.rglob("Train/*.PNG"):
        path.write_bytes(b"")
    assert cases.content_of(case_id) is None


def test_case_that_cannot_be_listed_says_where_and_what_to_do(photographs: Path) -> None:
    twin = next(photographs.rglob("Train/*.PNG"))
    (twin.parent / f"copy-of-{twin.name}").write_bytes(twin.read_bytes())
    cases = cases_of_folder(DataConfig(dataset="dagm", root=str(photographs)), "cv")
    assert all(str(photographs) in why and ": " in why for why in cases.failures.values())
