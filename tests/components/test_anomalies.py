"""Anomalies in words: the cases that show them are named, with their values."""

import re
from dataclasses import replace

import numpy as np
import pytest

from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.statistics import case_statistics

pytestmark = pytest.mark.slow
HIGH = "Out-of-range values: Unexpectedly high value: 9>1(upto six significant digits)"


@pytest.fixture(scope="module")
def anomalies():
    """The module; it imports TFDV."""
    from components import anomalies

    return anomalies


@pytest.fixture(scope="module")
def five(make_case) -> list[dict]:
    """The statistics of five ordinary photographs, case-0 to case-4."""
    image = np.arange(32 * 32, dtype=np.int64).reshape(32, 32, 1).astype(np.uint8)
    label = np.zeros((32, 32), np.uint8)
    names = [f"case-{i}" for i in range(5)]
    return [case_statistics(make_case(image, label, n), DAGM) | {"content": n} for n in names]


@pytest.fixture(scope="module")
def describe(anomalies):
    """A function: cases of a split -> the lines, with anomalies as ExampleValidator finds them."""
    import tensorflow_data_validation as tfdv
    from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

    from beam_preprocess.records import encode_example
    from components.schemas import statistics_schema

    def lines(cases: list[dict], info=DAGM) -> list[str]:
        records = [encode_example(case) for case in cases]
        batch = ExamplesToRecordBatchDecoder().DecodeBatch(records)
        schema = statistics_schema(info)
        found = tfdv.validate_statistics(generate_statistics_in_memory(batch), schema)
        return anomalies.describe_anomalies(found, records, schema)

    return lines


def test_ordinary_cases(describe, five):
    assert describe(five) == []


def test_one_bad_case_of_five_is_named_with_its_value(describe, five):
    five = [*five[:3], five[3] | {"spacing_x": 9.0}, five[4]]
    assert describe(five) == [f"case-3: spacing_x: {HIGH}"]


def test_every_bad_case_is_told_its_own_value(describe, five):
    five = [five[0] | {"size_y": 5}, five[1] | {"size_y": 7}, *five[2:]]
    words = "size_y: Out-of-range values: Unexpectedly small value"
    assert describe(five) == [f"case-0: {words}: 5.", f"case-1: {words}: 7."]


def test_two_features_of_one_case_and_of_two(describe, five):
    five = [five[0] | {"spacing_x": 9.0, "size_y": 5}, five[1] | {"spacing_x": 9.0}, *five[2:]]
    assert describe(five) == [
        "case-0: size_y: Out-of-range values: Unexpectedly small value: 5.",
        f"case-0: spacing_x: {HIGH}",
        f"case-1: spacing_x: {HIGH}",
    ]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of infinity
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"orientation": "RAS"}, "orientation: Unexpected string values: .*: RAS "),
        ({"grey_p01": float("nan")}, "grey_p01: Invalid values: Float feature has NaN values"),
        ({"grey_p99": float("inf")}, "grey_p99: Invalid values: Float feature has Inf values"),
        ({"scanner": "x"}, "scanner: New column"),
    ],
)
def test_other_kinds_of_anomalies(describe, five, change, words):
    (line,) = describe([*five[:2], five[2] | change])
    assert re.match(f"case-2: {words}", line)


@pytest.mark.parametrize("missing", ["spacing_y", "group"])
def test_case_that_lacks_a_feature(describe, five, missing):
    lacking = {k: v for k, v in five[2].items() if k != missing}
    assert describe([*five[:2], lacking]) == [
        f"case-2: {missing}: Column dropped: Column is completely missing"
    ]


def test_feature_with_a_dot_in_its_name(describe, five):
    """Channels are named by the dataset; TFDV quotes such names."""
    info = replace(DAGM, channels=("T1.5",))
    cases = [{k.replace("grey", "T1.5"): v for k, v in c.items()} for c in five]
    assert describe(cases, info) == []
    (line,) = describe([*cases[:4], cases[4] | {"T1.5_mean": 255.0}], info)
    assert line.startswith("case-4: T1.5_mean: Out-of-range values: Unexpectedly high value: 255")


@pytest.mark.parametrize(("bad", "more"), [(20, []), (23, ["spacing_x: and 3 more cases"])])
def test_at_most_twenty_cases_per_anomaly(describe, five, bad, more):
    cases = [five[0] | {"case_id": f"bad-{i:02d}", "spacing_x": 9.0} for i in range(bad)]
    named = [f"bad-{i:02d}: spacing_x: {HIGH}" for i in range(20)]
    assert describe([*cases, *five]) == [*named, *more]


@pytest.fixture
def made(anomalies, five):
    """A function: an anomaly of `spacing_x`, and of all cases -> the lines for ordinary cases."""
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    from beam_preprocess.records import encode_example
    from components.schemas import statistics_schema

    def lines(feature: tuple[str, str] | None, dataset: tuple[str, str] | None) -> list[str]:
        found = anomalies_pb2.Anomalies()
        if feature:
            info = found.anomaly_info["spacing_x"]
            info.path.step.append("spacing_x")
            info.short_description, info.description = feature
        if dataset:
            info = found.dataset_anomaly_info
            info.short_description, info.description = dataset
        records = [encode_example(c) for c in five]
        return anomalies.describe_anomalies(found, records, statistics_schema(DAGM))

    return lines


def test_anomaly_that_no_case_shows(made):
    assert made(("High Linf distance", "0.9, above 0.1."), None) == [
        "spacing_x: High Linf distance: 0.9, above 0.1."
    ]


def test_anomaly_of_the_whole_dataset(made):
    few = ("Low num examples in dataset.", "5, below 9.")
    assert made(None, few) == ["all cases: Low num examples in dataset.: 5, below 9."]
    assert made(("a", "b"), few)[1:] == ["spacing_x: a: b"]


def test_records_are_not_read_without_an_anomaly(anomalies):
    from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2

    def records():
        raise AssertionError("read")
        yield b""

    assert (
        anomalies.describe_anomalies(anomalies_pb2.Anomalies(), records(), schema_pb2.Schema())
        == []
    )


def test_only_the_asked_features_are_validated(anomalies, five):
    from beam_preprocess.records import encode_example
    from components.schemas import statistics_schema

    record = encode_example(five[0] | {"spacing_x": 9.0, "size_y": 5})
    found = anomalies.find_cases([record], statistics_schema(DAGM), ["size_y", "size_x"])
    assert list(found) == ["size_y"]
    assert found["size_y"] == [("case-0", "Out-of-range values: Unexpectedly small value: 5.")]
