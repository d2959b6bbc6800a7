"""`name_mapping*.csv` of BraTS 2019 and 2020: the grade of a case, and which cases are one patient.

A row holds the ids that one scan had over the years, one column per year; "NA" where it had none.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from beam_preprocess.case import CaseFiles, Problem

PATTERN = "name_mapping*.csv"
NO_GRADE = "none"
"""Stratum of cases whose grade neither a folder nor a name mapping tells."""
_GRADE, _TCIA = "Grade", "TCGA_TCIA_subject_ID"
_CASE_ID = re.compile(r"BraTS_\d{4}_subject_ID", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a name mapping says of a case; None for "NA".

    Attributes:
      path: The name mapping.
      grade: HGG or LGG.
      patient: The patient's id in The Cancer Imaging Archive.
      case_ids: What the scan was called over the years.
    """

    path: Path
    grade: str | None
    patient: str | None
    case_ids: tuple[str, ...]

    @property
    def names(self) -> set[str]:
        """All that the patient is called."""
        return {*self.case_ids, *([self.patient] if self.patient else [])}


@dataclass(frozen=True, kw_only=True)
class NameMapping:
    """All name mappings of a root: case id -> its rows; and what is wrong with the files."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def read_mappings(root: Path) -> NameMapping:
    """Reads the name mappings that lie in `root`."""
    rows: dict[str, list[Row]] = defaultdict(list)
    problems = []
    for path in sorted(p for p in root.glob(PATTERN) if p.is_file()):
        try:
            for case_id, row in parse_mapping(path):
                rows[case_id].append(row)
        except (OSError, ValueError, csv.Error) as e:
            problems.append(_unreadable(path, e))
    return NameMapping(rows=dict(rows), problems=tuple(problems))


def _unreadable(path: Path, error: Exception) -> Problem:
    return Problem(
        case_id=path.name,
        rule=f"a name mapping must be a readable CSV file: {error}",
        path=str(path),
        remedy="restore the file, or remove it: cases then have no grade but that of their folder",
    )


def parse_mapping(path: Path) -> list[tuple[str, Row]]:
    """Reads one name mapping: (case id, row) for every id of every row.

    Raises:
      ValueError: The file is no UTF-8 text, has no column of case ids, or a row of another length.
      OSError: The file cannot be read.
    """
    lines = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    header = [name.strip() for name in lines[0]] if lines else []
    ids = [i for i, name in enumerate(header) if _CASE_ID.fullmatch(name)]
    if not ids:
        raise ValueError(f"it needs a column like BraTS_2020_subject_ID, found {header}")
    found = []
    for number, fields in enumerate(lines[1:], 2):
        if fields and len(fields) != len(header):
            raise ValueError(f"line {number} must have {len(header)} fields, has {len(fields)}")
        values = [_value(text) for text in fields]
        named = dict(zip(header, values, strict=False))
        case_ids = tuple(v for i in ids if fields and (v := values[i]))
        row = Row(path=path, grade=named.get(_GRADE), patient=named.get(_TCIA), case_ids=case_ids)
        found += [(case_id, row) for case_id in dict.fromkeys(case_ids)]
    return found


def _value(text: str) -> str | None:
    return None if text.strip() in ("", "NA") else text.strip()


def add_grades(
    cases: Iterable[CaseFiles], mapping: NameMapping
) -> tuple[list[CaseFiles], list[Problem]]:
    """The cases with the grade as stratum; a problem for each with two different grades."""
    graded, problems = [], []
    for case in cases:
        told = [] if case.stratum == NO_GRADE else [("its folder", case.stratum)]
        rows = mapping.rows.get(case.case_id, [])
        told += [(row.path.name, row.grade) for row in rows if row.grade]
        graded.append(replace(case, stratum=told[0][1]) if told else case)
        if len({grade for _, grade in told}) > 1:
            problems.append(_two_grades(case, told, rows[0].path))
    return graded, problems


def _two_grades(case: CaseFiles, told: Sequence[tuple[str, str]], path: Path) -> Problem:
    words = " and ".join(f"{source} says {grade}" for source, grade in dict.fromkeys(told))
    return Problem(
        case_id=case.case_id,
        rule=f"a case must have one grade, {words}",
        path=str(path),
        remedy="move the folder or correct the file, or leave the case out with data.exclude",
    )


def add_patients(
    cases: Sequence[CaseFiles], mapping: NameMapping, excluded: Collection[str]
) -> tuple[list[CaseFiles], list[Problem]]:
    """The cases with the patient as group, and a warning for each patient who has several ids.

    One patient are cases of one TCIA id, of one row, and those that were one group before. The
    group is the TCIA id, where there is one.

    Worked example: time points A_1 and A_2 have group A; the mapping says A_1 is TCGA-1 and B_1 is
    TCGA-1 too. Then all three have group TCGA-1.
    """
    names: list[set[str]] = []  # one set per patient: groups, case ids and TCIA ids
    for case in cases:
        rows = mapping.rows.get(case.case_id, [])
        known = {case.group}.union(*(row.names for row in rows))
        same = [n for n in names if n & known] if rows else []
        names = [n for n in names if n not in same]
        names += [known.union(*same)] if rows else []
    tcia = {row.patient for rows in mapping.rows.values() for row in rows if row.patient}
    groups = {c.group for c in cases}
    renamed = {name: min((n & tcia) or (n & groups)) for n in names for name in n & groups}
    grouped = [replace(c, group=renamed.get(c.group, c.group)) for c in cases]
    changed = {new.group for old, new in zip(cases, grouped, strict=True) if old != new}
    listed = [c for c in grouped if c.group in changed and c.case_id not in excluded]
    return grouped, _shared_patients(listed, mapping)


def _shared_patients(cases: Iterable[CaseFiles], mapping: NameMapping) -> list[Problem]:
    members: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        members[case.group].add(case.case_id)
    return [
        Problem(
            case_id=min(same),
            rule=f"{' and '.join(sorted(same))} are one patient, {patient}: they are kept in one"
            " fold",
            path=str(next(mapping.rows[c][0].path for c in sorted(same) if c in mapping.rows)),
            remedy="nothing, if that is so, else correct the file",
            severity="warning",
        )
        for patient, same in members.items()
        if len(same) > 1
    ]
