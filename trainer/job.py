"""A training as one JSON file: what the processes of several workers are started with."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from beam_preprocess.atomic import write_text
from beam_preprocess.config_io import from_dict
from trainer.batches import RecordInfo
from trainer.config import TrainerConfig
from trainer.model_config import ModelConfig
from trainer.run_folder import RunFolder
from trainer.staging import StagedCase


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """The arguments of `trainer.loop.train`; see there."""

    cases: tuple[StagedCase, ...]
    info: RecordInfo
    model: ModelConfig
    config: TrainerConfig
    folder: RunFolder

    def write(self, path: Path) -> None:
        """Writes the job to a JSON file."""
        folder = {"path": str(self.folder.path), "title": self.folder.title}
        write_text(path, json.dumps(asdict(self) | {"folder": folder}, indent=1))


def read_job(path: Path) -> TrainingJob:
    """Reads what `TrainingJob.write` wrote."""
    given = json.loads(path.read_text(encoding="utf-8"))
    return TrainingJob(
        cases=tuple(StagedCase(**case) for case in given["cases"]),
        info=RecordInfo(**given["info"]),
        model=from_dict(ModelConfig, given["model"]),
        config=from_dict(TrainerConfig, given["config"]),
        folder=RunFolder(path=Path(given["folder"]["path"]), title=given["folder"]["title"]),
    )
