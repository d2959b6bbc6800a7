"""TensorBoard: the sink of scalars, and pictures, graph and profile beside them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.progress import Scalars
from trainer.tracking.pictures import LEGEND


class TensorBoard:
    """The events of one training.

    Args:
      folder: Of the event files.
    """

    def __init__(self, folder: Path):
        self._writer = tf.summary.create_file_writer(str(folder))

    def write(self, number: int, scalars: Scalars) -> None:
        with self._writer.as_default(step=number):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)

    def picture(self, number: int, rgb: NDArray[np.uint8]) -> None:
        """Takes a picture uint8 [H, W, 3] of the network after step `number`."""
        with self._writer.as_default(step=number):
            tf.summary.image("prediction", rgb[np.newaxis], description=LEGEND)

    def graph(self, network: keras.Model, shape: tuple[int, ...]) -> None:
        """Takes the graph of a network, as it predicts on images of [*S, C]."""
        predict = tf.function(lambda x: network(x, training=False), autograph=False)
        traced = predict.get_concrete_function(tf.TensorSpec((1, *shape), tf.float32, name="image"))
        with self._writer.as_default(step=0):
            tf.summary.graph(traced.graph)

    def close(self, error: BaseException | None) -> None:
        self._writer.close()


class Profile:
    """TensorFlow's profile of some steps, where TensorBoard's plug-in looks: `plugins/profile`.

    Args:
      steps: First and last step; empty profiles none.
      folder: Of the event files, parent of `plugins/`.
    """

    def __init__(self, steps: tuple[int, ...], folder: Path):
        self._steps, self._folder = steps, folder
        self._runs = False

    @contextmanager
    def step(self, number: int) -> Iterator[None]:
        """What happens inside is step `number` (1-based)."""
        if not self._steps or not self._steps[0] <= number <= self._steps[1]:
            yield
            return
        if not self._runs:
            tf.profiler.experimental.start(str(self._folder))
            self._runs = True
        with tf.profiler.experimental.Trace("train", step_num=number, _r=1):
            yield
        if number == self._steps[1]:
            self.close()

    def close(self) -> None:
        """Writes what was profiled, where that was not done yet."""
        if self._runs:
            tf.profiler.experimental.stop()
            self._runs = False
