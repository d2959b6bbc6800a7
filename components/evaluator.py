"""Evaluator: scores every case of a held-out fold with the exported model of that fold, on Beam.

What is scored is what is served: the model takes the raw intensities of the record and returns
label values, in one TensorFlow graph.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import apache_beam as beam
from tfx import types
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import path_utils

from beam_preprocess.atomic import write_text
from beam_preprocess.case import DatasetInfo, canonical_label
from beam_preprocess.config_io import from_json, to_json
from beam_preprocess.record_files import read_records
from beam_preprocess.records import RawRecord, decode_raw
from components.artifacts import (
    CASES_CSV,
    CASES_JSON,
    COHORT,
    COHORT_STATISTICS,
    PICTURES,
    SCORES,
    Artifacts,
    read_json,
)
from components.pictures import write_picture
from trainer.config import EvaluationConfig
from trainer.model_folder import TRAINING_CASES
from trainer.scoring import Row, aggregate, score_defects, score_regions
from trainer.serving import LoadedModel


class EvaluatorSpec(ComponentSpec):
    """Inputs, outputs and parameters of Evaluator."""

    PARAMETERS = {
        "split": ExecutionParameter(type=str),
        "info": ExecutionParameter(type=str),
        "config": ExecutionParameter(type=str),
        "fingerprint": ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "model": ChannelParameter(type=standard_artifacts.Model),
    }
    OUTPUTS = {"evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation)}


def score_record(
    model: LoadedModel, record: RawRecord, info: DatasetInfo, *, empty: str
) -> tuple[list[Row], Any]:
    """Scores one labelled record.

    Returns:
      One row per score, and the predicted label values [*crop].

    Raises:
      ValueError: The record has no label.
    """
    if record.label is None:
        raise ValueError(f"case {record.case_id} must have a label to be scored, it has none")
    truth = canonical_label(record.label, info)
    if info.task == "defects":
        prediction, probabilities = model.predict_probabilities(record.image)
        scores = score_defects(truth, prediction, probabilities[..., -1], empty=empty)
    else:
        prediction = model.predict(record.image)
        scores = score_regions(truth, prediction, info, empty=empty)
    rows = []
    for metric, (value, counts) in scores.items():
        known = {} if counts is None else asdict(counts)
        rows.append(
            Row(
                case_id=record.case_id,
                stratum=record.stratum,
                metric=metric,
                value=value,
                **known,
            )
        )
    return rows, prediction


class _ScoreFile(beam.DoFn):
    """Record file -> the rows of its cases, a list per case. Writes a picture of every case."""

    def __init__(self, model: str, info: DatasetInfo, empty: str, pictures: str):
        self._model_path, self._info, self._empty = model, info, empty
        self._pictures = Path(pictures)
        self._model: LoadedModel | None = None

    def setup(self) -> None:
        self._model = LoadedModel(self._model_path)

    def process(self, path: str) -> Iterator[list[Row]]:
        assert self._model is not None
        for serialized in read_records(Path(path)):
            record = decode_raw(serialized)
            rows, prediction = score_record(self._model, record, self._info, empty=self._empty)
            picture = self._pictures / f"{record.case_id}.png"
            write_picture(record, prediction, info=self._info, path=picture)
            yield rows


def check_unseen(examples: str, model: str, split: str) -> None:
    """Checks that the model was trained on no case of the split, and on no group of one.

    Args:
      examples: Folder of the examples artifact, which tells who is in the split.
      model: Folder of the model artifact, which tells whom the model was trained on.
      split: The split to be scored.

    Raises:
      ValueError: Somebody is in both, or the model does not tell.
    """
    try:
        trained = read_json(model, TRAINING_CASES)
    except FileNotFoundError as e:
        raise ValueError(
            f"a model must tell what it was trained on, {model} has no {TRAINING_CASES}:"
            " train it again"
        ) from e
    cases = set(read_json(examples, COHORT)["splits"][split])
    statistics = read_json(examples, COHORT_STATISTICS)["case_statistics"]
    group_of = {s["case_id"]: s["group"] for s in statistics}
    groups = {group_of[case_id] for case_id in cases}
    for name, shared in (
        ("case", cases.intersection(trained["cases"])),
        ("patient (group)", groups.intersection(trained["groups"])),
    ):
        if shared:
            raise ValueError(
                f"no {name} of {split} may be in the training data of the model that is scored on"
                f" it, {len(shared)} are: {sorted(shared)[:5]}: run CaseGen and the Trainer again"
            )


def check_counts(expected: Iterable[str], rows: Sequence[Row]) -> None:
    """Raises RuntimeError unless the cases of `rows` are the expected ones, each scored once."""
    twice = [key for key, n in Counter((r.case_id, r.metric) for r in rows).items() if n > 1]
    if twice:
        raise RuntimeError(
            f"every case must be scored once, scored more often: {sorted(twice)[:5]}"
        )
    scored, listed = {r.case_id for r in rows}, set(expected)
    if scored != listed:
        raise RuntimeError(
            f"every case of the fold must be scored: {len(listed)} listed, {len(scored)} scored,"
            f" missing {sorted(listed - scored)[:5]}, unexpected {sorted(scored - listed)[:5]}"
        )


def rows_to_csv(rows: Sequence[Row]) -> str:
    """One line per case and score, with the counts behind it."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in fields(Row)])
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


