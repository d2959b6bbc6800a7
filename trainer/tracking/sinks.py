"""Opens the sinks that are not on this disk, and keeps a training going where one fails."""

import logging
from collections.abc import Mapping
from typing import Any

from trainer.progress import Scalars, Sink
from trainer.run_folder import RunFolder
from trainer.tracking.mlflow_sink import MlflowSink
from trainer.tracking.wandb_sink import WandbSink
from trainer.tracking_config import TrackingConfig

_log = logging.getLogger(__name__)


def remote_sinks(
    config: TrackingConfig, folder: RunFolder, manifest: Mapping[str, Any], *, resumed: bool
) -> list[Sink]:
    """The sinks of MLflow and of Weights & Biases, as far as `config` asks for them.

    Raises:
      RuntimeError: One cannot be reached, or refuses: said before the first step.
    """
    kinds: dict[str, type[MlflowSink] | type[WandbSink]] = {
        "mlflow": MlflowSink,
        "wandb": WandbSink,
    }
    sinks: list[Sink] = []
    for name, kind in kinds.items():
        if not getattr(config, name):
            continue
        try:
            sinks.append(Forgiving(kind(config, folder, manifest, resumed=resumed), name))
        except Exception as e:  # each library has exceptions of its own
            for sink in sinks:
                sink.close(e)
            raise RuntimeError(
                f"trainer.tracking.{name} {getattr(config, name)!r} must take reports, and does not"
                f" ({type(e).__name__}: {e}): look at its address and account, or leave the option"
                " empty"
            ) from e
    return sinks


class Forgiving:
    """Passes reports on until one fails: a training of days does not end for its reports.

    Args:
      sink: Where they go.
      name: Of the sink, for the warning.
    """

    def __init__(self, sink: Sink, name: str):
        self._sink: Sink | None = sink
        self._name = name

    def write(self, number: int, scalars: Scalars) -> None:
        if self._sink is None:
            return
        try:
            self._sink.write(number, scalars)
        except Exception as e:
            self._give_up(f"the report of step {number}", e)

    def close(self, error: BaseException | None) -> None:
        if self._sink is None:
            return
        try:
            self._sink.close(error)
        except Exception as e:
            self._give_up("the end", e)

    def _give_up(self, what: str, error: Exception) -> None:
        self._sink = None
        _log.warning(
            "%s did not take %s, and gets no more of this run (%s: %s): the training goes on, its"
            " history file has all of it",
            *(self._name, what, type(error).__name__, error),
        )
