"""Record files and a model -> scores of the cases, on Beam: what Evaluator and HeldOut share."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam

from beam_preprocess.case import DatasetInfo
from beam_preprocess.config_io import from_json
from beam_preprocess.record_files import read_records
from beam_preprocess.records import decode_raw
from components.case_scoring import Columns, Scoring, score_record, write_case
from components.evaluation_files import read_cases, write_cases
from trainer.config import EvaluationConfig
from trainer.metrics.case_scores import CaseScores
from trainer.serving import LoadedModel


class ScoreFile(beam.DoFn):
    """Record file -> the scores of its cases.

    Args:
      model: SavedModel folder.
      scoring: How.
      columns: Case id -> what the case table says of the case.
      left_out: Ids of cases that are not scored.
      output: Folder for a label map and a picture of every case; None for none.
    """

    def __init__(
        self,
        model: str,
        scoring: Scoring,
        *,
        columns: Mapping[str, Columns],
        left_out: Collection[str] = (),
        output: Path | None,
    ):
        self._model_path, self._scoring, self._columns = model, scoring, columns
        self._left_out, self._output = frozenset(left_out), output
        self._model: LoadedModel | None = None

    def setup(self) -> None:
        self._model = LoadedModel(self._model_path)

    def process(self, path: str) -> Iterator[CaseScores]:
        assert self._model is not None
        for serialized in read_records(Path(path)):
            record = decode_raw(serialized)
            if record.case_id in self._left_out:
                continue
            own = self._columns.get(record.case_id)
            scores, prediction = score_record(self._model, record, self._scoring, columns=own)
            if self._output is not None:
                write_case(record, prediction, self._scoring.info, self._output)
            yield scores


def score_files(
    files: Sequence[Path],
    score: ScoreFile,
    *,
    output: Path,
    open_pipeline: Callable[[], beam.Pipeline],
) -> list[CaseScores]:
    """Runs the Beam pipeline, which leaves the scores in `output`: no volume moves.

    Args:
      files: Of records; without any, no pipeline is run.
      score: What is done with each.
      output: Gets `cases.json`.
      open_pipeline: Of the executor.
    """
    if not files:
        write_cases([], output)
        return []
    with open_pipeline() as pipeline:
        _ = (
            pipeline
            | "Files" >> beam.Create([str(f) for f in files])
            | "Spread" >> beam.Reshuffle()
            | "Score" >> beam.ParDo(score)
            | "Gather" >> beam.combiners.ToList()
            | "Write" >> beam.Map(_write, output)
        )
    return read_cases(output)


def _write(cases: list[CaseScores], folder: Path) -> None:
    """Beam takes type hints at their word: its list is no `Sequence`."""
    write_cases(cases, folder)


def given_scoring(exec_properties: Mapping[str, Any]) -> Scoring:
    """How cases are scored, from the parameters `info`, `config` and `profile` of a node."""
    return Scoring(
        info=from_json(DatasetInfo, exec_properties["info"]),
        config=from_json(EvaluationConfig, exec_properties["config"]),
        profile=exec_properties["profile"],
    )
