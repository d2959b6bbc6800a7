"""Records that the reference systems wrote, as an input of their own: uncompressed TFRecord files.

BraTS (NVIDIA, Habana, Ascend: `volume-0.tfrecord` ...) has X, Y, mean and stdev per case, DAGM
(Cerebras: `train/train-000.tfrecords` ...) image and mask. Neither has an id, a patient, an affine
or a spacing: a case is named after its file and its place in it, and is a group by itself.

The source of a case is its own record, so that the sha256 does not depend on its neighbours.
"""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from beam_preprocess import checks
from beam_preprocess.case import (
    TEST,
    Case,
    CaseFiles,
    DataError,
    DatasetInfo,
    Limits,
    Listing,
    Problem,
)
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.datasets.listing import missing_root
from beam_preprocess.datasets.photographs import photograph_case, write_mask
from beam_preprocess.datasets.tfrecord_files import (
    COPY,
    list_file,
    make_listing,
    read_record,
    record_files,
    repeated_names,
)
from beam_preprocess.datasets.volumes import SUFFIXES, stack_channels
from beam_preprocess.nifti import write_nifti
from beam_preprocess.records import decode_example

GRID = (240, 240, 155)
"""Shape of every BraTS volume, in the axes of a record: (y, x, z)."""
DAGM_GRID = (256, 256)
"""Height and width that the DAGM converter resizes photographs to."""
PARTS = {"train": "cv", "test": TEST}
"""Folder of DAGM records -> split of the cases in it."""
MOMENT_TOLERANCE = 1e-3
"""Relative. float32 rounds at 1e-7, and other preprocessors are off by percents."""
_BRATS_KEYS = {"X", "Y", "mean", "stdev"}
_DAGM_KEYS = {"image", "mask"}
_RANGES = {"image": (-1, 1), "mask": (0, 1)}
_ROUNDING = 1e-4
"""Resizing in float32 may leave a range by as much; a level of 8 bits is 80 times that."""
_LEAVE_OUT = f"{COPY}, or leave the case out with data.exclude"

BRATS_RECORDS = DatasetInfo(
    name="brats-records",
    rank=3,
    channels=("t1", "t1ce", "t2", "flair"),
    label_values=(0, 1, 2, 3),
    label_names={1: "TumorCore", 2: "PeritumoralEdema", 3: "EnhancingTumor"},
    regions={"ET": (3,), "TC": (1, 3), "WT": (1, 2, 3)},
    foreground="nonzero",
    serving_dtypes=("uint8",),
    label_suffixes=SUFFIXES,
    task="regions",
    limits=Limits(
        spacing_mm=(1.0, 1.0), size=(16, 1024), foreground=(0.01, 0.95), intensity=(1.0, 255.0)
    ),
    quantised=True,
)
DAGM_RECORDS = replace(DAGM, name="dagm-records")


class BratsRecords:
    """Reader of BraTS records: a case per record, in 8 bits, with labels 0 to 3 (4 became 3).

    A record holds its axes as (y, x, z); a case has them as the scan had, (x, y, z). The affine is
    the identity and the spacing 1 mm: the preprocessors throw away what the scans say.
    """

    def __init__(
        self,
        info: DatasetInfo = BRATS_RECORDS,
        config: DataConfig | None = None,
        *,
        grid: tuple[int, int, int] = GRID,
    ):
        self.info = info
        self._grid = grid

    @staticmethod
    def describe(config: DataConfig) -> DatasetInfo:
        """All records of the BraTS preprocessors share this."""
        return BRATS_RECORDS

    def list_cases(self, root: Path) -> Listing:
        """Lists the records of `*.tfrecord` and `*.tfrecords`."""
        if listing := missing_root(root):
            return listing
        files = record_files(root)
        found = [list_file(path, "cv") for path in files]
        problems = [p for _, wrong in found for p in wrong] + repeated_names(files)
        if not files and record_files(root / "train"):
            problems.append(_other_layout(root, "train/*.tfrecords", "dagm-records"))
        return make_listing([c for cases, _ in found for c in cases], problems, [root])

    def read_case(self, files: CaseFiles) -> Case:
        """Reads a record. Raises DataError with every problem of it."""
        path = files.images[0]
        features, digest = _read_features(files, _BRATS_KEYS)
        if problems := _check_sizes(files, features, self._grid, len(self.info.channels)):
            raise DataError(problems)
        x = np.frombuffer(features["X"][0], np.uint8).reshape(*self._grid, -1).swapaxes(0, 1)
        y = np.frombuffer(features["Y"][0], np.uint8).reshape(self._grid).swapaxes(0, 1)
        image, label = stack_channels(list(np.moveaxis(x, -1, 0))), np.asfortranarray(y)
        problems = _check_channels(files, image, features, self.info.channels)
        problems += checks.check_labels(files.case_id, path, label, self.info.label_values)
        if problems:
            raise DataError(problems)
        return Case(
            files=files,
            image=image,
            label=label,
            affine=np.eye(4),
            spacing=(1.0, 1.0, 1.0),
            sources={_source(files): digest},
        )

    def read_image(self, path: Path) -> NoReturn:
        """Raises ValueError: prediction starts from scans."""
        _refuse_prediction(path, "brats")

    def write_label(self, label: NDArray[np.uint8], case: Case, path: Path) -> None:
        """Writes the label map as NIfTI, with labels 0 to 3 and the identity as affine."""
        write_nifti(label, case.affine, path)


