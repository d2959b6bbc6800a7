"""Which part of a held-out case goes through the network, with a network that tells its input."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainer.reference.evaluation import Evaluation, HeldOutCase
from trainer.reference.parser import parse_options
from trainer.reference.records import RecordFolder

WORDS = (
    "--exec_mode evaluate --data_dir d --model_dir m --preset unet3d-tiny --input_shape 16 16 16"
)


@pytest.fixture
def evaluation() -> Evaluation:
    """The logit of class 1 is channel 0, that of the others 0."""

    def find(path: Path) -> RecordFolder:
        return RecordFolder(path=path, layout="volumes", rank=3, files={})

    def network(x: tf.Tensor, *, training: bool) -> tf.Tensor:
        return x * tf.constant([1.0, 0, 0, 0]) @ tf.constant(np.roll(np.eye(4, dtype="f4"), 1, 1))

    return Evaluation(network, parse_options(WORDS.split(), find=find))  # type: ignore[arg-type]


def case(shape: tuple[int, ...], box: tuple[slice, ...]) -> HeldOutCase:
    """Channel 0 is 2 in a box, and everything 0 around it."""
    image = np.zeros((*shape, 4), np.float32)
    image[(*box, 0)] = 2
    return HeldOutCase(
        case_id="case",
        image=tf.constant(image),
        truth=np.zeros(shape, np.uint8),
        box=tuple((0, n) for n in shape),
        full_shape=shape,
        affine=np.eye(4),
    )


@pytest.mark.parametrize("shape", [(40, 30, 20), (24, 24, 24)])
def test_outside_the_foreground_is_certain_background(evaluation, shape: tuple[int, ...]) -> None:
    box = (slice(2, 22), slice(5, 23), slice(1, 4))
    found = evaluation.predict(case(shape, box))
    assert found.shape == (*shape, 4)
    inside = np.exp(2) / (np.exp(2) + 3)
    np.testing.assert_allclose(found[box][..., 1], inside, rtol=1e-5)
    outside = np.ones(shape, bool)
    outside[box] = False
    np.testing.assert_array_equal(found[outside], [[1, 0, 0, 0]] * int(outside.sum()))


def test_case_without_foreground_goes_through_the_network_whole(evaluation) -> None:
    found = evaluation.predict(case((17, 16, 16), (slice(0, 0),) * 3))
    np.testing.assert_allclose(found, 0.25, rtol=1e-5)
