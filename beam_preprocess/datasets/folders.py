"""A plain pair of folders: `images/` and `masks/`, an image and its mask with equal stems.

Labelled images that are no part of cross-validation go into `test/images` and `test/masks`, images
for prediction only into `unlabelled/images`. What the files do not tell is in the config: the
labels (data.labels, or one of value 255) and the channels (data.channels, or one, grey).
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beam_preprocess import checks
from beam_preprocess.case import (
    TEST,
    UNLABELLED,
    Case,
    CaseFiles,
    DataError,
    DatasetInfo,
    Limits,
    Listing,
    Problem,
    source_names,
)
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets.listing import is_stray, missing_root
from beam_preprocess.datasets.photographs import (
    check_same_size,
    photograph_case,
    read_pixels,
    write_mask,
)

PARTS = {"": "cv", "test": TEST, "unlabelled": UNLABELLED}
"""Folder below the root -> split of the images in it."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
LABELS = {"foreground": 255}
CHANNELS = ("grey",)
_NIFTI = (".nii", ".nii.gz")
_LEAVE_OUT = "or leave the case out with data.exclude"
Pixels = tuple[NDArray[np.generic], str, dict[str, str]]
"""What `read_pixels` returns."""


class Folders:
    """Reader of pairs of folders, `info` being what `describe` returns."""

    def __init__(self, info: DatasetInfo, config: DataConfig | None = None):
        self.info = info
        self._allow_unlabelled = config.allow_unlabelled if config else False

    @staticmethod
    def describe(config: DataConfig) -> DatasetInfo:
        """Labels and channels of the config.

        Raises:
          DataError: Two labels have one value.
        """
        labels = config.labels or LABELS
        if len(set(labels.values())) < len(labels):
            rule = f"the labels of data.labels need values of their own, got {labels}"
            remedy = "correct data.labels"
            raise DataError([Problem(case_id="cohort", rule=rule, path=config.root, remedy=remedy)])
        return DatasetInfo(
            name=config.dataset,
            rank=2,
            channels=tuple(config.channels) or CHANNELS,
            label_values=(0, *sorted(labels.values())),
            label_names={value: name for name, value in labels.items()},
            regions={},
            foreground="all",
            serving_dtypes=("float32", "uint8"),
            label_suffixes=(".png",),
            task="regions",
            limits=Limits(
                spacing_mm=(1.0, 1.0),
                size=(16, 16384),
                foreground=(1.0, 1.0),
                intensity=(0.0, 65535.0),
            ),
        )

    def list_cases(self, root: Path) -> Listing:
        """Lists the images of all parts, and where images and masks do not make pairs."""
        if listing := missing_root(root):
            return listing
        parts = [self._list_part(root / part, split) for part, split in PARTS.items()]
        found = [case for cases, _ in parts for case in cases]
        problems = [p for _, wrong in parts for p in wrong] + _repeated_ids(found)
        bad = {p.case_id for p in problems}
        cases = sorted((c for c in found if c.case_id not in bad), key=lambda c: c.case_id)
        ignored = [p for part, split in PARTS.items() for p in _ignored(root / part, split)]
        return Listing(cases=tuple(cases), problems=tuple(problems), ignored=tuple(sorted(ignored)))

    def _list_part(self, folder: Path, split: str) -> tuple[list[CaseFiles], list[Problem]]:
        images = _by_stem(folder / "images")
        masks = {} if split == UNLABELLED else _by_stem(folder / "masks")
        problems = _misplaced(folder) + _nifti(folder)
        problems += _doubled("image", images) + _doubled("mask", masks)
        problems += [_no_image(stem, masks[stem][0]) for stem in masks.keys() - images.keys()]
        if split != UNLABELLED and not self._allow_unlabelled:
            problems += [_no_mask(stem, images[stem][0]) for stem in images.keys() - masks.keys()]
        cases = [_case_files(paths[0], masks.get(s, ()), split) for s, paths in images.items()]
        return cases, sorted(problems)

    def read_case(self, files: CaseFiles) -> Case:
        """Reads the image, of 8 or 16 bits, and its mask."""
        read: dict[Path, Pixels] = {}
        problems: list[Problem] = []
        for path in (files.images[0], files.label):
            try:
                if path:
                    read[path] = read_pixels(files.case_id, path, indexed=path == files.label)
            except DataError as e:
                problems += e.problems
        if problems := problems + self._check(files, read):
            raise DataError(problems)
        image = _sixteen_bits(read[files.images[0]][0])
        label = read[files.label][0].astype(np.uint8, copy=False) if files.label else None
        names = source_names(read)  # image and mask may have one name: then with their folders
        sources = {names[path]: found[path.name] for path, (_, _, found) in read.items()}
        return photograph_case(files, image, label, sources)

    def read_image(self, path: Path) -> Case:
        """Reads one image, of 8 or 16 bits."""
        return self.read_case(_case_files(path, (), UNLABELLED))

    def write_label(self, label: NDArray[np.uint8], case: Case, path: Path) -> None:
        """Writes the label values as an 8-bit PNG."""
        write_mask(label, path)

    def _check(self, files: CaseFiles, read: Mapping[Path, Pixels]) -> list[Problem]:
        """What is wrong with the files that could be read."""
        image, label = files.images[0], files.label
        problems: list[Problem] = []
        if image in read:
            problems += _check_image(files.case_id, image, read[image], self.info.channels)
        if label and label in read:
            problems += _check_mask(files.case_id, label, read[label], self.info.label_values)
        if label and image in read and label in read and read[label][0].ndim == 2:
            problems += check_same_size(files, read[image][0], read[label][0], label)
        return problems


