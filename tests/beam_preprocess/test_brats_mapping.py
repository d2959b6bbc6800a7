"""Name mappings of BraTS 2019 and 2020: grades, patients, and what is told of bad files."""

from pathlib import Path

import pytest

from beam_preprocess.config import DataConfig
from beam_preprocess.datasets.brats import BRATS, Brats
from beam_preprocess.datasets.brats_mapping import parse_mapping
from beam_preprocess.folds import assign_folds

HEADER = (
    "Grade,BraTS_2017_subject_ID,BraTS_2018_subject_ID,TCGA_TCIA_subject_ID,"
    "BraTS_2019_subject_ID,BraTS_2020_subject_ID"
)
SHORT = "Grade,TCGA_TCIA_subject_ID,BraTS_2020_subject_ID"
RESTORE = "restore the file, or remove it: cases then have no grade but that of their folder"


def make_cases(root: Path, *names: str) -> None:
    """Case folders with empty files: a listing reads no voxel."""
    for name in names:
        folder = root / name
        folder.mkdir(parents=True)
        for modality in ("t1", "t1ce", "t2", "flair", "seg"):
            (folder / f"{folder.name}_{modality}.nii.gz").touch()


def write_mapping(root: Path, *rows: str, header: str = HEADER, name: str = "name_mapping.csv"):
    path = root / name
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


def list_cases(root: Path, **values):
    config = DataConfig(dataset="brats", root=str(root), **values)
    return Brats(BRATS, config).list_cases(root)


def test_mapping_gives_grades_and_patients(tmp_path):
    """Cases are found in any column of ids; one that is not listed stays as it is."""
    make_cases(
        tmp_path,
        "BraTS20_Training_001",
        "BraTS19_TCIA_105_1",
        "Brats18_2013_10_1",
        "Brats17_CBICA_AAB_1",
        "BraTS20_Training_002",
    )
    write_mapping(
        tmp_path,
        "HGG,NA,NA,TCGA-02-0006,NA,BraTS20_Training_001",
        "LGG,NA,NA,NA,BraTS19_TCIA_105_1,BraTS20_Training_300",
        "HGG,Brats17_2013_10_1,Brats18_2013_10_1,,NA,NA",
        "LGG,Brats17_CBICA_AAB_1,NA,NA,NA,NA",
    )
    listing = list_cases(tmp_path)
    assert {c.case_id: (c.stratum, c.group) for c in listing.cases} == {
        "BraTS20_Training_001": ("HGG", "TCGA-02-0006"),
        "BraTS19_TCIA_105_1": ("LGG", "BraTS19_TCIA_105_1"),
        "Brats18_2013_10_1": ("HGG", "Brats18_2013_10"),
        "Brats17_CBICA_AAB_1": ("LGG", "Brats17_CBICA_AAB_1"),
        "BraTS20_Training_002": ("none", "BraTS20_Training_002"),
    }
    assert (listing.problems, listing.ignored) == ((), ())


def test_two_cases_of_one_patient_are_warned_of_and_kept_together(tmp_path):
    names = [f"BraTS20_Training_{n:03d}" for n in range(1, 9)]
    make_cases(tmp_path, *names)
    rows = [f"HGG,{'TCGA-1' if n in (2, 7) else 'NA'},{names[n - 1]}" for n in range(1, 9)]
    path = write_mapping(tmp_path, *rows, header=SHORT)
    listing = list_cases(tmp_path)
    (warning,) = listing.problems
    assert warning.severity == "warning"
    assert str(warning) == (
        "BraTS20_Training_002: BraTS20_Training_002 and BraTS20_Training_007 are one patient,"
        f" TCGA-1: they are kept in one fold ({path}): nothing, if that is so, else correct the"
        " file"
    )
    for seed in range(5):
        folds = assign_folds(listing.cases, folds=4, seed=seed)
        assert folds[names[1]] == folds[names[6]]


