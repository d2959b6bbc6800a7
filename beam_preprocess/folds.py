"""Assigns cases to folds: by patient, stratified, the same on every machine, in any order."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable

from beam_preprocess.case import CaseFiles, Problem


def assign_folds(cases: Iterable[CaseFiles], *, folds: int, seed: int) -> dict[str, int]:
    """Deals the groups of every stratum over the folds, large ones first, then by a seeded hash.

    Strata are dealt one after the other without a break, so that the numbers of groups of any two
    folds differ by at most one, and those of every stratum too. A group whose cases are of several
    strata (an object with clean and defective photographs) is of a stratum of its own kind.

    Returns:
      Case id -> fold, 0 to folds - 1. Cases of one group are in one fold.
    """
    members: dict[str, list[CaseFiles]] = defaultdict(list)
    for case in sorted(cases, key=lambda c: c.case_id):
        members[case.group].append(case)
    strata = {g: "+".join(sorted({c.stratum for c in of})) for g, of in members.items()}
    order = sorted(members, key=lambda g: (strata[g], -len(members[g]), _hash(seed, g)))
    return {c.case_id: i % folds for i, group in enumerate(order) for c in members[group]}


def _hash(seed: int, group: str) -> str:
    return hashlib.sha256(f"{seed}/{group}".encode()).hexdigest()


def check_folds(groups: int, *, folds: int, root: str) -> list[Problem]:
    """There must be at least as many patients (groups) as folds."""
    if groups >= folds:
        return []
    return [
        Problem(
            case_id="cohort",
            rule=f"{folds} folds need at least {folds} patients (or images), found {groups}",
            path=root,
            remedy="lower data.folds or add cases",
        )
    ]
