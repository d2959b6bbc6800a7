"""The box of the foreground by hand, and the way back, in any orientation of the grid."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from beam_preprocess.case import Case, CaseFiles
from beam_preprocess.crop import crop, foreground_box, uncrop
from beam_preprocess.nifti import read_nifti, write_nifti
from beam_preprocess.records import decode_raw, encode_raw

PROPERTY = settings(deadline=None, derandomize=True, max_examples=60)


def turned(about: int, degrees: float) -> np.ndarray:
    """[4, 4] rotation about axis 0, 1 or 2."""
    i, j = (a for a in range(3) if a != about)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(4)
    matrix[[i, i, j, j], [i, j, i, j]] = c, -s, s, c
    return matrix


def moved(matrix: np.ndarray) -> np.ndarray:
    """The affine with an origin that has no short binary form."""
    return matrix + np.array([[0, 0, 0, x] for x in (-90.1, 126.3, -72.7, 0)])


SWAPPED = np.eye(4)[[1, 2, 0, 3]]
AFFINES = {
    "LPS": moved(np.diag([-1.0, -1, 1, 1])),
    "one axis flipped": moved(np.diag([-1.0, 1, 1, 1])),
    "all axes flipped": moved(np.diag([-1.0, -1, -1, 1])),
    "axes swapped": moved(SWAPPED),
    "axes swapped, one flipped": moved(SWAPPED @ np.diag([1.0, -1, 1, 1])),
    "anisotropic": moved(np.diag([0.1, 0.7, 5.3, 1])),
    "oblique": moved(turned(2, 30)),
    "twice oblique, anisotropic": moved(turned(0, 17) @ turned(1, -8) @ np.diag([0.9, 0.9, 6, 1])),
    "oblique, one axis flipped": moved(turned(1, 41) @ np.diag([1, -0.3, 1, 1])),
    "sheared": moved(np.array([[1, 0.2, 0, 0], [0, 1, 0.1, 0], [0, 0, 1.0, 0], [0, 0, 0, 1]])),
}


def case_of(image: np.ndarray, label: np.ndarray | None = None, affine=None) -> Case:
    files = CaseFiles(case_id="c", group="c", stratum="s", images=(), label=None)
    affine = np.eye(4) if affine is None else affine
    rank = image.ndim - 1
    return Case(
        files=files, image=image, label=label, affine=affine, spacing=(1.0,) * rank, sources={}
    )


@st.composite
def cases(draw):
    """Cases of 2 or 3 axes and 1 to 3 channels, sparse, with a label or without."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=6))
    dtype = draw(st.sampled_from(["uint8", "int16", "float32"]))
    values = st.integers(0 if dtype == "uint8" else -3, 3)
    channels = draw(st.integers(1, 3))
    image = draw(hnp.arrays(dtype, (*shape, channels), elements=values, fill=st.just(0)))
    if not image.any():
        image[draw(st.tuples(*(st.integers(0, n - 1) for n in image.shape)))] = 1
    labels = hnp.arrays(np.uint8, shape, elements=st.integers(0, 4), fill=st.just(0))
    return case_of(image, draw(st.none() | labels))


def in_order(case: Case, order: str) -> Case:
    """The same case, its arrays in another memory order."""
    label = None if case.label is None else np.asarray(case.label, order=order)
    return case_of(np.asarray(case.image, order=order), label, case.affine)


@pytest.fixture
def image():
    """[5, 6, 7, 2], non-zero at (1, 2, 3) in channel 0 and, negative, at (3, 2, 6) in channel 1."""
    voxels = np.zeros((5, 6, 7, 2), np.int16)
    voxels[1, 2, 3, 0] = 4
    voxels[3, 2, 6, 1] = -4
    return voxels


def test_box_holds_every_channel(make_case, image):
    assert foreground_box(make_case(image), "nonzero") == ((1, 4), (2, 3), (3, 7))


def test_box_holds_the_label_too(make_case, image):
    label = np.zeros((5, 6, 7), np.uint8)
    label[0, 5, 4] = 2
    assert foreground_box(make_case(image, label), "nonzero") == ((0, 4), (2, 6), (3, 7))


def test_empty_label_changes_nothing(make_case, image):
    box = foreground_box(make_case(image, np.zeros((5, 6, 7), np.uint8)), "nonzero")
    assert box == ((1, 4), (2, 3), (3, 7))


def test_photographs_are_kept_whole(make_case):
    case = make_case(np.zeros((4, 3, 1), np.uint8))
    assert foreground_box(case, "all") == ((0, 4), (0, 3))


