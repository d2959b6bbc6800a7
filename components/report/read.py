"""Reads all that the page shows from the folders of a run's artifacts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from beam_preprocess.case import DatasetInfo
from beam_preprocess.config_io import from_json
from components.file_names import (
    CASES_JSON,
    COHORT,
    COHORT_STATISTICS,
    PREDICTIONS,
    RESULT,
    read_json,
)
from components.report.charts import Curve
from components.report.content import Data, ReportData, Texts, Training, ViewerCases
from components.report.lineage import Lineage
from components.report.ranking import by_importance, choose_cases, rank_value, ranking_score
from components.report.records import read_volumes
from components.report.result import RunResult, read_result
from components.report.sprites import Shown, fit
from components.sizes import with_size_bin
from trainer.config import EvaluationConfig
from trainer.metrics.case_scores import CaseScores, cases_from_json
from trainer.progress import read_history

VALIDATION = "validation_dice"
"""In the history of a training: mean dice of a validation."""
MANIFEST = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Where the artifacts are that a report is made of.

    Attributes:
      cross_validation: With `result.json`.
      examples: Of CaseGen: raw records, splits and statistics.
      evaluations: Of every fold: scores and predictions.
      model_runs: Of every fold: history and manifest of its training.
    """

    cross_validation: Path
    examples: Path
    evaluations: tuple[Path, ...]
    model_runs: tuple[Path, ...]


def read_report(
    folders: Folders,
    *,
    info: DatasetInfo,
    texts: Texts,
    lineage: Lineage,
    chosen: Sequence[str] = (),
) -> ReportData:
    """Reads a run.

    Args:
      folders: Of the artifacts.
      info: The dataset.
      texts: Title and such.
      lineage: What made what.
      chosen: Cases to show besides the best, the median and the worst.

    Raises:
      ValueError: A chosen case was not scored.
    """
    result = read_result(read_json(str(folders.cross_validation), RESULT))
    evaluation = from_json(EvaluationConfig, texts.evaluation)
    folds = [
        [with_size_bin(case, evaluation, rank=info.rank) for case in read_fold(folder)]
        for folder in folders.evaluations
    ]
    data = read_data(folders.examples)
    return ReportData(
        texts=texts,
        info=info,
        evaluation=evaluation,
        result=result,
        folds=folds,
        trainings=[read_training(i, folder) for i, folder in enumerate(folders.model_runs)],
        data=data,
        viewer=_read_viewer(folders, folds, result=result, info=info, chosen=chosen, data=data),
        lineage=lineage,
    )


def read_fold(evaluation: Path) -> list[CaseScores]:
    """The cases of a fold."""
    return cases_from_json((evaluation / CASES_JSON).read_text(encoding="utf-8"))


def read_data(examples: Path) -> Data:
    """What CaseGen wrote of the cohort."""
    cohort = read_json(str(examples), COHORT)
    return Data(
        splits=cohort["splits"],
        warnings=cohort["warnings"],
        ignored_files=cohort["ignored_files"],
        statistics=read_json(str(examples), COHORT_STATISTICS)["case_statistics"],
    )


def read_training(fold: int, folder: Path) -> Training:
    """History and manifest of a training; empty ones where it left none."""
    history = read_history(folder)
    manifest = folder / MANIFEST
    return Training(
        loss=_curve(fold, history, "loss"),
        validation=_curve(fold, history, VALIDATION),
        manifest=json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {},
    )


def _curve(fold: int, history: Sequence[Mapping[str, Any]], name: str) -> Curve:
    points = tuple((r["step"], r[name]) for r in history if r.get(name) is not None)
    return Curve(name=f"Fold {fold}", points=points)


def _read_viewer(
    folders: Folders,
    folds: Sequence[Sequence[CaseScores]],
    *,
    result: RunResult,
    info: DatasetInfo,
    chosen: Sequence[str],
    data: Data,
) -> ViewerCases:
    score = ranking_score(folds, result.deploy.select, result.scores)
    ranks = choose_cases(folds, score, chosen=chosen)
    fold_of = {case.case_id: i for i, fold in enumerate(folds) for case in fold}
    cases = {case.case_id: case for fold in folds for case in fold if case.case_id in ranks}
    volumes = read_volumes(
        {case_id: fold_of[case_id] for case_id in ranks},
        examples=folders.examples,
        splits=data.splits,
        predictions=[folder / PREDICTIONS for folder in folders.evaluations],
        info=info,
    )
    shown = fit([c for c in by_importance(ranks) if c in volumes], volumes.__getitem__)
    return ViewerCases(
        score=score,
        ranks=ranks,
        values={case_id: rank_value(cases[case_id], score) for case_id in ranks},
        folds={case_id: fold_of[case_id] for case_id in ranks},
        shown=_in_order(shown, [*ranks]),
    )


def _in_order(shown: Shown, order: Sequence[str]) -> Shown:
    """The cases as the page lists them."""
    return replace(shown, items=tuple(sorted(shown.items, key=lambda i: order.index(i["id"]))))
