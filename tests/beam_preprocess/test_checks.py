"""Rules for the arrays of a case: problems in words, and none where all is well."""

from pathlib import Path

import numpy as np
import pytest

from beam_preprocess.checks import check_geometry, check_intensities, check_labels
from beam_preprocess.nifti import Nifti

REPAIR = "repair the file, or leave the case out with data.exclude"
RESAMPLE = "resample or register the files of the case, or leave it out with data.exclude"
A, B = Path("/d/a.nii"), Path("/d/b.nii")


def volume(shape=(2, 3, 4), affine=None, origin=0.0):
    affine = np.eye(4) if affine is None else np.array(affine, float)
    affine[0, 3] += origin
    return Nifti(voxels=np.ones(shape), affine=affine, spacing=(1.0, 1.0, 1.0), sha256="")


def test_equal_geometry():
    assert check_geometry("c", {A: volume(), B: volume(origin=0.0009)}) == []
    assert check_geometry("c", {}) == []


def test_unequal_shapes():
    (problem,) = check_geometry("c", {A: volume(), B: volume((2, 3, 5))})
    assert str(problem) == (
        "c: all files of a case must have one shape, b.nii has (2, 3, 5) and a.nii has (2, 3, 4)"
        f" (/d/b.nii): {RESAMPLE}"
    )


def test_unequal_affines():
    (problem,) = check_geometry("c", {A: volume(), B: volume(origin=0.0011)})
    rows = "[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]"
    assert str(problem) == (
        f"c: all files of a case must have one affine, b.nii has [[1.0, 0.0, 0.0, 0.001], {rows}"
        f" and a.nii has [[1.0, 0.0, 0.0, 0.0], {rows} (/d/b.nii): {RESAMPLE}"
    )


def test_every_other_file_is_compared_with_the_first():
    c, d = Path("/d/c.nii"), Path("/d/d.nii")
    volumes = {A: volume(), B: volume((1, 1, 1)), c: volume(), d: volume(origin=1)}
    assert [p.path for p in check_geometry("c", volumes)] == [str(B), str(d)]


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4, 1)])
def test_not_three_axes(shape):
    (problem,) = check_geometry("c", {A: volume(), B: volume(shape)})
    assert str(problem) == (
        f"c: a modality must have 3 axes, b.nii has shape {shape} (/d/b.nii): {REPAIR}"
    )


@pytest.mark.parametrize(
    ("diagonal", "words"), [((1, 1, 0, 1), "0.0, 0.0, 0.0"), ((1, 1, float("nan"), 1), "nan")]
)
def test_affine_that_places_no_voxel(diagonal, words):
    """Nothing could be said of the orientation; some exports write an affine of zeros."""
    (problem,) = check_geometry("c", {A: volume(affine=np.diag(diagonal))})
    assert problem.rule.startswith("an affine must be finite and invertible, a.nii has [[1.0,")
    assert words in problem.rule and problem.path == str(A)


@pytest.mark.parametrize("dtype", ["bool", "complex64", [("R", "u1"), ("G", "u1")]])
def test_intensities_that_are_no_real_numbers(dtype):
    voxels = np.ones((2, 2), dtype)
    (problem,) = check_intensities("c", A, voxels)
    assert str(problem) == (
        f"c: intensities must be real numbers, a.nii has type {voxels.dtype} (/d/a.nii): {REPAIR}"
    )


def test_intensities_that_are_not_finite():
    voxels = np.array([1, np.nan, np.inf, -np.inf, 0], np.float32)
    (problem,) = check_intensities("c", A, voxels)
    assert problem.rule == "intensities must be finite, a.nii has 3 NaN or infinite of 5"


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float64"])
def test_intensities_all_zero(dtype):
    (problem,) = check_intensities("c", A, np.zeros((2, 3), dtype))
    assert problem.rule == "an image must have voxels other than 0, a.nii has none of 6"


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", ">i2", "float16", "float64"])
def test_good_intensities(dtype):
    assert check_intensities("c", A, np.array([0, 0, 1], dtype)) == []
    assert check_intensities("c", A, np.array([0, -1], "int16")) == []


@pytest.mark.parametrize("label", [[0, 1, 2, 4], [0], [4.0, 0.0]])
def test_good_labels(label):
    assert check_labels("c", A, np.array(label), (0, 1, 2, 4)) == []


@pytest.mark.parametrize(
    ("label", "named"),
    [
        ([0, 7, 7, 3], "[3, 7]"),
        ([0.5, 1.0], "[0.5]"),
        ([-1, 1], "[-1]"),
        ([np.nan, np.nan, 1], "[nan]"),
        (np.arange(20), "[3, 5, 6, 7, 8, 9, 10, 11] and 8 more"),
    ],
)
def test_labels_of_other_values(label, named):
    (problem,) = check_labels("c", A, np.array(label), (0, 1, 2, 4))
    assert str(problem) == (
        f"c: label values must be among [0, 1, 2, 4], a.nii has {named} (/d/a.nii): {REPAIR}"
    )
