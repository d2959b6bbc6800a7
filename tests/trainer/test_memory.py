"""What is said where the memory of a device does not suffice."""

import pytest
import tensorflow as tf

from trainer.config import TrainerConfig
from trainer.memory import fits_in_memory, training_fits_in_memory


def test_what_has_to_fit_and_what_to_lower_are_told() -> None:
    with pytest.raises(MemoryError) as e, fits_in_memory("a window of (9, 9)", "lower the window"):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nand more")
    assert str(e.value) == (
        "a step must fit in the device's memory, a window of (9, 9) does not: lower the window"
        " (OOM when allocating)"
    )
    assert isinstance(e.value.__cause__, tf.errors.ResourceExhaustedError)


def test_training_names_the_fields_that_decide() -> None:
    config = TrainerConfig(samples=2, batch_size=2, crop=(8, 8))
    with pytest.raises(MemoryError) as e, training_fits_in_memory(config):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM")
    assert str(e.value) == (
        "a step must fit in the device's memory, batch_size 2 with crop (8, 8) in float32 does not:"
        " lower trainer.batch_size, raise trainer.optimizer.accumulate_parts, lower trainer.crop,"
        " or set trainer.precision to bfloat16 (OOM)"
    )


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(ValueError, match="^torn$"), fits_in_memory("a window", "lower it"):
        raise ValueError("torn")
