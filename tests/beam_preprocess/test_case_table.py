"""The case table: what it replaces, what it leaves, and all that can be wrong with it."""

from pathlib import Path

import pytest

from beam_preprocess.case import CaseFiles
from beam_preprocess.case_table import apply_case_table, column_names, further_columns
from beam_preprocess.cohort import list_cohort
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets.brats import Brats

NO_CSV = "data.case_table must be a readable CSV file"
NEEDS = "it needs the column case_id and patient or stratum or both, it has"


def case(case_id, split="cv"):
    return CaseFiles(
        case_id=case_id,
        group=f"g{case_id}",
        stratum=f"s{case_id}",
        images=(Path(f"{case_id}.nii"),),
        label=None,
        split=split,
    )


CASES = [case("a"), case("b"), case("c", split="test")]
UNCHANGED = [("a", "ga", "sa"), ("b", "gb", "sb"), ("c", "gc", "sc")]


@pytest.fixture
def table(tmp_path):
    """Writes a case table and returns its path."""

    def write(content: str | bytes) -> str:
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def applied(path: str, cases=CASES, known=("a", "b", "c", "excluded")):
    """(case id, patient, stratum) of every case, and the problems in words."""
    result, problems = apply_case_table(cases, path, known=known)
    return [(c.case_id, c.group, c.stratum) for c in result], [str(p) for p in problems]


def test_no_table():
    assert applied("") == (UNCHANGED, [])


def test_patient_and_stratum_are_replaced(table):
    path = table("case_id,patient,stratum\nc,p2,HGG\na,p1,LGG\nb,p1,HGG\n")
    expected = [("a", "p1", "LGG"), ("b", "p1", "HGG"), ("c", "p2", "HGG")]
    assert applied(path) == (expected, [])


def test_everything_else_is_kept(table):
    result, _ = apply_case_table(CASES, table("case_id,patient\nc,p\n"), known="abc")
    assert [(c.images, c.split) for c in result] == [(c.images, c.split) for c in CASES]


@pytest.mark.parametrize(
    ("content", "first"),
    [
        ("case_id,patient\na,p\n", ("a", "p", "sa")),
        ("stratum,case_id\nLGG,a\n", ("a", "ga", "LGG")),
        ("age,case_id,site,patient\n71,a,7,p\n", ("a", "p", "sa")),
    ],
    ids=["patient", "stratum", "among others"],
)
def test_one_column_is_enough(table, content, first):
    assert applied(table(content)) == ([first, *UNCHANGED[1:]], [])


def test_empty_cells_and_cases_without_a_row_keep_what_they_have(table):
    path = table("case_id,patient,stratum\na,,LGG\nb,p,  \nc,  ,\n")
    assert applied(path) == ([("a", "ga", "LGG"), ("b", "p", "sb"), UNCHANGED[2]], [])


def test_rows_may_be_shorter_and_longer_than_the_header(table):
    path = table("case_id,patient,stratum\na,p\nb\nc,q,HGG,more,and more\n")
    assert applied(path) == ([("a", "p", "sa"), ("b", "gb", "sb"), ("c", "q", "HGG")], [])


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfcase_id,patient\na,p\xc3\xa4\nb,p\xc3\xa4\n",
        b"case_id,patient\r\na,p\xc3\xa4\r\nb,p\xc3\xa4\r\n",
        b"\xef\xbb\xbfcase_id,patient\r\na,p\xc3\xa4\r\nb,p\xc3\xa4",
        b'"case_id","patient"\n"a","p\xc3\xa4"\n"b","p\xc3\xa4"\n',
        b"case_id,patient\n a , p\xc3\xa4\nb\t,p\xc3\xa4 \n",
        b"case_id,patient\n\na,p\xc3\xa4\n,\nb,p\xc3\xa4\n,\n , \n",
    ],
    ids=["byte order mark", "CRLF", "both", "quotes", "blanks", "empty rows"],
)
def test_as_spreadsheets_save_it(table, content):
    assert applied(table(content)) == ([("a", "pä", "sa"), ("b", "pä", "sb"), UNCHANGED[2]], [])


def test_row_of_an_excluded_case(table):
    assert applied(table("case_id,patient\nexcluded,p\n")) == (UNCHANGED, [])


def test_unknown_cases(table):
    """One problem for all: a public table may name a thousand cases that are not there."""
    path = table("case_id,patient\nx5,p\nx2,p\na,p\nx1,p\nx4,p\nx3,p\n")
    expected = (
        "cohort: data.case_table must name cases of the folder, no such are x1, x2, x3 and 2 more"
        f" ({path}): correct the file"
    )
    assert applied(path) == ([("a", "p", "sa"), *UNCHANGED[1:]], [expected])


