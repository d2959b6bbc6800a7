"""HeldOut: scores the new model and the deployed one on the same held-out cases, on Beam.

Those are the cases of the split `test`. Where there is none, the deployed model is scored on the
cases of all folds, of which the new one's scores are there already: those of the network that held
the case out. A case that the deployed model was trained on is left out: its score would be no
measure. The new model has seen none of `test`, or something is wrong.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from tfx import types
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import path_utils

from beam_preprocess.atomic import write_text
from beam_preprocess.case import TEST, DatasetInfo
from beam_preprocess.cohort import fold_name
from beam_preprocess.config_io import from_json, to_json
from beam_preprocess.record_files import read_records
from beam_preprocess.records import decode_raw
from components.artifacts import Artifacts
from components.case_scoring import Scoring, score_record, scoring_to_json
from components.evaluation_files import check_counts, read_cases, write_cases
from components.file_names import BASELINE, COHORT, read_json
from components.origin import read_origin, seen_cases
from components.split_scoring import groups_of, split_files
from trainer.config import EvaluationConfig
from trainer.metrics.case_scores import CaseScores
from trainer.serving import LoadedModel


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


class _ScoreFile(beam.DoFn):
    """Record file -> scores of its cases, but those that are left out."""

    def __init__(self, model: str, scoring: Scoring, left_out: Collection[str]):
        self._model_path, self._scoring = model, scoring
        self._left_out = frozenset(left_out)
        self._model: LoadedModel | None = None

    def setup(self) -> None:
        self._model = LoadedModel(self._model_path)

    def process(self, path: str) -> Iterator[CaseScores]:
        assert self._model is not None
        for serialized in read_records(Path(path)):
            record = decode_raw(serialized)
            if record.case_id not in self._left_out:
                yield score_record(self._model, record, self._scoring)[0]


class HeldOutExecutor(base_beam_executor.BaseBeamExecutor):
    """Writes `cases.json`; of the deployed model also `baseline.json`."""

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
        output = artifact_utils.get_single_uri(output_dict["evaluation"])
        held_out = held_out_cases(examples, folds=int(exec_properties["folds"]))
        deployed = read_json(model, BASELINE) if (Path(model) / BASELINE).exists() else None
        scored = deployed is None or _is_rival(deployed)
        seen = _seen(model, examples, held_out) if scored else set()
        if deployed is None:
            _check_unseen(seen)
        files = [f for s in held_out for f in split_files(examples, s)] if scored else []
        scoring = Scoring(
            info=from_json(DatasetInfo, exec_properties["info"]),
            config=from_json(EvaluationConfig, exec_properties["config"]),
            profile=exec_properties["profile"],
        )
        self._score(files, _ScoreFile(path_utils.serving_model_path(model), scoring, seen), output)
        expected = {c for cases in held_out.values() for c in cases} - seen if scored else set()
        check_counts(expected, read_cases(output))
        if deployed is not None:
            facts = {"split": TEST if TEST in held_out else "folds", "seen": len(seen)}
            facts |= {"held_out": sum(map(len, held_out.values()))}
            write_text(Path(output) / BASELINE, json.dumps(deployed | facts, indent=1))

    def _score(self, files: Sequence[Path], score: _ScoreFile, folder: str) -> None:
        """Runs the Beam pipeline, which leaves the scores in `folder`."""
        if not files:
            write_cases([], folder)
            return
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Files" >> beam.Create([str(f) for f in files])
                | "Spread" >> beam.Reshuffle()
                | "Score" >> beam.ParDo(score)
                | "Gather" >> beam.combiners.ToList()
                | "Write" >> beam.Map(_write, folder)
            )


def _write(cases: list[CaseScores], folder: str) -> None:
    """Beam checks types, and takes no list for a Sequence."""
    write_cases(cases, folder)


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


def _seen(model: str, examples: Path, held_out: dict[str, list[str]]) -> set[str]:
    """The held-out cases that the model was trained on; Baseline has seen that it tells."""
    origin = read_origin(Path(path_utils.serving_model_path(model)))
    if origin is None:
        raise ValueError(f"a model must tell what it was trained on, {model} does not")
    cases = {c for ids in held_out.values() for c in ids}
    return seen_cases(origin, {c: g for c, g in groups_of(examples).items() if c in cases})


def _check_unseen(seen: Collection[str]) -> None:
    """Raises ValueError where the model to be deployed was trained on cases of `test`."""
    if seen:
        raise ValueError(
            "no case or patient of test may be in the training of the model to be deployed,"
            f" {len(seen)} are: {sorted(seen)[:5]}: run CaseGen and the Trainer again"
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
