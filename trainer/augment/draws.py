"""Random draws of the augmentation: each is a pure function of a seed (int32 [2])."""

import zlib
from collections.abc import Sequence

import tensorflow as tf


def example_seed(run_seed: int, case_id: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
    """The seed of a case in an epoch: int32 [2]."""
    case = tf.strings.to_hash_bucket_fast(case_id, 2**31 - 1)
    seed = tf.stack([tf.cast(case, tf.int32), tf.constant(run_seed, tf.int32)])
    return tf.random.experimental.stateless_fold_in(seed, tf.cast(epoch, tf.int32))


def seed_of(seed: tf.Tensor, name: str) -> tf.Tensor:
    """The seed of a named transform: no other transform changes it by being on or off."""
    number = zlib.crc32(name.encode()) & 0x7FFFFFFF
    return tf.random.experimental.stateless_fold_in(seed, number)


def split(seed: tf.Tensor, count: int) -> list[tf.Tensor]:
    """`count` seeds made of one."""
    return tf.unstack(tf.random.experimental.stateless_split(seed, count))


def happens(seed: tf.Tensor, probability: float) -> tf.Tensor:
    """True with a probability: bool scalar."""
    return tf.random.stateless_uniform([], seed) < probability


def uniform(seed: tf.Tensor, shape: Sequence[int], limits: tuple[float, float]) -> tf.Tensor:
    """Numbers between two limits: float32 [*shape]."""
    return tf.random.stateless_uniform(shape, seed, *limits)


def log_uniform(seed: tf.Tensor, limits: tuple[float, float]) -> tf.Tensor:
    """A factor between two limits, uniform in its logarithm: halving is as likely as doubling."""
    low, high = tf.unstack(tf.math.log(tf.constant(limits, tf.float32)))
    return tf.exp(tf.random.stateless_uniform([], seed, low, high))


def uniform_below(bounds: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """One integer per bound, uniform in 0 to bound - 1: int32 [n]."""
    unit = tf.random.stateless_uniform(tf.shape(bounds), seed, dtype=tf.float64)
    return tf.cast(unit * tf.cast(bounds, tf.float64), tf.int32)
