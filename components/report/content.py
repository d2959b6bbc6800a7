"""The report as values: all that its page shows, read already. Reads no file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beam_preprocess.case import DatasetInfo
from components.report.charts import Curve
from components.report.lineage import Lineage
from components.report.result import RunResult
from components.report.sprites import Shown
from trainer.config import EvaluationConfig
from trainer.metrics.case_scores import CaseScores


@dataclass(frozen=True, kw_only=True)
class Texts:
    """What the page shows as it is.

    Attributes:
      title: Name of the run.
      config: The whole config of the run as YAML.
      evaluation: How cases were scored: an EvaluationConfig as JSON.
      profile: `corrected` or `reference`.
      fingerprint: Hash of the code that writes the page.
    """

    title: str
    config: str
    evaluation: str
    profile: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Training:
    """The training of one fold.

    Attributes:
      loss: Over the steps.
      validation: Mean dice of the validations, over the steps; empty where there are none.
      manifest: What was trained with what, on what; empty where it was not kept.
    """

    loss: Curve
    validation: Curve
    manifest: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Data:
    """What is known of the cohort.

    Attributes:
      splits: Name of a split -> its case ids.
      warnings: What CaseGen warned of.
      ignored_files: Number of files that are no part of the dataset.
      statistics: A dict per case; see `beam_preprocess.statistics`.
    """

    splits: Mapping[str, Sequence[str]]
    warnings: Sequence[str]
    ignored_files: int
    statistics: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class ViewerCases:
    """The cases of the viewer.

    Attributes:
      score: What ranks them, `REGION/SCORE`; empty where no case has a score.
      ranks: Case id -> `best`, `chosen` and such, in the order of the page.
      values: Case id -> value of `score`; None for none.
      folds: Case id -> its fold.
      shown: What found its place.
    """

    score: str
    ranks: Mapping[str, str]
    values: Mapping[str, float | None]
    folds: Mapping[str, int]
    shown: Shown


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """All that the page shows.

    Attributes:
      texts, info, evaluation, result, data, viewer: See there.
      folds: The cases of every fold.
      trainings: One per fold.
      lineage: What made what.
    """

    texts: Texts
    info: DatasetInfo
    evaluation: EvaluationConfig
    result: RunResult
    folds: Sequence[Sequence[CaseScores]]
    trainings: Sequence[Training]
    data: Data
    viewer: ViewerCases
    lineage: Lineage
