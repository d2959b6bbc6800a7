"""The scores of two runs over the same cases: a line each, with what may be chance.

Of each score there is one question: is B other than A? Scores of a case are answered by Wilcoxon's
signed-rank test, AUROC and average precision by a paired bootstrap. Many scores are many questions,
so that the p values are corrected for all of them together by Holm's method (Holm 1979, A simple
sequentially rejective multiple test procedure): where it says so at 5 %, the chance that any such
difference is none is at most 5 %.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import copysign, isnan

from components.report.words import REFERENCE
from trainer.metrics.case_scores import CaseScores, ImageScore
from trainer.metrics.cohort_scores import IMAGES, fold_thresholds
from trainer.metrics.comparison import Comparison, compare_all, compare_values, fill_empty
from trainer.metrics.config import StatisticsConfig
from trainer.metrics.definitions import DEFINITIONS
from trainer.metrics.image_comparison import compare_rankings
from trainer.metrics.images import reaches
from trainer.metrics.summary import Summary, summarise

LEVEL = 0.05
"""Corrected p below which a difference is called one."""
NO_DIFFERENCE, NOT_TESTED = "no difference shown", "not tested"
_OF_THE_TRUTH = "_always_empty"
"""Ends the names of reference scores that say nothing of a model."""
Folds = Sequence[Sequence[CaseScores]]
Values = Mapping[str, float]
"""Case id -> value of a score, NaN for none."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One score of one region in both runs.

    Attributes:
      region, score: Its name; `images` and a score of whole images; or the name of a score of the
        reference systems and `reference`.
      a, b: Over the cases that both have a value of.
      comparison: B - A. Of AUROC and average precision no case is higher or lower.
      p: Holm's; None where nothing could be tested.
      differences: Case id -> B - A; empty of AUROC and average precision.
      verdict: `B is better`, `A is better`, `they differ` (where mean and most cases point in
        different directions), or one of the texts below `LEVEL`.
    """

    region: str
    score: str
    a: Summary
    b: Summary
    comparison: Comparison
    differences: Mapping[str, float]
    p: float | None
    verdict: str


@dataclass(frozen=True, kw_only=True)
class _Found:
    """A line before p is corrected; equal `question`s are one."""

    region: str
    score: str
    a: Summary
    b: Summary
    comparison: Comparison
    differences: Mapping[str, float]
    question: tuple[object, ...]


def compare_scores(
    a: Folds,
    b: Folds,
    shared: Collection[str],
    config: StatisticsConfig,
    *,
    thresholds: tuple[float, float],
) -> tuple[tuple[Line, ...], int]:
    """Compares all scores that both runs have.

    Args:
      a, b: The cases of the runs, fold by fold.
      shared: Ids of the cases to compare.
      config: Level, draws and seed of the intervals.
      thresholds: Of either run, that of images where other folds cannot choose one.

    Returns:
      The lines, and how many questions were tested.
    """
    detections_a, detections_b = (
        _detections(folds, shared, default)
        for folds, default in zip((a, b), thresholds, strict=True)
    )
    found = [
        *_compare_regions(a, b, shared, config),
        *_compare_values(detections_a, detections_b, config),
        *_compare_rankings(a, b, shared, config),
        *_compare_values(_references(a, shared), _references(b, shared), config),
    ]
    questions = {f.question: f.comparison.p for f in found if _is_tested(f)}
    corrected = dict(zip(questions, holm([*questions.values()]), strict=True))
    return tuple(_line(f, corrected.get(f.question)) for f in found), len(questions)


def _line(found: _Found, p: float | None) -> Line:
    return Line(
        region=found.region,
        score=found.score,
        a=found.a,
        b=found.b,
        comparison=found.comparison,
        differences=found.differences,
        p=p,
        verdict=_verdict(found.score, found.comparison, p),
    )


def _best(score: str) -> str:
    """Where good values are; all scores of the reference systems are shares."""
    if score == REFERENCE:
        return "high"
    return DEFINITIONS[score].best if score in DEFINITIONS else "none"


def _is_tested(found: _Found) -> bool:
    return _best(found.score) in ("high", "low") and not isnan(found.comparison.p)


def _compare_regions(
    a: Folds, b: Folds, shared: Collection[str], config: StatisticsConfig
) -> Iterator[_Found]:
    of_a, of_b = (
        {c.case_id: c.regions for c in sorted(_cases(run, shared), key=lambda c: c.case_id)}
        for run in (a, b)
    )
    for region, scores in compare_all(of_a, of_b, config).items():
        for score, comparison in scores.items():
            values = fill_empty(of_a, of_b, region=region, score=score)
            yield _found(region, score, values, comparison, config=config)


def _cases(folds: Folds, shared: Collection[str]) -> list[CaseScores]:
    return [case for fold in folds for case in fold if case.case_id in shared]


def _found(
    region: str,
    score: str,
    values: Sequence[Values],
    comparison: Comparison,
    *,
    config: StatisticsConfig,
) -> _Found:
    a, b = ({c: v for c, v in of_run.items() if not isnan(v)} for of_run in values)
    pairs = [(c, a[c], b[c]) for c in sorted({*a} & {*b})]
    return _Found(
        region=region,
        score=score,
        a=summarise([one for _, one, _ in pairs], config),
        b=summarise([other for _, _, other in pairs], config),
        comparison=comparison,
        differences={case_id: other - one for case_id, one, other in pairs},
        question=(score, *pairs),  # WT and WholeTumor are the same voxels: one question
    )


def _compare_values(
    a: Mapping[tuple[str, str], Values],
    b: Mapping[tuple[str, str], Values],
    config: StatisticsConfig,
) -> Iterator[_Found]:
    for region, score in a:
        if (region, score) in b:
            values = a[region, score], b[region, score]
            yield _found(region, score, values, compare_values(*values, config), config=config)


def _references(folds: Folds, shared: Collection[str]) -> dict[tuple[str, str], Values]:
    values: dict[tuple[str, str], dict[str, float]] = {}
    for case in _cases(folds, shared):
        for name, value in case.reference.items():
            if not name.endswith(_OF_THE_TRUTH):
                values.setdefault((name, REFERENCE), {})[case.case_id] = value
    return dict(values)


def _detections(
    folds: Folds, shared: Collection[str], default: float
) -> dict[tuple[str, str], Values]:
    """1 for an image that is found (`tpr`) or passed (`tnr`) as it should be at its threshold."""
    values: dict[tuple[str, str], dict[str, float]] = {}
    for fold, threshold in zip(folds, fold_thresholds(folds, default=default), strict=True):
        for case_id, image in _images(fold, shared).items():
            is_found = bool(reaches([image.score], threshold)[0])
            score = (IMAGES, "tpr" if image.defective else "tnr")
            values.setdefault(score, {})[case_id] = float(is_found == image.defective)
    return dict(values)


def _images(fold: Sequence[CaseScores], shared: Collection[str]) -> dict[str, ImageScore]:
    return {c.case_id: c.image for c in fold if c.image is not None and c.case_id in shared}


def _compare_rankings(
    a: Folds, b: Folds, shared: Collection[str], config: StatisticsConfig
) -> Iterator[_Found]:
    of_a, of_b = ([_images(fold, shared) for fold in run] for run in (a, b))
    n = sum(map(len, of_a))
    if not n or n != sum(map(len, of_b)):
        return
    for score, found in compare_rankings(of_a, of_b, config).items():
        change = Summary(n=n, n_nan=0, mean=found.b - found.a, low=found.low, high=found.high)
        yield _Found(
            region=IMAGES,
            score=score,
            a=Summary(n=n, n_nan=0, mean=found.a),
            b=Summary(n=n, n_nan=0, mean=found.b),
            comparison=Comparison(
                difference=change, unpaired=0, higher=0, lower=0, same=0, p=found.p
            ),
            differences={},
            question=(score, IMAGES),
        )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's corrected p values, in the order of the p values.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, least = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = least
    return corrected


def _verdict(score: str, comparison: Comparison, p: float | None) -> str:
    """Which run is better: the one to which mean and most of the cases point, where p is small."""
    if p is None:
        return NOT_TESTED
    if p >= LEVEL:
        return NO_DIFFERENCE
    mean = comparison.difference.mean or 0.0
    signs = {copysign(1, v) for v in (mean, comparison.higher - comparison.lower) if v}
    if len(signs) != 1:
        return "they differ"
    better_b = (signs == {1.0}) == (_best(score) == "high")
    return "B is better" if better_b else "A is better"
