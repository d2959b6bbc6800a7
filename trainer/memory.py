"""Errors of the memory of a device: what did not fit in it, and what to lower."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import tensorflow as tf

from trainer.config import TrainerConfig


@contextmanager
def fits_in_memory(what: str, remedy: str) -> Iterator[None]:
    """Tells what has to fit, and what to lower, where the device's memory does not suffice.

    Args:
      what: That is computed inside the `with`, with the sizes that decide.
      remedy: Which option to lower.

    Raises:
      MemoryError: TensorFlow found no memory.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as e:
        raise MemoryError(
            f"a step must fit in the device's memory, {what} does not: {remedy}"
            f" ({str(e).splitlines()[0]})"
        ) from e


def training_fits_in_memory(config: TrainerConfig) -> AbstractContextManager[None]:
    """`fits_in_memory` for the steps of a training."""
    return fits_in_memory(
        f"batch_size {config.batch_size} with crop {config.crop} in {config.precision}",
        "lower trainer.batch_size, raise trainer.optimizer.accumulate_parts, lower trainer.crop, or"
        " set trainer.precision to bfloat16",
    )
