"""Crops of tensors whose values are their own coordinates."""

from itertools import product

import numpy as np
import pytest
import tensorflow as tf

from trainer.augment.crop import cut, cut_marks, pad_to, place_crop


def coordinates(*shape: int) -> np.ndarray:
    """[*S, rank]: every voxel holds its index + 1, so that 0 can only be padding."""
    return np.stack(np.indices(shape), axis=-1).astype(np.uint8) + 1


def over_seeds(fn, count: int) -> np.ndarray:
    """Results of `fn(seed)` for many seeds, from inside tf.data."""
    seeds = tf.data.Dataset.range(count).map(lambda n: tf.stack([tf.cast(n, tf.int32), 7]))
    return np.stack(list(seeds.map(fn).as_numpy_iterator()))


def crop_coordinates(
    shape: tuple[int, ...],
    size: tuple[int, ...],
    labelled: list[tuple[int, ...]],
    fraction: float,
    **options: bool,
):
    """A function: seed -> a crop of `coordinates(*shape)`."""
    label = np.zeros(shape, np.uint8)
    for voxel in labelled:
        label[voxel] = 1

    def crop(s: tf.Tensor) -> tf.Tensor:
        start = place_crop(tf.constant(label), size, s, foreground_fraction=fraction, **options)
        return cut(tf.constant(coordinates(*shape)), start, size)

    return crop


@pytest.mark.parametrize(
    ("shape", "size"), [((6, 4), (3, 2)), ((5, 5), (5, 5)), ((4, 3, 5), (3, 3, 4))]
)
def test_crop_offsets_are_all_from_zero_to_size_minus_crop(
    shape: tuple[int, ...], size: tuple[int, ...]
) -> None:
    crops = over_seeds(crop_coordinates(shape, size, [], 0.0), 300)
    corners = crops[(slice(None), *(0,) * len(shape))] - 1
    expected = set(product(*(range(n - c + 1) for n, c in zip(shape, size, strict=True))))
    assert {tuple(c) for c in corners.tolist()} == expected
    inside = coordinates(*size) - 1
    for crop, corner in zip(crops, corners, strict=True):
        np.testing.assert_array_equal(crop, coordinates(*shape)[tuple(corner)] + inside)


def test_offsets_are_uniform() -> None:
    """Four offsets over 2000 seeds: 500 each, standard deviation 19."""
    crops = over_seeds(crop_coordinates((5, 2), (2, 2), [], 0.0), 2000)
    assert np.all(np.abs(np.bincount(crops[:, 0, 0, 0])[1:] - 500) < 80)


def test_crop_of_a_smaller_volume_is_padded_with_zeros_at_the_end() -> None:
    expected = np.zeros((4, 5, 3, 3), np.uint8)
    expected[:2, :5, :2] = coordinates(2, 5, 2)
    crops = over_seeds(crop_coordinates((2, 5, 2), (4, 5, 3), [], 0.0), 20)
    np.testing.assert_array_equal(crops, np.broadcast_to(expected, crops.shape))


def test_crop_larger_along_one_axis_and_smaller_along_the_other() -> None:
    crops = over_seeds(crop_coordinates((2, 6), (3, 4), [(1, 5)], 1.0), 20)
    for crop in crops:
        np.testing.assert_array_equal(crop[:2], coordinates(2, 6)[:, 2:6])
        np.testing.assert_array_equal(crop[2], np.zeros((4, 2)))


def test_pad_to_leaves_larger_axes() -> None:
    padded = np.asarray(pad_to(tf.constant(coordinates(2, 3)), (3, 2)))
    np.testing.assert_array_equal(padded[:2], coordinates(2, 3))
    np.testing.assert_array_equal(padded[2], np.zeros((3, 2)))


@pytest.mark.parametrize(
    ("voxel", "corner"),
    [
        ((6, 6), (4, 4)),  # in the middle: 6 - 4 // 2
        ((0, 11), (0, 8)),  # as near to it as the volume allows: 12 - 4
        ((1, 9), (0, 7)),
    ],
)
def test_foreground_crop_is_placed_on_the_labelled_voxel(
    voxel: tuple[int, int], corner: tuple[int, int]
) -> None:
    crops = over_seeds(crop_coordinates((12, 12), (4, 4), [voxel], 1.0), 20)
    np.testing.assert_array_equal(crops[:, 0, 0] - 1, np.broadcast_to(corner, (20, 2)))


def test_foreground_crops_contain_a_labelled_voxel_and_reach_all_of_them() -> None:
    labelled = [(0, 0, 0), (2, 9, 4), (9, 3, 9), (9, 9, 0)]
    crops = over_seeds(crop_coordinates((10, 10, 10), (2, 3, 2), labelled, 1.0), 100)
    found = [{tuple(v) for v in crop.reshape(-1, 3).tolist()} for crop in crops - 1]
    assert all(f & set(labelled) for f in found)
    assert set.union(*found) >= set(labelled)


def test_foreground_fraction_is_the_share_of_crops_on_the_foreground() -> None:
    """A crop of 1 in 4096 places hits the voxel by chance. Over 1000 seeds: 300, deviation 14."""
    crops = over_seeds(crop_coordinates((64, 64), (1, 1), [(40, 20)], 0.3), 1000)
    hits = np.all(crops == (41, 21), axis=-1).sum()
    assert 240 < hits < 360


def test_case_without_foreground_is_cropped_at_random() -> None:
    with_fraction = over_seeds(crop_coordinates((9, 9), (2, 2), [], 1.0), 30)
    without = over_seeds(crop_coordinates((9, 9), (2, 2), [], 0.0), 30)
    np.testing.assert_array_equal(with_fraction, without)
    assert len(np.unique(without.reshape(30, -1), axis=0)) > 10


def test_reference_crops_never_reach_the_last_place() -> None:
    """6 - 3 = 3 and 4 - 2 = 2 free places: offsets 0 to 2 and 0 to 1; with no free place, 0."""
    crop = crop_coordinates((6, 4, 3), (3, 2, 3), [], 0.0, last_place=False)
    corners = over_seeds(crop, 200)[:, 0, 0, 0] - 1
    assert {tuple(c) for c in corners.tolist()} == set(product(range(3), range(2), [0]))


def test_marks_are_the_label_and_where_the_case_is() -> None:
    label = tf.constant([[1, 2, 3], [4, 5, 6]], tf.uint8)
    marks = np.asarray(cut_marks(label, tf.constant([0, 1]), (3, 2)))
    np.testing.assert_array_equal(marks[..., 0], [[2, 3], [5, 6], [0, 0]])
    np.testing.assert_array_equal(marks[..., 1], [[1, 1], [1, 1], [0, 0]])
