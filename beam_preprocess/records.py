"""The record formats: the one place that knows the features of every record that we write or read.

Raw record (CaseGen -> Transform, Evaluator): a case as it is on disk, cropped to its foreground,
with everything that is needed to go back to the original grid.
Normalised record (Transform -> Trainer): `X`, `Y`, `mean`, `stdev` as the reference systems name
them (image [*crop, C] and class indices [*crop] in 8 bits, moments [C] in the units of X), and
the geometry of the raw record.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from beam_preprocess.case import Case
from beam_preprocess.content import content_hash
from beam_preprocess.crop import Box, crop, foreground_box

IMAGE_DTYPES = ("uint8", "int16", "uint16", "int32", "float32", "float64")
"""What intensities may be stored as; others become the smallest of these that holds them."""
COPIED = ("case_id", "group", "stratum", "content", "box", "full_shape", "affine", "spacing")
"""Features that a normalised record takes over from its raw record."""


@dataclass(frozen=True, kw_only=True)
class RawRecord:
    """A decoded raw record.

    Attributes:
      case_id, group, stratum: As in `CaseFiles`.
      image: [*crop, C] in its stored dtype; zero everywhere outside `box` of the full grid.
      label: [*crop] uint8 in the dataset's own values, or None.
      box: Where the crop lies in the full grid.
      full_shape: Spatial shape of the full grid.
      affine: [4, 4] float64, voxels of the full grid to mm.
      spacing: Voxel size per spatial axis in mm.
      sources: File name -> sha256.
      content: See `content_hash`: the same for equal images under other names; empty in records
        that were made before it was stored.
    """

    case_id: str
    group: str
    stratum: str
    image: NDArray[np.generic]
    label: NDArray[np.uint8] | None
    box: Box
    full_shape: tuple[int, ...]
    affine: NDArray[np.float64]
    spacing: tuple[float, ...]
    sources: dict[str, str]
    content: str = ""


def raw_feature_spec(rank: int) -> dict[str, tf.io.FixedLenFeature]:
    """Features of a raw record of `rank` spatial axes. `label` is empty where the case has none."""
    text, numbers, floats = tf.string, tf.int64, tf.float32
    return {
        "case_id": tf.io.FixedLenFeature([], text),
        "group": tf.io.FixedLenFeature([], text),
        "stratum": tf.io.FixedLenFeature([], text),
        "content": tf.io.FixedLenFeature([], text),
        "image": tf.io.FixedLenFeature([], text),
        "image_dtype": tf.io.FixedLenFeature([], text),
        "image_shape": tf.io.FixedLenFeature([rank + 1], numbers),
        "label": tf.io.FixedLenFeature([], text),
        "box": tf.io.FixedLenFeature([2 * rank], numbers),
        "full_shape": tf.io.FixedLenFeature([rank], numbers),
        "affine": tf.io.FixedLenFeature([], text),
        "spacing": tf.io.FixedLenFeature([rank], floats),
        "sources": tf.io.FixedLenFeature([], text),
    }


def normalised_feature_spec(rank: int, channels: int) -> dict[str, tf.io.FixedLenFeature]:
    """Features of a normalised record; those of the references have no `content`."""
    copied = {name: raw_feature_spec(rank)[name] for name in COPIED}
    copied["content"] = tf.io.FixedLenFeature([], tf.string, default_value="")
    return copied | {
        "X": tf.io.FixedLenFeature([], tf.string),
        "Y": tf.io.FixedLenFeature([], tf.string),
        "mean": tf.io.FixedLenFeature([channels], tf.float32),
        "stdev": tf.io.FixedLenFeature([channels], tf.float32),
        "shape": tf.io.FixedLenFeature([rank + 1], tf.int64),
    }


def encode_raw(case: Case, *, foreground: str) -> bytes:
    """Serialises a case as a raw record, cropped to its foreground box."""
    box = foreground_box(case, foreground)
    image = _in_c_order(crop(case.image, box), stored_dtype(case.image.dtype))
    label = b"" if case.label is None else np.ascontiguousarray(crop(case.label, box)).tobytes()
    files = case.files
    return encode_example(
        {
            "case_id": files.case_id,
            "group": files.group,
            "stratum": files.stratum,
            "content": content_hash(case),
            "image": image.tobytes(),
            "image_dtype": image.dtype.name,
            "image_shape": list(image.shape),
            "label": label,
            "box": [edge for pair in box for edge in pair],
            "full_shape": list(case.image.shape[:-1]),
            "affine": case.affine.astype("<f8").tobytes(),
            "spacing": [float(s) for s in case.spacing],
            "sources": "\n".join(f"{name} {h}" for name, h in sorted(case.sources.items())),
        }
    )


def _in_c_order(image: NDArray[np.generic], dtype: np.dtype) -> NDArray[np.generic]:
    """[*S, C] in C order. Channel by channel: all at once takes ten times as long for scans."""
    ordered = np.empty(image.shape, dtype)
    for channel in range(image.shape[-1]):
        ordered[..., channel] = image[..., channel]
    return ordered


def stored_dtype(dtype: np.dtype) -> np.dtype:
    """The smallest of `IMAGE_DTYPES` that holds `dtype` without loss, little-endian."""
    fitting = [d for d in IMAGE_DTYPES if np.can_cast(dtype, d, "safe")]
    name = dtype.name if dtype.name in IMAGE_DTYPES else next(iter(fitting), "float64")
    return np.dtype(name).newbyteorder("<")


def decode_raw(serialized: bytes) -> RawRecord:
    """Reads a raw record back into arrays."""
    f = decode_example(serialized)
    shape = tuple(int(n) for n in f["image_shape"])
    edges = [int(e) for e in f["box"]]
    label = f["label"][0]
    dtype = np.dtype(f["image_dtype"][0].decode()).newbyteorder("<")
    return RawRecord(
        case_id=f["case_id"][0].decode(),
        group=f["group"][0].decode(),
        stratum=f["stratum"][0].decode(),
        image=np.frombuffer(f["image"][0], dtype).reshape(shape),
        label=np.frombuffer(label, np.uint8).reshape(shape[:-1]) if label else None,
        box=tuple(zip(edges[::2], edges[1::2], strict=True)),
        full_shape=tuple(int(n) for n in f["full_shape"]),
        affine=np.frombuffer(f["affine"][0], "<f8").reshape(4, 4),
        spacing=tuple(float(s) for s in f["spacing"]),
        sources=dict(line.rsplit(" ", 1) for line in f["sources"][0].decode().splitlines()),
        content=f.get("content", [b""])[0].decode(),
    )


def encode_example(features: Mapping[str, object]) -> bytes:
    """Serialises str, bytes, int, float and flat lists of them as a `tf.train.Example`.

    Deterministic: equal features give equal bytes.
    """
    example = tf.train.Example(
        features=tf.train.Features(feature={k: _feature(v) for k, v in features.items()})
    )
    return example.SerializeToString(deterministic=True)


def _feature(value: object) -> tf.train.Feature:
    values = value if isinstance(value, list) else [value]
    if all(isinstance(v, (str, bytes)) for v in values):
        raw = [v.encode() if isinstance(v, str) else v for v in values]
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=raw))
    if all(isinstance(v, (int, np.integer)) for v in values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def decode_example(serialized: bytes) -> dict[str, list]:
    """Reads a `tf.train.Example` as {feature name: list of values}."""
    features = tf.train.Example.FromString(serialized).features.feature
    return {name: list(getattr(f, f.WhichOneof("kind")).value) for name, f in features.items()}


def parse_normalised(serialized: tf.Tensor, *, rank: int, channels: int) -> dict[str, tf.Tensor]:
    """Parses one normalised record in a TensorFlow graph.

    Returns:
      The features of `normalised_feature_spec`; `X` and `Y` are decoded: uint8 [*crop, C], [*crop].
    """
    record = tf.io.parse_single_example(serialized, normalised_feature_spec(rank, channels))
    shape = record["shape"]
    x = tf.reshape(tf.io.decode_raw(record["X"], tf.uint8), shape)
    y = tf.reshape(tf.io.decode_raw(record["Y"], tf.uint8), shape[:-1])
    x = tf.ensure_shape(x, [None] * rank + [channels])
    return record | {"X": x, "Y": tf.ensure_shape(y, [None] * rank)}
