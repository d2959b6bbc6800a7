"""Mirrored and turned crops of distinct values."""

from itertools import product

import numpy as np
import pytest
import tensorflow as tf

from trainer.augment.geometry import random_flip, random_flips, random_rotation, turned


def numbered(*shape: int) -> np.ndarray:
    """[*S, 2]: an image of distinct values, and a label that is a function of them."""
    image = np.arange(np.prod(shape)).reshape(shape)
    return np.stack([image, 3 * image + 1], axis=-1).astype(np.int32)


def over_seeds(fn, count: int) -> np.ndarray:
    """Results of `fn(seed)` for many seeds, from inside tf.data."""
    seeds = tf.data.Dataset.range(count).map(lambda n: tf.stack([tf.cast(n, tf.int32), 7]))
    return np.stack(list(seeds.map(fn).as_numpy_iterator()))


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


def test_one_axis_is_mirrored_half_of_the_time() -> None:
    """200 seeds: 100, standard deviation 7."""
    stack = numbered(3, 4)
    results = over_seeds(lambda s: random_flip(tf.constant(stack), s, axis=1), 200)
    mirrored = [r.tobytes() == stack[:, ::-1].tobytes() for r in results]
    assert 65 < sum(mirrored) < 135
    assert all(m or r.tobytes() == stack.tobytes() for m, r in zip(mirrored, results, strict=True))


@pytest.mark.parametrize("quarters", range(4))
def test_turned_is_rot90(quarters: int) -> None:
    """[[0, 1], [2, 3]] turned once, counter-clockwise, is [[1, 3], [0, 2]]."""
    stack = np.arange(4).reshape(2, 2, 1)
    result = np.asarray(turned(tf.constant(stack), tf.constant(quarters)))
    np.testing.assert_array_equal(result, np.rot90(stack, quarters))
    if quarters == 1:
        np.testing.assert_array_equal(result[..., 0], [[1, 3], [0, 2]])


@pytest.mark.parametrize("change", [random_flips, random_rotation])
def test_equal_seeds_do_the_same_to_any_tensor(change) -> None:
    numbers = tf.range(36, dtype=tf.int32)
    image, label = tf.reshape(numbers, [3, 3, 4]), tf.reshape(numbers[::4], [3, 3, 1])
    for n in range(20):
        seed = tf.constant([n, 1])
        same = change(tf.cast(image, tf.float32), seed)[..., :1]
        np.testing.assert_array_equal(same, tf.cast(change(label, seed), tf.float32))
