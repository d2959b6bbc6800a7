"""The training loop: one for every strategy and precision. Resumes at its last checkpoint.

`keras.Model.fit` is not used: with Keras 3 it fails under multi-worker strategies.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from trainer.batches import RecordInfo, training_batches
from trainer.config import TrainerConfig
from trainer.distribution import check_batch, make_strategy
from trainer.losses import make_loss
from trainer.model_config import ModelConfig
from trainer.progress import Progress
from trainer.staging import StagedCase
from trainer.unet import DtypePolicy, build_unet

ADAM_EPSILON = 1e-8
_POLICIES: dict[str, DtypePolicy] = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
Batch = tuple[tf.Tensor, tf.Tensor]
Step = Callable[[Batch], tf.Tensor]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """Where a training keeps its state; the same folder resumes the same training.

    Attributes:
      path: Parent of `checkpoints/` and `logs/`.
      title: What the progress is headed with.
    """

    path: Path
    title: str = "training"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def logs(self) -> Path:
        """Folder of the TensorBoard events and the history."""
        return self.path / "logs"


@dataclass
class _State:
    """What a checkpoint holds: network, optimiser (with its moments) and the steps done."""

    network: keras.Model
    optimizer: keras.optimizers.Optimizer
    step: tf.Variable


def train(
    cases: Sequence[StagedCase],
    info: RecordInfo,
    model_config: ModelConfig,
    config: TrainerConfig,
    folder: RunFolder,
) -> keras.Model:
    """Trains a network on `cases`, from the last checkpoint in `folder` where there is one.

    Args:
      cases: Training cases.
      info: What their records hold.
      model_config: The network.
      config: Budget, batch, loss, precision, strategy, seed.
      folder: State and logs.

    Returns:
      The trained network. Equal arguments give equal weights, interrupted or not.
    """
    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = make_strategy(config.strategy)
    check_batch(config.batch_size, strategy)
    with strategy.scope():
        state = _new_state(model_config, config)
    manager = tf.train.CheckpointManager(
        _checkpoint(state), directory=str(folder.checkpoints), max_to_keep=2
    )
    start = _restore(manager, state, folder)
    batches = training_batches(cases, info, config, start_step=start)
    _run(strategy, state, batches, manager, config, folder)
    return state.network


def _new_state(model_config: ModelConfig, config: TrainerConfig) -> _State:
    network = build_unet(model_config, seed=config.seed, dtype_policy=_POLICIES[config.precision])
    optimizer = keras.optimizers.Adam(config.learning_rate, epsilon=ADAM_EPSILON)
    optimizer.build(network.trainable_variables)
    return _State(network, optimizer, tf.Variable(0, dtype=tf.int64, trainable=False))


def _checkpoint(state: _State) -> tf.train.Checkpoint:
    """All variables by number: what Keras tracks by itself lacks the states of its random seeds."""
    return tf.train.Checkpoint(
        network=[v.value for v in state.network.variables],
        optimizer=[v.value for v in state.optimizer.variables],
        step=state.step,
    )


def _restore(manager: tf.train.CheckpointManager, state: _State, folder: RunFolder) -> int:
    """Restores the newest checkpoint that can be read. Returns the steps that are done.

    Raises:
      RuntimeError: There are checkpoints, and all are damaged.
    """
    for path in reversed(manager.checkpoints):
        try:
            manager.checkpoint.restore(path).assert_consumed()
        except (tf.errors.OpError, IndexError, ValueError, AssertionError) as e:
            _log.warning("%s: checkpoint %s is damaged and skipped: %s", folder.title, path, e)
            continue
        _log.info("%s: resumes at step %d", folder.title, state.step.numpy())
        return int(state.step.numpy())
    if manager.checkpoints:
        raise RuntimeError(
            f"a checkpoint must be readable, all in {folder.checkpoints} are damaged:"
            " remove that folder to train from the start"
        )
    return 0


def _run(
    strategy: tf.distribute.Strategy,
    state: _State,
    batches: tf.data.Dataset,
    manager: tf.train.CheckpointManager,
    config: TrainerConfig,
    folder: RunFolder,
) -> None:
    start = int(state.step.numpy())
    progress = Progress(
        folder.title,
        steps=config.steps,
        start=start,
        log_dir=folder.logs,
        every=config.log_steps,
    )
    step = _make_step(strategy, state, config)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    distributed = strategy.experimental_distribute_dataset(batches.with_options(options))
    for number, batch in enumerate(distributed, start + 1):
        progress.step(number, step(batch))
        state.step.assign(number)
        if number % config.checkpoint_steps == 0 or number == config.steps:
            progress.check(number)  # no NaN weights push out the last good checkpoint
            manager.save(checkpoint_number=number)
    progress.close()


def _make_step(strategy: tf.distribute.Strategy, state: _State, config: TrainerConfig) -> Step:
    """A compiled function: distributed batch -> loss of the whole batch, one update done."""
    loss_fn = make_loss(config.loss)
    replicas = strategy.num_replicas_in_sync

    def replica_step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = state.network(images, training=True)
            loss = loss_fn(central_part(labels, logits), logits)
            loss /= replicas  # the optimiser sums over replicas
        variables = state.network.trainable_variables
        gradients = tape.gradient(loss, [v.value for v in variables])
        state.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    @tf.function(reduce_retracing=True)
    def step(batch: Batch) -> tf.Tensor:
        return strategy.reduce(
            tf.distribute.ReduceOp.SUM, strategy.run(replica_step, args=batch), axis=None
        )

    return step


def central_part(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """The labels of the pixels that the logits are for: what a `valid` network loses is cut off.

    Args:
      labels: [B, *S].
      logits: [B, *o, K], as many pixels smaller on either side.

    Returns:
      [B, *o].
    """
    size = logits.shape[1:-1]
    begin = [(s - o) // 2 for s, o in zip(labels.shape[1:], size, strict=True)]
    return tf.slice(labels, [0, *begin], [-1, *size])
