"""Report: what the folds and CrossValidation left -> one self-contained HTML page."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from beam_preprocess.atomic import write_text
from beam_preprocess.case import DatasetInfo
from beam_preprocess.config_io import from_json, to_json
from components.artifacts import (
    PICTURES,
    REPORT,
    RESULT,
    Artifacts,
    ReportPage,
    fold_inputs,
    read_json,
)
from components.evaluator import read_rows
from components.pictures import label_colours
from components.report import define_scores, page, rank_cases, sort_scores
from components.report.charts import Curve
from trainer.progress import read_history
from trainer.scoring import Row

_PER_IMAGE = "image_score"
"""In the rows of photographs; it ranks no case, and the page shows the `image_auroc` made of it."""


@dataclass(frozen=True, kw_only=True)
class Texts:
    """What the page shows as it is.

    Attributes:
      title: Name of the run.
      config: The whole config of the run as YAML.
      profile: `corrected` or `reference`.
      fingerprint: Hash of the code that writes the page.
    """

    title: str
    config: str
    profile: str
    fingerprint: str


TEXTS = tuple(field.name for field in fields(Texts))


def read_report(
    result: Mapping[str, Any],
    evaluations: Sequence[str],
    *,
    model_runs: Sequence[str],
    info: DatasetInfo,
    texts: Texts,
) -> page.ReportData:
    """Reads all that the page shows.

    Args:
      result: Content of `result.json`.
      evaluations: Folder of the evaluation of every fold, with its rows and pictures.
      model_runs: Folder of the training of every fold, with its history.
      info: The dataset.
      texts: Title and such.
    """
    rows = [(row, uri, i) for i, uri in enumerate(evaluations) for row in read_rows(uri)]
    values = values_by_score(row for row, _, _ in rows)
    metric = ranking_metric(values, result["select"])
    where = {row.case_id: (i, Path(uri)) for row, uri, i in rows}
    cases = result["cases"]
    return page.ReportData(
        title=texts.title,
        config=texts.config,
        profile=texts.profile,
        fingerprint=texts.fingerprint,
        blessed=result["blessed"],
        select=result["select"],
        chosen_fold=result["chosen_fold"],
        reasons=tuple(result["reasons"]),
        thresholds=page.make_thresholds(result),
        scores=page.make_scores(result, values),
        definitions=define_scores(info),
        counts=page.Counts(**{n: cases[n] for n in ("listed", "scored", "test", "exclusions")}),
        curves=tuple(_read_curve(i, uri) for i, uri in enumerate(model_runs)),
        picture_metric=metric,
        pictures=tuple(_read_pictures(values[metric], where)) if metric else (),
        labels=_labels(info),
    )


def values_by_score(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    """Score -> case id -> value, without the NaN of cases that lack it."""
    values: dict[str, dict[str, float]] = {}
    for row in rows:
        if not math.isnan(row.value):
            values.setdefault(row.metric, {})[row.case_id] = row.value
    return values


def ranking_metric(values: Mapping[str, Any], select: str) -> str | None:
    """`select` where cases have it, else the first score that they have, or None."""
    if select in values:
        return select
    return next(iter(sort_scores(values.keys() - {_PER_IMAGE})), None)


def _read_pictures(
    values: Mapping[str, float], where: Mapping[str, tuple[int, Path]]
) -> Iterator[page.Picture]:
    """Best, median and worst case, each with its picture."""
    for case, rank in rank_cases(values).items():
        fold, folder = where[case]
        path = folder / PICTURES / f"{case}.png"
        png = path.read_bytes() if path.exists() else None
        yield page.Picture(rank=rank, case_id=case, fold=fold, value=values[case], png=png)


def _read_curve(fold: int, folder: str) -> Curve:
    points = tuple((r["step"], r["loss"]) for r in read_history(Path(folder)) if "loss" in r)
    return Curve(name=f"Fold {fold}", points=points)


def _labels(info: DatasetInfo) -> tuple[page.LabelColour, ...]:
    return tuple(
        page.LabelColour(value=value, name=info.label_names[value], colour=colour)
        for value, colour in label_colours(info).items()
    )


class ReportSpec(ComponentSpec):
    """Inputs (one evaluation and one training per fold, by name), output and parameters."""

    PARAMETERS = {"folds": ExecutionParameter(type=int)} | {
        name: ExecutionParameter(type=str) for name in ("info", *TEXTS)
    }
    INPUTS = (
        {"cross_validation": ChannelParameter(type=standard_artifacts.ModelEvaluation)}
        | fold_inputs("evaluation", standard_artifacts.ModelEvaluation)
        | fold_inputs("model_run", standard_artifacts.ModelRun)
    )
    OUTPUTS = {"report": ChannelParameter(type=ReportPage)}


class ReportExecutor(base_executor.BaseExecutor):
    """Writes `report.html`."""

    def Do(  # noqa: N802
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        """Reads the folds and writes the page, atomically."""
        evaluations, model_runs = (
            [
                artifact_utils.get_single_uri(input_dict[f"{name}_{i}"])
                for i in range(int(exec_properties["folds"]))
            ]
            for name in ("evaluation", "model_run")
        )
        data = read_report(
            read_json(artifact_utils.get_single_uri(input_dict["cross_validation"]), RESULT),
            evaluations,
            model_runs=model_runs,
            info=from_json(DatasetInfo, exec_properties["info"]),
            texts=Texts(**{name: exec_properties[name] for name in TEXTS}),
        )
        target = Path(artifact_utils.get_single_uri(output_dict["report"])) / REPORT
        write_text(target, page.render_page(data))


class Report(base_component.BaseComponent):
    """Writes the report of a run.

    Args:
      evaluations: One per fold.
      model_runs: One per fold, with the history of its training.
      cross_validation: Of CrossValidation, with `result.json`.
      info: The dataset.
      texts: Title and such.
    """

    SPEC_CLASS = ReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(ReportExecutor)

    def __init__(
        self,
        evaluations: Sequence[types.BaseChannel],
        model_runs: Sequence[types.BaseChannel],
        cross_validation: types.BaseChannel,
        *,
        info: DatasetInfo,
        texts: Texts,
    ):
        named = {f"evaluation_{i}": e for i, e in enumerate(evaluations)}
        named |= {f"model_run_{i}": r for i, r in enumerate(model_runs)}
        super().__init__(
            ReportSpec(
                cross_validation=cross_validation,
                folds=len(evaluations),
                info=to_json(info),
                report=types.Channel(type=ReportPage),
                **asdict(texts),
                **named,
            )
        )
