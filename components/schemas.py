"""The curated schemas of a dataset: raw records (for Transform), case statistics (for TFDV)."""

from dataclasses import dataclass

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import schema_utils

from beam_preprocess.case import DatasetInfo
from beam_preprocess.records import raw_feature_spec
from beam_preprocess.statistics import PERCENTILES

_ORIENTATIONS_3D = [
    "".join(o)
    for axes in (("RL", "AP", "SI"),)
    for x in axes[0]
    for y in axes[1]
    for z in axes[2]
    for o in ((x, y, z), (x, z, y), (y, x, z), (y, z, x), (z, x, y), (z, y, x))
]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is ordinary for a dataset.

    Attributes:
      spacing_mm: Smallest and largest voxel size.
      size: Smallest and largest number of voxels of an axis.
      foreground: Smallest and largest share of foreground in the grid, of every channel.
      intensity: Smallest and largest mean intensity of the foreground.
    """

    spacing_mm: tuple[float, float]
    size: tuple[int, int]
    foreground: tuple[float, float]
    intensity: tuple[float, float]


LIMITS = {
    "brats": Limits(
        spacing_mm=(0.3, 5.0), size=(16, 1024), foreground=(0.01, 0.95), intensity=(-1e6, 1e6)
    ),
    "dagm": Limits(
        spacing_mm=(1.0, 1.0), size=(16, 8192), foreground=(1.0, 1.0), intensity=(1.0, 254.0)
    ),
}


def record_schema(info: DatasetInfo) -> schema_pb2.Schema:
    """The schema of raw records."""
    return schema_utils.schema_from_feature_spec(raw_feature_spec(info.rank))


def statistics_schema(info: DatasetInfo) -> schema_pb2.Schema:
    """The curated schema of case statistics: every feature once per case, within its limits."""
    limits = LIMITS[info.name]
    text = {"case_id": None, "group": None, "stratum": None, "dtype": None}
    orientations = _ORIENTATIONS_3D if info.rank == 3 else ["image"]
    features = [_text_feature(name, domain) for name, domain in text.items()]
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


def _text_feature(name: str, domain: list[str] | None) -> schema_pb2.Feature:
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