def test_excluded_case_is_not_warned_of(tmp_path):
    make_cases(tmp_path, "a", "b")
    write_mapping(tmp_path, "HGG,TCGA-1,a", "HGG,TCGA-1,b", header=SHORT)
    assert list_cases(tmp_path, exclude={"b": "scanned twice"}).problems == ()
    assert len(list_cases(tmp_path).problems) == 1


def test_time_points_stay_with_their_patient(tmp_path):
    """The mapping knows one time point of two: the other one must not leave its patient."""
    make_cases(tmp_path, "Brats18_A_1_1", "Brats18_A_1_2", "Brats18_B_1_1", "Brats18_C_1_1")
    write_mapping(
        tmp_path, "HGG,NA,Brats18_A_1_1,TCGA-9,NA,NA", "HGG,NA,Brats18_B_1_1,TCGA-9,NA,NA"
    )
    listing = list_cases(tmp_path)
    (warning,) = listing.problems
    assert warning.rule == (
        "Brats18_A_1_1 and Brats18_A_1_2 and Brats18_B_1_1 are one patient, TCGA-9: they are kept"
        " in one fold"
    )
    assert {c.case_id: c.group for c in listing.cases} == {
        "Brats18_A_1_1": "TCGA-9",
        "Brats18_A_1_2": "TCGA-9",
        "Brats18_B_1_1": "TCGA-9",
        "Brats18_C_1_1": "Brats18_C_1",
    }


def test_ids_of_one_row_are_one_patient(tmp_path):
    """The data of two years in one root: what was scanned once must not be in two folds."""
    make_cases(tmp_path, "Brats18_A_1_1", "BraTS20_Training_001", "BraTS20_Training_002")
    write_mapping(tmp_path, "HGG,NA,Brats18_A_1_1,NA,NA,BraTS20_Training_001")
    listing = list_cases(tmp_path)
    groups = {c.case_id: c.group for c in listing.cases}
    assert groups["Brats18_A_1_1"] == groups["BraTS20_Training_001"] == "BraTS20_Training_001"
    assert groups["BraTS20_Training_002"] == "BraTS20_Training_002"
    (warning,) = listing.problems
    assert warning.rule.startswith("BraTS20_Training_001 and Brats18_A_1_1 are one patient")


def test_listed_time_points_are_no_warning(tmp_path):
    """Their ids say already that they are one patient."""
    make_cases(tmp_path, "Brats18_A_1_1", "Brats18_A_1_2")
    write_mapping(tmp_path, "HGG,NA,Brats18_A_1_1,NA,NA,NA", "HGG,NA,Brats18_A_1_2,NA,NA,NA")
    listing = list_cases(tmp_path)
    assert [c.group for c in listing.cases] == ["Brats18_A_1", "Brats18_A_1"]
    assert listing.problems == ()


def test_time_points_with_two_ids_make_one_patient_of_all(tmp_path):
    """A_1 is TCGA-1 as B_1 is, A_2 is TCGA-2 as C_1 is: A_1 and A_2 are one patient, so all are."""
    ids = {"Brats18_B_1_1": 1, "Brats18_C_1_1": 2, "Brats18_A_1_1": 1, "Brats18_A_1_2": 2}
    make_cases(tmp_path, *ids)
    write_mapping(tmp_path, *(f"HGG,NA,{name},TCGA-{n},NA,NA" for name, n in ids.items()))
    assert {c.group for c in list_cases(tmp_path).cases} == {"TCGA-1"}


def test_grade_folder_must_agree(tmp_path):
    make_cases(tmp_path, "HGG/a", "LGG/b", "LGG/c", "d")
    path = write_mapping(tmp_path, "LGG,NA,a", "LGG,NA,b", "NA,NA,c", "HGG,NA,d", header=SHORT)
    listing = list_cases(tmp_path)
    assert [str(p) for p in listing.problems] == [
        "a: a case must have one grade, its folder says HGG and name_mapping.csv says LGG"
        f" ({path}): move the folder or correct the file, or leave the case out with data.exclude"
    ]
    assert {c.case_id: c.stratum for c in listing.cases if c.case_id != "a"} == {
        "b": "LGG",
        "c": "LGG",
        "d": "HGG",
    }


