"""What the datasets of NIfTI volumes share: the files of a case -> a checked case."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beam_preprocess import checks
from beam_preprocess.case import Case, CaseFiles, DataError, DatasetInfo, Problem, source_names
from beam_preprocess.nifti import Nifti, read_nifti

SUFFIXES = (".nii.gz", ".nii")


def without_suffix(name: str) -> str:
    """The name of a NIfTI file without its ending.

    >>> without_suffix("BRATS_001.nii.gz")
    'BRATS_001'
    """
    return name.removesuffix(".gz").removesuffix(".nii")


def read_volume_case(files: CaseFiles, info: DatasetInfo) -> Case:
    """Reads the volumes of a case and checks them against each other.

    One file per channel, [X, Y, Z] each, or one file [X, Y, Z, C] with all of them. A last axis of
    one voxel counts as none.

    Raises:
      DataError: Every problem of every file.
    """
    label = () if files.label is None else (files.label,)
    volumes, problems = read_volumes(files.case_id, (*files.images, *label))
    images = {p: volumes[p].voxels for p in files.images if p in volumes}
    grids, misshapen = _grids(files, info, volumes=volumes)
    problems += misshapen + checks.check_geometry(files.case_id, grids)
    for path, voxels in images.items():
        problems += checks.check_intensities(files.case_id, path, voxels)
    if files.label in volumes:
        label_values = (*info.label_values, *info.label_aliases)
        problems += checks.check_labels(
            files.case_id, files.label, volumes[files.label].voxels, label_values
        )
    if problems:
        raise DataError(problems)
    names = source_names(volumes)
    first = volumes[files.images[0]]
    return Case(
        files=files,
        image=first.voxels if first.voxels.ndim == 4 else stack_channels(list(images.values())),
        label=None if files.label is None else volumes[files.label].voxels.astype(np.uint8),
        affine=first.affine,
        spacing=first.spacing,
        sources={names[p]: v.sha256 for p, v in volumes.items()},
    )


def _grids(
    files: CaseFiles, info: DatasetInfo, *, volumes: dict[Path, Nifti]
) -> tuple[dict[Path, Nifti], list[Problem]]:
    """The volumes, of a file with all channels the first one; a problem where it has others."""
    channels = len(info.channels)
    path = files.images[0]
    if channels == 1 or len(files.images) > 1 or path not in volumes:
        return volumes, []
    voxels = volumes[path].voxels
    if voxels.ndim == 4 and voxels.shape[-1] == channels:
        return {**volumes, path: replace(volumes[path], voxels=voxels[..., 0])}, []
    rule = (
        f"an image must have 4 axes, the last with the {channels} channels"
        f" {', '.join(info.channels)}, {path.name} has shape {voxels.shape}"
    )
    problem = Problem(case_id=files.case_id, rule=rule, path=str(path))
    return {p: v for p, v in volumes.items() if p != path}, [problem]


def stack_channels(volumes: Sequence[NDArray[np.generic]]) -> NDArray[np.generic]:
    """Volumes [X, Y, Z] -> [X, Y, Z, C], in NIfTI's own memory order (x fastest, channels slowest).

    Channel by channel, this and all that follows is then a walk through adjacent memory: stacking
    in C order takes ten times as long.
    """
    dtype = np.result_type(*volumes)
    image = np.empty((len(volumes), *volumes[0].shape[::-1]), dtype)
    for channel, volume in zip(image, volumes, strict=True):
        channel[...] = volume.T
    return image.T


def read_volumes(case_id: str, paths: Sequence[Path]) -> tuple[dict[Path, Nifti], list[Problem]]:
    """Reads the files that can be read; a problem for each that cannot."""
    volumes, problems = {}, []
    for path in paths:
        try:
            volumes[path] = _without_last_of_one(read_nifti(path))
        except ValueError as e:
            problems.append(
                Problem(
                    case_id=case_id,
                    rule=f"{path.name} {e}",
                    path=str(path),
                    remedy="copy the file again, or leave the case out with data.exclude",
                )
            )
    return volumes, problems


def _without_last_of_one(volume: Nifti) -> Nifti:
    """[X, Y, Z, 1] -> [X, Y, Z]: some tools write scans of one time point or channel like that."""
    if volume.voxels.ndim != 4 or volume.voxels.shape[-1] != 1:
        return volume
    return replace(volume, voxels=volume.voxels[..., 0])
