"""Where a training runs: the one place that knows devices. The loop sees a strategy only."""

from typing import Literal

import tensorflow as tf


def make_strategy(name: Literal["one-device", "mirrored"]) -> tf.distribute.Strategy:
    """Returns the strategy of that name.

    `one-device` takes the first GPU, or the CPU; `mirrored` all GPUs of this machine, or all its
    logical CPU devices where there is no GPU.
    """
    gpus = tf.config.list_logical_devices("GPU")
    devices = [d.name for d in gpus or tf.config.list_logical_devices("CPU")]
    if name == "one-device":
        return tf.distribute.OneDeviceStrategy(devices[0])
    return tf.distribute.MirroredStrategy(devices)


def check_batch(batch_size: int, strategy: tf.distribute.Strategy) -> None:
    """Raises ValueError unless the batch divides evenly over the devices of `strategy`."""
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise ValueError(
            f"trainer.batch_size must be a multiple of the {replicas} devices, got {batch_size}"
        )
