"""AUROC and average precision of two runs over the same images."""

import pytest

from trainer.metrics.case_scores import ImageScore
from trainer.metrics.cohort_images import summarise_images
from trainer.metrics.config import StatisticsConfig
from trainer.metrics.image_comparison import compare_rankings

CONFIG = StatisticsConfig(resamples=200)


def fold(prefix: str, clean: list[float], defective: list[float]) -> dict[str, ImageScore]:
    scored = [(s, False) for s in clean] + [(s, True) for s in defective]
    return {f"{prefix}{i}": ImageScore(score=s, defective=d) for i, (s, d) in enumerate(scored)}


A = [fold("x", [0.1, 0.6], [0.4, 0.9]), fold("y", [0.2, 0.3, 0.5], [0.4])]
B = [fold("x", [0.1, 0.2], [0.4, 0.9]), fold("y", [0.2, 0.3, 0.5], [0.6])]


def test_scores_are_those_of_either_run_by_itself() -> None:
    """Fold x: 3 of 4 pairs in order, fold y: 2 of 3; weighed by 4 and 4 images."""
    found = compare_rankings(A, B, CONFIG)
    assert (found["auroc"].a, found["auroc"].b) == (pytest.approx((3 / 4 + 2 / 3) / 2), 1.0)
    for run, name in ((A, "a"), (B, "b")):
        alone = summarise_images([[*f.values()] for f in run], [0.5, 0.5], CONFIG)
        for score in ("auroc", "average_precision"):
            assert getattr(found[score], name) == pytest.approx(alone[score].mean)


def test_same_run_differs_in_no_draw() -> None:
    for score in compare_rankings(A, A, CONFIG).values():
        assert (score.low, score.high, score.p) == (0.0, 0.0, 1.0)


def test_exchanged_runs_exchange_the_sign() -> None:
    one, other = (compare_rankings(*runs, CONFIG)["auroc"] for runs in ((A, B), (B, A)))
    assert (one.low, one.high, one.p) == pytest.approx((-other.high, -other.low, other.p))


def test_a_difference_in_every_draw_has_the_smallest_p() -> None:
    wrong = [fold("x", [0.8, 0.9], [0.1, 0.2])]
    right = [fold("x", [0.1, 0.2], [0.8, 0.9])]
    found = compare_rankings(wrong, right, CONFIG)["auroc"]
    assert (found.a, found.b, found.low, found.high) == (0.0, 1.0, 1.0, 1.0)
    assert found.p == pytest.approx(2 / 201)


def test_other_folds_in_the_other_run() -> None:
    """Each run ranks its own folds; the draws are of the same images all the same."""
    together = [A[0] | A[1]]
    found = compare_rankings(A, together, CONFIG)["auroc"]
    # as one fold: 0.4, 0.9, 0.4 against 0.1, 0.6, 0.2, 0.3, 0.5: 3 + 5 + 3 of 15 pairs
    assert found.b == pytest.approx(11 / 15)
    assert found.low < found.b - found.a < found.high


def test_images_of_one_kind_have_no_ranking() -> None:
    clean = [fold("x", [0.1, 0.2], [])]
    assert compare_rankings(clean, clean, CONFIG) == {}