def _check_image(case_id: str, path: Path, read: Pixels, channels: Sequence[str]) -> list[Problem]:
    pixels, mode, _ = read
    count = 1 if pixels.ndim == 2 else pixels.shape[2]
    if mode == "P":
        rule = f"an image must be stored in grey or colours, {path.name} has a palette (mode P)"
        remedy = f"convert the image, {_LEAVE_OUT}"
    elif mode.endswith(";16") and not mode.startswith("I"):
        rule = f"colours must have 8 bits, {path.name} has 16 (mode {mode}), of which 8 would go"
        remedy = f"convert the image, {_LEAVE_OUT}"
    elif count != len(channels):
        rule = (
            f"an image must have the channels of data.channels ({', '.join(channels)}), {path.name}"
            f" has {count} (mode {mode})"
        )
        remedy = f"set data.channels to a name per channel, convert the image, {_LEAVE_OUT}"
    elif _sixteen_bits(pixels).dtype not in (np.uint8, np.uint16):
        rule = f"an image must have 8 or 16 bits per channel, {path.name} has mode {mode}"
        remedy = f"convert the image, {_LEAVE_OUT}"
    else:
        return checks.check_intensities(case_id, path, pixels)
    return [Problem(case_id=case_id, rule=rule, path=str(path), remedy=remedy)]


def _sixteen_bits(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Pixels of 32 bits that fit into 16 as such: older Pillows read a PNG of 16 bits so."""
    if pixels.dtype == np.int32 and pixels.min() >= 0 and pixels.max() <= np.iinfo(np.uint16).max:
        return pixels.astype(np.uint16)
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _check_mask(
    case_id: str, path: Path, read: Pixels, label_values: Sequence[int]
) -> list[Problem]:
    """The values of a mask with a palette are its indices, whatever their colours."""
    pixels, mode, _ = read
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        rule = f"a mask must have 8 bits and one channel, {path.name} has mode {mode}"
        return [Problem(case_id=case_id, rule=rule, path=str(path))]
    remedy = f"name all labels and their values in data.labels, repair the mask, {_LEAVE_OUT}"
    found = checks.check_labels(case_id, path, pixels, label_values)
    return [replace(problem, remedy=remedy) for problem in found]


def _files(folder: Path) -> list[Path]:
    """What lies in a folder, which may be missing, in order of name."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not is_stray(path)


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    """Stem -> the images of that stem, one where all is well."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in _files(folder):
        if _is_image(path):
            found[path.stem].append(path)
    return dict(found)


def _ignored(part: Path, split: str) -> list[Path]:
    """What is no image in the folders of a part, what lies beside them, masks of no use."""
    names = {"images"} if split == UNLABELLED else {"images", "masks"}
    inside = [p for name in names for p in _files(part / name) if not _is_image(p)]
    beside = [p for p in _files(part) if p.name not in {*names, *PARTS} and not _is_image(p)]
    return inside + beside


def _case_files(image: Path, masks: Sequence[Path], split: str) -> CaseFiles:
    return CaseFiles(
        case_id=image.stem,
        group=image.stem,
        stratum="none",
        images=(image,),
        label=masks[0] if masks else None,
        split=split if masks else UNLABELLED,
    )


def _misplaced(part: Path) -> list[Problem]:
    found = [p for p in _files(part) if _is_image(p)]
    if not found:
        return []
    rule = (
        f"images must lie in {part.name}/images, masks in {part.name}/masks, found {len(found)}"
        f" beside them, {found[0].name} first"
    )
    remedy = "move the files into these folders, or out of the dataset"
    return [Problem(case_id=part.name, rule=rule, path=str(part), remedy=remedy)]


def _nifti(part: Path) -> list[Problem]:
    folders = (part, part / "images", part / "masks")
    found = [p for f in folders for p in _files(f) if p.name.lower().endswith(_NIFTI)]
    if not found:
        return []
    rule = f"images must be {', '.join(SUFFIXES)}, found {len(found)} NIfTI, {found[0].name} first"
    remedy = "use dataset nnunet (data.dataset) and its layout for volumes"
    return [Problem(case_id=part.name, rule=rule, path=str(found[0]), remedy=remedy)]


def _doubled(kind: str, by_stem: Mapping[str, Sequence[Path]]) -> list[Problem]:
    return [
        Problem(
            case_id=stem,
            rule=f"every case needs one {kind}, found {', '.join(p.name for p in paths)}",
            path=str(paths[0]),
            remedy=f"remove or rename all but one, {_LEAVE_OUT}",
        )
        for stem, paths in by_stem.items()
        if len(paths) > 1
    ]


def _no_image(stem: str, mask: Path) -> Problem:
    return Problem(
        case_id=stem,
        rule=f"every mask needs an image of its stem, {mask.name} has none",
        path=str(mask),
        remedy=f"add the image, remove the mask, {_LEAVE_OUT}",
    )


def _no_mask(stem: str, image: Path) -> Problem:
    return Problem(
        case_id=stem,
        rule=f"every image needs a mask of its stem, {image.name} has none",
        path=str(image),
        remedy="add the mask, set data.allow_unlabelled to take images without one for prediction"
        f" only, {_LEAVE_OUT}",
    )


def _repeated_ids(cases: Sequence[CaseFiles]) -> list[Problem]:
    counts = Counter(c.case_id for c in cases)
    return [
        Problem(
            case_id=c.case_id,
            rule=f"a case id must be unique, {counts[c.case_id]} folders have an image of it",
            path=str(c.images[0]),
            remedy="rename or remove all but one of the images",
        )
        for c in cases
        if counts[c.case_id] > 1
    ]
