"""The state of a training: all that a resumed one needs to go on bit for bit."""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.config import TrainerConfig
from trainer.loss_scale import LossScale
from trainer.model_config import ModelConfig
from trainer.optimizer import WeightAverage, make_optimizer
from trainer.unet import DtypePolicy, build_unet

POLICIES: dict[str, DtypePolicy] = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}
"""`TrainerConfig.precision` -> Keras's name of it."""


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """Network, optimiser with its moments, and what the options add to them."""

    network: keras.Model
    optimizer: keras.optimizers.Optimizer
    average: WeightAverage | None
    loss_scale: LossScale | None

    def arrays(self) -> dict[str, NDArray]:
        """All variables by name, as NumPy arrays."""
        return {name: np.asarray(v) for name, v in self._variables().items()}

    def assign(self, arrays: dict[str, NDArray]) -> None:
        """Sets all variables to what `arrays` gave.

        Raises:
          ValueError: They are of another network or other options.
        """
        variables = self._variables()
        shapes = {name: tuple(v.shape) for name, v in variables.items()}
        given = {name: a.shape for name, a in arrays.items()}
        if shapes != given:
            differ = sorted(n for n in shapes | given if shapes.get(n) != given.get(n))
            raise ValueError(
                f"a checkpoint must have the variables of the training, {len(differ)} differ, such"
                f" as {differ[0]}: {given.get(differ[0])} in place of {shapes.get(differ[0])}:"
                " resume with the options that it was made with, or train in another folder"
            )
        for name, variable in variables.items():
            variable.assign(arrays[name])

    def _variables(self) -> dict[str, tf.Variable]:
        """Numbered, as what Keras tracks by name lacks the states of its random seeds."""
        groups: dict[str, list[tf.Variable]] = {
            "network": [v.value for v in self.network.variables],
            "optimizer": [v.value for v in self.optimizer.variables],
            "average": self.average.variables if self.average else [],
            "loss_scale": self.loss_scale.variables if self.loss_scale else [],
        }
        return {f"{group}/{n:04d}": v for group, vs in groups.items() for n, v in enumerate(vs)}


def new_state(model: ModelConfig, config: TrainerConfig) -> TrainingState:
    """The state before the first step. Make it in the distribution's scope."""
    network = build_unet(model, seed=config.seed, dtype_policy=POLICIES[config.precision])
    optimizer = make_optimizer(config.optimizer, config.learning_rate)
    optimizer.build(network.trainable_variables)
    decay = config.optimizer.ema_decay
    return TrainingState(
        network=network,
        optimizer=optimizer,
        average=WeightAverage(network.trainable_variables, decay) if decay else None,
        loss_scale=LossScale(config.loss_scale or None) if config.precision == "float16" else None,
    )
