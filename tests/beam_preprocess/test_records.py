"""Records: what goes in comes out, byte for byte."""

import numpy as np
import pytest
import tensorflow as tf

from beam_preprocess.content import content_hash
from beam_preprocess.crop import crop, uncrop
from beam_preprocess.records import (
    IMAGE_DTYPES,
    decode_example,
    decode_raw,
    encode_example,
    encode_raw,
    normalised_feature_spec,
    parse_normalised,
    raw_feature_spec,
    stored_dtype,
)


def scan(dtype="int16"):
    """[4, 5, 6, 2] with foreground in x 1..2, y 2..4, z 0..5."""
    image = np.zeros((4, 5, 6, 2), dtype)
    image[1:3, 2:5] = np.arange(1, 73).reshape(2, 3, 6, 2)
    return image


@pytest.mark.parametrize("dtype", [*IMAGE_DTYPES, ">i2", ">f4"])
def test_raw_record_of_a_scan(make_case, dtype):
    image = scan(dtype)
    label = (image[..., 0] % 5).astype(np.uint8)
    case = make_case(image, label)
    record = decode_raw(encode_raw(case, foreground="nonzero"))
    assert (record.case_id, record.group, record.stratum) == ("c", "g", "s")
    assert record.box == ((1, 3), (2, 5), (0, 6)) and record.full_shape == (4, 5, 6)
    assert record.image.dtype == np.dtype(dtype).newbyteorder("<")
    np.testing.assert_array_equal(record.image, crop(image, record.box))
    np.testing.assert_array_equal(record.label, crop(label, record.box))
    np.testing.assert_array_equal(record.affine, case.affine)
    assert record.affine.dtype == np.float64
    assert record.spacing == (2.0, 3.0, 4.0)
    assert record.sources == {"a b.nii.gz": "11", "b.png": "22"}
    assert record.content == content_hash(case)
    np.testing.assert_array_equal(uncrop(record.image, record.box, record.full_shape), image)


def test_raw_record_without_label(make_case):
    case = make_case(np.asfortranarray(scan()))
    record = decode_raw(encode_raw(case, foreground="nonzero"))
    assert record.label is None
    np.testing.assert_array_equal(record.image, scan()[1:3, 2:5])


def test_raw_record_of_a_photograph(make_case):
    image = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    label = np.array([[0, 255, 0], [0, 0, 255]], np.uint8)
    record = decode_raw(encode_raw(make_case(image, label), foreground="all"))
    np.testing.assert_array_equal(record.image, image)
    np.testing.assert_array_equal(record.label, label)
    assert record.box == ((0, 2), (0, 3)) and record.spacing == (2.0, 3.0)


@pytest.mark.parametrize(("rank", "image"), [(3, scan()), (2, scan()[1])])
def test_raw_record_has_the_features_of_its_spec(make_case, rank, image):
    serialized = encode_raw(make_case(image), foreground="nonzero")
    assert set(decode_example(serialized)) == set(raw_feature_spec(rank))
    parsed = tf.io.parse_single_example(serialized, raw_feature_spec(rank))
    assert parsed["image_shape"].numpy().tolist()[-1] == 2
    assert len(parsed["box"]) == 2 * rank and parsed["label"].numpy() == b""


def test_records_that_do_not_tell_the_image(make_case):
    """Raw ones of earlier runs, and normalised ones of the references."""
    features = decode_example(encode_raw(make_case(scan()), foreground="nonzero"))
    del features["content"]
    assert decode_raw(encode_example(features)).content == ""
    features = decode_example(normalised_record(scan("uint8"), scan("uint8")[..., 0]))
    del features["content"]
    record = parse_normalised(encode_example(features), rank=3, channels=2)
    assert record["content"].numpy() == b""


def test_encoding_is_deterministic(make_case):
    first = encode_raw(make_case(scan()), foreground="nonzero")
    assert encode_raw(make_case(scan()), foreground="nonzero") == first
    features = {"b": 1, "a": "x", "c": [1.5]}
    backwards = dict(reversed(features.items()))
    assert encode_example(features) == encode_example(backwards)


@pytest.mark.parametrize(
    ("stored", "kept"),
    [
        *((d, d) for d in IMAGE_DTYPES),
        ("bool", "uint8"),
        ("int8", "int16"),
        ("uint32", "float64"),
        ("int64", "float64"),
        ("float16", "float32"),
        ("longdouble", "float64"),
        (">u2", "uint16"),
    ],
)
def test_stored_dtype_loses_nothing(stored, kept):
    image = np.array([[0, 1], [1, 0]], stored).T
    result = image.astype(stored_dtype(image.dtype))
    assert result.dtype == np.dtype(kept).newbyteorder("<")
    np.testing.assert_array_equal(result, image)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "uint32"])
def test_stored_dtype_keeps_the_extremes(dtype):
    extremes = np.array([np.iinfo(dtype).min, np.iinfo(dtype).max], dtype)
    assert extremes.astype(stored_dtype(extremes.dtype)).tolist() == extremes.tolist()


def test_example_of_every_kind():
    features = {
        "text": "ä",
        "bytes": b"\x00\xff",
        "texts": ["a", b"b"],
        "int": 2**40,
        "numpy": [np.int64(-1), 2],
        "float": 0.5,
        "mixed": [1, 0.5],
    }
    assert decode_example(encode_example(features)) == {
        "text": ["ä".encode()],
        "bytes": [b"\x00\xff"],
        "texts": [b"a", b"b"],
        "int": [2**40],
        "numpy": [-1, 2],
        "float": [0.5],
        "mixed": [1.0, 0.5],
    }


def normalised_record(x, y):
    rank = y.ndim
    return encode_example(
        {
            "X": x.tobytes(),
            "Y": y.tobytes(),
            "mean": [1.5] * x.shape[-1],
            "stdev": [0.5] * x.shape[-1],
            "shape": list(x.shape),
            "case_id": "c",
            "group": "g",
            "stratum": "s",
            "content": "h",
            "box": list(range(2 * rank)),
            "full_shape": list(y.shape),
            "affine": np.eye(4).tobytes(),
            "spacing": [1.0] * rank,
        }
    )


@pytest.mark.parametrize("shape", [(2, 3, 4, 2), (3, 2, 1)])
def test_parse_normalised_eagerly_and_in_tf_data(shape):
    rank, channels = len(shape) - 1, shape[-1]
    x = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    y = x[..., 0] % 4
    serialized = normalised_record(x, y)
    assert set(decode_example(serialized)) == set(normalised_feature_spec(rank, channels))
    dataset = tf.data.Dataset.from_tensors(serialized).map(
        lambda s: parse_normalised(s, rank=rank, channels=channels)
    )
    assert dataset.element_spec["X"].shape == [None] * rank + [channels]
    assert dataset.element_spec["Y"].shape == [None] * rank
    for record in (parse_normalised(serialized, rank=rank, channels=channels), *dataset):
        np.testing.assert_array_equal(record["X"], x)
        np.testing.assert_array_equal(record["Y"], y)
        assert record["mean"].numpy().tolist() == [1.5] * channels
        assert record["case_id"].numpy() == b"c"


def test_parse_normalised_refuses_other_channels():
    x = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
        parse_normalised(normalised_record(x, x[..., 0]), rank=2, channels=1)
