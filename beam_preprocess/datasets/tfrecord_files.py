"""TFRecord files as a source of cases: finding them, counting their records, reading one of them.

A file is a chain of frames: length (8 bytes), its checksum (4), the record, its checksum (4).
Listing reads the lengths only and leaps over the records; a case is read by leaping to it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from beam_preprocess.case import CaseFiles, Listing, Problem
from beam_preprocess.record_files import masked_crc

COPY = "copy the file again, or write it again with the reference preprocessor"
_SUFFIXES = (".tfrecord", ".tfrecords")


def frames(path: Path) -> Iterator[tuple[int, int]]:
    """Yields offset and length in bytes of every record of a TFRecord file, without reading them.

    Raises:
      ValueError: The file is compressed, no TFRecord file, or ends within a record.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        while (start := file.tell()) < size:
            header = file.read(12)
            if start == 0 and header.startswith(b"\x1f\x8b"):
                raise ValueError("is compressed, and the reference systems write plain records")
            length = int.from_bytes(header[:8], "little")
            end = start + 12 + length + 4
            if len(header) == 12 and _checksum(header[:8]) != header[8:]:
                words = "is no TFRecord file" if start == 0 else f"is damaged at byte {start}"
                raise ValueError(f"{words}: the checksum of a record's length does not fit")
            if len(header) < 12 or end > size:
                raise ValueError(f"is cut short: a record starts at byte {start}, {size} are there")
            yield start + 12, length
            file.seek(end)


def read_record(path: Path, index: int) -> bytes:
    """Reads one record (the first is 0), leaping over those before it.

    Raises:
      ValueError: There is no such record, or its checksum does not fit.
    """
    for number, (offset, length) in enumerate(frames(path)):
        if number == index:
            with path.open("rb") as file:
                file.seek(offset)
                record, checksum = file.read(length), file.read(4)
            if _checksum(record) != checksum:
                raise ValueError(f"is damaged: the checksum of record {index} does not fit")
            return record
    raise ValueError(f"has no record {index} (the first is 0)")


def _checksum(content: bytes) -> bytes:
    return masked_crc(content).to_bytes(4, "little")


def record_files(folder: Path) -> list[Path]:
    """The TFRecord files in a folder, which may be missing, in order of name."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [p for p in found if p.suffix in _SUFFIXES and not p.name.startswith(".")]


def list_file(path: Path, split: str) -> tuple[list[CaseFiles], list[Problem]]:
    """The cases of a file, `<stem>_<number of the record>`; none where the file is damaged."""
    try:
        count = sum(1 for _ in frames(path))
        if count == 0:
            raise ValueError("has no record")
    except (OSError, ValueError) as e:
        remedy = f"{COPY}, or leave the file out with data.exclude"
        rule = f"{path.name} {e}"
        return [], [Problem(case_id=path.stem, rule=rule, path=str(path), remedy=remedy)]
    ids = [f"{path.stem}_{number:03d}" for number in range(count)]
    return [
        CaseFiles(
            case_id=case_id,
            group=case_id,
            stratum="none",
            images=(path,),
            label=path,
            split=split,
            index=number,
        )
        for number, case_id in enumerate(ids)
    ], []


def make_listing(
    cases: Sequence[CaseFiles],
    problems: Sequence[Problem],
    folders: Sequence[Path],
) -> Listing:
    """A listing; what is neither read nor told of is ignored."""
    bad = {p.case_id for p in problems}
    used = {path for c in cases for path in c.images} | {Path(p.path) for p in problems}
    beside = {p for f in folders if f.is_dir() for p in f.iterdir()} - used - set(folders)
    good = [c for c in cases if c.images[0].stem not in bad]
    return Listing(
        cases=tuple(sorted(good, key=lambda c: c.case_id)),
        problems=tuple(problems),
        ignored=tuple(sorted(beside)),
    )


def repeated_names(files: Sequence[Path]) -> list[Problem]:
    """Cases are named after the stem of their file: two endings of one stem are a problem."""
    counts = Counter(p.stem for p in files)
    return [
        Problem(
            case_id=path.stem,
            rule=f"names of record files must differ before the ending, found {counts[path.stem]}",
            path=str(path),
            remedy="remove or rename all but one of the files",
        )
        for path in files
        if counts[path.stem] > 1
    ]
