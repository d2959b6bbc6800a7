"""Cases of one patient are alike, while intervals and tests take them for independent: in words."""

from collections import Counter
from collections.abc import Iterable, Mapping


def count_alike(groups: Mapping[str, str], cases: Iterable[str]) -> str:
    """How many patients have several cases; empty where none has.

    >>> count_alike({"a": "p", "b": "p", "c": "q"}, ["a", "b", "c"])
    '1 of 2 patients or objects have several cases, which are alike'

    Args:
      groups: Case id -> its patient or object; cases that are missing do not count.
      cases: Ids of the cases that an interval or a test is of.
    """
    counts = Counter(groups[case_id] for case_id in cases if case_id in groups)
    several = sum(n > 1 for n in counts.values())
    if not several:
        return ""
    return f"{several:,} of {len(counts):,} patients or objects have several cases, which are alike"


def interval_caveat(groups: Mapping[str, str], cases: Iterable[str]) -> str:
    """What that does to intervals, as a sentence; empty where each patient has one case."""
    alike = count_alike(groups, cases)
    return alike and (
        f"{alike}: intervals take each case for an independent one, so that they are too narrow."
    )
