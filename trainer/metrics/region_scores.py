"""Label maps of truth and prediction -> all scores of every class and region of one case."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import isnan, nan

import numpy as np
from numpy.typing import NDArray

from beam_preprocess.case import DatasetInfo
from trainer.metrics.config import MetricsConfig
from trainer.metrics.definitions import MEAN
from trainer.metrics.lesions import Lesion, lesion_scores
from trainer.metrics.surfaces import surface_scores
from trainer.metrics.voxels import Emptiness, emptiness, voxel_scores
from trainer.overlap import Overlap, overlap

SUMS = frozenset(
    {"volume_difference_ml", "truth_ml", "lesions_found", "lesions_missed", "lesions_false"}
)
"""Scores that count something: a mean over labels, of half a lesion say, has no meaning."""


@dataclass(frozen=True, kw_only=True)
class RegionScores:
    """Scores of one class or region of one case.

    Attributes:
      counts: Voxels of truth, prediction and both.
      values: Name of a score, a key of `definitions.DEFINITIONS` -> its value; NaN for none. No
        score at all of an image without a defect.
      lesions: Of the truth, each with its own scores; empty where they are not scored.
    """

    counts: Overlap
    values: dict[str, float]
    lesions: tuple[Lesion, ...] = field(default=())

    @property
    def empty(self) -> Emptiness:
        """Which of truth and prediction has no voxel: a report counts these cases."""
        return emptiness(self.counts)


def score_case(
    truth: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    info: DatasetInfo,
    *,
    spacing: Sequence[float],
    empty: str,
    config: MetricsConfig,
) -> dict[str, RegionScores]:
    """Scores every label and region of a dataset in one case, and the mean over the labels.

    Of images with and without defects (`info.task` is `defects`) only those with one have scores:
    the many without would hide the defects that are missed.

    Args:
      truth, prediction: Label values [X, Y, Z] or [H, W].
      info: Labels and regions of the dataset.
      spacing: Size of a voxel along each axis, in mm (1 for photographs).
      empty: Key of `overlap.EMPTY_SCORES`.
      config: Of surfaces and lesions, with the penalty of the whole grid where this is a part:
        see `MetricsConfig.for_grid`.

    Returns:
      Name of a label or region -> its scores, and `mean` -> the mean over the labels; without it
      for images with and without defects, which have one label.

    Raises:
      ValueError: The shapes differ, or the spacing has another number of axes.
    """
    if len(spacing) != truth.ndim:
        raise ValueError(
            f"spacing must have a size for each of the {truth.ndim} axes, got {tuple(spacing)}"
        )
    groups = {name: (value,) for value, name in info.label_names.items()} | info.regions
    config = config.for_grid(truth.shape, spacing)
    scores = {
        values: score_region(
            np.isin(truth, [*values]),
            np.isin(prediction, [*values]),
            spacing=spacing,
            empty=empty,
            config=config,
        )
        for values in {frozenset(values) for values in groups.values()}  # WT is WholeTumor: once
    }
    if info.task == "defects":  # one label: there is nothing to take the mean of
        return {name: _of_defects(scores[frozenset(values)]) for name, values in groups.items()}
    named = {name: scores[frozenset(values)] for name, values in groups.items()}
    return named | {MEAN: mean_scores([named[name] for name in info.label_names.values()])}


def _of_defects(scores: RegionScores) -> RegionScores:
    """Without values where the image has no defect: the counts say what was made up."""
    return scores if scores.counts.truth else replace(scores, values={}, lesions=())


def mean_scores(labels: Sequence[RegionScores]) -> RegionScores:
    """The mean over the labels of every score that all of them have, `SUMS` left out.

    Labels whose score is NaN are left out; the mean is NaN where all are. Its counts are the sums
    over the labels.
    """
    shared = [
        name
        for name in labels[0].values
        if name not in SUMS and all(name in label.values for label in labels)
    ]
    return RegionScores(
        counts=Overlap(
            intersection=sum(label.counts.intersection for label in labels),
            truth=sum(label.counts.truth for label in labels),
            prediction=sum(label.counts.prediction for label in labels),
        ),
        values={name: _mean([label.values[name] for label in labels]) for name in shared},
    )


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if not isnan(v)]
    return sum(known) / len(known) if known else nan


def score_region(
    truth: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    *,
    spacing: Sequence[float],
    empty: str,
    config: MetricsConfig,
) -> RegionScores:
    """All scores of one region; lesion by lesion in volumes only.

    Arguments as of `score_case`, with masks for label values.
    """
    counts = overlap(truth.view(np.uint8), prediction.view(np.uint8), [1])
    values = voxel_scores(counts, empty=empty, spacing=spacing)
    values |= surface_scores(truth, prediction, spacing=spacing, empty=empty, config=config)
    if not config.lesion_wise or truth.ndim != 3:
        return RegionScores(counts=counts, values=values)
    found = lesion_scores(truth, prediction, spacing=spacing, empty=empty, config=config)
    values |= {"lesion_dice": found.dice, "lesion_hd95": found.hd95}
    values |= {
        "lesions_found": float(found.found),
        "lesions_missed": float(found.missed),
        "lesions_false": float(found.false),
    }
    return RegionScores(counts=counts, values=values, lesions=found.lesions)