class DagmRecords:
    """Reader of DAGM records: `train` is cross-validated, `test` becomes the split `test`.

    Images are taken as the converter's default has them, x / 127.5 - 1 in [-1, 1], and become
    8-bit again; what resizing put between two levels is rounded. Its other setting, x / 255 in
    [0, 1], cannot be told from a bright image of the first: such records come out in the upper half
    of the levels. Soft edges of a mask count as defect from one half on.
    """

    def __init__(
        self,
        info: DatasetInfo = DAGM_RECORDS,
        config: DataConfig | None = None,
        *,
        grid: tuple[int, int] = DAGM_GRID,
    ):
        self.info = info
        self._grid = grid

    @staticmethod
    def describe(config: DataConfig) -> DatasetInfo:
        """All records of the DAGM converter share this."""
        return DAGM_RECORDS

    def list_cases(self, root: Path) -> Listing:
        """Lists the records of `train/` and `test/`, and files that the converter misplaced."""
        if listing := missing_root(root):
            return listing
        cases: list[CaseFiles] = []
        beside = record_files(root)
        problems = [_misplaced(p, target) for p in beside if (target := _target(p))]
        for part, split in PARTS.items():
            files = record_files(root / part)
            named = [p for p in files if re.fullmatch(rf"{part}-[0-9]+", p.stem)]
            problems += [_wrong_name(p, part) for p in files if p not in named]
            problems += repeated_names(named)
            for path in named:
                found, wrong = list_file(path, split)
                cases += found
                problems += wrong
        if beside and not cases and not problems:
            problems.append(_other_layout(root, "*.tfrecord", "brats-records"))
        return make_listing(cases, problems, [root, *(root / part for part in PARTS)])

    def read_case(self, files: CaseFiles) -> Case:
        """Reads a record. Raises DataError with every problem of it."""
        features, digest = _read_features(files, _DAGM_KEYS)
        image, mask = (np.array(features[n], np.float32) for n in ("image", "mask"))
        problems = _check_floats(files, "image", image, self._grid)
        if problems := problems + _check_floats(files, "mask", mask, self._grid):
            raise DataError(problems)
        grey = np.rint((image.clip(-1, 1) + 1) * 127.5).astype(np.uint8).reshape(self._grid)
        if problems := checks.check_intensities(files.case_id, files.images[0], grey):
            raise DataError(problems)
        defect = self.info.label_values[1]
        label = np.where(mask >= 0.5, defect, 0).astype(np.uint8).reshape(self._grid)
        return photograph_case(files, grey, label, {_source(files): digest})

    def read_image(self, path: Path) -> NoReturn:
        """Raises ValueError: prediction starts from photographs."""
        _refuse_prediction(path, "dagm")

    def write_label(self, label: NDArray[np.uint8], case: Case, path: Path) -> None:
        """Writes the mask as an 8-bit PNG of 0 and 255."""
        write_mask(label, path)


def _target(path: Path) -> Path | None:
    """Where a DAGM record file beside `train/` and `test/` belongs.

    From its second file on, the converter joins folder and name without a separator:
    `traintrain-001.tfrecords` lies beside the folder train, where no loader looks.
    """
    match = re.fullmatch(r"(?:train|test)?((train|test)-[0-9]+)", path.stem)
    return path.parent / match[2] / f"{match[1]}{path.suffix}" if match else None


def _misplaced(path: Path, target: Path) -> Problem:
    part = target.parent.name
    return Problem(
        case_id=path.stem,
        rule=f"record files must lie in {part}/, {path.name} lies beside it",
        path=str(path),
        remedy=f"move the file to {part}/{target.name} (the converter misplaces all but the first)",
    )


def _wrong_name(path: Path, part: str) -> Problem:
    return Problem(
        case_id=path.stem,
        rule=f"record files in {part}/ must be named {part}-000.tfrecords and so on, found"
        f" {path.name}",
        path=str(path),
        remedy="rename the file, or move it out of the folder",
    )


def _other_layout(root: Path, pattern: str, dataset: str) -> Problem:
    return Problem(
        case_id=root.name,
        rule=f"the folder holds {pattern}, which is how records of dataset {dataset} lie",
        path=str(root),
        remedy=f"set data.dataset to {dataset}",
    )


def _refuse_prediction(path: Path, dataset: str) -> NoReturn:
    raise ValueError(
        f"input must be what was scanned or photographed, a record is not a file for prediction,"
        f" got {str(path)!r}: use dataset {dataset} and its files"
    )


