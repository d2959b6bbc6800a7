"""Intensity normalisation as TensorFlow functions: one source for Transform, training and serving.

Shapes: S is the spatial shape ([X, Y, Z] or [H, W]), C channels. "Foreground" are the non-zero
voxels of a channel (`nonzero`), or all pixels (`all`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from beam_preprocess.records import COPIED, IMAGE_DTYPES

REFERENCE_CLIP = 0.85
"""The reference preprocessors clip at this fraction of the maximum (NVIDIA UNet_3D_Medical)."""
REFERENCE_GREY = 127.5
"""The Cerebras loader maps photographs to x / 127.5 - 1."""
_BINS = 4096
_EPSILON = 1e-8


def quantise(
    image: tf.Tensor, *, profile: str, foreground: str, clip_percentiles: Sequence[float]
) -> tf.Tensor:
    """Maps raw intensities to 8 bits, channel by channel.

    Args:
      image: [*S, C], any real dtype.
      profile: `corrected` or `reference`, see `PreprocessingConfig`.
      foreground: `nonzero` or `all`.
      clip_percentiles: Of profile `corrected`, in percent.

    Returns:
      uint8 [*S, C]. With `corrected` and `nonzero`, background is 0 and foreground 1 to 255.
      8-bit photographs (`all`) stay as they are.
    """
    if foreground == "all" and image.dtype == tf.uint8:
        return image
    values = tf.cast(image, tf.float32)
    channels = [
        _quantise_reference(v)
        if profile == "reference"
        else _quantise_corrected(v, foreground, clip_percentiles)
        for v in tf.unstack(values, axis=-1)
    ]
    return tf.stack(channels, axis=-1)


def _quantise_reference(v: tf.Tensor) -> tf.Tensor:
    """Caps at 0.85 max, scales to 255 and truncates; negatives wrap, an empty channel gives 0.

    The cap is taken in float64, as NumPy does there: with v of 0 to 3, a float32 cap of 2.5500002
    would make 1 a 99, where the reference has 255 / 2.55 = 100.
    """
    cap = REFERENCE_CLIP * tf.cast(tf.reduce_max(v), tf.float64)
    capped = tf.minimum(v, tf.cast(cap, tf.float32))
    scaled = tf.math.divide_no_nan(255.0 * capped, tf.reduce_max(capped))
    return tf.cast(tf.cast(scaled, tf.int32), tf.uint8)


def _quantise_corrected(v: tf.Tensor, foreground: str, percentiles: Sequence[float]) -> tf.Tensor:
    mask = v != 0 if foreground == "nonzero" else tf.ones_like(v, tf.bool)
    low, high = tf.unstack(quantiles(tf.boolean_mask(v, mask), [p / 100 for p in percentiles]))
    unit = tf.math.divide_no_nan(tf.clip_by_value(v, low, high) - low, high - low)
    first = 1.0 if foreground == "nonzero" else 0.0
    scaled = tf.round(first + unit * (255.0 - first))
    return tf.cast(tf.where(mask, scaled, 0.0), tf.uint8)


def quantiles(values: tf.Tensor, fractions: Sequence[float]) -> tf.Tensor:
    """Quantiles of float32 [N] by two histograms, in linear time.

    The result is the largest value of the fine bin that the quantile (inverted empirical
    distribution) falls into: exact for distinct values further apart than range / 2^24, and 0
    where N is 0.

    Returns:
      float32 [len(fractions)].
    """
    empty = tf.equal(tf.size(values), 0)
    values = tf.cond(empty, lambda: tf.zeros([1]), lambda: values)
    return tf.stack([_quantile(values, tf.constant(f, tf.float64)) for f in fractions])


@tf.function(autograph=False)  # one function in the graph, whatever the number of channels
def _quantile(values: tf.Tensor, fraction: tf.Tensor) -> tf.Tensor:
    count = tf.cast(tf.size(values), tf.float64)
    rank = tf.cast(tf.maximum(tf.math.ceil(fraction * count), 1.0), tf.int32)
    for _ in range(2):  # the second histogram spreads one bin of the first over all bins
        low, high = tf.reduce_min(values), tf.reduce_max(values)
        unit = tf.math.divide_no_nan(values - low, high - low)
        bins = tf.minimum(tf.cast(unit * _BINS, tf.int32), _BINS - 1)
        cumulative = tf.cumsum(_count(bins, _BINS))
        chosen = tf.reduce_sum(tf.cast(cumulative < rank, tf.int32))
        rank -= tf.where(chosen > 0, cumulative[tf.maximum(chosen - 1, 0)], 0)
        values = tf.boolean_mask(values, bins == chosen)
    return tf.reduce_max(values)


def moments(x: tf.Tensor, *, profile: str, foreground: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and population standard deviation of the foreground per channel, exact by counting.

    Args:
      x: uint8 [*S, C].
      profile, foreground: As in `quantise`. Photographs of profile `reference` get 127.5 and 127.5.

    Returns:
      mean, stdev: float32 [C], in the units of x; 0 where a channel has no foreground.
    """
    channels = x.shape[-1]
    if foreground == "all" and profile == "reference":
        constant = tf.fill([channels], REFERENCE_GREY)
        return constant, constant
    pairs = [_channel_moments(v, skip_zero=foreground == "nonzero") for v in tf.unstack(x, axis=-1)]
    mean, stdev = zip(*pairs, strict=True)
    return tf.stack(mean), tf.stack(stdev)


