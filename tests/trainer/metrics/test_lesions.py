"""Lesions of BraTS 2023, worked out by hand; and against a slow second reading of the rules."""

from itertools import product
from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.metrics.config import MetricsConfig
from trainer.metrics.lesions import LesionScores, lesion_scores
from trainer.metrics.surfaces import hd95

CONFIG = MetricsConfig()
SHAPE = (40, 12, 12)
NOTHING = np.zeros(SHAPE, bool)


def block(x: int, *, size: tuple[int, int, int] = (4, 4, 4), y: int = 4, z: int = 4) -> np.ndarray:
    """A box that starts at (x, y, z): 64 voxels, and so 64 mm^3 that count, by default."""
    mask = NOTHING.copy()
    mask[x : x + size[0], y : y + size[1], z : z + size[2]] = True
    return mask


def score(truth, prediction, *, spacing=(1, 1, 1), empty="brats", config=CONFIG) -> LesionScores:
    return lesion_scores(truth, prediction, spacing=spacing, empty=empty, config=config)


def counts(scores: LesionScores) -> tuple[int, int, int, int]:
    return scores.found, scores.missed, scores.ignored, scores.false


def test_two_lesions_one_found_in_half_one_missed_one_false() -> None:
    """Lesions at x 2-5 and 20-23; predicted 4-5 of the first (dice 2*32/96) and one voxel at 35.

    Half of the first lesion's surface is up to 2 mm away. Three things count.
    """
    truth = block(2) | block(20)
    prediction = block(4, size=(2, 4, 4)) | block(35, size=(1, 1, 1))
    scores = score(truth, prediction)
    assert scores.dice == pytest.approx((2 / 3 + 0 + 0) / 3)
    assert scores.hd95 == pytest.approx((2 + 374 + 374) / 3)
    assert counts(scores) == (1, 1, 0, 1)
    first, second = scores.lesions
    assert (first.volume_mm3, first.found) == (64, True)
    assert (first.dice, first.hd95) == (pytest.approx(2 / 3), 2.0)
    assert (second.found, second.dice, second.hd95) == (False, 0.0, 374.0)


@pytest.mark.parametrize(("gap", "lesions"), [(1, 1), (6, 1), (7, 2)])
def test_close_lesions_are_one(gap: int, lesions: int) -> None:
    """Each grows by three voxels: across a gap of six the two then touch, of seven they do not."""
    truth = block(2) | block(6 + gap)
    assert len(score(truth, NOTHING).lesions) == lesions
    dilated_once = MetricsConfig(lesion_dilation=1)
    assert len(score(truth, NOTHING, config=dilated_once).lesions) == (1 if gap <= 2 else 2)


def test_joined_lesions_are_compared_as_one() -> None:
    """Only one of two lesions that are 2 apart is predicted: dice 2*64/(128+64), not (1+0)/2."""
    scores = score(block(2) | block(8), block(2))
    assert scores.dice == pytest.approx(2 / 3)
    assert counts(scores) == (1, 0, 0, 0)


def test_the_truth_is_not_dilated_for_its_dice() -> None:
    assert score(block(8), block(8)).dice == 1.0
    assert score(block(8), block(8)).lesions[0].volume_mm3 == 64


@pytest.mark.parametrize(("distance", "found"), [(0, 1), (2, 1), (3, 0)])
def test_a_prediction_beside_a_lesion_has_found_it(distance: int, found: int) -> None:
    """Voxels 2-5 grow to 8: a prediction from 6 + distance on touches that up to distance 2.

    It shares no voxel, so that dice is 0; but HD95 is finite, and it is no false lesion.
    """
    scores = score(block(2), block(6 + distance))
    assert counts(scores) == ((1, 0, 0, 0) if found else (0, 1, 0, 1))
    assert scores.dice == 0.0
    assert scores.hd95 == (4.0 + distance if found else 374.0)


