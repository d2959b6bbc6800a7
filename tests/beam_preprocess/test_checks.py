"""Rules for the arrays of a case: problems in words, and none where all is well."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from beam_preprocess.case import Case, CaseFiles, DataError, canonical_label, errors, warnings
from beam_preprocess.checks import check_case, check_geometry, check_intensities, check_labels
from beam_preprocess.datasets.brats import BRATS, brats_info
from beam_preprocess.datasets.dagm import DAGM
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


@pytest.mark.parametrize(
    ("value", "dtype", "word"),
    [
        (7, "uint8", "7"),
        (-3, "int16", "-3"),
        (-3, ">i2", "-3"),
        (0.5, "float32", "0.5"),
        (1e30, "float64", "1e+30"),
    ],
)
def test_constant_intensities(value, dtype, word):
    (problem,) = check_intensities("c", A, np.full((2, 3), value, dtype))
    assert str(problem) == (
        f"c: an image must have more than one value, a.nii is {word} everywhere (/d/a.nii):"
        f" {REPAIR}"
    )
    assert problem.severity == "error"


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


def case_of(image, label=None, *, paths=(A,), label_path=B) -> Case:
    """A scan [X, Y, Z, C] or a photograph [H, W, C]."""
    files = CaseFiles(case_id="c", group="c", stratum="s", images=paths, label=label_path)
    rank = image.ndim - 1
    return Case(
        files=files,
        image=image,
        label=label,
        affine=np.eye(4),
        spacing=(1.0,) * rank,
        sources={},
    )


def scan(channels=4):
    """[2, 3, 4, C]: 0 in the first plane, 1 to 12 in the second one."""
    image = np.zeros((2, 3, 4, channels), np.int16)
    image[1] = np.arange(1, 13).reshape(3, 4, 1)
    return image


def label_of(*voxels):
    """[2, 3, 4] with these voxels labelled as 1."""
    label = np.zeros((2, 3, 4), np.uint8)
    for voxel in voxels:
        label[voxel] = 1
    return label


def in_words(problems):
    return [(p.severity, str(p)) for p in problems]


@pytest.mark.parametrize("order", ["C", "F"])
def test_good_case(order):
    image, label = np.asarray(scan(), order=order), label_of((1, 0, 0))
    assert check_case(case_of(image, np.asarray(label, order=order)), BRATS) == []
    assert check_case(case_of(image), BRATS) == []


@pytest.mark.parametrize("paths", [tuple(Path(f"/d/{c}.nii") for c in "abcd"), (A,)])
def test_empty_channel(paths):
    """Channel 2 of four, each of a file of its own, or all of one file."""
    image = scan()
    image[..., 2] = 0
    problems = check_case(case_of(image, paths=paths), BRATS)
    path = paths[min(2, len(paths) - 1)]
    message = (
        f"c: every channel must have voxels other than 0, t2 has none of 24 ({path}):"
        " repair the file, or leave the case out"
    )
    assert in_words(problems) == [("error", message)]


def test_channel_of_one_value_is_told():
    """A mask in place of a scan: 0 and 1. With a second value all is well."""
    image = scan()
    image[..., 1] = image[..., 1] > 0
    message = (
        "c: every channel must have several values in its foreground, t1ce has only 1 (/d/a.nii):"
        " look whether the file is a mask in place of a scan, or leave the case out"
    )
    assert in_words(check_case(case_of(image), BRATS)) == [("error", message)]
    image[1, 2, 3, 1] = 2
    assert check_case(case_of(image), BRATS) == []


def test_zero_is_a_value_of_photographs():
    """A channel of one value is told, an empty one is the same there, and 0 and 1 are two."""
    info = replace(DAGM, channels=("red", "green", "blue"))
    image = np.zeros((2, 3, 3), np.uint8)
    image[0, 0, 0] = 1
    image[..., 1] = 9
    assert [(p.severity, p.rule) for p in check_case(case_of(image), info)] == [
        ("error", "every channel must have several values in its foreground, green has only 9"),
        ("error", "every channel must have several values in its foreground, blue has only 0"),
    ]


def test_label_without_foreground():
    label = label_of()
    message = (
        "c: no voxel is labelled (/d/b.nii):"
        " fine where there is nothing to segment; else look for the right label"
    )
    assert in_words(check_case(case_of(scan(), label), BRATS)) == [("warning", message)]
    assert check_case(case_of(scan(), label), replace(BRATS, task="defects")) == []
    assert check_case(case_of(scan(), None), BRATS) == []


def test_case_that_is_listed_without_a_label():
    """That means "no foreground at all": that no voxel is labelled is no news."""
    assert check_case(case_of(scan(), label_of(), label_path=None), BRATS) == []
    (problem,) = check_case(case_of(scan(), label_of((0, 0, 0)), label_path=None), BRATS)
    assert (problem.severity, problem.path) == ("warning", str(A))


def test_labelled_voxels_outside_of_the_foreground():
    """Two of the three lie in the plane of zeros; one of these is not 0 in the second channel."""
    info = replace(BRATS, channels=("t1", "t2"))
    image, label = scan(channels=2), label_of((0, 0, 0), (0, 2, 3), (1, 1, 1))
    message = (
        "c: labelled voxels must lie on the image, 2 lie where it is 0 in all channels (/d/b.nii):"
        " look whether label and image belong together"
    )
    assert in_words(check_case(case_of(image, label), info)) == [("warning", message)]
    image[0, 2, 3, 1] = -5
    (problem,) = check_case(case_of(image, label), info)
    assert (
        problem.rule == "labelled voxels must lie on the image, 1 lie where it is 0 in all channels"
    )
    image[0, 0, 0, 0] = 5
    assert check_case(case_of(image, label), info) == []


def test_labelled_pixels_of_a_photograph_may_be_black():
    image = np.array([[[0], [7]], [[3], [0]]], np.uint8)
    label = np.array([[255, 0], [0, 0]], np.uint8)
    assert check_case(case_of(image, label), DAGM) == []
    (problem,) = check_case(case_of(image, label), replace(DAGM, foreground="nonzero"))
    assert (
        problem.rule == "labelled voxels must lie on the image, 1 lie where it is 0 in all channels"
    )


def test_arrays_are_left_as_they_are():
    image, label = scan(), label_of((0, 0, 0))
    check_case(case_of(image, label), BRATS)
    np.testing.assert_array_equal(image, scan())
    np.testing.assert_array_equal(label, label_of((0, 0, 0)))


def test_errors_and_warnings_of_a_case_are_told_together():
    image = scan()
    image[..., 0] = 0
    image[..., 3] = image[..., 3] > 0
    problems = check_case(case_of(image, label_of((0, 0, 0))), BRATS)
    assert [p.rule.split(",")[0] for p in errors(problems)] == [
        "every channel must have voxels other than 0",
        "every channel must have several values in its foreground",
    ]
    assert [p.rule for p in warnings(problems)] == [
        "labelled voxels must lie on the image, 1 lie where it is 0 in all channels",
    ]
    assert len(DataError(problems).problems) == 3


def test_canonical_label():
    """3 stands for 4 until 2021, 4 for 3 from 2023 on; the stored label stays as it is."""
    stored = np.array([[0, 1, 2], [3, 4, 3]], np.uint8)
    until, since = (canonical_label(stored, brats_info(value)) for value in (4, 3))
    np.testing.assert_array_equal(until, np.array([[0, 1, 2], [4, 4, 4]], np.uint8), strict=True)
    np.testing.assert_array_equal(since, np.array([[0, 1, 2], [3, 3, 3]], np.uint8), strict=True)
    np.testing.assert_array_equal(stored, [[0, 1, 2], [3, 4, 3]])


def test_canonical_label_without_aliases():
    stored = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(canonical_label(stored, DAGM), stored, strict=True)


def test_aliases_are_no_chain():
    """3 stands for 4 and 4 for 5: each voxel is replaced once."""
    info = replace(BRATS, label_aliases={3: 4, 4: 5})
    np.testing.assert_array_equal(canonical_label(np.uint8([3, 4, 5]), info), [4, 5, 5])
