"""TFRecord files: TensorFlow reads ours, we read TensorFlow's, and damage is seen."""

import gzip

import pytest
import tensorflow as tf

from beam_preprocess.record_files import RecordWriter, masked_crc, read_records

RECORDS = [b"one", b"", bytes(range(256)) * 40]


@pytest.fixture
def path(tmp_path):
    with RecordWriter(tmp_path / "a.gz") as file:
        for record in RECORDS:
            file.write(record)
    return tmp_path / "a.gz"


def test_tensorflow_reads_ours(path):
    dataset = tf.data.TFRecordDataset(str(path), compression_type="GZIP")
    assert list(dataset.as_numpy_iterator()) == RECORDS == list(read_records(path))


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_we_read_tensorflows(tmp_path, compression):
    path = tmp_path / ("b.gz" if compression else "b.tfrecord")
    with tf.io.TFRecordWriter(str(path), compression) as file:
        for record in RECORDS:
            file.write(record)
    assert list(read_records(path)) == RECORDS


def test_equal_records_give_equal_bytes(path, tmp_path):
    """No time, no file name in the gzip header."""
    with RecordWriter(tmp_path / "other name.gz") as file:
        for record in RECORDS:
            file.write(record)
    assert (tmp_path / "other name.gz").read_bytes() == path.read_bytes()


def test_masked_crc_of_the_known_digits():
    """CRC-32C of 123456789 is 0xe3069283 (RFC 3720)."""
    crc = 0xE3069283
    expected = ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF
    assert masked_crc(b"123456789") == expected


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b[:-7], "requires a buffer"),
        (
            lambda b: b[:20],
            "checksum of a record's length|checksum of a record is|requires a buffer",
        ),
        (lambda b: b[:12] + b"X" + b[13:], "checksum of a record is wrong"),
        (lambda b: b"\x09" + b[1:], "checksum of a record's length is wrong"),
    ],
    ids=["tail", "short", "flipped", "length"],
)
@pytest.mark.parametrize("packed", [False, True])
def test_damage_is_seen(path, tmp_path, damage, message, packed):
    content = damage(gzip.decompress(path.read_bytes()))
    broken = tmp_path / ("broken.gz" if packed else "broken")
    broken.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(ValueError, match=f"must be a complete TFRecord file: .*({message})"):
        list(read_records(broken))


def test_truncated_gzip_is_seen(path):
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(ValueError, match="must be a complete TFRecord file"):
        list(read_records(path))
