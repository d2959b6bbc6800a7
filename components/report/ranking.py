"""Which cases the viewer shows: best, median and worst, and those that were asked for."""

from collections.abc import Mapping, Sequence

from components.report.tables import best_of, rank_value, scores_of
from components.report.words import sort_regions
from trainer.metrics.case_scores import CaseScores
from trainer.metrics.cohort_scores import CohortScores


def ranking_score(folds: Sequence[Sequence[CaseScores]], select: str, scores: CohortScores) -> str:
    """`select` where cases have it, else the first score that they have; empty where none has one.

    Args:
      folds: The cases of every fold.
      select: `REGION/SCORE`; of images as a whole no case has one.
      scores: Of all cases.
    """
    cases = [case for fold in folds for case in fold]
    others = (
        f"{region}/{score}"
        for score in scores_of(scores)
        for region in reversed(sort_regions(scores.regions))
    )
    known = (n for n in (select, *others) if any(rank_value(c, n) is not None for c in cases))
    return next(known, "")


def rank_cases(values: Mapping[str, float], *, lowest_is_best: bool = False) -> dict[str, str]:
    """Best, median and worst case.

    Args:
      values: Case id -> score.
      lowest_is_best: Of distances and the like.

    Returns:
      Case id -> rank, best first; `median, worst` where one case is both. Of an even number of
      cases the lower middle one is the median; ties go by case id.
    """
    sign = 1 if lowest_is_best else -1
    ordered = sorted(values, key=lambda c: (sign * values[c], c))
    if not ordered:
        return {}
    ranks: dict[str, str] = {}
    for name, index in (("best", 0), ("median", len(ordered) // 2), ("worst", -1)):
        case = ordered[index]
        ranks[case] = f"{ranks[case]}, {name}" if case in ranks else name
    return ranks


def choose_cases(
    folds: Sequence[Sequence[CaseScores]], score: str, *, chosen: Sequence[str] = ()
) -> dict[str, str]:
    """Case id -> rank or `chosen`: best, median and worst by a score, then those asked for.

    Raises:
      ValueError: A case that was asked for was not scored.
    """
    cases = {case.case_id: case for fold in folds for case in fold}
    if missing := [case_id for case_id in chosen if case_id not in cases]:
        raise ValueError(
            f"--cases must name cases that the run scored, it did not score {missing[:5]}: the"
            " table of cases in the report lists them"
        )
    values = {case_id: rank_value(case, score) for case_id, case in cases.items()}
    known = {case_id: v for case_id, v in values.items() if v is not None}
    low = best_of(score.partition("/")[2]) != "high"
    ranks = rank_cases(known, lowest_is_best=low)
    for case_id in chosen:
        ranks[case_id] = f"{ranks[case_id]}, chosen" if case_id in ranks else "chosen"
    return ranks


def by_importance(ranks: Mapping[str, str]) -> list[str]:
    """Those asked for come first, then worst, best and median: the last is left out first."""
    order = ("chosen", "worst", "best", "median")
    return sorted(ranks, key=lambda c: next(i for i, r in enumerate(order) if r in ranks[c]))
