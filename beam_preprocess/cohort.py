"""The cohort of a run: the listed cases less the excluded ones, in their splits."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from beam_preprocess.case import CaseFiles, Dataset, Problem, errors
from beam_preprocess.case_table import apply_case_table, further_columns
from beam_preprocess.config import DataConfig
from beam_preprocess.folds import assign_folds, check_folds
from beam_preprocess.nnunet_splits import check_given_folds, read_splits


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """What a run works on.

    Attributes:
      splits: Split name (`fold-0` ..., `test`, `unlabelled`) -> its cases, sorted by id.
      problems: What the listing found wrong, errors and warnings, excluded cases left out.
      listed: Number of cases in the folder, excluded and unusable ones included.
      excluded: Case id -> reason, of the cases that are there and left out.
      ignored: Number of files that are no part of the dataset.
      columns: Case id -> further column of the case table -> what it says of the case.
    """

    splits: dict[str, tuple[CaseFiles, ...]]
    problems: tuple[Problem, ...]
    listed: int
    excluded: dict[str, str]
    ignored: int
    columns: dict[str, dict[str, str]] = field(default_factory=dict)


def fold_name(fold: int) -> str:
    """Name of the split of a fold."""
    return f"fold-{fold}"


def list_cohort(dataset: Dataset, config: DataConfig) -> Cohort:
    """Lists the cases under `config.root` and assigns them to splits."""
    listing = dataset.list_cases(Path(config.root))
    unusable = {p.case_id for p in errors(listing.problems)}
    found = {c.case_id for c in listing.cases} | unusable
    problems = [p for p in listing.problems if p.case_id not in config.exclude]
    cases = [c for c in listing.cases if c.case_id not in config.exclude]
    cases, table_problems = apply_case_table(cases, config.case_table, known=found)
    problems += table_problems
    cross_validated = [c for c in cases if c.split == "cv"]
    folds, fold_problems = _folds(cross_validated, config, unusable)
    problems += fold_problems
    return Cohort(
        splits=_splits(cases, folds),
        problems=(*problems, *_cohort_problems(dataset, config, found, cross_validated, problems)),
        listed=len(found),
        excluded={c: r for c, r in config.exclude.items() if c in found},
        ignored=len(listing.ignored),
        columns=further_columns(config.case_table, cases),
    )


def _folds(
    cases: list[CaseFiles], config: DataConfig, unusable: set[str]
) -> tuple[dict[str, int], list[Problem]]:
    """Case id -> fold: as `config.splits` says, or dealt by us."""
    if not config.splits:
        return assign_folds(cases, folds=config.folds, seed=config.fold_seed), []
    given, problems = read_splits(Path(config.splits))
    if not problems and cases:  # without a case, that alone is told
        problems = check_given_folds(given, cases, config=config, unusable=unusable)
    return ({} if problems else {c.case_id: given[c.case_id] for c in cases}), problems


def _cohort_problems(
    dataset: Dataset,
    config: DataConfig,
    found: set[str],
    cross_validated: list[CaseFiles],
    problems: list[Problem],
) -> list[Problem]:
    """What is wrong with the cohort as a whole: empty, too small, unknown ids in the exclusions."""
    if not found:
        rule = f"the folder must hold cases of dataset {dataset.info.name!r}, found none"
        remedy = (
            "set data.root to the folder that holds the cases, and data.dataset to their layout"
        )
        return [Problem(case_id="cohort", rule=rule, path=config.root, remedy=remedy)]
    unknown = _unknown_excluded(config, found)
    problems = errors(problems)
    if not problems:
        unknown += _no_defects(dataset, config, cross_validated)
    if problems and not cross_validated:  # a folder that cannot be listed may hold enough cases
        return unknown
    repairable = len({p.case_id for p in problems} - {"cohort"})
    groups = len({c.group for c in cross_validated}) + repairable
    return unknown + check_folds(groups, folds=config.folds, root=config.root)


def _splits(cases: list[CaseFiles], folds: dict[str, int]) -> dict[str, tuple[CaseFiles, ...]]:
    splits: dict[str, list[CaseFiles]] = defaultdict(list)
    for case in sorted(cases, key=lambda c: c.case_id):
        split = fold_name(folds[case.case_id]) if case.case_id in folds else case.split
        splits[split].append(case)
    return {name: tuple(members) for name, members in sorted(splits.items())}


def _no_defects(
    dataset: Dataset, config: DataConfig, cross_validated: list[CaseFiles]
) -> list[Problem]:
    """Without a single defective photograph there is nothing to learn or to score."""
    if dataset.info.task != "defects" or not cross_validated:
        return []
    if any(c.label for c in cross_validated):
        return []
    rule = f"at least one photograph must be defective, found none of {len(cross_validated)}"
    remedy = "look at the list of the dataset, or add classes to data.classes"
    return [Problem(case_id="cohort", rule=rule, path=config.root, remedy=remedy)]


def _unknown_excluded(config: DataConfig, found: set[str]) -> list[Problem]:
    return [
        Problem(
            case_id=case_id,
            rule="every case of data.exclude must be in the folder, this one is not",
            path=config.root,
            remedy="correct the case id in data.exclude, or remove it there",
        )
        for case_id in config.exclude
        if case_id not in found
    ]
