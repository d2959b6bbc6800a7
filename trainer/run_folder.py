"""The folder of one training, and what is where in it."""

from dataclasses import dataclass
from pathlib import Path


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

    @property
    def manifest(self) -> Path:
        """File that tells what was trained with what, on what."""
        return self.path / "manifest.json"

    @property
    def run_ids(self) -> Path:
        """File of the names that MLflow and W&B know the training by."""
        return self.path / "tracked_as.json"
