"""Drift between the cohorts of two runs: how far apart TFDV finds the distributions of a feature.

The case statistics of all folds of a run are one cohort. TFDV compares numbers by their
Jensen-Shannon divergence (base 2: 0 for equal distributions, 1 for distributions that do not
overlap), and texts by the infinity norm: the largest difference between the shares of a value.

Numbers are put into bins that both cohorts share, quarters of all their values. TFDV's own
histograms have bins of equal width over the range of each cohort: by them, one case of 60 with
another voxel size is a divergence of 1. By quarters, a shift by one standard deviation is one of
0.15, by two of 0.5. Of features that did not change, 1 of 500 is above 0.3 by chance with 20 cases
in each cohort, 1 of 9 with 10 cases (simulated, normal and lognormal values).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow_data_validation as tfdv
from numpy.typing import NDArray
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2

from beam_preprocess.difference import Shares
from beam_preprocess.record_files import GZIP_SUFFIX, read_records
from beam_preprocess.records import decode_example

JENSEN_SHANNON = "Jensen-Shannon divergence"
INFINITY_NORM = "infinity norm"
BINS = 4
"""An even number, so that cohorts that do not overlap share no bin. More bins, more divergence by
chance: with 20 cases its median is 0.05 with 4 bins, 0.09 with 6, 0.18 with 10."""
_IDS = {"case_id", "group", "content"}
"""Features that are different in every case."""
_DIGITS = 6
"""Voxel sizes come from headers in single precision: 1 and 0.9999999 mm are the same."""


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Where the values of a numeric feature lie, in the feature's own unit."""

    mean: float
    median: float


@dataclass(frozen=True, kw_only=True)
class FeatureDrift:
    """How far apart the two distributions of a feature are.

    Attributes:
      feature: Name in the case statistics.
      drifted: Whether `value` is above `threshold`.
      measure: `JENSEN_SHANNON` or `INFINITY_NORM`.
      value: Of the measure, 0 to 1.
      threshold: Of the measure.
      a, b: The feature in the two cohorts.
    """

    feature: str
    drifted: bool
    measure: str
    value: float
    threshold: float
    a: Numbers | Shares
    b: Numbers | Shares


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How far apart two cohorts are.

    Attributes:
      cases_a, cases_b: Number of cases.
      features: Those that both have: drifted ones first, then by falling value.
      only_a, only_b: Features that one of the cohorts lacks; they count as drifted.
    """

    cases_a: int
    cases_b: int
    features: tuple[FeatureDrift, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]

    @property
    def drifted(self) -> list[str]:
        """Names of the features that drifted."""
        return [f.feature for f in self.features if f.drifted] + [*self.only_a, *self.only_b]


def read_cohort(folder: Path) -> pd.DataFrame:
    """Reads the case statistics of all folds.

    Args:
      folder: Of the artifact `case_statistics`.

    Returns:
      A row per case, a column per feature: text, or float64. Ids are left out.

    Raises:
      ValueError: There is no case in it.
    """
    files = sorted(folder.glob(f"Split-fold-*/*{GZIP_SUFFIX}"))
    rows = [_row(record) for path in files for record in read_records(path)]
    if not rows:
        raise ValueError(
            f"the case statistics of a run must hold the cases of its folds, {folder} holds none:"
            " run it again, or correct the path where its folder was moved"
        )
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


def _row(record: bytes) -> dict[str, float | str]:
    features = decode_example(record)
    return {name: _value(v[0]) for name, v in features.items() if v and name not in _IDS}


def _value(value: bytes | float) -> float | str:
    return value.decode() if isinstance(value, bytes) else float(f"{value:.{_DIGITS}g}")


def measure_drift(
    a: pd.DataFrame, b: pd.DataFrame, *, numeric: float = 0.3, categorical: float = 0.3
) -> Drift:
    """Compares two cohorts feature by feature.

    Args:
      a, b: As `read_cohort` returns them.
      numeric: Threshold of the Jensen-Shannon divergence.
      categorical: Threshold of the infinity norm.
    """
    both = sorted({*a.columns} & {*b.columns})
    columns = {name: _comparable(a[name], b[name]) for name in both}
    before, now = (
        tfdv.generate_statistics_from_dataframe(pd.DataFrame({n: c[i] for n, c in columns.items()}))
        for i in (0, 1)
    )
    schema = _schema(a[both], numeric=numeric, categorical=categorical)
    anomalies = tfdv.validate_statistics(now, schema, previous_statistics=before)
    found = [_feature(info, a, b) for info in anomalies.drift_skew_info]
    return Drift(
        cases_a=len(a),
        cases_b=len(b),
        features=tuple(sorted(found, key=lambda f: (not f.drifted, -f.value, f.feature))),
        only_a=tuple(sorted({*a.columns} - {*b.columns})),
        only_b=tuple(sorted({*b.columns} - {*a.columns})),
    )


def _comparable(a: pd.Series, b: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Texts as they are; of numbers the bins that they are in, as text."""
    if _is_text(a):
        return a, b
    starts = _quarters(a.dropna().to_numpy(), b.dropna().to_numpy())

    def name_bin(value: float) -> str:
        return f"from {starts[np.searchsorted(starts, value, side='right') - 1]}"

    return a.map(name_bin, na_action="ignore"), b.map(name_bin, na_action="ignore")


def _quarters(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the bins of two cohorts begin, which count half each, however many cases they have.

    Worked example: of 1 1 1 1 and 1 3, the value 1 has 0.5 + 0.25 of all, so that the quarters
    begin at 1 1 1 3. That is two bins, with 4 and 0 cases of the first cohort, 1 and 1 of the
    second.
    """
    values = np.concatenate([a, b])
    weights = np.concatenate([np.full(len(v), 0.5 / len(v)) for v in (a, b)])
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    quarters = np.arange(BINS) / BINS + 1e-9  # sums of weights are that exact, and no more
    return np.unique(values[order][np.searchsorted(reached, quarters)])


def _schema(cohort: pd.DataFrame, *, numeric: float, categorical: float) -> schema_pb2.Schema:
    """A drift comparator for every feature: TFDV measures those that have one."""
    schema = schema_pb2.Schema()
    for name in cohort:
        comparator = schema.feature.add(name=name, type=schema_pb2.BYTES).drift_comparator
        if _is_text(cohort[name]):
            comparator.infinity_norm.threshold = categorical
        else:
            comparator.jensen_shannon_divergence.threshold = numeric
    return schema


def _is_text(values: pd.Series) -> bool:
    return values.dtype == object


def _feature(info: anomalies_pb2.DriftSkewInfo, a: pd.DataFrame, b: pd.DataFrame) -> FeatureDrift:
    name, measured = ".".join(info.path.step), info.drift_measurements[0]
    return FeatureDrift(
        feature=name,
        drifted=measured.value > measured.threshold,
        measure=INFINITY_NORM if _is_text(a[name]) else JENSEN_SHANNON,
        value=measured.value,
        threshold=measured.threshold,
        a=_describe(a[name]),
        b=_describe(b[name]),
    )


def _describe(values: pd.Series) -> Numbers | Shares:
    if _is_text(values):
        counts = values.value_counts(normalize=True)
        return Shares(n=int(values.count()), values=counts.to_dict())
    return Numbers(mean=float(values.mean()), median=float(values.median()))