class EvaluatorExecutor(base_beam_executor.BaseBeamExecutor):
    """Writes `cases.csv`, `cases.json`, `scores.json` and a picture per case."""

    def Do(  # noqa: N802
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        """Scores the fold.

        Raises:
          ValueError: The model was trained on a case or a patient of the fold.
          RuntimeError: A case of the fold is missing.
        """
        split = exec_properties["split"]
        config = from_json(EvaluationConfig, exec_properties["config"])
        info = from_json(DatasetInfo, exec_properties["info"])
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        output = Path(artifact_utils.get_single_uri(output_dict["evaluation"]))
        model = artifact_utils.get_single_instance(input_dict["model"])
        check_unseen(examples.uri, model.uri, split)
        score = _ScoreFile(
            path_utils.serving_model_path(model.uri), info, config.empty, str(output / PICTURES)
        )
        files = sorted(Path(artifact_utils.get_split_uri([examples], split)).glob("*.gz"))
        rows = self._score([str(f) for f in files], score, str(output / CASES_JSON))
        check_counts(read_json(examples.uri, COHORT)["splits"][split], rows)
        write_text(output / CASES_CSV, rows_to_csv(rows))
        scores = {"split": split, "n": len({r.case_id for r in rows}), "scores": aggregate(rows)}
        write_text(output / SCORES, json.dumps(scores, indent=1))

    def _score(self, files: Sequence[str], score: _ScoreFile, path: str) -> list[Row]:
        """Runs the Beam pipeline, which leaves the rows in `path`: small ones, no volume moves."""
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Files" >> beam.Create(files)
                | "Spread" >> beam.Reshuffle()
                | "Score" >> beam.ParDo(score)
                | "Gather" >> beam.combiners.ToList()
                | "Write" >> beam.Map(_write_rows, path)
            )
        return read_rows(Path(path).parent)


def _write_rows(cases: list[list[Row]], path: str) -> None:
    rows = sorted((row for case in cases for row in case), key=lambda r: (r.case_id, r.metric))
    write_text(Path(path), json.dumps([asdict(row) for row in rows], indent=0))


def read_rows(folder: str | Path) -> list[Row]:
    """Reads the rows of an evaluation artifact."""
    return [Row(**row) for row in read_json(str(folder), CASES_JSON)]


class Evaluator(base_beam_component.BaseBeamComponent):
    """Scores one held-out fold.

    Args:
      examples: Raw records of CaseGen.
      model: Trained on all folds but `split`.
      split: The held-out fold.
      info: The dataset.
      config: How empty cases are scored.
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
        info: DatasetInfo,
        config: EvaluationConfig,
        fingerprint: str,
    ):
        super().__init__(
            EvaluatorSpec(
                examples=examples,
                model=model,
                split=split,
                info=to_json(info),
                config=to_json(config),
                fingerprint=fingerprint,
                evaluation=types.Channel(type=standard_artifacts.ModelEvaluation),
            )
        )
