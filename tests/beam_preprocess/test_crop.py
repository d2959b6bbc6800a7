"""The box of the foreground by hand, and the way back."""

import numpy as np
import pytest

from beam_preprocess.crop import crop, foreground_box, uncrop


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
