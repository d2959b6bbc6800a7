"""Folds: a balanced partition by patient, the same on every machine."""

import random
from collections import Counter, defaultdict

import pytest

from beam_preprocess.case import CaseFiles
from beam_preprocess.folds import assign_folds, check_folds

GOLDEN = {
    "case-000": 4,
    "case-001": 1,
    "case-002": 0,
    "case-003": 1,
    "case-004": 0,
    "case-005": 2,
    "case-006": 3,
    "case-007": 0,
    "case-008": 3,
    "case-009": 1,
    "case-010": 4,
    "case-011": 2,
}


def make_cases(strata, group_of=lambda number: f"case-{number:03d}"):
    return [
        CaseFiles(
            case_id=f"case-{n:03d}", group=group_of(n), stratum=stratum, images=(), label=None
        )
        for n, stratum in enumerate(strata)
    ]


def spread(counts, folds):
    sizes = [counts.get(fold, 0) for fold in range(folds)]
    return max(sizes) - min(sizes)


@pytest.mark.parametrize("folds", [2, 3, 5, 7, 20])
@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_balanced_partition_for_every_number_of_cases(folds, seed):
    for n in range(folds, 64):
        strata = [("HGG", "HGG", "HGG", "LGG", "none")[i % 5] for i in range(n)]
        cases = make_cases(strata)
        assigned = assign_folds(cases, folds=folds, seed=seed)
        assert set(assigned) == {c.case_id for c in cases}
        assert set(assigned.values()) == set(range(folds))
        assert spread(Counter(assigned.values()), folds) <= 1
        for stratum in set(strata):
            members = Counter(assigned[c.case_id] for c in cases if c.stratum == stratum)
            assert spread(members, folds) <= 1


def test_order_of_the_cases_does_not_matter():
    cases = make_cases(["HGG", "LGG", "HGG"] * 9)
    expected = assign_folds(cases, folds=5, seed=3)
    for seed in range(5):
        shuffled = random.Random(seed).sample(cases, len(cases))
        assert assign_folds(shuffled, folds=5, seed=3) == expected


def test_seed_matters():
    cases = make_cases(["none"] * 30)
    assert assign_folds(cases, folds=5, seed=0) != assign_folds(cases, folds=5, seed=1)


@pytest.mark.parametrize("seed", range(4))
def test_groups_stay_together_and_are_what_is_balanced(seed):
    """31 scans of 11 patients, three each, the last one once."""
    cases = make_cases(["none"] * 31, group_of=lambda number: f"patient-{number // 3}")
    assigned = assign_folds(cases, folds=4, seed=seed)
    folds_of = defaultdict(set)
    for case in cases:
        folds_of[case.group].add(assigned[case.case_id])
    assert all(len(folds) == 1 for folds in folds_of.values())
    assert sorted(Counter(f for (f,) in folds_of.values()).values()) == [2, 3, 3, 3]


def test_group_of_two_strata_takes_that_of_its_first_case():
    """Patient p has case 0 (LGG) and case 4 (HGG): dealt as LGG, after the three of HGG."""
    cases = make_cases(
        ["LGG", "HGG", "HGG", "HGG", "HGG"], lambda n: "p" if n in (0, 4) else str(n)
    )
    assigned = assign_folds(cases, folds=4, seed=0)
    assert assigned["case-000"] == assigned["case-004"] == 3


def test_golden_assignment():
    """SHA-256 of "0/case-000" and so on, sorted as hex within HGG and then LGG, dealt in turn."""
    cases = make_cases(["HGG"] * 7 + ["LGG"] * 5)
    assert assign_folds(cases, folds=5, seed=0) == GOLDEN


@pytest.mark.parametrize(("groups", "folds"), [(5, 5), (6, 5), (2, 2)])
def test_enough_patients(groups, folds):
    assert check_folds(groups, folds=folds, root="/data") == []


def test_too_few_patients():
    (problem,) = check_folds(4, folds=5, root="/data")
    assert str(problem) == (
        "cohort: 5 folds need at least 5 patients (or images), found 4 (/data):"
        " lower data.folds or add cases"
    )
