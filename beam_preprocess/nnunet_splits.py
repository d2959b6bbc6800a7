"""nnU-Net's `splits_final.json`: a list of folds, each `{"train": [ids], "val": [ids]}`."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from beam_preprocess.atomic import write_text
from beam_preprocess.case import CaseFiles, Problem
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets.listing import some

_NAMED = 5
"""Case ids that a message names."""
_SHOWN = 40
"""Characters of a content that is none."""


def read_splits(path: Path) -> tuple[dict[str, int], list[Problem]]:
    """Reads which fold holds each case out: case id -> fold, and what is wrong with the file.

    Every case must be in `val` of one fold, and in `train` of all others.
    """
    try:
        folds = _read(path)
    except (OSError, ValueError) as e:
        rule = f"data.splits must be a list of folds with train and val, it is not: {e}"
        return {}, [_problem(rule, path)]
    counts = Counter(case_id for fold in folds for case_id in fold["val"])
    repeated = sorted(c for c, n in counts.items() if n > 1)
    if repeated:
        rule = f"every case must be in val once, more often are {some(repeated, _NAMED)}"
        return {}, [_problem(rule, path)]
    for number, fold in enumerate(folds):
        if wrong := sorted(set(fold["train"]) ^ (set(counts) - set(fold["val"]))):
            rule = f"train of fold {number} must be all cases of the other folds' val,"
            return {}, [_problem(f"{rule} different are {some(wrong, _NAMED)}", path)]
    return {case_id: number for number, fold in enumerate(folds) for case_id in fold["val"]}, []


def _read(path: Path) -> list[dict[str, list[str]]]:
    """The folds of a file. Raises OSError, or ValueError where it holds something else."""
    folds = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(folds, list) or not folds:
        raise ValueError(f"it holds {str(folds)[:_SHOWN]}")
    for number, fold in enumerate(folds):
        for name in ("train", "val"):
            ids = fold.get(name) if isinstance(fold, dict) else None
            if not isinstance(ids, list) or not ids or not all(isinstance(i, str) for i in ids):
                raise ValueError(f"{name} of fold {number} is no list of ids, or empty")
    return folds


def check_given_folds(
    given: Mapping[str, int], cases: Sequence[CaseFiles], *, config: DataConfig, unusable: Set[str]
) -> list[Problem]:
    """Given folds must be `data.folds` many, hold the cases of the cohort, and part no patient.

    Args:
      given: Case id -> fold.
      cases: The cases of cross-validation, excluded ones left out.
      config: Of the cohort.
      unusable: Ids of cases that are in the folder and cannot be listed.
    """
    path = Path(config.splits)
    count = 1 + max(given.values())
    if count != config.folds:
        rule = f"data.splits must have data.folds = {config.folds} folds, it has {count}"
        return [_problem(rule, path, remedy=f"set data.folds to {count}")]
    found = {c.case_id for c in cases}
    problems = _empty_folds(given, config)
    if missing := sorted(found - set(given)):
        rule = f"every case must be in a fold of data.splits, in none are {some(missing, _NAMED)}"
        problems.append(_problem(rule, path, remedy="add them, or use data.exclude"))
    if surplus := sorted(set(given) - found - unusable - set(config.exclude)):
        rule = (
            f"data.splits must name cases of cross-validation, no such are {some(surplus, _NAMED)}"
        )
        problems.append(_problem(rule, path))
    return problems or _parted_patients(given, cases, path)


def _empty_folds(given: Mapping[str, int], config: DataConfig) -> list[Problem]:
    left = {fold for case_id, fold in given.items() if case_id not in config.exclude}
    return [
        _problem(
            f"every fold of data.splits must keep a case, all of fold {fold} are in data.exclude",
            Path(config.splits),
        )
        for fold in sorted(set(given.values()) - left)
    ]


def _parted_patients(
    given: Mapping[str, int], cases: Sequence[CaseFiles], path: Path
) -> list[Problem]:
    folds: dict[str, set[int]] = defaultdict(set)
    for case in cases:
        folds[case.group].add(given[case.case_id])
    return [
        _problem(f"all cases of a patient must be in one fold, {group} is in {sorted(f)}", path)
        for group, f in sorted(folds.items())
        if len(f) > 1
    ]


def write_splits(splits: Mapping[str, Sequence[CaseFiles]], path: Path) -> None:
    """Writes the folds of a cohort, for nnU-Net to train on the same ones."""
    folds = {
        name: sorted(c.case_id for c in cases)
        for name, cases in splits.items()
        if name.startswith("fold-")
    }
    content = [
        {"train": sorted(c for other in folds if other != name for c in folds[other]), "val": ids}
        for name, ids in sorted(folds.items(), key=lambda item: int(item[0].rpartition("-")[2]))
    ]
    write_text(path, json.dumps(content, indent=4))


def _problem(
    rule: str, path: Path, remedy: str = "correct the file, or leave data.splits out"
) -> Problem:
    return Problem(case_id="cohort", rule=rule, path=str(path), remedy=remedy)
