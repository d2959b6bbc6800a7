"""Folders of records -> normalised records and folds, for `python -m trainer`. No Beam is needed.

Three layouts are read: BraTS records of the reference preprocessors (X, Y, mean, stdev in
`volume-0.tfrecord` ...), DAGM records of the Cerebras converter (image and mask in
`train/train-000.tfrecords` ..., `test/...`), and our normalised records (`Split-fold-0/*.gz` ...).
The pipeline checks every record of a cohort (`beam_preprocess.datasets.reference_records`); here a
record that cannot be used ends the run.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from beam_preprocess.datasets.tfrecord_files import record_files
from beam_preprocess.record_files import GZIP_SUFFIX, read_records
from beam_preprocess.records import decode_example, encode_example
from beam_preprocess.validation import require

GRID = (240, 240, 155)
"""Shape of every BraTS volume, in the axes of a record: (y, x, z)."""
PHOTOGRAPH = (256, 256)
"""Height and width that the DAGM converter resizes to."""
GREY = 127.5
"""The DAGM converter stores x / 127.5 - 1: the moments that standardise to it again."""
Features = Mapping[str, list]


@dataclass(frozen=True, kw_only=True)
class RecordFolder:
    """A folder of records.

    Attributes:
      path: Of the folder.
      layout: `volumes` and `photographs` are the references', `splits` is ours.
      rank: Spatial axes.
      files: Name of a part -> its files in order of name. Parts are `all`, `train` and `test`, or
        `fold-0`, `fold-1` ...
    """

    path: Path
    layout: Literal["volumes", "photographs", "splits"]
    rank: int
    files: Mapping[str, tuple[Path, ...]]


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Files to train on and files held out."""

    train: tuple[Path, ...]
    held_out: tuple[Path, ...]


def find_records(path: Path, *, option: str = "--data_dir") -> RecordFolder:
    """Looks at the names of the files in a folder and at the first record.

    Args:
      path: Of the folder.
      option: What named it, for errors.

    Raises:
      ValueError: It holds no records of a layout that is read.
    """
    splits = {p.name.removeprefix("Split-"): p for p in path.glob("Split-fold-*")}
    parts = {part: tuple(record_files(path / part)) for part in ("train", "test")}
    files = tuple(record_files(path))
    if splits:
        folds = {name: tuple(sorted(p.glob(f"*{GZIP_SUFFIX}"))) for name, p in splits.items()}
        first = _first_record(path, folds)
        require("shape" in first, option, str(path), "of normalised records of ours")
        rank = len(first["shape"]) - 1
        return RecordFolder(path=path, layout="splits", rank=rank, files=folds)
    if any(parts.values()):
        _require_keys(path, parts, {"image", "mask"})
        return RecordFolder(path=path, layout="photographs", rank=2, files=parts)
    if files:
        _require_keys(path, {"all": files}, {"X", "Y", "mean", "stdev"})
        return RecordFolder(path=path, layout="volumes", rank=3, files={"all": files})
    raise ValueError(
        f"{option} must hold volume-*.tfrecord, or train/*.tfrecords and test/*.tfrecords, or"
        f" Split-fold-*/*.gz, found none of them in {path}"
    )


def _require_keys(path: Path, files: Mapping[str, Sequence[Path]], keys: Set[str]) -> None:
    """Raises ValueError unless all stems differ and the first record has these features."""
    stems = Counter(file.stem for of in files.values() for file in of)
    twice = ", ".join(sorted(stem for stem, count in stems.items() if count > 1))
    if twice:
        raise ValueError(
            f"record files must differ before their ending, found {twice} twice in {path}"
        )
    found = _first_record(path, files).keys()
    if not keys <= found:
        raise ValueError(
            f"records in {path} must have the features {', '.join(sorted(keys))}, the first has"
            f" {', '.join(sorted(found)) or 'none'}"
        )


def _first_record(path: Path, files: Mapping[str, Sequence[Path]]) -> Features:
    for file in (file for of in files.values() for file in of):
        for record in read_records(file):
            return decode_example(record)
    raise ValueError(f"record files must hold a record, those in {path} are empty")