def test_full_grid_is_its_own_box(make_case):
    case = make_case(np.ones((2, 3, 4, 1), np.float32))
    assert foreground_box(case, "nonzero") == ((0, 2), (0, 3), (0, 4))


def test_crop_keeps_what_lies_in_the_box():
    array = np.arange(24).reshape(4, 6)
    np.testing.assert_array_equal(crop(array, ((1, 3), (4, 6))), [[10, 11], [16, 17]])
    assert crop(np.zeros((4, 6, 2)), ((0, 1), (2, 5))).shape == (1, 3, 2)


def test_uncrop_by_hand():
    full = uncrop(np.array([[1, 2]], np.uint8), ((1, 2), (0, 2)), (3, 3))
    np.testing.assert_array_equal(full, [[0, 0, 0], [1, 2, 0], [0, 0, 0]])
    assert full.dtype == np.uint8


def test_uncrop_is_the_way_back(make_case, image):
    box = foreground_box(make_case(image), "nonzero")
    back = uncrop(crop(image, box), box, image.shape[:-1])
    np.testing.assert_array_equal(back, image)
    assert back.dtype == image.dtype


@PROPERTY
@given(case=cases())
def test_box_is_the_smallest_that_holds_all(case):
    """Against the list of all voxels that are not 0."""
    kept = (case.image != 0).any(axis=-1)
    if case.label is not None:
        kept |= case.label != 0
    voxels = np.argwhere(kept)
    expected = np.stack([voxels.min(axis=0), voxels.max(axis=0) + 1], axis=1)
    assert foreground_box(case, "nonzero") == tuple(map(tuple, expected.tolist()))


@PROPERTY
@given(case=cases(), foreground=st.sampled_from(["nonzero", "all"]))
def test_nothing_is_lost_by_cropping(case, foreground):
    """Image and label of any shape return to their grid, in their type."""
    box = foreground_box(case, foreground)
    for array in (case.image, case.label):
        if array is not None:
            back = uncrop(crop(array, box), box, case.image.shape[:-1])
            np.testing.assert_array_equal(back, array, strict=True)


@PROPERTY
@given(case=cases())
def test_memory_order_does_not_matter(case):
    """Neither for the box nor for the record, which is equal byte for byte."""
    c, f = in_order(case, "C"), in_order(case, "F")
    assert foreground_box(c, "nonzero") == foreground_box(f, "nonzero")
    box = foreground_box(f, "nonzero")
    np.testing.assert_array_equal(crop(f.image, box), crop(c.image, box), strict=True)
    assert encode_raw(f, foreground="nonzero") == encode_raw(c, foreground="nonzero")


@PROPERTY
@given(case=cases(), affine=hnp.arrays(np.float64, (4, 4), elements=st.floats(-1e3, 1e3)))
def test_record_returns_to_the_full_grid(case, affine):
    """Any affine comes back bit for bit: it is that of the full grid, and not moved to the box."""
    case = case_of(case.image, case.label, affine)
    record = decode_raw(encode_raw(case, foreground="nonzero"))
    assert record.affine.tobytes() == affine.tobytes()
    assert record.full_shape == case.image.shape[:-1]
    back = uncrop(record.image, record.box, record.full_shape)
    np.testing.assert_array_equal(back, case.image, strict=True)
    if case.label is None:
        assert record.label is None
    else:
        label = uncrop(record.label, record.box, record.full_shape)
        np.testing.assert_array_equal(label, case.label, strict=True)


@pytest.mark.parametrize("name", AFFINES)
def test_label_file_comes_back_through_a_record(tmp_path, image, name):
    """From file to record to file: the same voxels at the same places in the world, to the bit."""
    label = np.zeros(image.shape[:3], np.uint8)
    label[1:3, 4, 2:5] = [[1, 2, 4], [4, 0, 1]]
    path = tmp_path / "label.nii.gz"
    write_nifti(label, AFFINES[name], path)
    stored = read_nifti(path)
    np.testing.assert_allclose(stored.affine, AFFINES[name], rtol=1e-6)
    case = case_of(image, stored.voxels, stored.affine)
    record = decode_raw(encode_raw(case, foreground="nonzero"))
    assert record.box == ((1, 4), (2, 5), (2, 7))
    label_map = uncrop(record.label, record.box, record.full_shape)
    write_nifti(label_map, record.affine, tmp_path / "back.nii.gz")
    back = read_nifti(tmp_path / "back.nii.gz")
    np.testing.assert_array_equal(back.voxels, label, strict=True)
    assert back.affine.tobytes() == stored.affine.tobytes()
    assert back.spacing == stored.spacing
