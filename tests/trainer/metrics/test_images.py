"""Images found and missed at a threshold, and the best threshold."""

from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.metrics.images import Detection, best_threshold, detect
from trainer.reference.metrics import THRESHOLDS, image_confusion

DEFECTIVE = [True, True, False, False, False]
SCORES = [0.9, 0.4, 0.6, 0.1, 0.3]


@pytest.mark.parametrize(
    ("threshold", "tp", "fp", "tn", "fn"),
    [(0.0, 2, 3, 0, 0), (0.3, 2, 1, 2, 0), (0.5, 1, 1, 2, 1), (0.6, 1, 0, 3, 1), (0.9, 0, 0, 3, 2)],
)
def test_counts_by_hand(threshold: float, tp: int, fp: int, tn: int, fn: int) -> None:
    found = detect(DEFECTIVE, SCORES, threshold)
    assert found == Detection(threshold=threshold, tp=tp, fp=fp, tn=tn, fn=fn)
    assert found.tpr == tp / 2
    assert found.tnr == tn / 3


def test_precision_and_f1() -> None:
    found = detect(DEFECTIVE, SCORES, 0.3)
    assert (found.precision, found.f1) == (pytest.approx(2 / 3), 0.8)


def test_rates_of_nothing() -> None:
    assert isnan(detect([False], [0.2], 0.5).tpr)
    assert isnan(detect([True], [0.2], 0.5).tnr)
    assert isnan(detect([True], [0.2], 0.5).precision)
    assert detect([True], [0.2], 0.5).f1 == 0
    assert isnan(detect([False], [0.2], 0.5).f1)


def test_the_references_counts_are_the_same() -> None:
    """UNet_Industrial's table of eight thresholds is `detect` at each."""
    table = image_confusion(DEFECTIVE, SCORES)
    found = [detect(DEFECTIVE, SCORES, threshold) for threshold in THRESHOLDS]
    for name in ("tp", "fp", "tn", "fn"):
        assert table[f"Confusion_Matrix_{name.upper()}"] == [getattr(f, name) for f in found]
    assert table["TPR"] == [f.tpr for f in found]
    assert table["TNR"] == [f.tnr for f in found]


@pytest.mark.parametrize(
    ("defective", "scores", "threshold"),
    [
        # all apart: halfway between 0.4 and 0.2
        ([True, True, False, False], [0.8, 0.4, 0.2, 0.1], 0.3),
        # above 0.5 one of two and no false alarm, J = 1/2; above 0.2 both and one of three: 2/3
        (DEFECTIVE, SCORES, 0.35),
        # above 0.7 J = 1/2, above 0.3 J = 1 - 1/2: as good, and misses none
        ([True, False, True, False], [0.9, 0.5, 0.4, 0.2], 0.3),
        # turned round: to find none is as good as anything
        ([True, False], [0.1, 0.9], 0.9),
        ([True, False], [0.5, 0.5], 0.5),
    ],
)
def test_best_threshold(defective: list[bool], scores: list[float], threshold: float) -> None:
    assert best_threshold(defective, scores) == pytest.approx(threshold)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 25))
def test_no_threshold_is_better(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    truth, scores = np.arange(n) < rng.integers(1, n), rng.integers(0, 10, n) / 10
    chosen = detect(truth, scores, best_threshold(truth, scores))
    for threshold in np.arange(-0.05, 1, 0.1):
        other = detect(truth, scores, threshold)
        assert chosen.tpr + chosen.tnr >= other.tpr + other.tnr - 1e-12


@pytest.mark.parametrize("defective", [[True, True], [False, False]])
def test_a_threshold_needs_both_kinds(defective: list[bool]) -> None:
    with pytest.raises(ValueError, match=f"{sum(defective)} of 2 have one: validate on others"):
        best_threshold(defective, [0.1, 0.9])
