"""Changes of intensity: by values computed by hand, and by the moments they keep."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from trainer.augment.config import AugmentConfig
from trainer.augment.intensity import (
    augment_intensity,
    blur,
    contrast,
    gamma,
    low_resolution,
    moments,
    noise,
    per_channel,
    random_brightness,
)

SEED = tf.constant([1, 7])
OFF = AugmentConfig(
    profile="full",
    noise_probability=0,
    blur_probability=0,
    contrast_probability=0,
    low_resolution_probability=0,
    gamma_probability=0,
)
NAMES = ("noise", "blur", "contrast", "low_resolution", "gamma")


def over_seeds(fn, count: int) -> np.ndarray:
    """Results of `fn(seed)` for many seeds, from inside tf.data."""
    seeds = tf.data.Dataset.range(count).map(lambda n: tf.stack([tf.cast(n, tf.int32), 7]))
    return np.stack(list(seeds.map(fn).as_numpy_iterator()))


def scan(*shape: int) -> tuple[tf.Tensor, tf.Tensor]:
    """A standardised crop with a border of background, and its mask."""
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    mask = np.zeros(shape, bool)
    mask[(slice(1, -1),) * (len(shape) - 1)] = True
    return tf.constant(image * mask), tf.constant(mask)


def test_brightness_is_one_factor_per_channel() -> None:
    image = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    image[0, 0] = 0
    results = over_seeds(lambda s: random_brightness(tf.constant(image), s, change=0.2), 200)
    factors = results[:, 1, 1] / image[1, 1]
    np.testing.assert_allclose(results, image * factors[:, None, None], rtol=1e-5)
    assert factors.min() >= 0.8 - 1e-6 and factors.max() <= 1.2 + 1e-6
    assert factors.min() < 0.82 and factors.max() > 1.18
    assert np.all(factors[:, 0] != factors[:, 1])


def test_moments_count_the_mask_only() -> None:
    """1, 2, 3 and 6: mean 3, variance (4 + 1 + 0 + 9) / 4 = 3.5."""
    values = tf.constant([1.0, 2.0, 3.0, 6.0, 100.0])
    mean, stdev = moments(values, values < 50)
    assert (float(mean), float(stdev)) == (3.0, pytest.approx(3.5**0.5))
    assert [float(m) for m in moments(values, values > 1000)] == [0.0, 0.0]


def test_noise_has_the_drawn_variance() -> None:
    """Standard deviations are uniform in 0 to 0.5, their mean over 100 seeds 0.25 +- 0.015."""
    added = over_seeds(lambda s: noise(tf.ones([20, 20, 2]), s, 0.5), 100) - 1
    stdevs = added.std(axis=(1, 2, 3))
    assert 0.2 < stdevs.mean() < 0.3
    assert stdevs.min() < 0.05 and 0.45 < stdevs.max() < 0.53
    assert np.all(np.abs(added.mean(axis=(1, 2, 3))) < 5 * stdevs / 800**0.5)


def test_blurred_delta_sums_to_one_and_is_symmetric() -> None:
    delta = np.zeros((13, 13, 13), np.float32)
    delta[6, 6, 6] = 1
    for result in over_seeds(lambda s: blur(tf.constant(delta), s, (0.5, 1.0)), 10):
        assert result.sum() == pytest.approx(1, abs=1e-4)
        np.testing.assert_allclose(result, result.transpose(2, 0, 1), atol=1e-7)
        np.testing.assert_allclose(result, result[::-1], atol=1e-7)
        assert 0.06 < result.max() < 0.5


def test_low_resolution_keeps_a_constant_and_the_range() -> None:
    image = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    results = over_seeds(lambda s: low_resolution(tf.constant(image), s, 0.5), 20)
    assert results.min() >= image.min() - 1e-5 and results.max() <= image.max() + 1e-5
    assert len({r.tobytes() for r in results}) > 3
    ones = over_seeds(lambda s: low_resolution(tf.ones([8, 8]), s, 0.5), 5)
    np.testing.assert_allclose(ones, 1, atol=1e-6)


def test_contrast_moves_values_from_their_mean_within_their_range() -> None:
    """Mean 0, range -2 to 2: 1 becomes the factor f, 0.75 to 1.25, and 2 at most 2."""
    values = tf.constant([[-2.0, -1.0], [1.0, 2.0]])
    mask = tf.ones([2, 2], tf.bool)
    results = over_seeds(lambda s: contrast(values, mask, s, change=0.25), 100)
    factors = results[:, 1, 0]
    assert 0.75 <= factors.min() < 0.8 and 1.2 < factors.max() <= 1.25
    np.testing.assert_allclose(results[:, 0, 0], -np.minimum(2 * factors, 2), rtol=1e-5)
    np.testing.assert_allclose(results[:, 1, 1], np.minimum(2 * factors, 2), rtol=1e-5)


def test_gamma_by_hand() -> None:
    """0, 1 and 2 scaled to 0, 1/2, 1 and squared: 0, 1/4, 1, of mean 5/12 and variance 13/72.

    Restored to mean 1 and variance 2/3. On the inverted values the result is the mirror image.
    """
    values, mask = tf.constant([[0.0, 1.0, 2.0]]), tf.ones([1, 3], tf.bool)
    squared = (np.array([0, 1 / 4, 1]) - 5 / 12) / (13 / 72) ** 0.5 * (2 / 3) ** 0.5 + 1
    inverted = (2 - squared)[::-1]
    results = over_seeds(lambda s: gamma(values, mask, s, (2.0, 2.0)), 200)[:, 0]
    is_inverted = np.abs(results - inverted).max(axis=1) < 1e-5
    is_plain = np.abs(results - squared).max(axis=1) < 1e-5
    assert np.all(is_inverted ^ is_plain)
    assert 25 < is_inverted.sum() < 75  # 50, standard deviation 6


def test_gamma_keeps_mean_and_deviation_of_the_foreground() -> None:
    image, mask = (t[..., 0] for t in scan(8, 8, 8, 1))
    changed = over_seeds(lambda s: gamma(image, mask, s, (0.7, 1.5)), 20)
    inside = changed[:, mask.numpy()]
    np.testing.assert_allclose(inside.mean(axis=1), image[mask].numpy().mean(), atol=1e-5)
    np.testing.assert_allclose(inside.std(axis=1), image[mask].numpy().std(), rtol=1e-4)
    assert np.abs(inside - image[mask].numpy()).max() > 0.1
    order = np.argsort(image[mask].numpy())
    assert np.all(np.diff(inside[:, order], axis=1) >= -1e-5)


@pytest.mark.parametrize("change", [gamma, lambda v, m, s, _: contrast(v, m, s, change=0.25)])
@pytest.mark.parametrize("inside", [0, 1, 4])
def test_equal_values_stay(change, inside: int) -> None:
    """No, one, or only equal voxels of foreground."""
    mask = tf.range(4) < inside
    values = tf.where(mask, 0.5, 0.0)
    result = tf.where(mask, change(values, mask, SEED, (0.7, 1.5)), 0.0)
    np.testing.assert_allclose(result, values, atol=1e-6)


def test_channels_are_drawn_one_by_one() -> None:
    change = per_channel(lambda v, _, s: v + tf.random.stateless_uniform([], s, 1, 2), 0.5)
    image, mask = tf.zeros([2, 2, 2]), tf.ones([2, 2, 1], tf.bool)
    added = over_seeds(lambda s: change(image, mask, s), 200)[:, 0, 0]
    both = np.all(added > 0, axis=1)
    assert 30 < both.sum() < 70  # a quarter: 50, standard deviation 6
    assert np.all(added[both, 0] != added[both, 1])
    assert np.all((added == 0) | (added >= 1))


@pytest.mark.parametrize("name", NAMES)
def test_background_stays_zero(name: str) -> None:
    image, mask = scan(6, 6, 6, 2)
    config = replace(OFF, **{f"{name}_probability": 1.0})
    results = [augment_intensity(image, mask, config, tf.constant([n, 7])) for n in range(4)]
    assert not np.stack(results)[:, ~mask.numpy()].any()
    assert np.abs(np.stack(results) - image).max() > 0.01


def test_one_mask_for_all_channels() -> None:
    image, mask = scan(6, 6, 2)
    config = replace(OFF, noise_probability=1.0, gamma_probability=1.0, blur_probability=1.0)
    one = augment_intensity(image, mask, config, SEED)
    np.testing.assert_array_equal(one, augment_intensity(image, mask[..., :1], config, SEED))


def test_all_off_is_the_image_itself() -> None:
    image, mask = scan(6, 6, 2)
    assert augment_intensity(image, mask, OFF, SEED) is image


def test_switching_one_off_does_not_change_another() -> None:
    """With noise first and gamma last, what is between them is off in both."""
    image, mask = scan(6, 6, 2)
    only = replace(OFF, noise_probability=1.0)
    both = replace(only, gamma_probability=1.0, gamma_range=(1.0, 1.0))
    np.testing.assert_allclose(
        augment_intensity(image, mask, both, SEED),
        augment_intensity(image, mask, only, SEED),
        atol=1e-5,
    )


def test_probability_is_that_of_the_config() -> None:
    """200 seeds at 0.3: 60, standard deviation 6.5."""
    image, mask = scan(4, 4, 1)
    config = replace(OFF, noise_probability=0.3)
    results = over_seeds(lambda s: augment_intensity(image, mask, config, s), 200)
    changed = np.any(results != image, axis=(1, 2, 3)).sum()
    assert 35 < changed < 85
