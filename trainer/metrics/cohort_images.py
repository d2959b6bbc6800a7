"""Scores of whole images over folds: the images of a fold were scored by a model of their own.

Numbers of different models are not comparable: one may give all images more than another does. So
images are ranked fold by fold, and AUROC and average precision of several folds are the means of
theirs, each weighed by its images. TPR and TNR are shares of all images, each of them found or
passed at the threshold of its fold; a table has them at the thresholds of UNet_Industrial, too.

The threshold of a fold is `best_threshold` of the images of the other folds: those that are counted
have no part in its choice. It is a probability, and the models of a cross-validation were trained
alike, so that one that suits the others suits the one that is left out.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from trainer.metrics.case_scores import ImageScore
from trainer.metrics.config import StatisticsConfig
from trainer.metrics.images import Detection, best_threshold, count_found, reaches
from trainer.metrics.ranking import Floats, bootstrap_ranking, rank_images
from trainer.metrics.summary import Summary, summarise
from trainer.reference.metrics import THRESHOLDS

Folds = Sequence[Sequence[ImageScore]]
"""The images of every fold."""


def choose_thresholds(folds: Folds, *, default: float) -> list[float]:
    """The threshold of every fold, chosen by the images of the other folds.

    Args:
      folds: The images of every fold.
      default: Where the other folds lack images of one kind, or there is no other fold.
    """
    thresholds = []
    for number in range(len(folds)):
        others = [image for fold in [*folds[:number], *folds[number + 1 :]] for image in fold]
        defective = [image.defective for image in others]
        if len({*defective}) < 2:
            thresholds.append(default)
        else:
            thresholds.append(best_threshold(defective, [image.score for image in others]))
    return thresholds


def summarise_images(
    folds: Folds, thresholds: Sequence[float], config: StatisticsConfig
) -> dict[str, Summary]:
    """AUROC, average precision, TPR and TNR of images; see the module for their definitions.

    Args:
      folds: The images of every fold.
      thresholds: One per fold; an image is found where it reaches it.
      config: Level, draws and seed of the intervals.

    Returns:
      `auroc` and `average_precision`: value (`mean`), interval, and `n` images of the folds that
      have both kinds; in `n_nan` those of the others. `tpr`, `tnr`: over `n` images with and
      without a defect.
    """
    defective, found = _classify(folds, thresholds)
    return _summarise_ranking(folds, config) | {
        "tpr": summarise(found[defective].astype(float).tolist(), config),
        "tnr": summarise((~found[~defective]).astype(float).tolist(), config),
    }


def detect_images(folds: Folds, thresholds: Sequence[float]) -> tuple[Detection, ...]:
    """Images found and missed, over all folds: at each of `THRESHOLDS`, then at those chosen.

    Args:
      folds: The images of every fold.
      thresholds: The one that was chosen for each fold. In the table stands their mean, as
        `mean_threshold` has it.

    Returns:
      One `Detection` for each threshold; none without an image.
    """
    mean = mean_threshold(folds, thresholds)
    if mean is None:
        return ()
    table = [(t, [t] * len(folds), False) for t in THRESHOLDS]
    return tuple(
        count_found(*_classify(folds, at), threshold=name, chosen=chosen)
        for name, at, chosen in [*table, (mean, thresholds, True)]
    )


def _classify(
    folds: Folds, thresholds: Sequence[float]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of all images of all folds: which are defective, and which are found."""
    found = [
        reaches([image.score for image in fold], threshold)
        for fold, threshold in zip(folds, thresholds, strict=True)
    ]
    defective = [image.defective for fold in folds for image in fold]
    return np.array(defective, bool), np.concatenate(found)


def _summarise_ranking(folds: Folds, config: StatisticsConfig) -> dict[str, Summary]:
    """Means over folds, weighed by their images; their intervals from draws of every fold."""
    ranked = [fold for fold in folds if len({image.defective for image in fold}) == 2]
    n = sum(len(fold) for fold in ranked)
    without = sum(len(fold) for fold in folds) - n
    names = ("auroc", "average_precision")
    if not ranked:
        return {name: Summary(n=0, n_nan=without) for name in names}
    values, draws = np.zeros(2), np.zeros((config.resamples, 2))
    for number, fold in enumerate(ranked):
        defective, scores = [i.defective for i in fold], [i.score for i in fold]
        weight, seeded = len(fold) / n, replace(config, seed=config.seed + number)
        values += weight * np.array(rank_images(defective, scores))
        draws += weight * bootstrap_ranking(defective, scores, seeded)
    return {
        name: _summary(values[i], draws[:, i], n=n, n_nan=without, level=config.level)
        for i, name in enumerate(names)
    }


def _summary(value: float, draws: Floats, *, n: int, n_nan: int, level: float) -> Summary:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return Summary(n=n, n_nan=n_nan, mean=float(value), low=low, high=high)


def mean_threshold(folds: Folds, thresholds: Sequence[float]) -> float | None:
    """The thresholds' mean, weighed by the images of their folds; None without an image."""
    sizes = [len(fold) for fold in folds]
    return float(np.average(thresholds, weights=sizes)) if sum(sizes) else None
