"""A cohort, checked from end to end before anything is paid for: what `unet-tfx check` reports."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from beam_preprocess.case import (
    TEST,
    UNLABELLED,
    CaseFiles,
    Dataset,
    DatasetInfo,
    Problem,
    errors,
    warnings,
)
from beam_preprocess.cohort import Cohort, list_cohort
from beam_preprocess.comparison import compare_cases
from beam_preprocess.config import DataConfig
from beam_preprocess.examine import Statistics
from beam_preprocess.examine_cases import Finding, examine_cases

COHORT = "cohort"
"""Stands for a case id in problems of the cohort as a whole."""
FOLD = "fold-"
"""What the names of the splits of cross-validation start with."""

Progress = Callable[[Iterator[Finding], int], Iterable[Finding]]


@dataclass(frozen=True, kw_only=True)
class CohortCheck:
    """A cohort and all that is known of it.

    Attributes:
      config: What was checked.
      info: What its cases share; None where the folder does not tell.
      cohort: Its splits; without folds, those of `list_without_folds`.
      problems: Errors and warnings, sorted by case.
      statistics: Of every case that could be read, sorted by case id (`examine.Statistics`).
    """

    config: DataConfig
    info: DatasetInfo | None
    cohort: Cohort
    problems: tuple[Problem, ...]
    statistics: tuple[Statistics, ...]

    @property
    def errors(self) -> list[Problem]:
        """What stops a run."""
        return errors(self.problems)

    @property
    def warnings(self) -> list[Problem]:
        """What a run reports only."""
        return warnings(self.problems)

    def count(self, prefix: str) -> int:
        """Number of cases of the splits whose names start with `prefix`."""
        return sum(len(c) for name, c in self.cohort.splits.items() if name.startswith(prefix))

    def split_of(self) -> dict[str, str]:
        """Case id -> the name of its split."""
        return {c.case_id: name for name, cases in self.cohort.splits.items() for c in cases}


def _no_progress(findings: Iterator[Finding], total: int) -> Iterable[Finding]:
    return findings


def check_cohort(
    dataset: Dataset,
    config: DataConfig,
    *,
    folds: bool = True,
    workers: int = 1,
    progress: Progress = _no_progress,
) -> CohortCheck:
    """Lists a cohort, examines every case of every split, and compares the cases.

    Args:
      dataset: Its reader.
      config: The cohort.
      folds: Whether it is meant for training, which takes patients enough for `config.folds`.
      workers: Number of processes.
      progress: Given the findings and their number, hands the findings on and shows how far it is.
    """
    cohort = (list_cohort if folds else list_without_folds)(dataset, config)
    cases = [c for members in cohort.splits.values() for c in members]
    found = list(progress(examine_cases(cases, dataset, workers=workers), len(cases)))
    statistics = sorted((f.statistics for f in found if f.statistics), key=_case_id)
    paths = {c.case_id: str(c.images[0]) for c in cases}
    of_cases = {p for f in found for p in f.problems}
    return CohortCheck(
        config=config,
        info=dataset.info,
        cohort=cohort,
        problems=tuple(sorted({*cohort.problems, *of_cases, *compare_cases(statistics, paths)})),
        statistics=tuple(statistics),
    )


def _case_id(statistics: Statistics) -> str:
    return str(statistics["case_id"])


def undescribed(config: DataConfig, problems: Sequence[Problem]) -> CohortCheck:
    """A cohort whose folder does not tell what is in it: `problems` is all that is known."""
    found = tuple(sorted(problems))
    cohort = Cohort(splits={}, problems=found, listed=0, excluded={}, ignored=0)
    return CohortCheck(config=config, info=None, cohort=cohort, problems=found, statistics=())


def for_comparison(config: DataConfig) -> DataConfig:
    """The config of cases that nothing is trained on: labels may be missing, and what was written
    for the folds of another cohort is left aside.
    """
    return replace(config, splits="", case_table="", allow_unlabelled=True)


def list_without_folds(dataset: Dataset, config: DataConfig) -> Cohort:
    """Lists a cohort that nothing is trained on: any number of cases, in the dataset's own splits.

    Exclusions count where the case is there: they may have been written for another cohort.
    """
    listing = dataset.list_cases(Path(config.root))
    found = {c.case_id for c in listing.cases} | {p.case_id for p in errors(listing.problems)}
    problems = [p for p in listing.problems if p.case_id not in config.exclude]
    splits: dict[str, list[CaseFiles]] = defaultdict(list)
    for case in sorted(listing.cases, key=lambda c: c.case_id):
        if case.case_id not in config.exclude:
            splits[case.split].append(case)
    if not found:
        problems.append(_no_cases(dataset, config))
    return Cohort(
        splits={name: tuple(members) for name, members in sorted(splits.items())},
        problems=tuple(problems),
        listed=len(found),
        excluded={c: r for c, r in config.exclude.items() if c in found},
        ignored=len(listing.ignored),
    )


def _no_cases(dataset: Dataset, config: DataConfig) -> Problem:
    return Problem(
        case_id=COHORT,
        rule=f"the folder must hold cases of dataset {dataset.info.name!r}, found none",
        path=config.root,
        remedy="name the folder that holds the cases, and their layout in data.dataset",
    )


def verdict(check: CohortCheck) -> str:
    """One line: what can be done with the cohort, or how much is wrong with it."""
    if check.errors:
        return f"{_count_errors(check)}: repair the data, or leave cases out with data.exclude"
    if check.count(FOLD):
        return f"OK: {_number(check.count(FOLD), 'case')} can be trained on{_besides(check)}"
    return f"OK: {_number(check.count(''), 'case')} can be read"


def _besides(check: CohortCheck) -> str:
    parts = {"for testing": check.count(TEST), "without a label": check.count(UNLABELLED)}
    return "".join(f", {n} {what}" for what, n in parts.items() if n)


def _count_errors(check: CohortCheck) -> str:
    """`3 errors in 2 cases`; problems of the folder or of the cohort are in no case."""
    whole = {COHORT, Path(check.config.root).name}
    counts = Counter(p.case_id for p in check.errors)
    of_cases = {c: n for c, n in counts.items() if c not in whole}
    total = _number(len(check.errors), "error")
    if not of_cases:
        return f"{total} in the cohort as a whole"
    in_cases = f"in {_number(len(of_cases), 'case')}"
    rest = len(check.errors) - sum(of_cases.values())
    if not rest:
        return f"{total} {in_cases}"
    return f"{total} ({sum(of_cases.values())} {in_cases}, {rest} in the cohort as a whole)"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
