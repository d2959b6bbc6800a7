"""HeldOut: scores the new model and the deployed one on the same held-out cases, on Beam.

Those are the cases of the split `test`. Where there is none, the deployed model is scored on the
cases of all folds, of which the new one's scores are there already: those of the network that held
the case out. A case that the deployed model was trained on is left out: its score would be no
measure. The new model has seen none of `test`, or something is wrong.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import path_utils

from beam_preprocess.atomic import write_text
from beam_preprocess.case import TEST
from beam_preprocess.cohort import fold_name
from beam_preprocess.config_io import to_json
from components.artifacts import Artifacts
from components.beam_scoring import ScoreFile, given_scoring, score_files
from components.case_scoring import Scoring, scoring_to_json
from components.evaluation_files import cases_to_csv, check_counts
from components.file_names import BASELINE, CASES_CSV, COHORT, read_json
from components.seen_cases import read_seen, why_seen
from components.split_scoring import contents_of, groups_of, read_columns, split_files


class HeldOutSpec(ComponentSpec):
    """Inputs, output and parameters of HeldOut."""

    PARAMETERS = {
        "folds": ExecutionParameter(type=int),
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


class HeldOutExecutor(base_beam_executor.BaseBeamExecutor):
    """Writes `cases.json`; of the deployed model also `baseline.json`, of the new one what the
    Evaluator does: `cases.csv`, and label map and picture of every case.
    """

    def Do(  # noqa: N802
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        """Scores the held-out cases that the model has not seen; none where it is not to be scored.

        Raises:
          ValueError: The new model was trained on a case or a patient of `test`.
          RuntimeError: A case is missing.
        """
        examples = Path(artifact_utils.get_single_uri(input_dict["examples"]))
        model = artifact_utils.get_single_uri(input_dict["model"])
        output = Path(artifact_utils.get_single_uri(output_dict["evaluation"]))
        held_out = held_out_cases(examples, folds=int(exec_properties["folds"]))
        deployed = read_json(model, BASELINE) if (Path(model) / BASELINE).exists() else None
        scored = deployed is None or _is_rival(deployed)
        seen = _why_seen(model, examples, held_out) if scored else {}
        if deployed is None:
            _check_unseen(seen)
        score = ScoreFile(
            path_utils.serving_model_path(model),
            given_scoring(exec_properties),
            columns=read_columns(examples),
            left_out=seen,
            output=output if deployed is None else None,
        )
        files = [f for s in held_out for f in split_files(examples, s)] if scored else []
        cases = score_files(files, score, output=output, open_pipeline=self._make_beam_pipeline)
        check_counts({c for s in held_out.values() for c in s} - {*seen} if scored else (), cases)
        if deployed is None:
            write_text(output / CASES_CSV, cases_to_csv(cases))
        else:
            facts = {"split": TEST if TEST in held_out else "folds", "seen": len(seen)}
            facts |= {"held_out": sum(map(len, held_out.values()))}
            write_text(output / BASELINE, json.dumps(deployed | facts, indent=1))


def _is_rival(deployed: dict[str, Any]) -> bool:
    """Whether there is a deployed model to compare with."""
    return bool(deployed["version"]) and not deployed["reason"]


def held_out_cases(examples: Path, *, folds: int) -> dict[str, list[str]]:
    """Split -> its case ids: `test` where it has cases, else the folds.

    Args:
      examples: Folder of the examples artifact.
      folds: Number of folds; 0 for `test` alone.
    """
    splits = read_json(str(examples), COHORT)["splits"]
    names = [TEST] if splits.get(TEST) else [fold_name(i) for i in range(folds)]
    return {name: splits[name] for name in names}


def _why_seen(model: str, examples: Path, held_out: Mapping[str, list[str]]) -> dict[str, str]:
    """The held-out cases that the model was trained on -> why they count as such.

    Raises:
      ValueError: It does not tell; of the deployed model, Baseline has seen that it does.
    """
    seen = read_seen(Path(path_utils.serving_model_path(model)))
    if not seen:
        raise ValueError(
            f"a model must tell what it was trained on, {model} does not: train it again"
        )
    groups, contents = groups_of(examples), contents_of(examples)
    reasons = {
        c: why_seen(seen, c, group=groups[c], content=contents[c])
        for cases in held_out.values()
        for c in cases
    }
    return {case_id: why for case_id, why in reasons.items() if why}


def _check_unseen(seen: Mapping[str, str]) -> None:
    """Raises ValueError where the model to be deployed was trained on cases of `test`."""
    if seen:
        first = ", ".join(f"{case_id} ({seen[case_id]})" for case_id in sorted(seen)[:5])
        raise ValueError(
            "no case or patient of test may be in the training of the model to be deployed,"
            f" {len(seen)} are: {first}: run CaseGen and the Trainer again"
        )


class HeldOut(base_beam_component.BaseBeamComponent):
    """Scores a model on held-out cases.

    Args:
      examples: Raw records of CaseGen.
      model: Of Candidate or Baseline.
      folds: Number of folds whose cases stand in for the split `test`; 0 for none.
      scoring: The dataset, and how its cases are scored.
      fingerprint: Hash of the code that scores.
    """

    SPEC_CLASS = HeldOutSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(HeldOutExecutor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        *,
        folds: int,
        scoring: Scoring,
        fingerprint: str,
    ):
        super().__init__(
            HeldOutSpec(
                examples=examples,
                model=model,
                folds=folds,
                info=to_json(scoring.info),
                config=scoring_to_json(scoring.config),
                profile=scoring.profile,
                fingerprint=fingerprint,
                evaluation=types.Channel(type=standard_artifacts.ModelEvaluation),
            )
        )
