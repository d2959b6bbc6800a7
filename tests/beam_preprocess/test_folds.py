"""Folds: a balanced partition by patient, the same on every machine."""

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_preprocess.case import CaseFiles
from beam_preprocess.config import MAX_FOLDS
from beam_preprocess.folds import assign_folds, check_folds

PROPERTY = settings(deadline=None, derandomize=True, max_examples=100)
SEEDS = st.integers(0, 2**32)

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


@st.composite
def cohorts(draw, *, mixed=False):
    """(cases, folds): 2 to 20 folds, at least as many patients of 1 to 4 scans, three strata.

    All scans of a patient have one stratum, or, if `mixed`, each has its own.
    """
    folds = draw(st.integers(2, MAX_FOLDS))
    scans = st.lists(st.sampled_from("ABC"), min_size=1, max_size=4)
    patients = draw(st.lists(scans, min_size=folds, max_size=folds + 30))
    return [
        CaseFiles(
            case_id=f"p{number:02d}-{scan}",
            group=f"p{number:02d}",
            stratum=stratum if mixed else strata[0],
            images=(Path(f"/data/p{number:02d}-{scan}.nii.gz"),),
            label=None,
        )
        for number, strata in enumerate(patients)
        for scan, stratum in enumerate(strata)
    ], folds


def folds_of_groups(cases, assigned):
    """Group -> its fold. Fails where a group is in several."""
    folds = defaultdict(set)
    for case in cases:
        folds[case.group].add(assigned[case.case_id])
    assert all(len(f) == 1 for f in folds.values())
    return {group: f.pop() for group, f in folds.items()}


@PROPERTY
@given(cohort=cohorts(mixed=True), seed=SEEDS)
def test_folds_are_a_partition_that_parts_no_group(cohort, seed):
    """Whatever the strata of a patient's scans; no fold is empty."""
    cases, folds = cohort
    assigned = assign_folds(cases, folds=folds, seed=seed)
    assert sorted(assigned) == [c.case_id for c in cases]
    groups = folds_of_groups(cases, assigned)
    assert set(groups.values()) == set(range(folds))
    assert spread(Counter(groups.values()), folds) <= 1


@PROPERTY
@given(cohort=cohorts(), seed=SEEDS)
def test_every_stratum_is_balanced(cohort, seed):
    """In patients: in all, and of every stratum, any two folds differ by one at most."""
    cases, folds = cohort
    groups = folds_of_groups(cases, assign_folds(cases, folds=folds, seed=seed))
    stratum_of = {c.group: c.stratum for c in cases}
    for stratum in set(stratum_of.values()):
        members = Counter(f for group, f in groups.items() if stratum_of[group] == stratum)
        assert spread(members, folds) <= 1
    assert spread(Counter(groups.values()), folds) <= 1


@PROPERTY
@given(cohort=cohorts(mixed=True), seed=SEEDS, order=st.randoms(use_true_random=False))
def test_order_and_place_of_the_files_do_not_matter(cohort, seed, order):
    cases, folds = cohort
    expected = assign_folds(cases, folds=folds, seed=seed)
    moved = [replace(c, images=(Path("/mnt/elsewhere") / c.images[0].name,)) for c in cases]
    order.shuffle(moved)
    assert assign_folds(iter(moved), folds=folds, seed=seed) == expected


@PROPERTY
@given(n=st.integers(20, 80), folds=st.integers(2, MAX_FOLDS), seed=SEEDS)
def test_another_seed_gives_other_folds(n, folds, seed):
    """There are 184,756 ways at least to deal 20 cases: that three seeds meet is out of the way."""
    cases = make_cases(["none"] * n)
    dealt = [assign_folds(cases, folds=folds, seed=seed + step) for step in range(3)]
    assert any(other != dealt[0] for other in dealt[1:])


@PROPERTY
@given(n=st.integers(0, 60), folds=st.integers(2, MAX_FOLDS))
def test_what_is_checked_is_what_leaves_no_fold_empty(n, folds):
    cases = make_cases([("A", "B")[i % 2] for i in range(n)])
    is_enough = len(set(assign_folds(cases, folds=folds, seed=0).values())) == folds
    assert is_enough == (check_folds(n, folds=folds, root="/data") == [])


@pytest.mark.parametrize("folds", range(2, MAX_FOLDS + 1))
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


@pytest.mark.parametrize("seed", range(4))
def test_groups_stay_together_and_are_what_is_balanced(seed):
    """31 scans of 11 patients, three each, the last one once."""
    cases = make_cases(["none"] * 31, group_of=lambda number: f"patient-{number // 3}")
    assigned = assign_folds(cases, folds=4, seed=seed)
    groups = folds_of_groups(cases, assigned)
    assert sorted(Counter(groups.values()).values()) == [2, 3, 3, 3]


def test_group_of_two_strata_is_of_its_own_kind():
    """Patient p has case 0 (LGG) and case 4 (HGG): HGG+LGG, dealt after the three of HGG."""
    cases = make_cases(
        ["LGG", "HGG", "HGG", "HGG", "HGG"], lambda n: "p" if n in (0, 4) else str(n)
    )
    assigned = assign_folds(cases, folds=4, seed=0)
    assert assigned["case-000"] == assigned["case-004"] == 3


def test_objects_with_a_defective_photograph_are_spread():
    """Ten objects of two photographs, the second one of five defective: one in each of 5 folds."""
    strata = ["defective" if n % 4 == 1 else "clean" for n in range(20)]
    cases = make_cases(strata, lambda n: str(n // 2))
    assigned = assign_folds(cases, folds=5, seed=0)
    defective = [assigned[c.case_id] for c in cases if c.stratum == "defective"]
    assert sorted(defective) == [0, 1, 2, 3, 4]


def test_patients_with_many_scans_are_dealt_first():
    """Scans per patient 4 4 1 1: each fold gets a large one and a small one, five scans."""
    owners = ["a"] * 4 + ["b"] * 4 + ["c", "d"]
    cases = make_cases(["HGG"] * 10, lambda n: owners[n])
    for seed in range(8):
        assigned = assign_folds(cases, folds=2, seed=seed)
        assert sorted(assigned.values()) == [0] * 5 + [1] * 5


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
