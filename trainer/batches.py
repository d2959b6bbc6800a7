"""Staged cases -> batches of training crops, as a tf.data pipeline.

Example number n of a training is case order(epoch)[n mod N] of epoch n // N: the pipeline can
start at any n, and gives the same crops whatever the number of workers or the speed of the machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from beam_preprocess.preprocessing import standardise
from beam_preprocess.records import parse_normalised
from trainer.augment import augment_geometry, example_seed, random_brightness, random_crop
from trainer.config import TrainerConfig
from trainer.staging import StagedCase


@dataclass(frozen=True, kw_only=True)
class RecordInfo:
    """What the pipeline has to know of records: rank, channels, foreground (`nonzero`, `all`)."""

    rank: int
    channels: int
    foreground: str


def training_batches(
    cases: Sequence[StagedCase], info: RecordInfo, config: TrainerConfig, *, start_step: int
) -> tf.data.Dataset:
    """Batches from `start_step` to the end of the training.

    Args:
      cases: All cases of the training folds.
      info: Of their records.
      config: Batch size, crop, budget, seed, augmentation.
      start_step: Steps that are done already.

    Returns:
      A dataset of (images float32 [B, *crop, C], class indices int32 [B, *crop]).
    """
    paths = tf.constant([c.path for c in sorted(cases)])

    def load(n: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        epoch = n // len(cases)
        record = tf.io.read_file(paths[_position(n, len(cases), config.seed)])
        features = parse_normalised(record, rank=info.rank, channels=info.channels)
        return training_example(features, epoch, info, config)

    numbers = tf.data.Dataset.range(
        start_step * config.batch_size, config.steps * config.batch_size
    )
    return (
        numbers.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .batch(config.batch_size, drop_remainder=True)
        .prefetch(2)
    )


def _position(n: tf.Tensor, count: int, seed: int) -> tf.Tensor:
    """Index of the case that is example number n."""
    epoch_seed = tf.stack([tf.cast(n // count, tf.int32), tf.constant(seed, tf.int32)])
    order = tf.random.experimental.stateless_shuffle(tf.range(count), epoch_seed)
    return order[n % count]


def training_example(
    features: dict[str, tf.Tensor], epoch: tf.Tensor, info: RecordInfo, config: TrainerConfig
) -> tuple[tf.Tensor, tf.Tensor]:
    """One normalised record -> one augmented crop.

    Returns:
      image: float32 [*crop, C], standardised.
      label: int32 [*crop], class indices.
    """
    seed = example_seed(config.seed, features["case_id"], epoch)
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 3))
    inside = tf.ones_like(features["Y"])  # tells padding from image
    stack = tf.concat([features["X"], tf.stack([features["Y"], inside], axis=-1)], axis=-1)
    stack = random_crop(
        stack,
        features["Y"],
        config.crop,
        seeds[0],
        foreground_fraction=config.foreground_fraction,
    )
    stack = augment_geometry(stack, config.augment, seeds[1])
    x, label, inside = stack[..., :-2], stack[..., -2], stack[..., -1:]
    image = standardise(x, features["mean"], features["stdev"], foreground=info.foreground)
    if config.augment.brightness:
        image = random_brightness(image, seeds[2], change=config.augment.brightness)
    return tf.where(inside > 0, image, 0.0), tf.cast(label, tf.int32)
