"""Scores of many cases, of one fold or of all: what tables, gate and report are made from.

Folds are pooled: every case weighs the same, however large its fold is.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from beam_preprocess.case import DatasetInfo
from trainer.metrics.case_scores import CaseScores, ImageScore
from trainer.metrics.cases import RegionSummary, pool, summarise_cases, values_of
from trainer.metrics.cohort_images import (
    choose_thresholds,
    detect_images,
    mean_threshold,
    summarise_images,
)
from trainer.metrics.config import StatisticsConfig
from trainer.metrics.definitions import DEFINITIONS, IMAGES, MEAN
from trainer.metrics.images import Detection
from trainer.metrics.region_scores import SUMS
from trainer.metrics.summary import Summary, summarise

_BIN = re.compile(r"(?P<below>below )?(?P<edge>\d+(\.\d+)?) ")
"""What the names of bins begin with; see `cases.bin_values`."""


@dataclass(frozen=True, kw_only=True)
class CohortScores:
    """Scores of many cases.

    Attributes:
      n: Cases.
      regions: Name of a label or region, and `mean` -> its summary.
      images: `auroc`, `average_precision`, and `tpr` and `tnr` at the threshold -> value (`mean`)
        and interval, `n` images; empty where images have no score as a whole. See `cohort_images`.
      threshold: Probability from which on an image is taken for defective; of several folds the
        mean of theirs, weighed by images; None where images have no score as a whole.
      detections: Images found and missed at the thresholds of UNet_Industrial, and last at the one
        above, each image at that of its fold; empty where images have no score as a whole.
      reference: Score as the reference computes it -> its summary; empty in profile `corrected`.
    """

    n: int
    regions: dict[str, RegionSummary]
    images: dict[str, Summary] = field(default_factory=dict)
    threshold: float | None = None
    detections: tuple[Detection, ...] = ()
    reference: dict[str, Summary] = field(default_factory=dict)

    def find(self, name: str) -> Summary | None:
        """A score by its name, `REGION/SCORE` or `images/SCORE`; None where there is none."""
        region, _, score = name.partition("/")
        if region == IMAGES:
            return self.images.get(score)
        return self.regions[region].scores.get(score) if region in self.regions else None


def score_cohort(
    folds: Sequence[Sequence[CaseScores]],
    config: StatisticsConfig,
    *,
    thresholds: Sequence[float],
) -> CohortScores:
    """Sums up the cases of some folds.

    Args:
      folds: The cases of every fold, each scored by a model of its own.
      config: Level, draws and seed of the intervals.
      thresholds: Probability from which on an image of each fold is taken for defective.

    Raises:
      ValueError: A case is in two folds.
    """
    cases = pool([{c.case_id: c.regions for c in fold} for fold in folds])
    reference = [c.reference for fold in folds for c in fold]
    names = dict.fromkeys(name for scores in reference for name in scores)
    images = _images(folds)
    return CohortScores(
        n=len(cases),
        regions=summarise_cases(cases, config),
        images=summarise_images(images, thresholds, config) if any(images) else {},
        threshold=mean_threshold(images, thresholds),
        detections=detect_images(images, thresholds),
        reference={n: summarise([s[n] for s in reference if n in s], config) for n in names},
    )


def find_score(
    folds: Sequence[Sequence[CaseScores]],
    name: str,
    config: StatisticsConfig,
    *,
    thresholds: Sequence[float],
) -> Summary:
    """Sums up one score as `score_cohort` does all of them; of no case where none has it.

    Args:
      folds, config, thresholds: As of `score_cohort`.
      name: `REGION/SCORE` or `images/SCORE`.
    """
    region, _, score = name.partition("/")
    if region == IMAGES:
        images = _images(folds)
        found = summarise_images(images, thresholds, config) if any(images) else {}
        return found.get(score, Summary(n=0, n_nan=0))
    cases = pool([{c.case_id: c.regions for c in fold} for fold in folds])
    return summarise([value for _, value in values_of(cases, region, score)], config)


def fold_thresholds(folds: Sequence[Sequence[CaseScores]], *, default: float) -> list[float]:
    """Of every fold the probability from which on an image is taken for defective.

    It is chosen by the images of the other folds: see `cohort_images`.

    Args:
      folds: The cases of every fold.
      default: Where that cannot be: there is one fold, or the others have images of one kind only.
    """
    return choose_thresholds(_images(folds), default=default)


def _images(folds: Sequence[Sequence[CaseScores]]) -> list[list[ImageScore]]:
    return [[c.image for c in fold if c.image is not None] for fold in folds]


def score_slices(
    folds: Sequence[Sequence[CaseScores]],
    columns: Sequence[str],
    config: StatisticsConfig,
    *,
    thresholds: Sequence[float],
) -> dict[str, dict[str, CohortScores]]:
    """Column -> its value -> scores of the cases that have it, at the thresholds of all cases.

    Raises:
      ValueError: A case lacks a column, or is in two folds.
    """
    return {
        column: {
            value: score_cohort(part, config, thresholds=thresholds)
            for value, part in slice_folds(folds, column).items()
        }
        for column in columns
    }


def slice_folds(
    folds: Sequence[Sequence[CaseScores]], column: str
) -> dict[str, list[list[CaseScores]]]:
    """Value of a column -> the cases of every fold that have it; folds without stay, empty.

    Values are in alphabetical order, bins of sizes in that of the sizes, before the others.

    Raises:
      ValueError: A case lacks the column.
    """
    lacking = [c.case_id for fold in folds for c in fold if column not in c.columns]
    if lacking:
        raise ValueError(
            f"column {column!r} must have a value for every case, {len(lacking)} have none:"
            f" {lacking[:5]}: give them one in data.case_table, or leave the column out of"
            " evaluation.slices"
        )
    values = sorted({c.columns[column] for fold in folds for c in fold}, key=_rank)
    return {v: [[c for c in fold if c.columns[column] == v] for fold in folds] for v in values}


def _rank(value: str) -> tuple[bool, float, bool, str]:
    """`below 1 ml`, `1 to below 10 ml`, `10 ml and more`, then text."""
    if not (size := _BIN.match(value)):
        return True, 0.0, False, value
    return False, float(size["edge"]), not size["below"], value


def score_names(info: DatasetInfo) -> list[str]:
    """The names, `REGION/SCORE` and `images/SCORE`, of all scores that a dataset's cases may have.

    Scores of lesions are among them, which `evaluation.metrics.lesion_wise` may switch off. Where
    only defects are looked for (task `defects`) there is one label, and no mean over the labels.
    """
    kinds = ("regions", "volumes") if info.rank == 3 else ("regions",)
    regions = dict.fromkeys([*info.label_names.values(), *info.regions])
    names = [f"{region}/{score}" for region in regions for score in _names_of(*kinds)]
    if info.task == "defects":
        return names + [f"{IMAGES}/{score}" for score in _names_of("images")]
    return names + [f"{MEAN}/{score}" for score in _names_of(*kinds) if score not in SUMS]


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
        detections=tuple(Detection(**detection) for detection in values["detections"]),
        reference=_summaries(values["reference"]),
    )


def _summaries(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Summary]:
    return {name: Summary(**summary) for name, summary in values.items()}