def test_all_components_near_a_lesion_are_one_prediction() -> None:
    """Of a lesion x 2-11 the first and last three slices: 2*96/(160+96)."""
    truth = block(2, size=(10, 4, 4))
    prediction = block(2, size=(3, 4, 4)) | block(9, size=(3, 4, 4))
    scores = score(truth, prediction)
    assert scores.dice == pytest.approx(192 / 256)
    assert counts(scores) == (1, 0, 0, 0)


def test_one_component_is_compared_with_each_lesion_that_it_touches() -> None:
    """A bar x 2-27 over lesions 2-5 and 24-27: each has 2*64/(64+416)."""
    scores = score(block(2) | block(24), block(2, size=(26, 4, 4)))
    assert scores.dice == pytest.approx(128 / 480)
    assert counts(scores) == (2, 0, 0, 0)


@pytest.mark.parametrize(("voxels", "counted"), [(49, False), (50, False), (51, True)])
def test_up_to_50_mm3_a_lesion_does_not_count(voxels: int, counted: bool) -> None:
    truth = block(2, size=(7, 7, 1))
    truth[2:4, 2, 4] = [voxels > 49, voxels > 50]
    assert np.count_nonzero(truth) == voxels
    scores = score(truth, NOTHING)
    assert counts(scores) == ((0, 1, 0, 0) if counted else (0, 0, 1, 0))
    assert (scores.dice, scores.hd95) == ((0.0, 374.0) if counted else (1.0, 0.0))


def test_the_volume_is_measured_in_mm3() -> None:
    eight = block(2, size=(2, 2, 2))
    assert score(eight, NOTHING).ignored == 1
    assert score(eight, NOTHING, spacing=(2, 2, 2)).missed == 1  # 64 mm^3
    assert score(block(2), NOTHING, spacing=(0.5, 1, 1)).ignored == 1  # 32 mm^3


def test_what_an_ignored_lesion_has_found_is_not_false() -> None:
    """Neither does it count with the dice that it has."""
    speck = block(30, size=(2, 2, 2))
    scores = score(block(2) | speck, block(2) | speck)
    assert counts(scores) == (1, 0, 1, 0)
    assert (scores.dice, scores.hd95) == (1.0, 0.0)


def test_a_false_lesion_counts_however_small() -> None:
    scores = score(block(2), block(2) | block(30, size=(1, 1, 1)))
    assert counts(scores) == (1, 0, 0, 1)
    assert (scores.dice, scores.hd95) == (0.5, 187.0)


def test_voxels_that_share_a_corner_are_one_component() -> None:
    corner = block(30, size=(1, 1, 1)) | block(31, size=(1, 1, 1), y=5, z=5)
    assert score(NOTHING, corner).false == 1


def test_dilation_leaves_the_corners_out() -> None:
    """Once, a voxel grows to 19 of 27: one beside its corner (1, 1, 1) is reached by an edge.

    A prediction at (1, 1, 1) is no neighbour of 18, at (1, 1, 0) it is.
    """
    once = MetricsConfig(lesion_dilation=1, lesion_ignored_mm3=0)
    truth = block(10, size=(1, 1, 1))
    assert score(truth, block(11, size=(1, 1, 1), y=5, z=5), config=once).false == 1
    assert score(truth, block(11, size=(1, 1, 1), y=5), config=once).found == 1


def test_nothing_to_score_is_up_to_the_policy() -> None:
    for truth in (NOTHING, block(2, size=(2, 2, 2))):  # without a lesion, and with an ignored one
        brats, reference = (score(truth, NOTHING, empty=e) for e in ("brats", "reference"))
        assert (brats.dice, brats.hd95) == (1.0, 0.0)
        assert (reference.dice, reference.hd95) == (0.0, 374.0)
        none = score(truth, NOTHING, empty="nan")
        assert isnan(none.dice) and isnan(none.hd95)


@pytest.mark.parametrize("empty", ["brats", "nan", "reference"])
def test_one_empty_is_the_worst_whatever_the_policy(empty: str) -> None:
    for truth, prediction in ((block(2), NOTHING), (NOTHING, block(2))):
        scores = score(truth, prediction, empty=empty)
        assert (scores.dice, scores.hd95) == (0.0, 374.0)