def test_several_mappings_must_agree(tmp_path):
    make_cases(tmp_path, "a", "b")
    first = write_mapping(tmp_path, "HGG,NA,a", "HGG,NA,b", header=SHORT)
    write_mapping(tmp_path, "LGG,NA,a", "HGG,NA,b", header=SHORT, name="name_mapping_2.csv")
    (problem,) = list_cases(tmp_path).problems
    assert (problem.case_id, problem.path) == ("a", str(first))
    assert problem.rule == (
        "a case must have one grade, name_mapping.csv says HGG and name_mapping_2.csv says LGG"
    )


def test_mapping_of_the_validation_data_has_ids_only(tmp_path):
    make_cases(tmp_path, "BraTS20_Validation_001")
    header = "BraTS_2019_subject_ID,BraTS_2020_subject_ID"
    name = "name_mapping_validation_data.csv"
    write_mapping(tmp_path, "NA,BraTS20_Validation_001", header=header, name=name)
    listing = list_cases(tmp_path)
    assert [c.stratum for c in listing.cases] == ["none"] and listing.problems == ()


def test_mapping_below_the_grade_folders_is_not_read(tmp_path):
    make_cases(tmp_path, "HGG/a")
    path = write_mapping(tmp_path / "HGG", "LGG,NA,a", header=SHORT)
    listing = list_cases(tmp_path)
    assert (listing.problems, listing.ignored) == ((), (path,))


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_and_blanks(tmp_path, start, end):
    text = end.join(['Grade, TCGA_TCIA_subject_ID ,"BraTS_2020_subject_ID"', "HGG , T-1,a", "", ""])
    (tmp_path / "name_mapping.csv").write_bytes(start + text.encode())
    ((case_id, row),) = parse_mapping(tmp_path / "name_mapping.csv")
    assert (case_id, row.grade, row.patient) == ("a", "HGG", "T-1")


BAD_FILES = {
    "empty": (b"", "it needs a column like BraTS_2020_subject_ID, found []"),
    "no column of ids": (
        b"Grade,Name\nHGG,a\n",
        "it needs a column like BraTS_2020_subject_ID, found ['Grade', 'Name']",
    ),
    "semicolons": (
        b"Grade;BraTS_2020_subject_ID\nHGG;a\n",
        "it needs a column like BraTS_2020_subject_ID, found ['Grade;BraTS_2020_subject_ID']",
    ),
    "short line": (
        f"{SHORT}\nHGG,NA,a\nHGG,b\n".encode(),
        "line 3 must have 3 fields, has 2",
    ),
    "long line": (f"{SHORT}\nHGG,NA,a,b\n".encode(), "line 2 must have 3 fields, has 4"),
    "no text": (
        b"\xff\xfe\x00",
        "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    ),
}


@pytest.mark.parametrize("bad", BAD_FILES)
def test_malformed_mapping_is_told(tmp_path, bad):
    content, words = BAD_FILES[bad]
    make_cases(tmp_path, "a", "b")
    path = tmp_path / "name_mapping.csv"
    path.write_bytes(content)
    listing = list_cases(tmp_path)
    assert [str(p) for p in listing.problems] == [
        f"name_mapping.csv: a name mapping must be a readable CSV file: {words} ({path}): {RESTORE}"
    ]
    assert [c.stratum for c in listing.cases] == ["none", "none"]


def test_mapping_that_cannot_be_opened_is_told(tmp_path, monkeypatch):
    make_cases(tmp_path, "a")
    path = write_mapping(tmp_path, "HGG,NA,a", header=SHORT)
    read_text = Path.read_text

    def refuse(self, **options):
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return read_text(self, **options)

    monkeypatch.setattr(Path, "read_text", refuse)
    (problem,) = list_cases(tmp_path).problems
    words = f"[Errno 13] Permission denied: '{path}'"
    assert problem.rule == f"a name mapping must be a readable CSV file: {words}"
