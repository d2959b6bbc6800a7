"""Probabilities of one case in a file: 4D NIfTI beside NIfTI label maps, else NumPy's `.npz`."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beam_preprocess.atomic import atomic_path
from beam_preprocess.case import Case, DatasetInfo
from beam_preprocess.nifti import write_nifti

_NIFTI = (".nii.gz", ".nii")


def probability_suffixes(info: DatasetInfo) -> tuple[str, ...]:
    """Endings of the files that probabilities are written to."""
    return _NIFTI if {*_NIFTI} & {*info.label_suffixes} else (".npz",)


def write_probabilities(
    probabilities: NDArray[np.float32], case: Case, info: DatasetInfo, path: Path
) -> None:
    """Writes probabilities [*S, K] of `case`'s grid to `path`, atomically.

    NIfTI: float32 [X, Y, Z, K] with the case's affine: a volume per label value, background first,
    in the order of the dataset. `.npz`: `probabilities` [H, W, K] and `label_values` [K]. Networks
    of one logit have K = 1: the probability of the one foreground label.
    """
    if path.name.endswith(_NIFTI):
        write_nifti(probabilities, case.affine, path)
        return
    values = np.array(info.label_values[-probabilities.shape[-1] :], np.uint8)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, probabilities=probabilities, label_values=values)
