"""Affines of BraTS files, which headers tell in two places: sform and qform."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from beam_preprocess.case import DataError
from beam_preprocess.datasets.brats import Brats

CASE = "BraTS2021_00002"


def file(root: Path, modality: str) -> Path:
    return root / CASE / f"{CASE}_{modality}.nii.gz"


def set_header(path: Path, *, sform=None, qform=None) -> None:
    """Writes the file anew with these affines; one that is None has code 0."""
    image = nib.Nifti1Image(np.array(nib.load(path).dataobj), None)
    image.set_sform(sform, code=0 if sform is None else 1)
    image.set_qform(qform, code=0 if qform is None else 1)
    nib.save(image, path)
    written = nib.load(path)
    codes = int(written.header["sform_code"]), int(written.header["qform_code"])
    assert codes == (int(sform is not None), int(qform is not None))


def oblique(*, mm: float = 0.0) -> np.ndarray:
    """Voxels of 1 mm, turned by 30 degrees about z; moved by `mm` along x."""
    turned = np.eye(4)
    turned[:2, :2] = [[np.cos(np.pi / 6), -np.sin(np.pi / 6)], [np.sin(np.pi / 6), 0.75**0.5]]
    turned[:3, 3] = [-90 + mm, 126, -72]
    return turned


HEADERS = {
    "sform and qform": ({"sform": oblique()}, {"qform": oblique()}),
    "both and sform": ({"sform": oblique(), "qform": oblique()}, {"sform": oblique()}),
    "qform of another place": ({"sform": oblique(), "qform": np.eye(4)}, {"sform": oblique()}),
}


@pytest.mark.parametrize("headers", HEADERS)
def test_one_affine_under_different_codes_passes(brats_root, headers):
    """The affine is nibabel's: the sform, where there is one."""
    first, second = HEADERS[headers]
    for modality in ("t1", "t2"):
        set_header(file(brats_root, modality), **first)
    for modality in ("t1ce", "flair", "seg"):
        set_header(file(brats_root, modality), **second)
    files = next(c for c in Brats().list_cases(brats_root).cases if c.case_id == CASE)
    case = Brats().read_case(files)
    np.testing.assert_allclose(case.affine, oblique(), atol=1e-5)


def test_different_affines_under_different_codes_are_told(brats_root):
    for modality in ("t1", "t1ce", "t2", "flair"):
        set_header(file(brats_root, modality), sform=oblique())
    set_header(file(brats_root, "seg"), sform=oblique(mm=2), qform=oblique())
    files = next(c for c in Brats().list_cases(brats_root).cases if c.case_id == CASE)
    with pytest.raises(DataError) as error:
        Brats().read_case(files)
    (problem,) = error.value.problems
    assert problem.rule == (
        f"all files of a case must have one affine, {CASE}_seg.nii.gz has"
        " [[0.866, -0.5, 0.0, -88.0], [0.5, 0.866, 0.0, 126.0], [0.0, 0.0, 1.0, -72.0]]"
        f" and {CASE}_t1.nii.gz has"
        " [[0.866, -0.5, 0.0, -90.0], [0.5, 0.866, 0.0, 126.0], [0.0, 0.0, 1.0, -72.0]]"
    )