def _source(files: CaseFiles) -> str:
    return f"{files.images[0].name} record {files.index}"


def _problem(files: CaseFiles, rule: str, remedy: str = _LEAVE_OUT) -> Problem:
    path = files.images[0]
    return Problem(case_id=files.case_id, rule=rule, path=str(path), remedy=remedy)


def _read_features(files: CaseFiles, keys: Set[str]) -> tuple[dict[str, list], str]:
    """Features and sha256 of a record. Raises DataError where it is none of this kind."""
    path = files.images[0]
    try:
        record = read_record(path, files.index)
    except (OSError, ValueError) as e:
        raise DataError([_problem(files, f"{path.name} {e}")]) from e
    try:
        features = decode_example(record)
    except (DecodeError, TypeError) as e:
        rule = f"a record must be a tf.train.Example, {_source(files)} is none: {e}"
        raise DataError([_problem(files, rule)]) from e
    if not keys <= features.keys():
        raise DataError([_wrong_kind(files, keys, features.keys())])
    return features, hashlib.sha256(record).hexdigest()


def _wrong_kind(files: CaseFiles, keys: Set[str], found: Set[str]) -> Problem:
    rule = (
        f"a record must have the features {', '.join(sorted(keys))}, {_source(files)} has"
        f" {', '.join(sorted(found)) or 'none'}"
    )
    for kind, dataset in ((_BRATS_KEYS, "brats-records"), (_DAGM_KEYS, "dagm-records")):
        if kind <= found:
            rule += f": it is one of dataset {dataset}"
            return _problem(files, rule, f"set data.dataset to {dataset}")
    return _problem(files, rule)


def _check_sizes(
    files: CaseFiles, features: Mapping[str, list], grid: Sequence[int], channels: int
) -> list[Problem]:
    """X and Y must be bytes of the whole grid, mean and stdev a number per channel."""
    rules = []
    voxels = math.prod(grid)
    for name, size in (("X", voxels * channels), ("Y", voxels)):
        value = features[name]
        found = len(value[0]) if len(value) == 1 and isinstance(value[0], bytes) else None
        if found != size:
            words = f"{found} bytes" if found is not None else f"{len(value)} values"
            rules.append(
                f"{name} must have {size} bytes (grid {tuple(grid)}), {_source(files)} has {words}"
            )
    for name in ("mean", "stdev"):
        if len(features[name]) != channels or not isinstance(features[name][0], float):
            rules.append(
                f"{name} must have {channels} floats, {_source(files)} has {len(features[name])}"
                " values"
            )
    return [_problem(files, rule) for rule in rules]


def _check_channels(
    files: CaseFiles,
    image: NDArray[np.generic],
    features: Mapping[str, list],
    channels: Sequence[str],
) -> list[Problem]:
    """Every channel must have intensities, and the moments that are stored with it."""
    problems = []
    for index, name in enumerate(channels):
        channel = image[..., index]
        found = checks.check_intensities(files.case_id, files.images[0], channel)
        problems += [replace(p, rule=f"channel {name}: {p.rule}") for p in found]
        stored = features["mean"][index], features["stdev"][index]
        if not found and not np.allclose(stored, own := _moments(channel), rtol=MOMENT_TOLERANCE):
            rule = (
                "mean and stdev must be those of the voxels of X above 0, in channel"
                f" {name} {own[0]:.4f} and {own[1]:.4f}, {_source(files)} has {stored[0]:.4f}"
                f" and {stored[1]:.4f}: it is damaged, or of another preprocessor"
            )
            problems.append(_problem(files, rule))
    return problems


def _moments(channel: NDArray[np.generic]) -> tuple[float, float]:
    """Mean and population standard deviation of the voxels above 0, in levels."""
    levels = np.arange(1, 256)
    counts = np.bincount(channel.ravel(order="K"), minlength=256)[1:]
    mean = counts @ levels / counts.sum()
    return float(mean), float(np.sqrt(counts @ (levels - mean) ** 2 / counts.sum()))


def _check_floats(
    files: CaseFiles, name: str, values: NDArray[np.float32], grid: Sequence[int]
) -> list[Problem]:
    """A float list must have a value per pixel, within the range of its name."""
    size, (low, high) = math.prod(grid), _RANGES[name]
    if values.size != size:
        words = f"{size} values (grid {tuple(grid)}), {_source(files)} has {values.size}"
    elif not np.isfinite(values).all():
        bad = int(np.count_nonzero(~np.isfinite(values)))
        words = f"finite values, {_source(files)} has {bad} NaN or infinite of {size}"
    elif values.min() < low - _ROUNDING or values.max() > high + _ROUNDING:
        found = f"{values.min():.6g} to {values.max():.6g}"
        words = f"values in {low} to {high}, {_source(files)} has {found}"
    else:
        return []
    return [_problem(files, f"{name} must have {words}")]
