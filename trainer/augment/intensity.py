"""Random changes of the intensities of a standardised crop; background and padding stay 0.

Shapes: c is the crop's spatial shape, C channels. A mask is bool, and true in the foreground.
"""

from collections.abc import Callable

import tensorflow as tf

from trainer.augment.config import AugmentConfig
from trainer.augment.draws import happens, log_uniform, seed_of, split, uniform
from trainer.augment.filters import along_axes, blur_matrix, coarse_matrix

_EPSILON = 1e-8
_INVERTED = 0.25
"""nnU-Net draws the inverted gamma with probability 0.1, and the other one with 0.3."""
_HALF_OF_THE_CHANNELS = 0.5

Change = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
"""(values, mask, seed) -> values, of a whole crop or of one channel."""


def random_brightness(image: tf.Tensor, seed: tf.Tensor, *, change: float) -> tf.Tensor:
    """Multiplies each channel of a standardised [*c, C] by its own 1 - change to 1 + change."""
    return image * uniform(seed, [image.shape[-1]], (1 - change, 1 + change))


def augment_intensity(
    image: tf.Tensor, mask: tf.Tensor, config: AugmentConfig, seed: tf.Tensor
) -> tf.Tensor:
    """The transforms of profile `full`, in the order of nnU-Net, each with its probability.

    Args:
      image: float32 [*c, C], standardised, 0 outside the mask.
      mask: [*c, C], or [*c, 1] for all channels.
      config: Probabilities and ranges.
      seed: int32 [2].

    Returns:
      float32 [*c, C], 0 outside the mask.
    """
    changes: list[tuple[str, float, Change]] = [
        ("noise", config.noise_probability, lambda x, _, s: noise(x, s, config.noise_stdev)),
        (
            "blur",
            config.blur_probability,
            per_channel(lambda v, _, s: blur(v, s, config.blur_sigma), _HALF_OF_THE_CHANNELS),
        ),
        (
            "contrast",
            config.contrast_probability,
            per_channel(lambda v, m, s: contrast(v, m, s, change=config.contrast)),
        ),
        (
            "low_resolution",
            config.low_resolution_probability,
            per_channel(
                lambda v, _, s: low_resolution(v, s, config.low_resolution), _HALF_OF_THE_CHANNELS
            ),
        ),
        (
            "gamma",
            config.gamma_probability,
            per_channel(lambda v, m, s: gamma(v, m, s, config.gamma_range)),
        ),
    ]
    for name, probability, change in changes:
        image = sometimes(change, probability, image, mask, seed_of(seed, name))
    return image


def sometimes(
    change: Change, probability: float, values: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """Changes values with a probability; the rest of the time it costs nothing."""
    if not probability:
        return values
    chance, own = split(seed, 2)
    return tf.cond(
        happens(chance, probability),
        lambda: tf.where(mask, change(values, mask, own), 0.0),
        lambda: values,
    )


def per_channel(change: Change, probability: float = 1.0) -> Change:
    """A change of [*c, C] made of one of [*c]: every channel gets it, drawn anew, or does not."""

    def change_all(image: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        masks = tf.unstack(tf.broadcast_to(mask, image.shape), axis=-1)
        seeds = split(seed, image.shape[-1])
        channels = zip(tf.unstack(image, axis=-1), masks, seeds, strict=True)
        return tf.stack([sometimes(change, probability, *c) for c in channels], axis=-1)

    return change_all


def noise(image: tf.Tensor, seed: tf.Tensor, largest: float) -> tf.Tensor:
    """Adds Gaussian noise of a standard deviation between 0 and `largest` to [*c, C]."""
    level, values = split(seed, 2)
    stdev = uniform(level, [], (0.0, largest))
    return image + stdev * tf.random.stateless_normal(image.shape, values)


def blur(values: tf.Tensor, seed: tf.Tensor, sigma: tuple[float, float]) -> tf.Tensor:
    """Blurs [*c] by a Gaussian, as wide along every axis, of `sigma` voxels."""
    width = uniform(seed, [], sigma)
    return along_axes(values, [blur_matrix(n, width) for n in values.shape])


def low_resolution(values: tf.Tensor, seed: tf.Tensor, smallest: float) -> tf.Tensor:
    """Keeps a share of the voxels of [*c] along every axis, `smallest` to 1, and interpolates."""
    share = uniform(seed, [], (smallest, 1.0))
    return along_axes(values, [coarse_matrix(n, share) for n in values.shape])


def contrast(values: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor, *, change: float) -> tf.Tensor:
    """Multiplies distances to the mean of [*c] by 1 - change to 1 + change, within its range."""
    factor = uniform(seed, [], (1 - change, 1 + change))
    mean, _ = moments(values, mask)
    return tf.clip_by_value((values - mean) * factor + mean, *limits(values, mask))


def gamma(
    values: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor, exponents: tuple[float, float]
) -> tf.Tensor:
    """Raises [*c], scaled to 0 ... 1, to a power, and restores mean and standard deviation.

    A quarter of the time on the inverted values (`augment_gamma` of batchgenerators, with
    `retain_stats`).
    """
    exponent, inversion = split(seed, 2)
    sign = tf.where(happens(inversion, _INVERTED), -1.0, 1.0)
    values = sign * values
    low, high = limits(values, mask)
    unit = tf.clip_by_value((values - low) / (high - low + _EPSILON), 0.0, 1.0)
    curved = unit ** log_uniform(exponent, exponents)
    mean, stdev = moments(values, mask)
    curved_mean, curved_stdev = moments(curved, mask)
    return sign * ((curved - curved_mean) / (curved_stdev + _EPSILON) * stdev + mean)


def limits(values: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Smallest and largest value inside a mask."""
    low = tf.reduce_min(tf.where(mask, values, values.dtype.max))
    return low, tf.reduce_max(tf.where(mask, values, values.dtype.min))


def moments(values: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and population standard deviation inside a mask, 0 where it is empty.

    Summed in float64: how many threads share a sum must not show in the crop.
    """
    inside = tf.where(mask, tf.cast(values, tf.float64), 0.0)
    count = tf.math.count_nonzero(mask, dtype=tf.float64)
    mean = tf.math.divide_no_nan(tf.reduce_sum(inside), count)
    squares = tf.where(mask, tf.square(inside - mean), 0.0)
    variance = tf.math.divide_no_nan(tf.reduce_sum(squares), count)
    return tf.cast(mean, tf.float32), tf.cast(tf.sqrt(variance), tf.float32)
