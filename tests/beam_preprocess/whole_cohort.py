"""What tests of every dataset need: its problems, and a case by its id."""

from pathlib import Path

from beam_preprocess.case import Case, DataError, Dataset


def messages_of(dataset: Dataset, root: Path) -> list[str]:
    """Every problem of listing and reading the cases under `root`."""
    listing = dataset.list_cases(root)
    problems = list(listing.problems)
    for files in listing.cases:
        try:
            dataset.read_case(files)
        except DataError as e:
            problems += e.problems
    return [str(p) for p in sorted(problems)]


def read_by_id(dataset: Dataset, root: Path, case_id: str) -> Case:
    """The case of that id, read."""
    cases = {c.case_id: c for c in dataset.list_cases(root).cases}
    return dataset.read_case(cases[case_id])
