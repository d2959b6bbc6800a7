"""How the cases of one cohort differ from those of another: new data from what a model has seen.

Works on case statistics. A numeric feature *differs* where the two-sample Kolmogorov-Smirnov test
rejects that both cohorts come from one distribution at 1 % for all features together (Bonferroni:
p < 0.01 / number of numeric features), or where every new case lies outside of the range of the
old ones. The second rule is for few cases, where no test can reject; with a single new case it
holds by chance now and then. A text feature differs where a new case has a value that no old case
had.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beam_preprocess.examine import Statistics

SIGNIFICANCE = 0.01
"""Probability to call one feature or more different, where both cohorts are of one kind."""
TEXTS = ("dtype", "orientation")
_NOT_COMPARED = {"case_id", "group", "stratum", "content", "channels", "labelled"}
_DIGITS = 6
"""Voxel sizes come from headers in single precision: 1 and 0.9999999 mm are the same."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Number of cases that have a numeric feature, their range and quartiles."""

    n: int
    minimum: float
    q1: float
    median: float
    q3: float
    maximum: float


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Number of cases that have a text feature, and value -> share of them, 0 to 1."""

    n: int
    values: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class FeatureDifference:
    """How one feature differs.

    Attributes:
      feature: Name in the case statistics; `label_V_share` is the share of the label value V in
        the voxels of a case.
      old, new: Its distribution in both cohorts.
      strength: 0 for none to 1: the Kolmogorov-Smirnov statistic; of texts the total variation
        distance, half the sum of the differences of the shares.
      p: p value of the test; None for texts.
      outside: Number of new cases outside of the range of the old ones, or with a new text.
      differs: See the module.
    """

    feature: str
    old: Spread | Shares
    new: Spread | Shares
    strength: float
    p: float | None
    outside: int
    differs: bool


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How a new cohort differs from an old one.

    Attributes:
      old_cases, new_cases: Number of cases.
      features: Those that both have: different ones first, then by falling strength.
      only_old, only_new: Features that only one of the cohorts has.
      repeated: Ids of new cases whose image is in the old cohort too: a model that learned from it
        is not tested by them.
    """

    old_cases: int
    new_cases: int
    features: tuple[FeatureDifference, ...]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    repeated: tuple[str, ...]

    @property
    def different(self) -> list[FeatureDifference]:
        """The features that differ."""
        return [f for f in self.features if f.differs]


def compare_cohorts(old: Sequence[Statistics], new: Sequence[Statistics]) -> Difference:
    """Compares two cohorts feature by feature.

    Args:
      old, new: Statistics of their cases (`Examination.statistics`); labels may be missing.
    """
    old_numbers, new_numbers = _numbers(old), _numbers(new)
    both = sorted(old_numbers.keys() & new_numbers.keys())
    level = SIGNIFICANCE / max(len(both), 1)
    found = [_compare_numbers(f, old_numbers[f], new_numbers[f], level=level) for f in both]
    texts = [(f, _texts(f, old), _texts(f, new)) for f in TEXTS]
    found += [_compare_texts(f, before, now) for f, before, now in texts if before and now]
    contents = {c["content"] for c in old if "content" in c}
    return Difference(
        old_cases=len(old),
        new_cases=len(new),
        features=tuple(sorted(found, key=lambda f: (not f.differs, -f.strength, f.feature))),
        only_old=tuple(sorted(old_numbers.keys() - new_numbers.keys())),
        only_new=tuple(sorted(new_numbers.keys() - old_numbers.keys())),
        repeated=tuple(sorted(str(c["case_id"]) for c in new if c.get("content") in contents)),
    )


def label_shares(case: Statistics) -> dict[str, float]:
    """Share of every label value in all voxels of a case; empty where it has no label.

    >>> label_shares({"label_0_voxels": 6, "label_1_voxels": 2})
    {'label_0_share': 0.75, 'label_1_share': 0.25}
    """
    voxels = {k: float(str(v)) for k, v in case.items() if _is_label(k)}
    whole = sum(voxels.values())
    return {f"{k.removesuffix('_voxels')}_share": v / whole for k, v in voxels.items()}


def _is_label(feature: str) -> bool:
    return feature.startswith("label_") and feature.endswith("_voxels")


def _numbers(cases: Iterable[Statistics]) -> dict[str, NDArray[np.float64]]:
    """Feature -> its values, of the cases that have it. Background is what the labels leave."""
    values: dict[str, list[float]] = {}
    for case in cases:
        for feature, value in {**case, **label_shares(case)}.items():
            if isinstance(value, (int, float)) and _is_compared(feature):
                values.setdefault(feature, []).append(float(f"{value:.{_DIGITS}g}"))
    return {feature: np.asarray(v) for feature, v in values.items()}


def _is_compared(feature: str) -> bool:
    return not _is_label(feature) and feature not in {*_NOT_COMPARED, "label_0_share"}


def _compare_numbers(
    feature: str, old: NDArray[np.float64], new: NDArray[np.float64], *, level: float
) -> FeatureDifference:
    from scipy.stats import ks_2samp  # takes as long to import as a small cohort to check

    test = ks_2samp(old, new)
    outside = int(np.count_nonzero((new < old.min()) | (new > old.max())))
    return FeatureDifference(
        feature=feature,
        old=_spread(old),
        new=_spread(new),
        strength=float(test.statistic),
        p=float(test.pvalue),
        outside=outside,
        differs=bool(test.pvalue < level) or outside == len(new),
    )


def _spread(values: NDArray[np.float64]) -> Spread:
    minimum, q1, median, q3, maximum = np.percentile(values, (0, 25, 50, 75, 100)).tolist()
    return Spread(n=len(values), minimum=minimum, q1=q1, median=median, q3=q3, maximum=maximum)


def _texts(feature: str, cases: Iterable[Statistics]) -> list[str]:
    return [str(c[feature]) for c in cases if feature in c]


def _compare_texts(feature: str, old: Sequence[str], new: Sequence[str]) -> FeatureDifference:
    shares = _shares(old), _shares(new)
    outside = sum(value not in shares[0].values for value in new)
    return FeatureDifference(
        feature=feature,
        old=shares[0],
        new=shares[1],
        strength=_distance(shares[0].values, shares[1].values),
        p=None,
        outside=outside,
        differs=outside > 0,
    )


def _shares(values: Sequence[str]) -> Shares:
    counts = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
    return Shares(n=len(values), values={value: n / len(values) for value, n in counts})


def _distance(old: Mapping[str, float], new: Mapping[str, float]) -> float:
    return sum(abs(old.get(v, 0.0) - new.get(v, 0.0)) for v in {*old, *new}) / 2
