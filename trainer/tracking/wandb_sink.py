"""The sink of Weights & Biases: a training is a run, and a resumed one goes on in it."""

import os
import uuid
from collections.abc import Mapping
from typing import Any

from trainer.progress import Scalars
from trainer.run_folder import RunFolder
from trainer.tracking.run_ids import read_run_id, write_run_id
from trainer.tracking_config import TrackingConfig


class WandbSink:
    """One run of W&B's: the manifest, config and all, as its config, and the scalars.

    Args:
      config: The project.
      folder: Of the training: its title names the run; W&B's own files lie in it, unless WANDB_DIR
        says otherwise.
      manifest: What the manifest says.
      resumed: Whether the training goes on from a checkpoint.
    """

    def __init__(
        self,
        config: TrackingConfig,
        folder: RunFolder,
        manifest: Mapping[str, Any],
        *,
        resumed: bool,
    ):
        import wandb

        key = f"wandb {config.wandb}"
        known = read_run_id(folder, key) if resumed else None
        run_id = known or uuid.uuid4().hex[:16]
        self._run = wandb.init(
            project=config.wandb,
            name=folder.title,
            id=run_id,
            resume="allow" if known else None,
            config=dict(manifest),
            dir=os.environ.get("WANDB_DIR") or folder.path,
            settings=_private_settings(),
        )
        write_run_id(folder, key, run_id)

    def write(self, number: int, scalars: Scalars) -> None:
        self._run.log(scalars, step=number)

    def close(self, error: BaseException | None) -> None:
        self._run.finish(exit_code=0 if error is None else 1)


def _private_settings() -> Any:
    """Nothing but what we report: a log may name cases, a command line folders and people."""
    import wandb

    return wandb.Settings(console="off", disable_git=True, x_disable_meta=True)