def _channel_moments(v: tf.Tensor, *, skip_zero: bool) -> tuple[tf.Tensor, tf.Tensor]:
    flat = tf.cast(tf.reshape(v, [-1]), tf.int32)
    counts = tf.cast(_count(flat, 256), tf.float64)
    levels = tf.range(256, dtype=tf.float64)
    if skip_zero:
        counts *= tf.cast(levels > 0, tf.float64)
    total = tf.reduce_sum(counts)
    mean = tf.math.divide_no_nan(tf.reduce_sum(counts * levels), total)
    variance = tf.math.divide_no_nan(tf.reduce_sum(counts * (levels - mean) ** 2), total)
    return tf.cast(mean, tf.float32), tf.cast(tf.sqrt(variance), tf.float32)


def standardise(x: tf.Tensor, mean: tf.Tensor, stdev: tf.Tensor, *, foreground: str) -> tf.Tensor:
    """(x - mean) / (stdev + 1e-8) on the foreground, 0 elsewhere, as the reference systems do.

    Args:
      x: uint8 [*S, C].
      mean, stdev: float32 [C].

    Returns:
      float32 [*S, C].
    """
    z = (tf.cast(x, tf.float32) - mean) / (stdev + _EPSILON)
    return tf.where(x > 0, z, 0.0) if foreground == "nonzero" else z


def _count(values: tf.Tensor, bins: int) -> tf.Tensor:
    """How often 0 ... bins - 1 occur in an int32 tensor: int32 [bins].

    On the CPU always: a GPU cannot count under TensorFlow's op determinism.
    """
    with tf.device("CPU:0"):
        return tf.math.bincount(values, minlength=bins, maxlength=bins)


def class_indices(label: tf.Tensor, label_values: Sequence[int]) -> tf.Tensor:
    """Label values -> class indices, uint8 -> uint8 of the same shape (BraTS: 4 becomes 3)."""
    table = [0] * 256
    for index, value in enumerate(label_values):
        table[value] = index
    return tf.gather(tf.constant(table, tf.uint8), tf.cast(label, tf.int32))


def label_map(classes: tf.Tensor, label_values: Sequence[int]) -> tf.Tensor:
    """Class indices -> label values (uint8), the inverse of `class_indices`."""
    return tf.gather(tf.constant(label_values, tf.uint8), tf.cast(classes, tf.int32))


def raw_bytes(x: tf.Tensor) -> tf.Tensor:
    """The C-order bytes of a uint8 tensor, as a string scalar.

    TensorFlow has no op for it; a serialised TensorProto ends with exactly these bytes.
    """
    return tf.strings.substr(tf.io.serialize_tensor(x), -tf.size(x), tf.size(x))


def preprocessing_fn(
    inputs: Mapping[str, tf.Tensor], custom_config: Mapping[str, Any]
) -> dict[str, tf.Tensor]:
    """tensorflow-transform's entry point: a batch of raw records -> a batch of normalised records.

    Args:
      inputs: Batched features of `records.raw_feature_spec`.
      custom_config: `profile`, `clip_percentiles`, `foreground`, `label_values`.

    Returns:
      Batched features of `records.normalised_feature_spec`.
    """
    rank = inputs["full_shape"].shape[-1]
    channels = int(custom_config["channels"])

    def convert(record: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return _normalise_record(record, channels, custom_config)

    names = ("image", "image_dtype", "image_shape", "label")
    signature = {name: tf.TensorSpec([], tf.string) for name in ("X", "Y")}
    signature |= {name: tf.TensorSpec([channels], tf.float32) for name in ("mean", "stdev")}
    outputs = tf.map_fn(convert, {n: inputs[n] for n in names}, fn_output_signature=signature)
    shape = tf.ensure_shape(inputs["image_shape"], [None, rank + 1])
    return outputs | {"shape": shape} | {name: tf.identity(inputs[name]) for name in COPIED}


def _normalise_record(
    record: Mapping[str, tf.Tensor], channels: int, config: Mapping[str, Any]
) -> dict[str, tf.Tensor]:
    profile, foreground = config["profile"], config["foreground"]
    rank = record["image_shape"].shape[0] - 1
    image = tf.reshape(_decode(record, foreground), record["image_shape"])
    x = quantise(
        tf.ensure_shape(image, [None] * rank + [channels]),
        profile=profile,
        foreground=foreground,
        clip_percentiles=config["clip_percentiles"],
    )
    mean, stdev = moments(x, profile=profile, foreground=foreground)
    y = class_indices(tf.io.decode_raw(record["label"], tf.uint8), config["label_values"])
    return {"X": raw_bytes(x), "Y": raw_bytes(y), "mean": mean, "stdev": stdev}


def _decode(record: Mapping[str, tf.Tensor], foreground: str) -> tf.Tensor:
    """The intensities of a raw record, flat: uint8 of photographs, float32 of scans."""
    if foreground == "all":
        return tf.io.decode_raw(record["image"], tf.uint8)

    def branch(dtype: str) -> Callable[[], tf.Tensor]:
        return lambda: tf.cast(tf.io.decode_raw(record["image"], tf.as_dtype(dtype)), tf.float32)

    index = tf.argmax(tf.equal(record["image_dtype"], list(IMAGE_DTYPES)), output_type=tf.int32)
    return tf.switch_case(index, [branch(dtype) for dtype in IMAGE_DTYPES])
