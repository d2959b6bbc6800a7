"""nnU-Net's raw format: dataset.json, `imagesTr/CASE_0000.nii.gz` per channel, `labelsTr`.

Cases of imagesTr are cross-validated. Those of imagesTs with a file in labelsTs become the split
`test`, the others are for prediction. Volumes are NIfTI files; PNG, BMP and TIFF files are
photographs, one grey file per channel or all channels in one file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_preprocess import checks
from beam_preprocess.case import (
    TEST,
    Case,
    CaseFiles,
    DataError,
    DatasetInfo,
    Listing,
    Problem,
    source_names,
)
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets import dataset_json, nnunet_files
from beam_preprocess.datasets.dataset_json import NAME, Description
from beam_preprocess.datasets.listing import missing_root
from beam_preprocess.datasets.nnunet_files import RANKS
from beam_preprocess.datasets.photographs import photograph_case, read_pixels, write_mask
from beam_preprocess.datasets.volumes import read_volume_case
from beam_preprocess.nifti import write_nifti


class NnUnet:
    """Reader of a dataset folder of nnU-Net, version 1 or 2."""

    def __init__(self, info: DatasetInfo, config: DataConfig | None = None):
        self.info = info
        self._allow_unlabelled = config.allow_unlabelled if config else False

    @staticmethod
    def describe(config: DataConfig) -> DatasetInfo:
        """Channels, labels and rank, as dataset.json tells. Raises DataError where it is wrong."""
        description = _read_description(Path(config.root))
        rank = RANKS[_file_ending(description.content)]
        return dataset_json.dataset_info(description, name=config.dataset, rank=rank)

    def list_cases(self, root: Path) -> Listing:
        """Lists the cases of both parts, and where files, names and dataset.json disagree."""
        if listing := missing_root(root):
            return listing
        try:
            description = _read_description(root)
        except DataError as e:
            return Listing(cases=(), problems=tuple(e.problems))
        return self._list(root, description)

    def _list(self, root: Path, description: Description) -> Listing:
        ending = _file_ending(description.content)
        if entries := description.content.get("dataset"):
            train = nnunet_files.read_entries(description, self.info)
        else:
            train = nnunet_files.scan(root, "Tr", ending=ending)
        test = nnunet_files.scan(root, "Ts", ending=ending)
        there = len(entries or train.images)
        problems = [
            *dataset_json.check_count(description, "numTraining", found=there),
            *nnunet_files.check_part(train, "Tr", info=self.info),
            *nnunet_files.check_part(test, "Ts", info=self.info),
            *nnunet_files.check_overlap(train, test),
        ]
        if not self._allow_unlabelled:
            problems += nnunet_files.check_unlabelled(train, root, ending=ending)
        unusable = {p.case_id for p in problems}
        cases = [
            *nnunet_files.make_cases(train, "cv", unusable=unusable),
            *nnunet_files.make_cases(test, TEST, unusable=unusable),
        ]
        return Listing(
            cases=tuple(sorted(cases, key=lambda c: c.case_id)),
            problems=tuple(sorted(problems)),
            ignored=dataset_json.ignored_paths(root),
        )

    def read_case(self, files: CaseFiles) -> Case:
        """Reads the channels and the label, and checks them against each other."""
        if self.info.rank == 3:
            return read_volume_case(files, self.info)
        return _read_photograph_case(files, self.info)

    def read_image(self, path: Path) -> Case:
        """Reads a case by the file of any of its channels, or by .../CASE without the ending."""
        case_id, images = nnunet_files.find_channels(path, self.info)
        return self.read_case(
            CaseFiles(case_id=case_id, group=case_id, stratum="", images=images, label=None)
        )

    def write_label(self, label: NDArray[np.uint8], case: Case, path: Path) -> None:
        """Writes the label map: NIfTI with the affine of the case, or an 8-bit PNG."""
        if self.info.rank == 3:
            write_nifti(label, case.affine, path)
        else:
            write_mask(label, path)


def _read_description(root: Path) -> Description:
    content, path = dataset_json.load(root), root / NAME
    problems = dataset_json.check_content(path, content)
    problems += [dataset_json.problem(path, *rule) for rule in _rules(content)]
    if problems:
        raise DataError(problems)
    return dataset_json.describe(root, content)


def _file_ending(content: Mapping[str, Any]) -> str:
    """Version 1 knows NIfTI only and does not name it."""
    return content.get("file_ending", ".nii.gz")


def _rules(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(rule, remedy) of what nnU-Net demands of a dataset.json beside channels and labels."""
    rules = []
    if (ending := _file_ending(content)) not in list(RANKS):
        rule = f"file_ending must be one of {', '.join(RANKS)}, got {ending!r}"
        rules.append((rule, "convert the files, volumes to .nii.gz, and correct file_ending"))
    if content.get("overwrite_image_reader_writer") == "Tiff3DIO":
        rule = "TIFF files must hold photographs, overwrite_image_reader_writer is 'Tiff3DIO'"
        rules.append((rule, "convert the volumes to .nii.gz, and correct file_ending"))
    if not isinstance(told := content.get("numTraining"), int):
        rule = f"numTraining must be the number of training cases, got {told!r}"
        rules.append((rule, f"add it to {NAME}: a case that gets lost is noticed by it"))
    if not isinstance(content.get("dataset", {}), dict):
        rule = f'"dataset" must map case ids to files, got a {type(content["dataset"]).__name__}'
        rules.append((rule, f"correct or remove it in {NAME}"))
    return rules + _not_consecutive(content)


