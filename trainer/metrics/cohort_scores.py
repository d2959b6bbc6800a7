"""Scores of many cases, of one fold or of all: what tables, gate and report are made from.

Folds are pooled: every case weighs the same, however large its fold is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from beam_preprocess.case import DatasetInfo
from trainer.metrics.case_scores import CaseScores
from trainer.metrics.cases import RegionSummary, pool, summarise_cases
from trainer.metrics.config import StatisticsConfig
from trainer.metrics.definitions import DEFINITIONS
from trainer.metrics.summary import Summary, summarise

IMAGES = "images"
"""Takes the place of a region in the names of scores of whole images."""
MEAN = "mean"
"""The region that is the mean over the labels, as the references' MeanDice."""


@dataclass(frozen=True, kw_only=True)
class CohortScores:
    """Scores of many cases.

    Attributes:
      n: Cases.
      regions: Name of a label or region, and `mean` -> its summary.
      images: `auroc`, `average_precision`, and `tpr` and `tnr` at the threshold -> value (`mean`)
        and interval, `n` images; empty where images have no score as a whole.
      threshold: Probability above which an image is taken for defective; None where there is none.
      reference: Score as the reference computes it -> its summary; empty in profile `corrected`.
    """

    n: int
    regions: dict[str, RegionSummary]
    images: dict[str, Summary] = field(default_factory=dict)
    threshold: float | None = None
    reference: dict[str, Summary] = field(default_factory=dict)

    def find(self, name: str) -> Summary | None:
        """A score by its name, `REGION/SCORE` or `images/SCORE`; None where there is none."""
        region, _, score = name.partition("/")
        if region == IMAGES:
            return self.images.get(score)
        return self.regions[region].scores.get(score) if region in self.regions else None


def score_cohort(folds: Sequence[Sequence[CaseScores]], config: StatisticsConfig) -> CohortScores:
    """Sums up the cases of some folds.

    Raises:
      ValueError: A case is in two folds.
    """
    cases = pool([{c.case_id: c.regions for c in fold} for fold in folds])
    reference = [c.reference for fold in folds for c in fold]
    names = dict.fromkeys(name for scores in reference for name in scores)
    return CohortScores(
        n=len(cases),
        regions=summarise_cases(cases, config),
        reference={n: summarise([s[n] for s in reference if n in s], config) for n in names},
    )


def slice_folds(
    folds: Sequence[Sequence[CaseScores]], column: str
) -> dict[str, list[list[CaseScores]]]:
    """Value of a column -> the cases of every fold that have it; folds without stay, empty.

    Raises:
      ValueError: A case lacks the column.
    """
    lacking = [c.case_id for fold in folds for c in fold if column not in c.columns]
    if lacking:
        raise ValueError(
            f"column {column!r} must have a value for every case, {len(lacking)} have none:"
            f" {lacking[:5]}"
        )
    values = sorted({c.columns[column] for fold in folds for c in fold})
    return {v: [[c for c in fold if c.columns[column] == v] for fold in folds] for v in values}


def score_names(info: DatasetInfo) -> list[str]:
    """The names, `REGION/SCORE` and `images/SCORE`, of all scores that a dataset's cases may have.

    Scores of lesions are among them, which `evaluation.metrics.lesion_wise` may switch off. Where
    only defects are looked for (task `defects`) there is one label, and no mean over the labels.
    """
    kinds = ("regions", "volumes") if info.rank == 3 else ("regions",)
    regions = dict.fromkeys([*info.label_names.values(), *info.regions])
    if info.task != "defects":
        regions[MEAN] = None
    names = [f"{region}/{score}" for region in regions for score in _names_of(*kinds)]
    return names + [f"{IMAGES}/{s}" for s in _names_of("images") if info.task == "defects"]


def _names_of(*kinds: str) -> list[str]:
    return [name for name, definition in DEFINITIONS.items() if definition.of in kinds]


def cohort_to_dict(scores: CohortScores) -> dict[str, Any]:
    """For JSON; a mean without a value is None already."""
    return asdict(scores)


def cohort_from_dict(values: Mapping[str, Any]) -> CohortScores:
    """What `cohort_to_dict` made, also after JSON."""
    return CohortScores(
        n=values["n"],
        regions={
            name: RegionSummary(**{**region, "scores": _summaries(region["scores"])})
            for name, region in values["regions"].items()
        },
        images=_summaries(values["images"]),
        threshold=values["threshold"],
        reference=_summaries(values["reference"]),
    )


def _summaries(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Summary]:
    return {name: Summary(**summary) for name, summary in values.items()}
