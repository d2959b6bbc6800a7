"""Two runs over the same images: differences of AUROC and average precision, and whether by chance.

Neither is a number of a single image, so that there is nothing to pair case by case. Instead images
are drawn with replacement, the same ones for both runs, and each draw has a difference (a paired
bootstrap). As in `cohort_images`, a run ranks the images of each of its folds by themselves, and
its folds weigh as much as they have images.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.metrics.case_scores import ImageScore
from trainer.metrics.config import StatisticsConfig
from trainer.metrics.ranking import DRAWN_AT_ONCE, Floats, weighted_ranking

RANKINGS = ("auroc", "average_precision")
Folds = Sequence[Mapping[str, ImageScore]]
"""Of every fold: id of an image -> its number and its truth."""


@dataclass(frozen=True, kw_only=True)
class RankingComparison:
    """One score of run B against run A.

    Attributes:
      a, b: Of the runs.
      low, high: Ends of the interval of B - A, by percentiles.
      p: Twice the share of draws on the rarer side of 0, which counts as both: how easily a
        difference like this comes from the choice of images. At least 2 / (draws + 1).
    """

    a: float
    b: float
    low: float
    high: float
    p: float


def compare_rankings(a: Folds, b: Folds, config: StatisticsConfig) -> dict[str, RankingComparison]:
    """`auroc` and `average_precision` of two runs, over the images of folds that have both kinds.

    Where both runs have the same folds, images are drawn fold by fold; else from all of them.
    Defective images and others are drawn apart, so that every draw has as many of each.

    Args:
      a, b: The same images with the same truth, in the folds of either run.
      config: Level, draws and seed.

    Returns:
      Empty where a run has no fold with images of both kinds.
    """
    ids = sorted(case_id for fold in a for case_id in fold)
    whole = np.stack([_rank(run, ids, np.ones((1, len(ids)))) for run in (a, b)], axis=1)[0]
    if np.isnan(whole).any():
        return {}
    drawn = np.concatenate([*_draw(a, b, ids, config)])
    differences = drawn[:, 1] - drawn[:, 0]
    ends = (1 - config.level) / 2, (1 + config.level) / 2
    low, high = np.nanquantile(differences, ends, axis=0)
    return {
        name: RankingComparison(
            a=float(whole[0, i]),
            b=float(whole[1, i]),
            low=float(low[i]),
            high=float(high[i]),
            p=_two_sided(differences[:, i]),
        )
        for i, name in enumerate(RANKINGS)
    }


def _two_sided(differences: Floats) -> float:
    known = differences[~np.isnan(differences)]
    rarer = min(int(np.sum(known <= 0)), int(np.sum(known >= 0)))
    return min(1.0, 2 * (rarer + 1) / (len(known) + 1))


def _draw(a: Folds, b: Folds, ids: Sequence[str], config: StatisticsConfig) -> Iterator[Floats]:
    """Scores of both runs [draws, 2 runs, 2 scores] over the same drawn images, some at a time."""
    rng = np.random.default_rng(config.seed)
    groups = _drawn_together(a, b, ids)
    step = max(1, DRAWN_AT_ONCE // len(ids))
    for start in range(0, config.resamples, step):
        weights = np.zeros((min(step, config.resamples - start), len(ids)))
        for group in groups:
            n = len(group)
            weights[:, group] = rng.multinomial(n, np.full(n, 1 / n), size=len(weights))
        yield np.stack([_rank(run, ids, weights) for run in (a, b)], axis=1)


def _drawn_together(a: Folds, b: Folds, ids: Sequence[str]) -> list[NDArray[np.intp]]:
    """Positions in `ids` of the images that are drawn from: of one kind, and one fold."""
    same = {frozenset(fold) for fold in a if fold} == {frozenset(fold) for fold in b if fold}
    place = {case_id: i for i, case_id in enumerate(ids)}
    groups: dict[tuple[int, bool], list[int]] = {}
    for number, fold in enumerate(a):
        for case_id, image in fold.items():
            group = (number if same else 0, image.defective)
            groups.setdefault(group, []).append(place[case_id])
    return [np.array(group) for group in groups.values()]


def _rank(run: Folds, ids: Sequence[str], weights: Floats) -> Floats:
    """AUROC and average precision [D, 2] of N images that count several times, over the folds.

    A draw in which a fold has images of one kind alone is that of the other folds; NaN without any.
    """
    place = {case_id: i for i, case_id in enumerate(ids)}
    total, share = np.zeros((len(weights), 2)), np.zeros((len(weights), 1))
    for fold in run:
        truth = np.array([image.defective for image in fold.values()], bool)
        if truth.all() or not truth.any():
            continue
        values = np.array([image.score for image in fold.values()], np.float64)
        part = weights[:, [place[case_id] for case_id in fold]]
        both = (part[:, truth].sum(axis=1) > 0) & (part[:, ~truth].sum(axis=1) > 0)
        total[both] += len(fold) * weighted_ranking(truth, values, part[both])
        share[both] += len(fold)
    return np.divide(total, share, out=np.full_like(total, np.nan), where=share > 0)
