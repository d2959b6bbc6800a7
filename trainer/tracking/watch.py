"""Follows a training: what the loop tells goes to the log, the files and the services."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import keras
import numpy as np

from trainer.distribution import Distribution
from trainer.job import TrainingJob
from trainer.manifest import write_manifest
from trainer.progress import History, Progress, Sink
from trainer.tracking.pictures import picture
from trainer.tracking.sinks import remote_sinks
from trainer.tracking.tensorboard import Profile, TensorBoard
from trainer.validation import Example

_log = logging.getLogger(__name__)


class Watch:
    """What the loop calls. In workers other than the chief it does nothing.

    Args:
      progress: Takes the numbers.
      board: Takes pictures; None takes none.
      profile: Of some steps; None profiles none.
    """

    def __init__(self, progress: Progress, board: TensorBoard | None, profile: Profile | None):
        self.progress = progress
        self._board, self._profile = board, profile

    def step(self, number: int) -> AbstractContextManager[None]:
        """What happens inside is step `number` (1-based)."""
        return self._profile.step(number) if self._profile else nullcontext()

    def picture(self, number: int, example: Example) -> None:
        """Draws an example with the prediction of the network after step `number`."""
        if self._board:
            image, truth, predicted = (np.asarray(part) for part in example)
            self._board.picture(number, picture(image, truth, predicted))
        self.progress.skip_time()


@contextmanager
def watched(
    job: TrainingJob, distribution: Distribution, network: keras.Model, *, start: int
) -> Iterator[Watch]:
    """Opens all that the job's config asks for, and closes it.

    Args:
      job: What is trained.
      distribution: On what.
      network: That is trained.
      start: Steps that are done already.

    Raises:
      RuntimeError: MLflow or W&B is asked for and does not answer.
    """
    config, folder = job.config, job.folder
    board, profile = None, None
    sinks: list[Sink] = []
    if distribution.rank == 0:
        manifest = write_manifest(job, distribution, start=start)
        board = TensorBoard(folder.logs)
        if config.tracking.graph:
            board.graph(network, (*config.crop, job.info.channels))
        profile = Profile(config.tracking.profile_steps, folder.logs)
        sinks = [History(folder.logs, start=start), board]
        # last, as a run of theirs that is open has to be closed
        sinks += remote_sinks(config.tracking, folder, manifest, resumed=start > 0)
    replicas = distribution.part.replicas
    progress = Progress(
        folder.title,
        steps=config.steps(replicas),
        start=start,
        sinks=sinks,
        every=config.log_steps,
        crops_per_step=config.batch_size * replicas,
    )
    error: BaseException | None = None
    try:
        yield Watch(progress, board, profile)
    except BaseException as e:
        error = e
        raise
    finally:
        try:
            if profile:
                profile.close()
        finally:
            progress.close(error)
