"""The few cases that a page shows, out of record files and predictions of all."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from beam_preprocess.case import DatasetInfo
from beam_preprocess.nifti import read_nifti
from beam_preprocess.record_files import GZIP_SUFFIX, read_records
from beam_preprocess.records import RawRecord, decode_raw
from components.report.volumes import CaseVolume, make_volume

NIFTI_SUFFIXES = (".nii.gz", ".nii")


def read_volumes(
    cases: Mapping[str, int],
    *,
    examples: Path,
    splits: Mapping[str, Sequence[str]],
    predictions: Sequence[Path],
    info: DatasetInfo,
) -> dict[str, CaseVolume]:
    """Reads cases for the viewer.

    Args:
      cases: Case id -> its fold.
      examples: Folder of the raw records.
      splits: Name of a split -> its case ids.
      predictions: Per fold the folder of its predicted label maps.
      info: The dataset.

    Returns:
      Case id -> volume, of the cases whose record and prediction are there.
    """
    volumes: dict[str, CaseVolume] = {}
    for fold in sorted({*cases.values()}):
        wanted = {case_id for case_id, of in cases.items() if of == fold}
        name = f"fold-{fold}"
        for record in find_records(examples / f"Split-{name}", splits[name], wanted):
            path = find_prediction(predictions[fold], record.case_id)
            if path is not None and record.label is not None:
                prediction = read_label_map(path)
                volumes[record.case_id] = make_volume(record, prediction, info)
    return volumes


def find_records(
    folder: Path, order: Sequence[str], wanted: Collection[str]
) -> Iterator[RawRecord]:
    """Yields the records of some cases; the file where a case should be is looked into first.

    Args:
      folder: Of the record files of a split.
      order: The cases of the split, in the order in which they were written.
      wanted: Case ids; those that are in no file are left out.
    """
    files = sorted(folder.glob(f"*{GZIP_SUFFIX}"))
    left = {*wanted}
    guesses = [files[order.index(c) * len(files) // len(order)] for c in order if c in left]
    for path in dict.fromkeys([*guesses, *files]):
        if not left:
            return
        for serialized in read_records(path):
            if not any(case_id.encode() in serialized for case_id in left):
                continue  # not parsed: a scan of 25 MB is searched sooner
            record = decode_raw(serialized)
            if record.case_id in left:
                left.remove(record.case_id)
                yield record


def find_prediction(folder: Path, case_id: str) -> Path | None:
    """The file of a predicted label map, whatever its format; None where there is none."""
    return next(iter(sorted(folder.glob(f"{_literal(case_id)}.*"))), None)


def _literal(name: str) -> str:
    """A name for `glob` to find as it stands."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def read_label_map(path: Path) -> NDArray[np.uint8]:
    """Label values of a predicted label map: [X, Y, Z] of NIfTI, [H, W] of an image.

    Raises:
      ValueError: It cannot be read.
    """
    if path.name.endswith(NIFTI_SUFFIXES):
        try:
            return read_nifti(path).voxels.astype(np.uint8)
        except ValueError as e:
            raise ValueError(f"{path} {e}: evaluate the fold again") from e
    with Image.open(path) as image:
        return np.asarray(image, np.uint8)
