"""Drift between cohorts made by hand: none between equal ones; what changed, in numbers."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow
CASES = 40


@pytest.fixture(scope="module")
def drift():
    """The module; it imports TFDV."""
    from components import drift

    return drift


@pytest.fixture(scope="module")
def cohort(drift):
    """A function: seed, columns -> a cohort of 40 cases of one kind, with columns changed."""
    import pandas as pd

    def make(seed: int, **columns):
        random = np.random.default_rng(seed)
        ordinary = {
            "spacing_x": np.ones(CASES),
            "size_z": random.integers(140, 160, CASES).astype(float),
            "t1_mean": random.normal(100, 10, CASES),
            "orientation": ["LPS"] * CASES,
            "stratum": ["HGG"] * 30 + ["LGG"] * 10,
        }
        return pd.DataFrame(ordinary | columns)

    return make


def by_name(drifted):
    return {f.feature: f for f in drifted.features}


def test_equal_cohorts(drift, cohort):
    found = drift.measure_drift(cohort(0), cohort(0))
    assert found.drifted == [] and (found.cases_a, found.cases_b) == (CASES, CASES)
    assert {f.feature: f.value for f in found.features} == dict.fromkeys(cohort(0).columns, 0.0)
    assert {f.measure for f in found.features} == {drift.JENSEN_SHANNON, drift.INFINITY_NORM}


def test_cohorts_of_one_kind(drift, cohort):
    found = drift.measure_drift(cohort(0), cohort(1))
    assert found.drifted == []
    assert by_name(found)["t1_mean"].value > 0


def test_shifted_spacing_and_intensities_with_the_numbers(drift, cohort):
    shifted = cohort(1)["t1_mean"] + 50
    spacing = np.repeat([2.0, 3.0], [30, 10])
    found = drift.measure_drift(cohort(0), cohort(1, spacing_x=spacing, t1_mean=shifted))
    assert found.drifted == ["spacing_x", "t1_mean"]
    features = by_name(found)
    assert features["spacing_x"] == drift.FeatureDrift(
        feature="spacing_x",
        drifted=True,
        measure=drift.JENSEN_SHANNON,
        value=1.0,
        threshold=0.3,
        a=drift.Numbers(mean=1.0, median=1.0),
        b=drift.Numbers(mean=2.25, median=2.0),
    )
    assert features["t1_mean"].value > 0.9
    assert features["t1_mean"].b.mean - features["t1_mean"].a.mean == pytest.approx(50, abs=8)


def test_divergence_by_hand(drift, cohort):
    """Half of the later cohort has another voxel size: p = (1, 0), q = (1/2, 1/2), their mean
    (3/4, 1/4): (log2(4/3) + 1/2 log2(2/3) + 1/2 log2(2)) / 2 = 0.3113."""
    found = drift.measure_drift(cohort(0), cohort(0, spacing_x=np.repeat([1.0, 3.0], 20)))
    assert by_name(found)["spacing_x"].value == pytest.approx(0.31128, abs=1e-5)


@pytest.mark.parametrize("cases", [(400, 5), (5, 400)])
def test_small_cohort_beside_a_large_one(drift, cases):
    """However few they are: all of the later cases have another voxel size."""
    import pandas as pd

    a, b = (pd.DataFrame({"spacing_x": np.full(n, s)}) for n, s in zip(cases, (1, 3), strict=True))
    assert drift.measure_drift(a, b).features[0].value == 1


def test_one_odd_case_is_no_drift(drift, cohort):
    """By TFDV's own histograms it is one of 1."""
    found = drift.measure_drift(cohort(0), cohort(0, spacing_x=np.append(np.ones(CASES - 1), 3.0)))
    assert found.drifted == [] and by_name(found)["spacing_x"].b.mean == 1.05


def test_new_orientation(drift, cohort):
    found = drift.measure_drift(cohort(0), cohort(1, orientation=["LPS"] * 24 + ["RAS"] * 16))
    assert found.drifted == ["orientation"]
    (feature,) = [f for f in found.features if f.drifted]
    assert (feature.measure, feature.value) == (drift.INFINITY_NORM, pytest.approx(0.4))
    assert feature.a.values == {"LPS": 1.0} and feature.b.values == {"LPS": 0.6, "RAS": 0.4}


def test_thresholds(drift, cohort):
    other = cohort(0, orientation=["LPS"] * 30 + ["RAS"] * 10, spacing_x=np.repeat([1.0, 3.0], 20))
    assert drift.measure_drift(cohort(0), other, numeric=0.32).drifted == []
    assert drift.measure_drift(cohort(0), other, numeric=0.31).drifted == ["spacing_x"]
    both = drift.measure_drift(cohort(0), other, categorical=0.2)
    assert both.drifted == ["spacing_x", "orientation"]
    assert {f.threshold for f in both.features} == {0.3, 0.2}


def test_features_that_one_cohort_lacks(drift, cohort):
    found = drift.measure_drift(
        cohort(0).drop(columns="t1_mean"), cohort(0, t2_mean=1.0).drop(columns="size_z")
    )
    assert (found.only_a, found.only_b) == (("size_z",), ("t1_mean", "t2_mean"))
    assert found.drifted == ["size_z", "t1_mean", "t2_mean"]
    assert set(by_name(found)) == {"spacing_x", "orientation", "stratum"}


def test_cases_without_a_value_do_not_count(drift, cohort):
    spacing = cohort(0)["spacing_x"].where(np.arange(CASES) < 10)
    found = drift.measure_drift(cohort(0), cohort(0, spacing_x=spacing))
    assert by_name(found)["spacing_x"].value == 0
    assert by_name(found)["spacing_x"].b.mean == 1


@pytest.fixture
def write(tmp_path):
    """A function: split, statistics of its cases -> the folder of the artifact."""

    def write_split(split: str, cases: list[dict]):
        from beam_preprocess.record_files import RecordWriter
        from beam_preprocess.records import encode_example

        folder = tmp_path / f"Split-{split}"
        folder.mkdir()
        with RecordWriter(folder / "records-00000-of-00001.gz") as writer:
            for case in cases:
                writer.write(encode_example(case))
        return tmp_path

    return write_split


def test_cohort_is_the_cases_of_all_folds(drift, write):
    ids = {"case_id": "c", "group": "c", "content": "c0ffee"}
    write("fold-0", [ids | {"size_x": 20, "dtype": "int16"}, ids | {"size_x": 30, "dtype": "int8"}])
    write("test", [ids | {"size_x": 50, "dtype": "uint8"}])
    write("unlabelled", [ids | {"size_x": 60, "dtype": "uint8"}])
    read = drift.read_cohort(write("fold-1", [ids | {"size_x": 40, "dtype": "int16"}]))
    assert read.to_dict("list") == {
        "size_x": [20.0, 30.0, 40.0],
        "dtype": ["int16", "int8", "int16"],
    }


def test_voxel_sizes_that_differ_by_rounding_are_equal(drift, write):
    read = drift.read_cohort(write("fold-0", [{"spacing_x": 1.0}, {"spacing_x": 0.9999999}]))
    assert read["spacing_x"].tolist() == [1.0, 1.0]


def test_feature_that_no_case_has_a_value_of(drift, write):
    read = drift.read_cohort(write("fold-0", [{"size_x": 1, "t1_mean": float("nan")}]))
    assert list(read.columns) == ["size_x"]


def test_cohort_without_a_case(drift, write):
    folder = write("test", [{"size_x": 50}])
    with pytest.raises(ValueError, match="must hold the cases of its folds, .* holds none: run it"):
        drift.read_cohort(folder)
