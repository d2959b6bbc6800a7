"""Patients with several cases, counted over the cases that an interval is of."""

from trainer.metrics.alike import count_alike, interval_caveat

GROUPS = {"a": "p", "b": "p", "c": "q", "d": "r", "e": "r"}


def test_patients_are_counted_over_the_cases_at_hand() -> None:
    several = "patients or objects have several cases, which are alike"
    assert count_alike(GROUPS, "abcde") == f"2 of 3 {several}"
    assert count_alike(GROUPS, "abcd") == f"1 of 3 {several}"
    assert count_alike(GROUPS, "abx") == f"1 of 1 {several}"  # of x nothing is known


def test_nothing_is_said_where_each_patient_has_one_case() -> None:
    assert count_alike(GROUPS, "acd") == interval_caveat(GROUPS, "acd") == ""
    assert count_alike({}, "abc") == interval_caveat({}, "abc") == ""


def test_sentence() -> None:
    assert interval_caveat(GROUPS, "abc") == (
        "1 of 2 patients or objects have several cases, which are alike: intervals take each case"
        " for an independent one, so that they are too narrow."
    )
