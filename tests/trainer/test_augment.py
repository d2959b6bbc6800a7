"""Crops and changes on tensors whose values are their own coordinates."""

from itertools import product

import numpy as np
import pytest
import tensorflow as tf

from trainer.augment import (
    augment_geometry,
    example_seed,
    pad_to,
    random_brightness,
    random_crop,
    random_flips,
    random_rotation,
)
from trainer.config import AugmentConfig

ALL = AugmentConfig(flips=True, rotations=True)


def seed(number: int) -> tf.Tensor:
    return tf.constant([number, 7], tf.int32)


def coordinates(*shape: int) -> np.ndarray:
    """[*S, rank]: every voxel holds its index + 1, so that 0 can only be padding."""
    return np.stack(np.indices(shape), axis=-1).astype(np.uint8) + 1


def numbered(*shape: int) -> np.ndarray:
    """[*S, 2]: an image of distinct values, and a label that is a function of them."""
    image = np.arange(np.prod(shape)).reshape(shape)
    return np.stack([image, 3 * image + 1], axis=-1).astype(np.int32)


def over_seeds(fn, count: int) -> np.ndarray:
    """Results of `fn(seed)` for many seeds, from inside tf.data."""
    seeds = tf.data.Dataset.range(count).map(lambda n: tf.stack([tf.cast(n, tf.int32), 7]))
    return np.stack(list(seeds.map(fn).as_numpy_iterator()))


def crop_coordinates(
    shape: tuple[int, ...], size: tuple[int, ...], labelled: list[tuple[int, ...]], fraction: float
):
    """A function: seed -> a crop of `coordinates(*shape)`."""
    label = np.zeros(shape, np.uint8)
    for voxel in labelled:
        label[voxel] = 1
    return lambda s: random_crop(
        tf.constant(coordinates(*shape)), tf.constant(label), size, s, foreground_fraction=fraction
    )


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


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4)])
def test_flips_mirror_every_axis_and_keep_image_and_label_together(shape: tuple[int, ...]) -> None:
    stack, rank = numbered(*shape), len(shape)
    results = over_seeds(lambda s: random_flips(tf.constant(stack), s), 100)
    axes = [tuple(np.flatnonzero(c)) for c in product([0, 1], repeat=rank)]
    expected = {np.flip(stack, a).tobytes() for a in axes}
    assert len(expected) == 2**rank
    assert {r.tobytes() for r in results} == expected
    np.testing.assert_array_equal(results[..., 1], 3 * results[..., 0] + 1)


@pytest.mark.parametrize("shape", [(3, 3), (3, 3, 2)])
def test_rotations_are_all_four_quarter_turns(shape: tuple[int, ...]) -> None:
    stack = numbered(*shape)
    results = over_seeds(lambda s: random_rotation(tf.constant(stack), s), 100)
    assert {r.tobytes() for r in results} == {np.rot90(stack, k).tobytes() for k in range(4)}
    np.testing.assert_array_equal(results[..., 1], 3 * results[..., 0] + 1)


@pytest.mark.parametrize("shape", [(2, 3), (4, 2, 2)])
def test_rotations_of_an_oblong_are_half_turns(shape: tuple[int, ...]) -> None:
    stack = numbered(*shape)
    results = over_seeds(lambda s: random_rotation(tf.constant(stack), s), 40)
    assert {r.tobytes() for r in results} == {np.rot90(stack, k).tobytes() for k in (0, 2)}


def test_geometry_reaches_all_symmetries_of_the_square_and_no_more() -> None:
    stack = numbered(3, 3)
    results = over_seeds(lambda s: augment_geometry(tf.constant(stack), ALL, s), 200)
    turned = [np.rot90(stack, k) for k in range(4)]
    expected = {t.tobytes() for t in turned} | {np.flip(t, 0).tobytes() for t in turned}
    assert len(expected) == 8
    assert {r.tobytes() for r in results} == expected


@pytest.mark.parametrize(
    ("config", "outcomes"),
    [
        (AugmentConfig(flips=False, rotations=False), 1),
        (AugmentConfig(flips=True, rotations=False), 4),
        (AugmentConfig(flips=False, rotations=True), 4),
    ],
)
def test_geometry_does_what_is_switched_on(config: AugmentConfig, outcomes: int) -> None:
    stack = numbered(3, 3)
    results = over_seeds(lambda s: augment_geometry(tf.constant(stack), config, s), 60)
    assert len({r.tobytes() for r in results}) == outcomes
    assert stack.tobytes() in {r.tobytes() for r in results}


def test_brightness_is_one_factor_per_channel() -> None:
    image = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    image[0, 0] = 0
    results = over_seeds(lambda s: random_brightness(tf.constant(image), s, change=0.2), 200)
    factors = results[:, 1, 1] / image[1, 1]
    np.testing.assert_allclose(results, image * factors[:, None, None], rtol=1e-5)
    assert factors.min() >= 0.8 - 1e-6 and factors.max() <= 1.2 + 1e-6
    assert factors.min() < 0.82 and factors.max() > 1.18
    assert np.all(factors[:, 0] != factors[:, 1])


def augmented(s: tf.Tensor) -> tf.Tensor:
    stack = tf.constant(numbered(6, 6, 5))
    label = tf.constant((numbered(6, 6, 5)[..., 0] % 7 == 0).astype(np.uint8))
    crop = random_crop(stack, label, (4, 4, 4), s, foreground_fraction=0.5)
    crop = tf.cast(augment_geometry(crop, ALL, s), tf.float32)
    return random_brightness(crop, s, change=0.1)


def test_same_seed_gives_the_same_crop_eagerly_and_in_tf_data() -> None:
    in_tf_data = over_seeds(augmented, 12)
    eagerly = np.stack([augmented(seed(n)) for n in range(12)])
    np.testing.assert_array_equal(in_tf_data, eagerly)
    assert len({r.tobytes() for r in in_tf_data}) == 12


def test_shape_is_static_in_a_graph() -> None:
    assert tf.function(augmented).get_concrete_function(seed(0)).output_shapes == (4, 4, 4, 2)


def test_example_seed_differs_by_run_case_and_epoch() -> None:
    cases = [f"BraTS2021_{n:05d}" for n in range(20)]
    seeds = {
        tuple(example_seed(run, tf.constant(case), tf.constant(epoch)).numpy().tolist())
        for run, case, epoch in product((0, 1), cases, range(5))
    }
    assert len(seeds) == 2 * 20 * 5


def test_example_seed_is_the_same_eagerly_and_in_tf_data() -> None:
    epochs = tf.data.Dataset.range(5)
    mapped = list(epochs.map(lambda e: example_seed(3, tf.constant("c"), e)).as_numpy_iterator())
    eagerly = [example_seed(3, tf.constant("c"), tf.constant(e, tf.int64)) for e in range(5)]
    np.testing.assert_array_equal(mapped, eagerly)
    assert mapped[0].dtype == np.int32 and mapped[0].shape == (2,)
