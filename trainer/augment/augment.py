"""One normalised record -> one augmented crop: equal for equal seeds, eagerly and in tf.data.

Cut out (or resampled), standardised, mirrored and turned, changed in intensity: in this order.

Shapes: S is the spatial shape ([X, Y, Z] or [H, W]), c the crop's, C channels. A seed is int32 [2].
"""

from collections.abc import Mapping

import tensorflow as tf

from beam_preprocess.preprocessing import standardise
from trainer.augment.config import AugmentConfig
from trainer.augment.crop import cut, cut_marks, place_crop
from trainer.augment.draws import seed_of
from trainer.augment.geometry import random_flips, random_rotation
from trainer.augment.intensity import augment_intensity, random_brightness
from trainer.augment.reference import (
    add_brightness,
    check_crop,
    flip_and_turn,
    flip_and_zoom,
    flip_second_axis,
    shift_and_clip,
)
from trainer.augment.resample import draw_warp, resample, sources
from trainer.config import TrainerConfig


def augmented_crop(
    features: Mapping[str, tf.Tensor], config: TrainerConfig, seed: tf.Tensor, *, foreground: str
) -> tuple[tf.Tensor, tf.Tensor]:
    """Cuts a crop out of a record and changes it at random.

    Args:
      features: `X` uint8 [*S, C], `Y` uint8 [*S], `mean`, `stdev` and `spacing` of a normalised
        record.
      config: Crop, foreground share and augmentation.
      seed: Of the case in its epoch.
      foreground: Of the records: `nonzero` or `all`.

    Returns:
      image: float32 [*c, C], standardised, 0 in padding, and in background if `nonzero`.
      label: int32 [*c], class indices, 0 in padding.

    Raises:
      ValueError: The crop is none for a reference profile.
    """
    augment = config.augment
    check_crop(augment.profile, config.crop)
    image, marks = _cut(features, config, seed, foreground)
    if augment.enabled:
        image, marks = _change_geometry(image, marks, augment, seed)
    inside = marks[..., 1:] > 0
    if augment.enabled:
        mask = image != 0 if foreground == "nonzero" else inside
        image = _change_intensity(image, mask, augment, seed)
    return tf.where(inside, image, 0.0), tf.cast(marks[..., 0], tf.int32)


def _cut(
    features: Mapping[str, tf.Tensor], config: TrainerConfig, seed: tf.Tensor, foreground: str
) -> tuple[tf.Tensor, tf.Tensor]:
    """A standardised crop float32 [*c, C], and its marks uint8 [*c, 2]: label, 1 if not padding."""
    size, x, y = config.crop, features["X"], features["Y"]
    start = place_crop(
        y,
        size,
        seed_of(seed, "crop"),
        foreground_fraction=config.foreground_fraction,
        last_place=config.augment.profile != "reference-3d",
    )

    def prepare(part: tf.Tensor) -> tf.Tensor:
        return standardise(part, features["mean"], features["stdev"], foreground=foreground)

    def as_it_is() -> tuple[tf.Tensor, tf.Tensor]:
        return prepare(cut(x, start, size)), cut_marks(y, start, size)

    if not config.augment.resamples:
        return as_it_is()
    warp = draw_warp(size, features["spacing"], config.augment, seed)

    def warped() -> tuple[tf.Tensor, tf.Tensor]:
        return resample(x, y, sources(warp, start, size), prepare=prepare)

    return tf.cond(warp.wanted, warped, as_it_is)


def _change_geometry(
    image: tf.Tensor, marks: tf.Tensor, config: AugmentConfig, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mirrors and turns image [*c, C] and marks [*c, 2] together."""
    if config.profile == "reference-3d":
        return flip_second_axis(image, seed), flip_second_axis(marks, seed)
    if config.profile == "reference-dagm":
        return flip_and_turn(image, seed), flip_and_turn(marks, seed)
    if config.profile == "reference-medical":
        return flip_and_zoom(image, marks, seed)
    if config.flips:
        own = seed_of(seed, "flips")
        image, marks = random_flips(image, own), random_flips(marks, own)
    if config.rotations:
        own = seed_of(seed, "rotations")
        image, marks = random_rotation(image, own), random_rotation(marks, own)
    return image, marks


def _change_intensity(
    image: tf.Tensor, mask: tf.Tensor, config: AugmentConfig, seed: tf.Tensor
) -> tf.Tensor:
    """Changes the intensities of [*c, C]; what it makes of padding is put right after it."""
    if config.profile == "reference-3d":
        return add_brightness(image, seed)
    if config.profile == "reference-dagm":
        return image
    if config.profile == "reference-medical":
        return shift_and_clip(image, seed)
    if config.brightness:
        image = random_brightness(image, seed_of(seed, "brightness"), change=config.brightness)
    return augment_intensity(image, mask, config, seed) if config.profile == "full" else image
