"""Intensity normalisation as TensorFlow functions: one source for Transform, training and serving.

Shapes: S is the spatial shape ([X, Y, Z] or [H, W]), C channels. "Foreground" are the non-zero
voxels of a channel (`nonzero`), or all pixels (`all`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from beam_preprocess.records import COPIED, IMAGE_DTYPES

REFERENCE_CLIP = 0.85
"""The reference preprocessors clip at this fraction of the maximum (NVIDIA UNet_3D_Medical)."""
REFERENCE_GREY = 127.5
"""The Cerebras loader maps photographs to x / 127.5 - 1."""
_BINS = 4096
_COUNTED_TYPES = ("uint8", "int16", "uint16")
"""Intensities of few levels: counting every level gives the same quantiles in less time."""
_COUNTED_FROM, _COUNTED_TO = tf.int16.min, tf.uint16.max + 1
_EPSILON = 1e-8


def quantise(
    image: tf.Tensor,
    *,
    profile: str,
    foreground: str,
    clip_percentiles: Sequence[float],
    quantised: bool,
) -> tf.Tensor:
    """Maps raw intensities to 8 bits, channel by channel.

    Args:
      image: [*S, C], any real dtype.
      profile: `corrected` or `reference`, see `PreprocessingConfig`.
      foreground: `nonzero` or `all`.
      clip_percentiles: Of profile `corrected`, in percent.
      quantised: Whether `image` is what comes out already, see `DatasetInfo`.

    Returns:
      uint8 [*S, C]. With `corrected` and `nonzero`, background is 0 and foreground 1 to 255.
      8-bit photographs (`all`) and `quantised` images stay as they are.

    Raises:
      ValueError: An image that is `quantised` is not of 8 bits.
    """
    if quantised and image.dtype != tf.uint8:
        raise ValueError(f"intensities that are quantised must be uint8, got {image.dtype.name}")
    if quantised or (foreground == "all" and image.dtype == tf.uint8):
        return image
    kind = tf.int32 if image.dtype.name in _COUNTED_TYPES else tf.float32
    flat = _quantise_channels(
        _channels(image, kind),
        profile=profile,
        foreground=foreground,
        clip_percentiles=clip_percentiles,
    )
    return tf.ensure_shape(tf.reshape(flat, tf.shape(image)), image.shape)


def _channels(image: tf.Tensor, kind: tf.DType) -> list[tf.Tensor]:
    """[*S, C] -> C tensors [N] of type `kind`."""
    return [tf.cast(v, kind) for v in tf.unstack(tf.reshape(image, [-1, image.shape[-1]]), axis=-1)]


def _quantise_channels(
    channels: Sequence[tf.Tensor],
    *,
    profile: str,
    foreground: str,
    clip_percentiles: Sequence[float],
) -> tf.Tensor:
    """C channels [N], float32, or int32 within 16 bits -> uint8 [N, C]."""
    if profile == "reference":
        made = [_quantise_reference(v) for v in channels]
    else:
        fractions = tuple(p / 100 for p in clip_percentiles)
        made = [_quantise_corrected(v, foreground, fractions) for v in channels]
    return tf.transpose(tf.stack(made))  # stacked along the last axis, twice the time


# Functions of their own, so that they are traced once and not for every channel.
@tf.function(autograph=False, reduce_retracing=True)
def _quantise_reference(v: tf.Tensor) -> tf.Tensor:
    """Caps at 0.85 max, scales to 255 and truncates; negatives wrap, an empty channel gives 0.

    The cap is taken in float64, as NumPy does there: with v of 0 to 3, a float32 cap of 2.5500002
    would make 1 a 99, where the reference has 255 / 2.55 = 100.
    """
    v = tf.cast(v, tf.float32)
    cap = REFERENCE_CLIP * tf.cast(tf.reduce_max(v), tf.float64)
    capped = tf.minimum(v, tf.cast(cap, tf.float32))
    scaled = tf.math.divide_no_nan(255.0 * capped, tf.reduce_max(capped))
    return tf.cast(tf.cast(scaled, tf.int32), tf.uint8)


@tf.function(autograph=False, reduce_retracing=True)
def _quantise_corrected(v: tf.Tensor, foreground: str, fractions: tuple[float, ...]) -> tf.Tensor:
    values = tf.cast(v, tf.float32)
    mask = values != 0 if foreground == "nonzero" else None
    if v.dtype == tf.int32:
        limits = _counted_quantiles(v, fractions, skip_zero=foreground == "nonzero")
    else:
        limits = quantiles(values, fractions, mask=mask)
    low, high = tf.unstack(limits)
    unit = tf.math.divide_no_nan(tf.clip_by_value(values, low, high) - low, high - low)
    if mask is None:
        return tf.cast(tf.round(unit * 255.0), tf.uint8)
    return tf.cast(tf.where(mask, tf.round(1.0 + unit * 254.0), 0.0), tf.uint8)


def _counted_quantiles(
    values: tf.Tensor, fractions: Sequence[float], *, skip_zero: bool
) -> tf.Tensor:
    """`quantiles` of int32 values within 16 bits, exact, in one pass: float32 [len(fractions)]."""
    levels = tf.range(_COUNTED_FROM, _COUNTED_TO)
    counts = _count(values - _COUNTED_FROM, _COUNTED_TO - _COUNTED_FROM)
    if skip_zero:
        counts = tf.where(levels == 0, 0, counts)
    cumulative = tf.cumsum(counts)
    count = cumulative[-1]
    chosen = tf.searchsorted(cumulative, _ranks(fractions, count))
    found = tf.gather(levels, tf.minimum(chosen, tf.size(levels) - 1))  # beyond where count is 0
    return tf.where(count > 0, tf.cast(found, tf.float32), 0.0)


def _ranks(fractions: Sequence[float], count: tf.Tensor) -> tf.Tensor:
    """Which value of `count` sorted ones (1: the smallest) each quantile is: int32."""
    exact = tf.math.ceil(tf.constant(fractions, tf.float64) * tf.cast(count, tf.float64))
    return tf.cast(tf.maximum(exact, 1.0), tf.int32)


def quantiles(
    values: tf.Tensor, fractions: Sequence[float], *, mask: tf.Tensor | None = None
) -> tf.Tensor:
    """Quantiles of float32 values of any shape by two histograms, in linear time.

    The result is the largest value of the fine bin that the quantile (inverted empirical
    distribution) falls into: exact for distinct values further apart than range / 2^24, and 0
    where there is no value.

    Args:
      values: float32.
      fractions: Between 0 and 1.
      mask: Of the same shape, true where a value counts; all count without one.

    Returns:
      float32 [len(fractions)].
    """
    with tf.name_scope("quantiles"):
        bins, count = _bins(values, mask)
        cumulative = tf.cumsum(_count(bins, _BINS))
        found = []
        for rank in tf.unstack(_ranks(fractions, count)):
            chosen = tf.reduce_sum(tf.cast(cumulative < rank, tf.int32))
            before = tf.where(chosen > 0, cumulative[tf.maximum(chosen - 1, 0)], 0)
            inside = tf.boolean_mask(values, bins == chosen)
            found.append(_value_of_rank(inside, rank - before))
    return tf.where(count > 0, tf.stack(found), 0.0)


def _bins(values: tf.Tensor, mask: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
    """The bin of every value, of 0 ... _BINS - 1 that part their range, and how many count.

    What does not count is in bin _BINS: a select is far cheaper than gathering what counts.
    """
    lowest = values if mask is None else tf.where(mask, values, values.dtype.max)
    highest = values if mask is None else tf.where(mask, values, values.dtype.min)
    low, high = tf.reduce_min(lowest), tf.reduce_max(highest)
    unit = tf.math.divide_no_nan(values - low, high - low)
    bins = tf.clip_by_value(tf.cast(unit * _BINS, tf.int32), 0, _BINS - 1)
    if mask is None:
        return bins, tf.size(values)
    return tf.where(mask, bins, _BINS), tf.math.count_nonzero(mask, dtype=tf.int32)


def _value_of_rank(values: tf.Tensor, rank: tf.Tensor) -> tf.Tensor:
    """The largest value of the fine bin that holds the value of a rank (1: the smallest)."""
    bins, _ = _bins(values, None)
    cumulative = tf.cumsum(_count(bins, _BINS))
    chosen = tf.reduce_sum(tf.cast(cumulative < rank, tf.int32))
    return tf.reduce_max(tf.boolean_mask(values, bins == chosen))


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
    pairs = [_channel_moments(v, foreground == "nonzero") for v in _channels(x, tf.int32)]
    mean, stdev = zip(*pairs, strict=True)
    return tf.stack(mean), tf.stack(stdev)


@tf.function(autograph=False, reduce_retracing=True)
def _channel_moments(v: tf.Tensor, skip_zero: bool) -> tuple[tf.Tensor, tf.Tensor]:
    counts = tf.cast(_count(v, 256), tf.float64)
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


def class_indices(
    label: tf.Tensor, label_values: Sequence[int], *, aliases: Mapping[int, int]
) -> tf.Tensor:
    """Label values -> class indices, uint8 -> uint8 of the same shape (BraTS: 4 becomes 3).

    Args:
      label: uint8, any shape.
      label_values: The label value of every class index.
      aliases: `DatasetInfo.label_aliases`: a value that means the same as another -> that one.
    """
    table = [0] * 256
    for index, value in enumerate(label_values):
        table[value] = index
    for alias, value in aliases.items():
        table[alias] = table[value]
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
      custom_config: `profile` and `clip_percentiles` of `PreprocessingConfig`; `foreground`,
        `quantised`, `label_values` and `label_aliases` of `DatasetInfo`; the number of `channels`.

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
    x = _quantise_record(record, channels, config)
    mean, stdev = moments(x, profile=config["profile"], foreground=config["foreground"])
    y = class_indices(
        tf.io.decode_raw(record["label"], tf.uint8),
        config["label_values"],
        aliases={int(k): v for k, v in config["label_aliases"].items()},  # JSON makes text of keys
    )
    return {"X": raw_bytes(x), "Y": raw_bytes(y), "mean": mean, "stdev": stdev}


def _quantise_record(
    record: Mapping[str, tf.Tensor], channels: int, config: Mapping[str, Any]
) -> tf.Tensor:
    """The 8-bit image of a raw record, uint8 [N, C]; cases of one dataset may differ in dtype."""
    options = {name: config[name] for name in ("profile", "foreground", "clip_percentiles")}
    others = [d for d in IMAGE_DTYPES if d not in _COUNTED_TYPES]

    def is_one_of(dtypes: Sequence[str]) -> tf.Tensor:
        return tf.equal(record["image_dtype"], list(dtypes))

    def decode(dtype: str) -> tf.Tensor:
        flat = tf.io.decode_raw(record["image"], tf.as_dtype(dtype))
        return tf.reshape(flat, [-1, channels])

    def quantise_as(kind: tf.DType, dtypes: Sequence[str]) -> tf.Tensor:
        index = tf.argmax(is_one_of(dtypes), output_type=tf.int32)
        branches = [lambda d=d: _channels(decode(d), kind) for d in dtypes]
        return _quantise_channels(tf.switch_case(index, branches), **options)

    def of_numbers() -> tf.Tensor:
        return tf.cond(
            tf.reduce_any(is_one_of(_COUNTED_TYPES)),
            lambda: quantise_as(tf.int32, _COUNTED_TYPES),
            lambda: quantise_as(tf.float32, others),
        )

    if config["quantised"]:
        x = decode("uint8")
    elif config["foreground"] == "nonzero":  # scans of 8 bits are scaled as others
        x = of_numbers()
    else:
        x = tf.cond(is_one_of(["uint8"])[0], lambda: decode("uint8"), of_numbers)
    return tf.ensure_shape(x, [None, channels])
