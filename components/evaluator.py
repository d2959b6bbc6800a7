"""Evaluator: scores every case of a held-out split with the model that has not seen it, on Beam.

It does not sum them up: statistics, slices and thresholds of images are CrossValidation's, and a
run with others does not segment a case again.
"""

from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import path_utils

from beam_preprocess.atomic import write_text
from beam_preprocess.config_io import to_json
from components.artifacts import Artifacts
from components.beam_scoring import ScoreFile, given_scoring, score_files
from components.case_scoring import Scoring, scoring_to_json
from components.evaluation_files import cases_to_csv, check_counts
from components.file_names import CASES_CSV
from components.split_scoring import cases_of, check_unseen, read_columns, split_files


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
        examples = Path(artifact_utils.get_single_uri(input_dict["examples"]))
        output = Path(artifact_utils.get_single_uri(output_dict["evaluation"]))
        model = artifact_utils.get_single_uri(input_dict["model"])
        check_unseen(str(examples), model, split)
        score = ScoreFile(
            path_utils.serving_model_path(model),
            given_scoring(exec_properties),
            columns=read_columns(examples),
            output=output,
        )
        files = split_files(examples, split)
        cases = score_files(files, score, output=output, open_pipeline=self._make_beam_pipeline)
        check_counts(cases_of(examples, split), cases)
        write_text(output / CASES_CSV, cases_to_csv(cases))


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
