"""Evaluator: scores every case of a held-out split with the model that has not seen it, on Beam.

It does not sum them up: statistics, slices and thresholds of images are CrossValidation's, and a
run with others does not segment a case again.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from tfx import types
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import path_utils

from beam_preprocess.atomic import write_text
from beam_preprocess.case import DatasetInfo
from beam_preprocess.config_io import from_json, to_json
from beam_preprocess.record_files import read_records
from beam_preprocess.records import decode_raw
from components.artifacts import Artifacts
from components.case_scoring import Columns, Scoring, score_record, scoring_to_json, write_case
from components.evaluation_files import cases_to_csv, check_counts, read_cases, write_cases
from components.file_names import CASES_CSV
from components.split_scoring import cases_of, check_unseen, read_columns, split_files
from trainer.config import EvaluationConfig
from trainer.metrics.case_scores import CaseScores
from trainer.serving import LoadedModel


class EvaluatorSpec(ComponentSpec):
    """Inputs, outputs and parameters of Evaluator."""

    PARAMETERS = {
        "split": ExecutionParameter(type=str),
        "info": ExecutionParameter(type=str),
        "config": ExecutionParameter(type=str),
        "profile": ExecutionParameter(type=str),
        "fingerprint": ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "model": ChannelParameter(type=standard_artifacts.Model),
    }
    OUTPUTS = {"evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation)}


class _ScoreFile(beam.DoFn):
    """Record file -> the scores of its cases. Writes a label map and a picture of every case."""

    def __init__(self, model: str, scoring: Scoring, columns: dict[str, Columns], output: str):
        self._model_path, self._scoring, self._columns = model, scoring, columns
        self._output = Path(output)
        self._model: LoadedModel | None = None

    def setup(self) -> None:
        self._model = LoadedModel(self._model_path)

    def process(self, path: str) -> Iterator[CaseScores]:
        assert self._model is not None
        for serialized in read_records(Path(path)):
            record = decode_raw(serialized)
            own = self._columns.get(record.case_id)
            scores, prediction = score_record(self._model, record, self._scoring, columns=own)
            write_case(record, prediction, self._scoring.info, self._output)
            yield scores


def _write(cases: list[CaseScores], folder: str) -> None:
    """Beam takes type hints at their word: its list is no `Sequence`."""
    write_cases(cases, folder)


class EvaluatorExecutor(base_beam_executor.BaseBeamExecutor):
    """Writes `cases.json`, `cases.csv`, and label map and picture of every case."""

    def Do(  # noqa: N802
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        """Scores the split.

        Raises:
          ValueError: The model was trained on a case or a patient of the split.
          RuntimeError: A case of the split is missing.
        """
        split = exec_properties["split"]
        scoring = Scoring(
            info=from_json(DatasetInfo, exec_properties["info"]),
            config=from_json(EvaluationConfig, exec_properties["config"]),
            profile=exec_properties["profile"],
        )
        examples = Path(artifact_utils.get_single_uri(input_dict["examples"]))
        output = Path(artifact_utils.get_single_uri(output_dict["evaluation"]))
        model = artifact_utils.get_single_uri(input_dict["model"])
        check_unseen(str(examples), model, split)
        served = path_utils.serving_model_path(model)
        score = _ScoreFile(served, scoring, read_columns(examples), str(output))
        cases = self._score(split_files(examples, split), score, output)
        check_counts(cases_of(examples, split), cases)
        write_text(output / CASES_CSV, cases_to_csv(cases))

    def _score(self, files: Sequence[Path], score: _ScoreFile, output: Path) -> list[CaseScores]:
        """Runs the Beam pipeline, which leaves the scores in `output`: no volume moves."""
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Files" >> beam.Create([str(f) for f in files])
                | "Spread" >> beam.Reshuffle()
                | "Score" >> beam.ParDo(score)
                | "Gather" >> beam.combiners.ToList()
                | "Write" >> beam.Map(_write, str(output))
            )
        return read_cases(output)


class Evaluator(base_beam_component.BaseBeamComponent):
    """Scores one held-out split.

    Args:
      examples: Raw records of CaseGen.
      model: Trained on no case of `split`.
      split: A fold, or `test`.
      scoring: The dataset, and how its cases are scored.
      fingerprint: Hash of the code that scores.
    """

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(EvaluatorExecutor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        *,
        split: str,
        scoring: Scoring,
        fingerprint: str,
    ):
        super().__init__(
            EvaluatorSpec(
                examples=examples,
                model=model,
                split=split,
                info=to_json(scoring.info),
                config=scoring_to_json(scoring.config),
                profile=scoring.profile,
                fingerprint=fingerprint,
                evaluation=types.Channel(type=standard_artifacts.ModelEvaluation),
            )
        )
