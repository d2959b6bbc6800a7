"""The reference systems' changes, in their outcomes and how often each comes."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.augment.reference import (
    add_brightness,
    check_crop,
    flip_and_turn,
    flip_and_zoom,
    flip_second_axis,
    shift_and_clip,
)


def over_seeds(fn, count: int):
    """Results of `fn(seed)` for many seeds, from inside tf.data: a list of trees of arrays."""
    seeds = tf.data.Dataset.range(count).map(lambda n: tf.stack([tf.cast(n, tf.int32), 7]))
    return list(seeds.map(fn).as_numpy_iterator())


@pytest.mark.parametrize(
    ("profile", "size", "message"),
    [
        ("reference-dagm", (8, 6), r"two equal sizes .* 'reference-dagm', got \(8, 6\)"),
        ("reference-dagm", (8, 8, 8), "two equal sizes"),
        ("reference-medical", (8, 8, 8), r"two sizes .* 'reference-medical', got \(8, 8, 8\)"),
    ],
)
def test_crop_that_a_reference_cannot_have(
    profile: str, size: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^trainer.crop must be {message}"):
        check_crop(profile, size)


@pytest.mark.parametrize(
    ("profile", "size"),
    [("basic", (8, 6, 4)), ("reference-dagm", (8, 8)), ("reference-medical", (8, 6))],
)
def test_crops_that_are_allowed(profile: str, size: tuple[int, ...]) -> None:
    assert check_crop(profile, size) is None  # type: ignore[func-returns-value]


def test_only_the_second_axis_is_mirrored() -> None:
    crop = np.arange(12).reshape(2, 3, 2, 1)
    results = {r.tobytes() for r in over_seeds(lambda s: flip_second_axis(crop, s), 30)}
    assert results == {crop.tobytes(), crop[:, ::-1].tobytes()}


def test_turns_are_0_90_and_180_degrees_after_a_flip() -> None:
    """Six outcomes, each in 1 of 6: of 300, 50, standard deviation 6.5. 270 degrees is missing."""
    crop = np.arange(9).reshape(3, 3, 1)
    results = [r.tobytes() for r in over_seeds(lambda s: flip_and_turn(tf.constant(crop), s), 300)]
    expected = [np.rot90(c, k).tobytes() for c in (crop, crop[:, ::-1]) for k in range(3)]
    counts = [results.count(e) for e in expected]
    assert sum(counts) == 300 and min(counts) > 25 and max(counts) < 80


def test_brightness_is_added_above_zero_only() -> None:
    """Half of 200 are unchanged: 100, standard deviation 7; the others have a value per channel."""
    image = np.array([[[-1.0, 0.5], [0.0, -2.0], [2.0, 1.0]]], np.float32)
    added = np.stack(over_seeds(lambda s: add_brightness(tf.constant(image), s), 200)) - image
    assert not added[:, image <= 0].any()
    changed = added[:, 0, 2, 0] > 0
    assert 65 < changed.sum() < 135
    values = added[changed][:, 0, [2, 0], [0, 1]]
    assert values.min() > 0.899 and values.max() < 1.101 and np.ptp(values) > 0.18
    np.testing.assert_allclose(added[changed][:, 0, 2, 1], values[:, 1], atol=1e-6)
    assert np.all(values[:, 0] != values[:, 1])


def test_shift_is_one_for_all_and_clipped() -> None:
    image = np.array([[[-1.0, 0.0], [0.5, 0.95]]], np.float32)
    results = np.stack(over_seeds(lambda s: shift_and_clip(tf.constant(image), s), 200))
    shifts = results[:, 0, 0, 1]
    assert -0.2 <= shifts.min() < -0.19 and 0.19 < shifts.max() <= 0.2
    np.testing.assert_allclose(results, np.clip(image + shifts[:, None, None, None], -1, 1))


def test_zoom_takes_at_most_thirty_percent_off_each_side() -> None:
    """An image of its own coordinates 0 ... 1, unmirrored where it ascends.

    Its first value is what was cut off at the front, its last 1 minus that at the back; between
    them it is a straight line.
    """
    rows, columns = np.meshgrid(*[np.linspace(0, 1, 11)] * 2, indexing="ij")
    image = tf.constant(np.stack([rows, columns], axis=-1), tf.float32)
    marks = tf.ones([11, 11, 2], tf.uint8)
    zoomed = np.stack([i for i, _ in over_seeds(lambda s: flip_and_zoom(image, marks, s), 100)])
    for lines in (zoomed[:, :, 0, 0], zoomed[:, 0, :, 1]):
        np.testing.assert_allclose(np.diff(lines, n=2), 0, atol=1e-5)
        low, high = np.sort(lines[:, [0, -1]]).T
        assert 0 <= low.min() + 1e-6 < 0.03 and 0.27 < low.max() <= 0.3
        assert 0.7 <= high.min() + 1e-6 < 0.73 and 0.97 < high.max() <= 1.0
        assert 30 < (lines[:, 0] < lines[:, -1]).sum() < 70  # mirrored half of the time


def test_zoomed_label_is_the_half_way_line_of_the_image() -> None:
    """An image that is the label: linear in both, 1 from 0.5 on; and classes are not invented."""
    label = np.zeros((12, 12), np.uint8)
    label[4:9, 3:7] = 1
    marks = tf.constant(np.stack([label, np.ones_like(label)], axis=-1))
    image = tf.constant(label[..., None], tf.float32)
    for zoomed, same in over_seeds(lambda s: flip_and_zoom(image, marks, s), 20):
        clear = np.abs(zoomed[..., 0] - 0.5) > 1e-4
        np.testing.assert_array_equal(same[..., 0][clear], zoomed[..., 0][clear] > 0.5)
        assert np.all(same[..., 1] == 1)
    [(_, marked)] = over_seeds(lambda s: flip_and_zoom(image, 4 * marks, s), 1)
    assert set(np.unique(marked[..., 0])) == {0, 4}
