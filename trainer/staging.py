"""Stages normalised records: one plain file per case, named by its content.

Record files are compressed and can only be read from the front. A staged case can be read at
random, so that the order of training is a pure function of (seed, epoch) and never of how Beam
laid out the files, and a resumed run goes on at its step without reading what came before. Folds
share one staging folder.
"""

import glob
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from beam_preprocess.atomic import atomic_path
from beam_preprocess.record_files import read_records
from beam_preprocess.records import decode_example, encode_example


@dataclass(frozen=True, kw_only=True, order=True)
class StagedCase:
    """A case on local disk.

    Attributes:
      case_id, group: The case and its patient.
      sha256: Of its record.
      path: The file that holds it.
      content: Hash of its image (`content_hash`); empty where the record does not tell.
    """

    case_id: str
    group: str
    sha256: str
    path: str
    content: str = ""


def stage(patterns: Sequence[str], folder: Path) -> list[StagedCase]:
    """Stages all records of the files that match `patterns`, sorted by case id.

    Raises:
      ValueError: No record was found, or a case id is there twice.
    """
    return stage_records(read_all(patterns), folder, source=str(list(patterns)))


def stage_records(records: Iterable[bytes], folder: Path, *, source: str) -> list[StagedCase]:
    """Stages normalised records, sorted by case id.

    Args:
      records: As `read_all` yields them.
      folder: Of the staged cases.
      source: Where they come from, for errors.

    Raises:
      ValueError: There is no record, or a case id is there twice.
    """
    cases = sorted(_stage_record(r, folder) for r in records)
    if not cases:
        raise ValueError(f"no records found in {source}: run the data steps first")
    for one, other in pairwise(cases):
        if one.case_id == other.case_id:
            raise ValueError(f"case {one.case_id} is there twice in {source}")
    return cases


def read_all(patterns: Sequence[str]) -> Iterator[bytes]:
    """Yields the serialised records of all files that match, plain or gzip (`.gz`), in order."""
    for path in sorted(p for pattern in patterns for p in glob.glob(pattern)):
        yield from read_records(Path(path))


def _stage_record(record: bytes, folder: Path) -> StagedCase:
    # other writers than ours order the features as they like: sorted, equal cases are equal bytes
    features = decode_example(record)
    record = encode_example(features)
    sha256 = hashlib.sha256(record).hexdigest()
    path = folder / f"{sha256}.example"
    if not path.exists() or path.stat().st_size != len(record):
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.write(record)
            file.flush()
            os.fsync(file.fileno())
    return StagedCase(
        case_id=features["case_id"][0].decode(),
        group=features["group"][0].decode(),
        sha256=sha256,
        path=str(path),
        content=features.get("content", [b""])[0].decode(),
    )


def data_fingerprint(cases: Sequence[StagedCase]) -> str:
    """One hash of the content of all cases."""
    return hashlib.sha256("\n".join(c.sha256 for c in sorted(cases)).encode()).hexdigest()
