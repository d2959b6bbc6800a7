"""The curated schemas of a dataset: raw records (for Transform), case statistics (for TFDV)."""

import itertools
from collections.abc import Sequence

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import schema_utils

from beam_preprocess.case import DatasetInfo, Limits
from beam_preprocess.records import raw_feature_spec
from beam_preprocess.statistics import PERCENTILES

_ORIENTATIONS_3D = [
    "".join(codes)
    for axes in itertools.permutations(("RL", "AP", "SI"))
    for codes in itertools.product(*axes)
]
"""All 48 of `nibabel.aff2axcodes`."""
_TEXTS = ("case_id", "group", "stratum", "dtype", "content")
"""Features that are any text; `content` is the hash by which equal images are found."""


def record_schema(info: DatasetInfo) -> schema_pb2.Schema:
    """The schema of raw records."""
    return schema_utils.schema_from_feature_spec(raw_feature_spec(info.rank))


def statistics_schema(info: DatasetInfo) -> schema_pb2.Schema:
    """The curated schema of case statistics: every feature once per case, within its limits."""
    limits = info.limits
    orientations = _ORIENTATIONS_3D if info.rank == 3 else ["image"]
    features = [_text_feature(name) for name in _TEXTS]
    features.append(_text_feature("orientation", orientations))
    features.append(_int_feature("channels", (len(info.channels), len(info.channels))))
    features.append(_int_feature("labelled", (1, 1)))
    for axis in "xyz"[: info.rank]:
        features.append(_int_feature(f"size_{axis}", limits.size))
        features.append(_float_feature(f"spacing_{axis}", limits.spacing_mm))
    for channel in info.channels:
        features += _channel_features(channel, limits)
    for value in info.label_values:
        features.append(_int_feature(f"label_{value}_voxels", (0, None)))
    return schema_pb2.Schema(feature=features)


def _channel_features(channel: str, limits: Limits) -> list[schema_pb2.Feature]:
    return [
        _float_feature(f"{channel}_foreground", limits.foreground),
        _float_feature(f"{channel}_mean", limits.intensity),
        _float_feature(f"{channel}_stdev", (1e-6, None)),
        *(_float_feature(f"{channel}_p{p:02d}", (None, None)) for p in PERCENTILES),
    ]


def _feature(name: str, kind: "schema_pb2.FeatureType") -> schema_pb2.Feature:
    feature = schema_pb2.Feature(name=name, type=kind)
    feature.presence.min_fraction = 1.0
    feature.presence.min_count = 1
    feature.shape.dim.add(size=1)
    return feature


def _text_feature(name: str, domain: Sequence[str] = ()) -> schema_pb2.Feature:
    feature = _feature(name, schema_pb2.BYTES)
    if domain:
        feature.string_domain.value.extend(domain)
    return feature


def _int_feature(name: str, limits: tuple[int, int | None]) -> schema_pb2.Feature:
    feature = _feature(name, schema_pb2.INT)
    feature.int_domain.min = limits[0]
    if limits[1] is not None:
        feature.int_domain.max = limits[1]
    return feature


def _float_feature(name: str, limits: tuple[float | None, float | None]) -> schema_pb2.Feature:
    feature = _feature(name, schema_pb2.FLOAT)
    feature.float_domain.disallow_nan = True
    feature.float_domain.disallow_inf = True
    for bound, value in zip(("min", "max"), limits, strict=True):
        if value is not None:
            setattr(feature.float_domain, bound, value)
    return feature


def schema_text(kind: str, info: DatasetInfo) -> str:
    """The schema of `kind` (`records` or `statistics`) as a text proto."""
    schema = record_schema(info) if kind == "records" else statistics_schema(info)
    return text_format.MessageToString(schema)
