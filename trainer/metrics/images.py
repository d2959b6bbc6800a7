"""Images found and missed at a threshold, each defective or not, from one number per image.

That number is the largest probability of a pixel (`case_scores.ImageScore`). An image is found
where its number is at the threshold or above it, as a pixel is foreground. What needs no threshold
is in `ranking`; dice and IoU of the masks are in `region_scores`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_curve

from trainer.metrics.ranking import image_arrays


@dataclass(frozen=True, kw_only=True)
class Detection:
    """Images found and missed at a threshold.

    Attributes:
      threshold: Images are found from this probability on.
      chosen: Whether the threshold was chosen for these images, and is not one of the table's.
      tp, fn: Defective images found and missed.
      tn, fp: Images without defect that were passed, and found.
      tpr: TP / (TP + FN), the recall; None without defective images.
      tnr: TN / (TN + FP); None where all images are defective.
    """

    threshold: float
    chosen: bool
    tp: int
    fn: int
    tn: int
    fp: int
    tpr: float | None
    tnr: float | None


def count_found(
    defective: NDArray[np.bool_], found: NDArray[np.bool_], *, threshold: float, chosen: bool
) -> Detection:
    """Counts images.

    Args:
      defective: Truth [N].
      found: What is said of them [N].
      threshold, chosen: See `Detection`.
    """
    tp, fn = int(np.sum(defective & found)), int(np.sum(defective & ~found))
    tn, fp = int(np.sum(~defective & ~found)), int(np.sum(~defective & found))
    return Detection(
        threshold=threshold,
        chosen=chosen,
        tp=tp,
        fn=fn,
        tn=tn,
        fp=fp,
        tpr=tp / (tp + fn) if tp + fn else None,
        tnr=tn / (tn + fp) if tn + fp else None,
    )


def reaches(probabilities: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """Which probabilities, of pixels or of images, are at the threshold or above it.

    In float32, as the served graph decides which pixels are foreground: so the images that are
    found at `inference.threshold` are those with a pixel of foreground.
    """
    return np.asarray(probabilities, np.float32) >= np.float32(threshold)


def best_threshold(defective: Sequence[bool], scores: Sequence[float]) -> float:
    """The threshold with the largest TPR + TNR - 1 (Youden 1950), for images of the validation.

    Youden's index does not depend on how many images are defective, as the F1 score does; in a
    factory that is another share than in a data set. The threshold lies halfway between two numbers
    of images, or is the lowest where all are to be found; of several that are as good the lowest is
    taken, which misses no more defects.

    Raises:
      ValueError: All images are defective, or none is.
    """
    truth, values = image_arrays(defective, scores)
    if truth.all() or not truth.any():
        raise ValueError(
            "a threshold needs images with and without a defect to be chosen by,"
            f" {int(truth.sum())} of {len(truth)} have one: validate on others"
        )
    fpr, tpr, at_least = roc_curve(truth, values.astype(np.float32), drop_intermediate=False)
    index = tpr - fpr  # of finding none first, of finding all last: 0 both
    best = len(index) - 1 - int(np.argmax(index[::-1]))
    lowest_found, highest_passed = at_least[best], at_least[best + 1 : best + 2]
    halfway = float(np.mean([lowest_found, *highest_passed], dtype=np.float64))
    # there may be no float32 between the two
    return float(lowest_found) if np.any(reaches(highest_passed, halfway)) else halfway
