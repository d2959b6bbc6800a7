"""Images found and missed at a threshold, each defective or not, from one number per image.

That number is the largest probability of a pixel (`case_scores.ImageScore`). An image is found
where its number lies above the threshold. What needs no threshold is in `ranking`; dice and IoU of
the masks are in `region_scores`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from trainer.metrics.ranking import image_arrays


@dataclass(frozen=True, kw_only=True)
class Detection:
    """Images found and missed at a threshold.

    Attributes:
      threshold: An image is found above it, not at it.
      tp, fn: Defective images found and missed.
      tn, fp: Images without defect that were passed, and found.
    """

    threshold: float
    tp: int
    fp: int
    tn: int
    fn: int

    @property
    def tpr(self) -> float:
        """TP / (TP + FN), the recall; NaN without defective images."""
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else nan

    @property
    def tnr(self) -> float:
        """TN / (TN + FP); NaN where all images are defective."""
        return self.tn / (self.tn + self.fp) if self.tn + self.fp else nan

    @property
    def precision(self) -> float:
        """TP / (TP + FP); NaN where nothing is found."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else nan

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); NaN where nothing is found and nothing defective."""
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else nan


def detect(defective: Sequence[bool], scores: Sequence[float], threshold: float) -> Detection:
    """Counts images above a threshold and not above it. Arguments as of `ranking.image_scores`."""
    truth, _ = image_arrays(defective, scores)
    found = found_images(scores, threshold)
    return Detection(
        threshold=float(threshold),
        tp=int(np.sum(truth & found)),
        fp=int(np.sum(~truth & found)),
        tn=int(np.sum(~truth & ~found)),
        fn=int(np.sum(truth & ~found)),
    )


def found_images(scores: Sequence[float], threshold: float) -> NDArray[np.bool_]:
    """Which images [N] are found: those above the threshold, not those at it."""
    return np.asarray(scores, np.float64) > threshold


def best_threshold(defective: Sequence[bool], scores: Sequence[float]) -> float:
    """The threshold with the largest TPR + TNR - 1 (Youden 1950), for images of the validation.

    Youden's index does not depend on how many images are defective, as the F1 score does; in a
    factory that is another share than in a data set. The threshold lies halfway between two numbers
    of images; of several that are as good the lowest is taken, which misses no more defects.

    Raises:
      ValueError: All images are defective, or none is.
    """
    truth, values = image_arrays(defective, scores)
    if truth.all() or not truth.any():
        raise ValueError(
            "a threshold needs images with and without a defect to be chosen by,"
            f" {int(truth.sum())} of {len(truth)} have one: validate on others"
        )
    fpr, tpr, at_least = roc_curve(truth, values, drop_intermediate=False)
    index = (tpr - fpr)[:-1]  # the last finds all images
    best = len(index) - 1 - int(np.argmax(index[::-1]))
    if best == 0:  # finds none: at_least is infinite
        return float(at_least[1])
    return float(at_least[best] + at_least[best + 1]) / 2
