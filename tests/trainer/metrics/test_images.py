"""Images found and missed at a threshold, and the best threshold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.metrics.images import Detection, best_threshold, count_found, reaches

DEFECTIVE = [True, True, False, False, False]
SCORES = [0.9, 0.4, 0.6, 0.1, 0.3]


def detect(defective, scores, threshold: float) -> Detection:
    found = reaches(scores, threshold)
    return count_found(np.array(defective, bool), found, threshold=threshold, chosen=False)


@pytest.mark.parametrize(
    ("threshold", "tp", "fp", "tn", "fn"),
    [
        (0.0, 2, 3, 0, 0),
        (0.3, 2, 2, 1, 0),
        (0.5, 1, 1, 2, 1),
        (0.9, 1, 0, 3, 1),
        (0.95, 0, 0, 3, 2),
    ],
)
def test_counts_by_hand(threshold: float, tp: int, fp: int, tn: int, fn: int) -> None:
    found = detect(DEFECTIVE, SCORES, threshold)
    assert (found.tp, found.fp, found.tn, found.fn) == (tp, fp, tn, fn)
    assert (found.tpr, found.tnr) == (tp / 2, tn / 3)


def test_rates_of_nothing() -> None:
    assert detect([False], [0.2], 0.5).tpr is None
    assert detect([True], [0.2], 0.5).tnr is None


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.5, 0.95, 0.99])
def test_what_is_at_the_threshold_is_found_as_a_pixel_is(threshold: float) -> None:
    """In float32: 0.95 lies above its nearest float32, which a pixel may well have."""
    from trainer.inference.classes import to_classes

    just = np.float32(threshold)
    values = np.array([np.nextafter(just, np.float32(0)), just, np.nextafter(just, np.float32(1))])
    assert reaches(values.tolist(), threshold).tolist() == [False, True, True]
    assert to_classes(values[:, np.newaxis], threshold=threshold).numpy().tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("defective", "scores", "threshold"),
    [
        # all apart: halfway between 0.4 and 0.2
        ([True, True, False, False], [0.8, 0.4, 0.2, 0.1], 0.3),
        # from 0.9 on one of two and no false alarm, J = 1/2; from 0.4 on both and one of three: 2/3
        (DEFECTIVE, SCORES, 0.35),
        # from 0.9 on J = 1/2, from 0.4 on J = 1 - 1/2: as good, and misses none
        ([True, False, True, False], [0.9, 0.5, 0.4, 0.2], 0.3),
        # turned round: to find all is as good as anything
        ([True, False], [0.1, 0.9], 0.1),
        ([True, False], [0.5, 0.5], 0.5),
    ],
)
def test_best_threshold(defective: list[bool], scores: list[float], threshold: float) -> None:
    assert best_threshold(defective, scores) == pytest.approx(threshold)


@pytest.mark.parametrize("low", [0.5, np.nextafter(np.float32(0.5), np.float32(1))])
def test_numbers_that_nothing_lies_between(low: float) -> None:
    """Halfway is rounded to the even one of two float32, which is once the lower one."""
    high = float(np.nextafter(np.float32(low), np.float32(1)))
    found = detect([True, False], [high, low], best_threshold([True, False], [high, low]))
    assert (found.tpr, found.tnr) == (1, 1)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 25))
def test_no_threshold_is_better(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    truth, scores = np.arange(n) < rng.integers(1, n), rng.integers(0, 10, n) / 10
    chosen = detect(truth, scores, best_threshold(truth, scores))
    assert chosen.tpr is not None and chosen.tnr is not None
    for threshold in np.arange(-0.05, 1, 0.1):
        other = detect(truth, scores, threshold)
        assert other.tpr is not None and other.tnr is not None
        assert chosen.tpr + chosen.tnr >= other.tpr + other.tnr - 1e-12


@pytest.mark.parametrize("defective", [[True, True], [False, False]])
def test_a_threshold_needs_both_kinds(defective: list[bool]) -> None:
    with pytest.raises(ValueError, match=f"{sum(defective)} of 2 have one: validate on others"):
        best_threshold(defective, [0.1, 0.9])