UNREADABLE = {
    "two rows": ("case_id,patient\na,p\nb,p\na,p\n", "case a has two rows"),
    "two rows but for a blank": ("case_id,patient\na,p\na ,q\n", "case a has two rows"),
    "no case": ("case_id,patient\na,p\n,q\n", "line 3 has no case_id"),
    "no case in a short row": ("patient,case_id\np,a\nq\n", "line 3 has no case_id"),
    "no case column": ("case,patient\na,p\n", f"{NEEDS} ['case', 'patient']"),
    "nothing but cases": ("case_id,grade\na,HGG\n", f"{NEEDS} ['case_id', 'grade']"),
    "semicolons": ("case_id;patient\na;p\n", f"{NEEDS} ['case_id;patient']"),
    "empty": ("", f"{NEEDS} []"),
    "a quote left open": ('case_id,patient\na,"p\nb,q\n', "unexpected end of data"),
    "UTF-16": ("case_id,patient\n".encode("utf-16"), "'utf-8' codec can't decode byte 0xff"),
    "a spreadsheet": (b"PK\x03\x04\x14\x00\xd0\x7f", "'utf-8' codec can't decode byte 0xd0"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_table(table, name):
    content, words = UNREADABLE[name]
    path = table(content)
    cases, (message,) = applied(path)
    assert cases == UNCHANGED
    assert message.startswith(f"cohort: {NO_CSV}: {words}")
    assert message.endswith(f" ({path}): correct the file")


def test_missing_table(tmp_path):
    path = tmp_path / "table.csv"
    assert applied(str(path))[1] == [
        f"cohort: {NO_CSV}: [Errno 2] No such file or directory: '{path}' ({path}):"
        " correct the file"
    ]
    assert f"{NO_CSV}: [Errno 21] Is a directory" in applied(str(tmp_path))[1][0]


def test_further_columns_say_something_of_every_case(table):
    """Empty cells and cases without a row are `unknown`; the other columns are no further ones."""
    path = table("case_id,patient,site,age,note\na,p,Bonn,71,\nc,p,,,\nexcluded,p,Ulm,5,\n")
    assert further_columns(path, CASES) == {
        "a": {"site": "Bonn", "age": "71"},
        "b": {"site": "unknown", "age": "unknown"},
        "c": {"site": "unknown", "age": "unknown"},
    }


@pytest.mark.parametrize("content", ["case_id,patient\na,p\n", "case_id\na\n", b"PK\xd0"])
def test_table_without_further_columns(table, content):
    assert further_columns(table(content), CASES) == {}
    assert further_columns("", CASES) == {}


def test_names_of_further_columns(table):
    assert column_names(table("case_id,site,patient,note\na,Ulm,p,\nb,,,\n")) == ["site"]


def test_further_columns_are_of_the_cohort(brats_cohort, table):
    path = table("case_id,stratum,site\nBraTS2021_00001,A,Bonn\n")
    columns = cohort_of(brats_cohort, path, exclude={"BraTS2021_00005": "motion"}).columns
    assert sorted(columns) == [f"BraTS2021_{n:05d}" for n in range(5)]
    assert columns["BraTS2021_00001"] == {"site": "Bonn"}
    assert columns["BraTS2021_00000"] == {"site": "unknown"}


def cohort_of(root, path, **values):
    values = {"dataset": "brats", "root": str(root), "folds": 5, "case_table": path} | values
    return list_cohort(Brats(), DataConfig(**values))


@pytest.mark.parametrize("seed", range(6))
def test_cases_of_one_patient_land_in_one_fold(brats_cohort, table, seed):
    """Six cases of five patients in five folds: a fold for each patient."""
    path = table("case_id,patient\nBraTS2021_00001,p\nBraTS2021_00004,p\n")
    cohort = cohort_of(brats_cohort, path, fold_seed=seed)
    folds = sorted([c.case_id[-1] for c in cases] for cases in cohort.splits.values())
    assert folds == [["0"], ["1", "4"], ["2"], ["3"], ["5"]]
    assert cohort.problems == ()


def test_strata_of_the_table_are_balanced(brats_cohort, table):
    rows = "".join(f"BraTS2021_{n:05d},{'ABC'[n // 2]}\n" for n in range(6))
    cohort = cohort_of(brats_cohort, table(f"case_id,stratum\n{rows}"), folds=2)
    strata = [sorted(c.stratum for c in cases) for cases in cohort.splits.values()]
    assert strata == [["A", "B", "C"]] * 2


def test_patients_of_the_table_are_counted(brats_cohort, table):
    rows = "".join(f"BraTS2021_{n:05d},p{n // 2}\n" for n in range(6))
    (problem,) = cohort_of(brats_cohort, table(f"case_id,patient\n{rows}")).problems
    assert "5 folds need at least 5 patients (or images), found 3" in problem.rule


def test_damaged_and_excluded_cases_may_have_a_row(brats_root, table):
    next(brats_root.rglob("BraTS2021_00001_t1.nii.gz")).unlink()
    path = table("case_id,patient\nBraTS2021_00001,p\nBraTS2021_00002,p\n")
    cohort = cohort_of(brats_root, path, folds=4, exclude={"BraTS2021_00002": "motion"})
    assert [p.case_id for p in cohort.problems] == ["BraTS2021_00001"]


def test_wrong_table_is_told_beside_too_few_patients(brats_cohort, table):
    path = table("case_id,patient\nBraTS2021_00001,p\nBraTS2021_00004,p\nx,p\n")
    rules = [p.rule for p in cohort_of(brats_cohort, path, folds=6).problems]
    assert rules == [
        "data.case_table must name cases of the folder, no such are x",
        "6 folds need at least 6 patients (or images), found 5",
    ]
