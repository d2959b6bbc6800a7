"""What only shows when the cases of a cohort are compared: duplicates, odd ones out.

Works on case statistics, a few numbers per case, so that the cohort may be of any size.
"""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from beam_preprocess.case import Problem
from beam_preprocess.examine import Statistics

SPACING_RATIO = 2.0
"""nnU-Net's networks see anisotropy; a voxel twice as long as usual is another acquisition."""
_NAMED = 3


def compare_cases(cases: Sequence[Statistics], paths: Mapping[str, str]) -> list[Problem]:
    """Compares the cases of a cohort.

    Args:
      cases: Statistics of all cases that could be read (`Examination.statistics`).
      paths: Case id -> a path to name in a problem.

    Returns:
      An error for every case whose image is that of another case, under whatever name; warnings for
      orientations, types and voxel sizes that differ from those of most cases.
    """
    return [
        *_duplicates(cases, paths),
        *_odd_ones(cases, paths, "orientation", "axes point the other way than in training"),
        *_odd_ones(cases, paths, "dtype", "look whether its intensities are on the same scale"),
        *_odd_spacings(cases, paths),
    ]


def _duplicates(cases: Sequence[Statistics], paths: Mapping[str, str]) -> list[Problem]:
    equal: dict[object, list[str]] = defaultdict(list)
    for case in cases:
        equal[case["content"]].append(str(case["case_id"]))
    return [
        Problem(
            case_id=case_id,
            rule=f"every case needs its own image, this one has that of {_some(ids, case_id)}",
            path=paths[case_id],
            remedy="remove one of them, or leave it out with data.exclude",
        )
        for ids in equal.values()
        if len(ids) > 1
        for case_id in sorted(ids)
    ]


def _some(ids: Iterable[str], but: str) -> str:
    others = sorted(i for i in ids if i != but)
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    return ", ".join(others[:_NAMED]) + more


def _odd_ones(
    cases: Sequence[Statistics], paths: Mapping[str, str], feature: str, remedy: str
) -> list[Problem]:
    """A warning for every case whose value of a text feature is not the most frequent one."""
    counts = Counter(str(case[feature]) for case in cases)
    if len(counts) < 2:
        return []
    usual, number = max(counts.items(), key=lambda item: (item[1], item[0]))
    return [
        _warning(
            case,
            paths,
            f"{feature} is {case[feature]}, {number} of {len(cases)} cases have {usual}",
            remedy,
        )
        for case in cases
        if case[feature] != usual
    ]


def _odd_spacings(cases: Sequence[Statistics], paths: Mapping[str, str]) -> list[Problem]:
    found = []
    for axis in "xyz":
        values = [float(str(c[f"spacing_{axis}"])) for c in cases if f"spacing_{axis}" in c]
        if not values:
            continue
        usual = statistics.median(values)
        for case, value in zip(cases, values, strict=True):
            if not usual / SPACING_RATIO < value < usual * SPACING_RATIO:
                rule = (
                    f"spacing along {axis} is {value:g} mm, the median of the cohort {usual:g} mm"
                )
                remedy = "resample it if its anatomy looks stretched beside the others"
                found.append(_warning(case, paths, rule, remedy))
    return found


def _warning(case: Statistics, paths: Mapping[str, str], rule: str, remedy: str) -> Problem:
    case_id = str(case["case_id"])
    return Problem(
        case_id=case_id, rule=rule, path=paths[case_id], remedy=remedy, severity="warning"
    )
