"""Two runs compared case by case, by hand."""

from math import isnan, nan

import numpy as np
import pytest

from trainer.metrics.comparison import compare, compare_all, signed_rank
from trainer.metrics.config import StatisticsConfig
from trainer.metrics.region_scores import RegionScores
from trainer.overlap import Overlap

CONFIG = StatisticsConfig(resamples=200)
COUNTS = Overlap(intersection=1, truth=1, prediction=1)


def run(*dice: float, region: str = "WT", score: str = "dice"):
    return {
        f"case-{n}": {region: RegionScores(counts=COUNTS, values={score: value})}
        for n, value in enumerate(dice)
    }


def test_by_hand() -> None:
    """B - A: 1, 2, -3, 0; two of none are no pair, and A's last case neither."""
    a, b = run(1, 2, 3, 4, nan, 6), run(2, 4, 0, 4, nan)
    found = compare(a, b, CONFIG, region="WT", score="dice")
    assert found.difference.mean == 0
    assert found.difference.median == 0.5
    assert (found.difference.n, found.rightly_empty, found.unpaired) == (4, 0, 1)
    assert (found.higher, found.lower, found.same) == (2, 1, 1)
    # ranks 1, 2 against 3: as even as can be
    assert found.p == 1.0


@pytest.mark.parametrize(("score", "worst", "mean"), [("dice", 0.0, -0.5), ("hd95", 374.0, 187.0)])
def test_what_is_rightly_empty_in_one_run_alone_is_the_best(
    score: str, worst: float, mean: float
) -> None:
    """B finds something in the second case, where nothing is: it has the worst value, A none."""
    a, b = run(0.5, nan, nan, score=score), run(0.5, worst, nan, score=score)
    found = compare(a, b, CONFIG, region="WT", score=score)
    assert (found.difference.mean, found.difference.n) == (mean, 2)
    assert (found.rightly_empty, found.unpaired) == (1, 0)
    back = compare(b, a, CONFIG, region="WT", score=score)
    assert (back.difference.mean, back.rightly_empty) == (-mean, 1)


def test_relative_volumes_have_no_best_value() -> None:
    """Without a truth they have none, whatever is predicted."""
    sides = (run(nan, 0.5, score="volume_difference"), run(0.25, 0.25, score="volume_difference"))
    found = compare(*sides, CONFIG, region="WT", score="volume_difference")
    assert (found.difference.n, found.rightly_empty, found.unpaired) == (1, 0, 1)


def test_the_other_way_round() -> None:
    a, b = run(0.1, 0.5, 0.3), run(0.4, 0.9, 0.2)
    there, back = (compare(*r, CONFIG, region="WT", score="dice") for r in ((a, b), (b, a)))
    assert there.difference.mean == pytest.approx(-back.difference.mean)
    assert (there.higher, there.lower) == (back.lower, back.higher) == (2, 1)
    assert there.p == back.p


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        # all of n signs alike: 2 of 2^n
        ([1, 2, 3, 4, 5], 2 / 32),
        ([-1, -2, -3, -4, -5, -6], 2 / 64),
        # negative rank sums of 0 or 1, and the same on the other side: 4 of 32
        ([-1, 2, 3, 4, 5], 4 / 32),
        # zeros are left out
        ([0, 1, 2, 3, 4, 5, 0], 2 / 32),
        ([0, 0, 0], 1.0),
    ],
)
def test_signed_ranks(differences: list[float], p: float) -> None:
    assert signed_rank(np.array(differences, float)) == pytest.approx(p)


def test_many_cases_that_are_a_little_better() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(60)
    better = first + rng.normal(0.05, 0.05, 60)
    found = compare(run(*first), run(*better), CONFIG, region="WT", score="dice")
    assert found.p < 1e-4
    assert 0 < found.difference.low < found.difference.mean < found.difference.high
    same = compare(run(*first), run(*first), CONFIG, region="WT", score="dice")
    assert (same.p, same.same, same.difference.high) == (1.0, 60, 0.0)


def test_without_a_pair() -> None:
    found = compare(run(1.0), {}, CONFIG, region="WT", score="dice")
    assert (found.difference.n, found.unpaired) == (0, 1)
    assert isnan(found.p)


def test_all_that_both_have() -> None:
    a = {"case-0": run(1)["case-0"] | run(2, region="ET")["case-0"], "case-1": run(1)["case-0"]}
    b = {"case-0": run(3)["case-0"] | run(2, region="TC")["case-0"], "case-1": run(1)["case-0"]}
    found = compare_all(a, b, CONFIG)
    assert {name: list(scores) for name, scores in found.items()} == {"WT": ["dice"]}
    assert found["WT"]["dice"].difference.mean == 1
    assert compare_all(a, run(1, score="hd95"), CONFIG) == {"WT": {}}
