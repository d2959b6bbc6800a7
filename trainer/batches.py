"""Staged cases -> batches of training crops, as a tf.data pipeline.

Example number n of a training is case order(epoch)[n mod N] of epoch n // N: the pipeline can
start at any n, and gives the same crops whatever the number of workers or the speed of the machine.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from beam_preprocess.preprocessing import standardise
from beam_preprocess.records import parse_normalised
from trainer.augment.augment import augmented_crop
from trainer.augment.draws import example_seed
from trainer.config import TrainerConfig
from trainer.staging import StagedCase

Features = dict[str, tf.Tensor]
"""What a normalised record holds, by the names of `normalised_feature_spec`."""


@dataclass(frozen=True, kw_only=True)
class RecordInfo:
    """What the pipeline has to know of records: rank, channels, foreground (`nonzero`, `all`)."""

    rank: int
    channels: int
    foreground: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """The replicas that a process feeds: `count` of `replicas`, from number `first` on."""

    first: int = 0
    count: int = 1
    replicas: int = 1


def training_batches(
    cases: Sequence[StagedCase],
    info: RecordInfo,
    config: TrainerConfig,
    *,
    start_step: int = 0,
    part: Part = Part(),
) -> tf.data.Dataset:
    """The batches of one process from `start_step` to the end of the training.

    Batch size 2, 4 replicas, 2 of them here from number 2 on: step 0 takes the examples 0 to 7, of
    them this process 4 and 5, then 6 and 7.

    Args:
      cases: All cases of the training folds.
      info: Of their records.
      config: Batch size, crop, budget, seed, augmentation.
      start_step: Steps that are done already.
      part: The replicas that are fed from here.

    Returns:
      A dataset of (images float32 [B, *crop, C], class indices int32 [B, *crop]), one batch per
      replica and step.
    """
    paths = tf.constant([c.path for c in sorted(cases)])

    def load(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        batch, place = index // config.batch_size, index % config.batch_size
        replica = batch // part.count * part.replicas + part.first + batch % part.count
        n = replica * config.batch_size + place
        epoch = n // len(cases)
        record = tf.io.read_file(paths[_position(n, len(cases), config.seed)])
        return training_example(parse_features(record, info), epoch, info, config)

    per_step = part.count * config.batch_size
    steps = config.steps(part.replicas)
    indices = tf.data.Dataset.range(start_step * per_step, steps * per_step)
    batches = (
        indices.map(
            tf.autograph.experimental.do_not_convert(load),  # which takes seconds, for nothing
            num_parallel_calls=os.cpu_count(),
            deterministic=True,
        )
        .batch(config.batch_size, drop_remainder=True)
        .prefetch(2)
    )
    options = tf.data.Options()
    # There is nothing to tune, and the end of a training would wait for the tuning's next round:
    # for 2 to 14 s (TensorFlow 2.16).
    options.autotune.enabled = False
    return batches.with_options(options)


def cases_of_step(
    cases: Sequence[StagedCase], config: TrainerConfig, step: int, *, replicas: int
) -> list[str]:
    """Ids of the cases that all replicas together take in a step (0-based), in their order."""
    ids = [c.case_id for c in sorted(cases)]
    batch = config.batch_size * replicas
    numbers = tf.range(step * batch, (step + 1) * batch, dtype=tf.int64)
    return [ids[int(_position(n, len(ids), config.seed))] for n in numbers]


def _position(n: tf.Tensor, count: int, seed: int) -> tf.Tensor:
    """Index of the case that is example number n."""
    epoch_seed = tf.stack([tf.cast(n // count, tf.int32), tf.constant(seed, tf.int32)])
    order = tf.random.experimental.stateless_shuffle(tf.range(count), epoch_seed)
    return order[n % count]


def parse_features(record: tf.Tensor, info: RecordInfo) -> Features:
    """One serialised normalised record -> its features, as `parse_normalised` names them."""
    return parse_normalised(record, rank=info.rank, channels=info.channels)


def whole_example(features: Features, info: RecordInfo) -> tuple[tf.Tensor, tf.Tensor]:
    """One normalised record -> all of it, for inference.

    Returns:
      image: float32 [*S, C], standardised.
      label: uint8 [*S], class indices.
    """
    x, mean, stdev = (features[name] for name in ("X", "mean", "stdev"))
    return standardise(x, mean, stdev, foreground=info.foreground), features["Y"]


def training_example(
    features: Features, epoch: tf.Tensor, info: RecordInfo, config: TrainerConfig
) -> tuple[tf.Tensor, tf.Tensor]:
    """One normalised record -> one augmented crop.

    Returns:
      image: float32 [*crop, C], standardised; 0 in padding.
      label: int32 [*crop], class indices.
    """
    seed = example_seed(config.seed, features["case_id"], epoch)
    return augmented_crop(features, config, seed, foreground=info.foreground)