def test_one_lesion_scores_as_the_region_does() -> None:
    truth, prediction = block(8), block(9, size=(5, 4, 3))
    scores = score(truth, prediction, spacing=(1, 2, 1))
    assert scores.dice == pytest.approx(2 * 36 / (64 + 60))
    assert scores.hd95 == hd95(truth, prediction, (1, 2, 1))


# A second reading of the announcement, voxel by voxel, without SciPy.

NEIGHBOURS = [n for n in product((-1, 0, 1), repeat=3) if any(n)]
NEAR = [n for n in NEIGHBOURS if 0 in n]
Voxels = frozenset[tuple[int, ...]]


def grow(voxels: Voxels, shape: tuple[int, ...], times: int) -> Voxels:
    for _ in range(times):
        beside = {tuple(np.add(v, n).tolist()) for v in voxels for n in NEAR}
        inside = {v for v in beside if all(0 <= c < s for c, s in zip(v, shape, strict=True))}
        voxels = voxels | inside
    return frozenset(voxels)


def components_of(voxels: Voxels) -> list[Voxels]:
    left, found = set(voxels), []
    while left:
        front, part = [left.pop()], set()
        while front:
            voxel = front.pop()
            part.add(voxel)
            beside = {tuple(np.add(voxel, n).tolist()) for n in NEIGHBOURS} & left
            left -= beside
            front.extend(beside)
        found.append(frozenset(part))
    return found


def by_the_rules(truth: np.ndarray, prediction: np.ndarray, config: MetricsConfig):
    """Dice, HD95 and counts as the announcement has them, each lesion dilated by itself."""
    t, p = (frozenset(map(tuple, np.argwhere(m).tolist())) for m in (truth, prediction))
    parts, claimed, scores, ignored = components_of(p), set(), [], 0
    for extent in components_of(grow(t, truth.shape, config.lesion_dilation)):
        lesion = extent & t
        reach = grow(lesion, truth.shape, config.lesion_dilation)
        touched = [part for part in parts if part & reach]
        claimed |= set(touched)
        if len(lesion) <= config.lesion_ignored_mm3:
            ignored += 1
            continue
        together = frozenset().union(*touched)
        masks = np.zeros((2, *truth.shape), bool)
        for mask, voxels in zip(masks, (lesion, together), strict=True):
            mask[tuple(np.array(sorted(voxels), int).reshape(-1, 3).T)] = True
        dice = 2 * len(lesion & together) / (len(lesion) + len(together))
        scores.append((dice, hd95(*masks, (1, 1, 1)) if together else 374.0, bool(together)))
    false = len(set(parts) - claimed)
    n = len(scores) + false
    dice = sum(s[0] for s in scores) / n if n else 1.0
    distance = (sum(s[1] for s in scores) + 374 * false) / n if n else 0.0
    found = sum(s[2] for s in scores)
    return dice, distance, (found, len(scores) - found, ignored, false)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), dilation=st.integers(1, 3), ignored=st.sampled_from([0, 2, 4]))
def test_agrees_with_the_second_reading(seed: int, dilation: int, ignored: int) -> None:
    """Sparse boxes in a small grid, some at its edge."""
    rng = np.random.default_rng(seed)
    truth, prediction = np.zeros((2, 14, 9, 7), bool)
    for mask in (truth, prediction, truth, prediction):
        x, y, z = (int(rng.integers(0, n)) for n in mask.shape)
        mask[x : x + 2, y : y + 2, z : z + int(rng.integers(1, 3))] = True
    config = MetricsConfig(lesion_dilation=dilation, lesion_ignored_mm3=ignored)
    dice, distance, expected = by_the_rules(truth, prediction, config)
    scores = score(truth, prediction, config=config)
    assert counts(scores) == expected
    assert (scores.dice, scores.hd95) == pytest.approx((dice, distance))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_truth_as_prediction_is_perfect(seed: int) -> None:
    truth = np.random.default_rng(seed).random((12, 12, 6)) < 0.3
    scores = score(truth, truth.copy())
    assert (scores.dice, scores.hd95, scores.missed, scores.false) == (1.0, 0.0, 0, 0)
