"""The case table: a CSV file that says of cases what their layout does not.

Patient and stratum decide in which fold a case is; by all other columns scores can be sliced.
"""

import csv
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from beam_preprocess.case import CaseFiles, Problem
from beam_preprocess.datasets.listing import some

CASE_ID, PATIENT, STRATUM = "case_id", "patient", "stratum"
UNKNOWN = "unknown"
"""In place of an empty cell of a further column."""


def apply_case_table(
    cases: Sequence[CaseFiles], path: str, *, known: Collection[str]
) -> tuple[list[CaseFiles], list[Problem]]:
    """Replaces patient (group) and stratum of the cases that the table names.

    Args:
      cases: Of the cohort.
      path: Of the CSV file; empty for none.
      known: All case ids of the folder, excluded ones too: those that the table may name.
    """
    if not path:
        return list(cases), []
    try:
        rows = _read(Path(path))
    except (OSError, ValueError, csv.Error) as e:
        return list(cases), [_problem(f"data.case_table must be a readable CSV file: {e}", path)]
    problems = []
    if unknown := sorted(set(rows) - set(known)):
        rule = f"data.case_table must name cases of the folder, no such are {some(unknown)}"
        problems.append(_problem(rule, path))
    return [_apply(case, rows.get(case.case_id, {})) for case in cases], problems


def column_names(path: str) -> list[str]:
    """Names of the columns of the table besides patient and stratum.

    Raises:
      OSError, ValueError, csv.Error: The table cannot be read.
    """
    return _further(_read(Path(path)))


def further_columns(path: str, cases: Iterable[CaseFiles]) -> dict[str, dict[str, str]]:
    """What the table says of cases besides patient and stratum.

    Args:
      path: Of the CSV file; empty for none.
      cases: Of the cohort.

    Returns:
      Case id -> column -> value, `unknown` where the cell is empty or the case has no row. Nothing
      where the table has no further column, or cannot be read, which `apply_case_table` tells.
    """
    try:
        rows = _read(Path(path)) if path else {}
    except (OSError, ValueError, csv.Error):
        return {}
    columns = _further(rows)
    return {
        case.case_id: {c: rows.get(case.case_id, {}).get(c) or UNKNOWN for c in columns}
        for case in cases
        if columns
    }


def _further(rows: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Columns besides those with a meaning; with a value in one row at least."""
    known = (CASE_ID, PATIENT, STRATUM)
    return list(dict.fromkeys(c for row in rows.values() for c in row if c not in known))


def _apply(case: CaseFiles, row: dict[str, str]) -> CaseFiles:
    return replace(
        case, group=row.get(PATIENT) or case.group, stratum=row.get(STRATUM) or case.stratum
    )


def _read(path: Path) -> dict[str, dict[str, str]]:
    """Case id -> its row. Raises ValueError where a column is missing or a case is there twice."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, strict=True)  # a quote left open is an error
        columns = set(reader.fieldnames or ())
        if CASE_ID not in columns or not columns & {PATIENT, STRATUM}:
            raise ValueError(
                f"it needs the column {CASE_ID} and {PATIENT} or {STRATUM} or both,"
                f" it has {sorted(columns)}"
            )
        rows: dict[str, dict[str, str]] = {}
        for values in reader:
            row = {k: v.strip() for k, v in values.items() if k and v}
            if not any(row.values()):  # spreadsheets save the empty rows below a table
                continue
            case_id = row.get(CASE_ID, "")
            if not case_id:
                raise ValueError(f"line {reader.line_num} has no {CASE_ID}")
            if case_id in rows:
                raise ValueError(f"case {case_id} has two rows")
            rows[case_id] = row
        return rows


def _problem(rule: str, path: str) -> Problem:
    return Problem(case_id="cohort", rule=rule, path=path, remedy="correct the file")
