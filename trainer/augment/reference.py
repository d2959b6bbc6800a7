"""What the reference systems do to training crops, number for number in distribution.

They draw from stateful generators, some of them every decision from one stream, so that flip, turn
and brightness go together; here every draw is independent of the others.

Shapes: c is the crop's spatial shape ([H, W] for photographs), C channels, M marks.
"""

from collections.abc import Sequence

import tensorflow as tf

from trainer.augment.draws import happens, seed_of, split, uniform
from trainer.augment.geometry import random_flip, random_flips, turned

_CUT = 0.3
_SHIFT = 0.2


def check_crop(profile: str, size: Sequence[int]) -> None:
    """Raises ValueError where a crop is none that the profile's reference system can have."""
    square = len(size) == 2 and size[0] == size[1]
    if profile == "reference-dagm" and not square:
        raise ValueError(
            f"trainer.crop must be two equal sizes with trainer.augment.profile {profile!r}, "
            f"got {tuple(size)!r}"
        )
    if profile == "reference-medical" and len(size) != 2:
        raise ValueError(
            f"trainer.crop must be two sizes with trainer.augment.profile {profile!r}, "
            f"got {tuple(size)!r}"
        )


def flip_second_axis(crop: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mirrors the second axis of [*c, C] with probability 1/2 (NVIDIA UNet3D's horizontal flip)."""
    return random_flip(crop, seed_of(seed, "flips"), axis=1)


def flip_and_turn(crop: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mirrors [H, W, C] left to right with probability 1/2, then turns it by 0, 90 or 180 degrees.

    Never by 270: the upper limit of the references' draw is exclusive.
    """
    crop = random_flip(crop, seed_of(seed, "flips"), axis=1)
    quarters = tf.random.stateless_uniform([], seed_of(seed, "rotations"), maxval=3, dtype=tf.int32)
    return turned(crop, quarters)


def add_brightness(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Adds 0.9 to 1.1, a value per channel, to what is above 0, with probability 1/2.

    NVIDIA UNet3D's brightness correction of standardised [*c, C], evidently meant as a factor: it
    lifts tissue above the mean by about one standard deviation.
    """
    chance, own = split(seed_of(seed, "brightness"), 2)
    values = uniform(own, [image.shape[-1]], (0.9, 1.1))
    return tf.cond(
        happens(chance, 0.5), lambda: tf.where(image > 0, image + values, image), lambda: image
    )


def flip_and_zoom(
    image: tf.Tensor, marks: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mirrors both axes, cuts up to 30 % off each side, and resizes to the crop's size.

    As NVIDIA UNet Medical: linear in the image and in every class of the label, of which the
    largest wins.

    Args:
      image: float32 [H, W, C].
      marks: uint8 [H, W, 2]: class indices, and 1 inside of the image.
      seed: int32 [2].
    """
    flips = seed_of(seed, "flips")
    image, marks = random_flips(image, flips), random_flips(marks, flips)
    top, left, bottom, right = tf.unstack(uniform(seed_of(seed, "zoom"), [4], (0.0, _CUT)))
    box = tf.stack([top, left, 1 - bottom, 1 - right])
    label, inside = marks[..., 0], marks[..., 1:]
    classes = tf.one_hot(label, tf.cast(tf.reduce_max(label), tf.int32) + 1)
    label = tf.argmax(_zoom(classes, box), axis=-1, output_type=tf.int32)
    inside = _zoom(tf.cast(inside, tf.float32), box) >= 0.5
    return _zoom(image, box), tf.concat(
        [tf.cast(label, tf.uint8)[..., None], tf.cast(inside, tf.uint8)], axis=-1
    )


def _zoom(crop: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """The part of [H, W, C] in a box (top, left, bottom, right; 0 to 1), linearly resized to it."""
    zoomed = tf.image.crop_and_resize(crop[None], box[None], [0], crop.shape[:2])[0]
    return tf.ensure_shape(zoomed, [*crop.shape[:2], crop.shape[-1]])


def shift_and_clip(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Adds one value of -0.2 to 0.2 to [H, W, C], and clips to -1 ... 1 (NVIDIA UNet Medical).

    Meant for the reference's preprocessing, x / 127.5 - 1.
    """
    shift = uniform(seed_of(seed, "brightness"), [], (-_SHIFT, _SHIFT))
    return tf.clip_by_value(image + shift, -1.0, 1.0)
