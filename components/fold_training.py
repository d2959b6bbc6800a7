"""Training and scoring of one fold outside of TFX, as the Trainer and the Evaluator do it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beam_preprocess.atomic import write_text
from components.case_scoring import Scoring
from components.evaluation_files import write_cases, write_scores
from components.split_scoring import check_unseen, score_split
from trainer.metrics.cohort_scores import CohortScores, score_cohort
from trainer.model_folder import TRAINING_CASES, newest_version, read_metadata
from trainer.run_fn import serving_spec, stage_folds, train_and_export, training_cases_json
from trainer.run_folder import RunFolder
from trainer.serving import LoadedModel
from trainer.staging import data_fingerprint

MODEL = "model"
"""In the folder of a training: parent of the versions of the SavedModel."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FoldTraining:
    """A training in a folder of its own.

    Attributes:
      title: What its progress is headed with.
      settings: The dicts `model`, `trainer`, `inference`, `dataset` and `preprocessing`; see
        `trainer.run_fn.run_fn`.
      train, held_out: Patterns of normalised record files; none are held out where all are trained
        on.
      staged: Folder of the staged cases.
      output: Checkpoints, logs, training cases and the model.
    """

    title: str
    settings: Mapping[str, Any]
    train: Sequence[str]
    held_out: Sequence[str]
    staged: Path
    output: Path

    def run(self, claim: Callable[[str], None]) -> Path:
        """Trains, from the last checkpoint on, and exports; or finds that both are done.

        Args:
          claim: Gets the hash of the training data; raises where the folder holds another training.

        Returns:
          The SavedModel.

        Raises:
          ValueError: There are no records, or a patient is in both parts.
          FloatingPointError, MemoryError, RuntimeError, SystemExit: See `trainer.launch.run_job`.
        """
        _log.info("%s: staging the records in %s", self.title, self.staged)
        cases = stage_folds(self.train, self.held_out, self.staged)
        claim(data_fingerprint(cases))
        if done := self._exported():
            _log.info("%s: finished before, the model is there", self.title)
            return done
        _log.info("%s: %d cases to train on", self.title, len(cases))
        write_text(self.output / TRAINING_CASES, training_cases_json(cases))
        folder = RunFolder(path=self.output, title=self.title)
        version = self.output / MODEL / str(self._newest_number() + 1)
        train_and_export(cases, self.settings, folder, str(version))
        return version

    def _exported(self) -> Path | None:
        """The newest version, if it is complete and was exported with these settings."""
        try:
            newest = newest_version(self.output / MODEL)
            return newest if read_metadata(newest) == serving_spec(self.settings) else None
        except ValueError:
            return None

    def _newest_number(self) -> int:
        names = (p.name for p in (self.output / MODEL).glob("*"))
        return max((int(name) for name in names if name.isdigit()), default=0)


def score_fold(examples: Path, split: str, *, training: Path, scoring: Scoring) -> CohortScores:
    """Scores the cases of a held-out fold, as the Evaluator does, and writes the same files.

    Args:
      examples: CaseGen's artifact.
      split: The fold.
      training: Folder of the training, which the files go to.
      scoring: The dataset, and how its cases are scored.

    Raises:
      ValueError: The model was trained on a case or a patient of the fold.
      RuntimeError: A case of the fold is missing.
    """
    check_unseen(str(examples), str(training), split)
    model = LoadedModel(training / MODEL)
    cases = score_split(examples, split, model=model, scoring=scoring, output=training)
    thresholds = [model.spec.inference.threshold]
    scores = score_cohort([cases], scoring.config.statistics, thresholds=thresholds)
    write_cases(cases, training)
    write_scores(training, split, cases, scores)
    return scores
