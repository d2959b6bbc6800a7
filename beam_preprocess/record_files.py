"""TFRecord files: a length, its checksum, the record, its checksum, record after record.

Our own, because TensorFlow deflates with zlib, which costs more time than all of the rest of a
conversion; `isal` does it eight times as fast. The format is TensorFlow's (`tensorflow/core/lib/io/
record_writer.h`), and its readers read these files.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

import google_crc32c
from isal import igzip

GZIP_SUFFIX = ".gz"
_GZIP_LEVEL = 1  # a higher one makes records of scans no smaller
_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")


class RecordWriter:
    """Writes records to a gzip-compressed TFRecord file. Equal records give equal bytes."""

    def __init__(self, path: Path):
        self._file = path.open("wb")
        self._gzip = igzip.IGzipFile(
            filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=self._file, mtime=0
        )

    def write(self, record: bytes) -> None:
        """Appends a record."""
        length = struct.pack("<Q", len(record))
        self._gzip.write(length + _CHECKSUM.pack(masked_crc(length)))
        self._gzip.write(record)
        self._gzip.write(_CHECKSUM.pack(masked_crc(record)))

    def __enter__(self) -> "RecordWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._gzip.close()
        self._file.close()


def read_records(path: Path) -> Iterator[bytes]:
    """Yields the records of a TFRecord file, gzip-compressed where its name ends in `.gz`.

    Raises:
      ValueError: The file is truncated or damaged.
    """
    opened = igzip.open(path, "rb") if path.name.endswith(GZIP_SUFFIX) else path.open("rb")
    with opened as file:
        try:
            while header := file.read(_HEADER.size):
                yield _read_record(file, header)
        except (OSError, EOFError, struct.error, igzip.BadGzipFile) as e:
            raise ValueError(f"{path} must be a complete TFRecord file: {e}") from e


def _read_record(file: IO[bytes], header: bytes) -> bytes:
    length, length_crc = _HEADER.unpack(header)
    if masked_crc(header[:8]) != length_crc:
        raise OSError("the checksum of a record's length is wrong")
    record = file.read(length)
    (record_crc,) = _CHECKSUM.unpack(file.read(_CHECKSUM.size))
    if masked_crc(record) != record_crc:
        raise OSError("the checksum of a record is wrong")
    return record


def masked_crc(content: bytes) -> int:
    """CRC-32C as TFRecord files hold it: rotated, and a constant added.

    >>> hex(masked_crc(b"123456789"))  # the CRC-32C of these digits is 0xe3069283
    '0xc78ab0e5'
    """
    crc = google_crc32c.value(content)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