def _not_consecutive(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    try:
        labels = dataset_json.parse_labels(content.get("labels"))
    except ValueError:
        return []  # told by `check_content`
    values = sorted({v for group in labels.values() for v in group})
    if values == list(range(len(values))) or 0 not in values:
        return []
    rule = f"label values must be consecutive numbers from 0 (nnU-Net's rule), got {values}"
    return [(rule, f"renumber the labels in the label files and in {NAME}")]


def _read_photograph_case(files: CaseFiles, info: DatasetInfo) -> Case:
    """Reads channels and label of a photograph. Raises DataError with every problem."""
    pixels, sources, problems = _read_pixels(files)
    problems += _check_sizes(files.case_id, pixels)
    images = {p: np.atleast_3d(pixels[p]) for p in files.images if p in pixels}
    if len(images) == len(files.images):
        problems += _check_channels(files, info, images=images)
    for path, values in images.items():
        problems += checks.check_intensities(files.case_id, path, values)
    if files.label in pixels:
        problems += checks.check_labels(
            files.case_id, files.label, pixels[files.label], info.label_values
        )
    if problems:
        raise DataError(problems)
    return photograph_case(
        files,
        np.concatenate(list(images.values()), axis=-1),
        None if files.label is None else pixels[files.label].astype(np.uint8),
        sources,
    )


def _read_pixels(
    files: CaseFiles,
) -> tuple[dict[Path, NDArray[np.generic]], dict[str, str], list[Problem]]:
    """Path -> pixels, name -> sha256 of files that can be read, and what is wrong with others."""
    paths = (*files.images, *([] if files.label is None else [files.label]))
    names = source_names(paths)
    pixels, sources = {}, {}
    problems: list[Problem] = []
    for path in paths:
        is_label = path == files.label
        try:
            values, mode, hashes = read_pixels(files.case_id, path, indexed=is_label)
        except DataError as e:
            problems += e.problems
            continue
        coloured = is_label and values.ndim > 2
        if wrong := _check_mode(files.case_id, path, mode=mode, coloured_label=coloured):
            problems.append(wrong)
            continue
        pixels[path] = values != 0 if is_label and mode == "1" else values
        sources[names[path]] = hashes[path.name]
    return pixels, sources, problems


def _check_mode(case_id: str, path: Path, *, mode: str, coloured_label: bool) -> Problem | None:
    """A label map must not be in colour, and an image must be read without loss."""
    if coloured_label:
        rule = f"a label map must have one channel, {path.name} has mode {mode}"
        remedy = "save the label values as 8-bit grey, or leave the case out with data.exclude"
    elif mode.endswith(";16") and not mode.startswith("I"):
        rule = f"colours must have 8 bits, {path.name} has mode {mode}"
        remedy = "save every channel as a grey file of 16 bits, CASE_0000, CASE_0001 and so on"
    else:
        return None
    return Problem(case_id=case_id, rule=rule, path=str(path), remedy=remedy)


def _check_sizes(case_id: str, pixels: Mapping[Path, NDArray[np.generic]]) -> list[Problem]:
    """All files must have the height and width of the first."""
    if not pixels:
        return []
    first = next(iter(pixels))
    size = pixels[first].shape[:2]
    return [
        Problem(
            case_id=case_id,
            rule=f"all files of a case must have one height and width, {path.name} has"
            f" {values.shape[:2]} and {first.name} has {size}",
            path=str(path),
        )
        for path, values in pixels.items()
        if values.shape[:2] != size
    ]


def _check_channels(
    files: CaseFiles, info: DatasetInfo, *, images: Mapping[Path, NDArray[np.generic]]
) -> list[Problem]:
    """The files [H, W, c] must have the channels together that dataset.json names."""
    counts = {path.name: values.shape[-1] for path, values in images.items()}
    if set(counts.values()) == {len(info.channels) // len(images)}:
        return []
    rule = (
        f"the images of a case must have the {len(info.channels)} channels"
        f" {', '.join(info.channels)}, found {counts}"
    )
    remedy = f"correct channel_names in {NAME}, or save the image with these channels"
    path = str(files.images[0])
    return [Problem(case_id=files.case_id, rule=rule, path=path, remedy=remedy)]