def select_fold(folder: RecordFolder, fold: int, *, num_folds: int) -> Fold:
    """The files of a fold: held out, and all others to train on.

    Args:
      folder: Photographs have no folds: their `test` is held out, whatever `fold` is.
      fold: 0 to num_folds - 1.
      num_folds: Of our own records, as many as they were made with.

    Raises:
      ValueError: There are fewer files than folds, other folds, or a part is empty.
    """
    if folder.layout == "photographs":
        chosen = Fold(train=folder.files["train"], held_out=folder.files["test"])
    else:
        folds = _folds(folder, num_folds)
        others = [file for number, of in enumerate(folds) for file in of if number != fold]
        chosen = Fold(train=tuple(others), held_out=tuple(folds[fold]))
    if not chosen.train or not chosen.held_out:
        raise ValueError(
            f"records to train on and to hold out must both be there, found {len(chosen.train)} and"
            f" {len(chosen.held_out)} files in {folder.path}"
        )
    return chosen


def _folds(folder: RecordFolder, num_folds: int) -> Sequence[Sequence[Path]]:
    if folder.layout == "volumes":
        return fold_files(folder.files["all"], num_folds)
    names = [f"fold-{number}" for number in range(len(folder.files))]
    made = f"{len(names)}, as many as the records in {folder.path} were split into"
    require(
        num_folds == len(names) and set(names) == set(folder.files), "--num_folds", num_folds, made
    )
    return [folder.files[name] for name in names]


def fold_files(files: Sequence[Path], num_folds: int) -> list[list[Path]]:
    """Blocks of files in order of name, the first ones longer by one (`numpy.array_split`).

    The references split like this in the order of the file system; 84 files in 5 folds give 17, 17,
    17, 17 and 16.

    Raises:
      ValueError: There are fewer files than folds.
    """
    least = f"at most the number of record files ({len(files)})"
    require(num_folds <= len(files), "--num_folds", num_folds, least)
    ordered = sorted(files)
    return [
        [ordered[i] for i in block] for block in np.array_split(np.arange(len(files)), num_folds)
    ]


def normalised_records(path: Path, *, grid: Sequence[int] | None = None) -> Iterator[bytes]:
    """Yields the records of a file as normalised records (`records.normalised_feature_spec`).

    Our own are as they are. A record of a reference gets what it lacks: an id of file and place
    (`volume-0_002`), which is its group too; the whole grid as box, the identity as affine. Its
    axes stay as they are stored, (y, x, z).

    Args:
      path: Of a file in a layout of `find_records`.
      grid: Spatial shape of the reference's records, which do not say it; theirs by default.

    Raises:
      ValueError: A record is damaged, or of another size than the grid.
    """
    for number, record in enumerate(read_records(path)):
        features = decode_example(record)
        if "case_id" in features:
            yield record
            continue
        case_id = f"{path.stem}_{number:03d}"
        try:
            made = _volume(features, grid) if "X" in features else _photograph(features, grid)
        except (KeyError, ValueError) as e:
            raise ValueError(f"case {case_id} of {path} is no record of a reference: {e}") from e
        yield encode_example({"case_id": case_id, "group": case_id, "stratum": "none"} | made)


def _volume(features: Features, grid: Sequence[int] | None) -> dict[str, object]:
    grid = grid or GRID
    x, y = features["X"][0], features["Y"][0]
    voxels = math.prod(grid)
    channels = len(features["mean"])
    sizes = len(x), len(y), len(features["stdev"])
    expected = voxels * channels, voxels, channels
    require(sizes == expected, "bytes of X and Y and numbers of stdev", sizes, str(expected))
    moments = {"mean": features["mean"], "stdev": features["stdev"]}
    return {"X": x, "Y": y} | moments | _geometry(grid, channels)


def _photograph(features: Features, grid: Sequence[int] | None) -> dict[str, object]:
    """Levels of grey are rounded back to 8 bits; soft edges of a mask are defect from 1/2 on."""
    grid = grid or PHOTOGRAPH
    image, mask = (np.asarray(features[name], np.float32) for name in ("image", "mask"))
    pixels = math.prod(grid)
    require(
        image.size == mask.size == pixels,
        "values of image and mask",
        (image.size, mask.size),
        f"{pixels} each",
    )
    grey = np.rint((image.clip(-1, 1) + 1) * GREY).astype(np.uint8)
    label = (mask >= 0.5).astype(np.uint8)
    arrays = {"X": grey.tobytes(), "Y": label.tobytes()}
    return arrays | {"mean": [GREY], "stdev": [GREY]} | _geometry(grid, 1)


def _geometry(grid: Sequence[int], channels: int) -> dict[str, object]:
    return {
        "shape": [*grid, channels],
        "box": [edge for size in grid for edge in (0, size)],
        "full_shape": list(grid),
        "affine": np.eye(4, dtype="<f8").tobytes(),
        "spacing": [1.0] * len(grid),
    }
