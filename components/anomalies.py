"""Anomalies of case statistics in words, with the cases that show them.

ExampleValidator judges the statistics of a whole split and names no case. Here the records of the
split are validated one by one, for the features that it found fault with.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable

import tensorflow_data_validation as tfdv
from tensorflow_data_validation.api.validation_api import validate_instance
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from beam_preprocess.records import decode_example

MOST_CASES = 20
"""Cases that are named per anomaly."""
_ID = "case_id"


def describe_anomalies(
    anomalies: anomalies_pb2.Anomalies, records: Iterable[bytes], schema: schema_pb2.Schema
) -> list[str]:
    """Puts the anomalies of a split in words, by feature.

    Args:
      anomalies: What ExampleValidator found.
      records: The case statistics of the split (`tf.train.Example`); read where there are any.
      schema: The curated schema of the case statistics.

    Returns:
      A line per feature and case: `case-7: spacing_x: Out-of-range values: ...`. An anomaly that no
      single case shows has one line, without a case.
    """
    named = {_feature(info): info for info in anomalies.anomaly_info.values()}
    cases = find_cases(records, schema, named) if named else {}
    lines = []
    if anomalies.HasField("dataset_anomaly_info"):
        lines.append(f"all cases: {_words(anomalies.dataset_anomaly_info)}")
    for feature, info in sorted(named.items()):
        shown = [f"{case}: {feature}: {words}" for case, words in cases.get(feature, [])]
        lines += shown[:MOST_CASES] or [f"{feature}: {_words(info)}"]
        if len(shown) > MOST_CASES:
            lines.append(f"{feature}: and {len(shown) - MOST_CASES} more cases")
    return lines


def find_cases(
    records: Iterable[bytes], schema: schema_pb2.Schema, features: Collection[str]
) -> dict[str, list[tuple[str, str]]]:
    """Validates every case on its own.

    Args:
      records: Case statistics.
      schema: Their schema.
      features: Names of those to validate.

    Returns:
      Feature -> case id and what is wrong with it, of every case that shows an anomaly there.
    """
    options = _options(schema, {*features, _ID})
    decoder = ExamplesToRecordBatchDecoder()
    found = defaultdict(list)
    for record in records:
        case_id = decode_example(record)[_ID][0].decode()
        anomalies = validate_instance(decoder.DecodeBatch([record]), options)
        for info in anomalies.anomaly_info.values():
            found[_feature(info)].append((case_id, _words(info)))
    return dict(found)


def _options(schema: schema_pb2.Schema, features: Collection[str]) -> tfdv.StatsOptions:
    """Histograms are never looked at here, and would take nine tenths of the time."""
    return tfdv.StatsOptions(
        schema=schema_pb2.Schema(feature=[f for f in schema.feature if f.name in features]),
        feature_allowlist=sorted(features),
        num_histogram_buckets=1,
        num_quantiles_histogram_buckets=1,
    )


def _feature(info: anomalies_pb2.AnomalyInfo) -> str:
    """The name as it is in the records; the keys of `anomaly_info` are quoted where it has dots."""
    return ".".join(info.path.step)


def _words(info: anomalies_pb2.AnomalyInfo) -> str:
    return f"{info.short_description}: {info.description}".rstrip()
