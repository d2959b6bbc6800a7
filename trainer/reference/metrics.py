"""Scores as the reference systems print them, number for number: for profile `reference` only.

What is wrong with them is kept: "TumorCore" is label 1 alone, what is empty in truth and prediction
scores 0, a fold is scored in part, "IoU" is a dice. `trainer.metrics` has the scores to trust.

Shapes: X Y Z or H W space (S), K classes. Label maps are class indices, 0 the background.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from beam_preprocess.validation import require
from trainer.overlap import Overlap, dice, iou, overlap

LABELS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"TumorCore": (1,), "PeritumoralEdema": (2,), "EnhancingTumor": (3,)}
)
"""Name -> classes of a record; class 3 is BraTS label 4."""
SNAKE_CASE: Mapping[str, str] = MappingProxyType(
    {
        "TumorCore": "tumor_core",
        "PeritumoralEdema": "peritumoral_edema",
        "EnhancingTumor": "enhancing_tumor",
        "MeanDice": "mean_dice",
        "WholeTumor": "whole_tumor",
    }
)
"""Name of a score -> its name since February 2022."""
DICE_EPSILON = 1e-5
LOGIT_THRESHOLD = 0.5
"""On the logit: a probability of 1 / (1 + exp(-0.5)) = 0.6225 (Cerebras modelzoo)."""
THRESHOLDS = (0.05, 0.125, 0.25, 0.5, 0.75, 0.85, 0.95, 0.99)
"""Of probabilities, for all scores of UNet_Industrial."""
Scores = Mapping[str, float]


def to_classes(
    probability: NDArray[np.floating], rule: Literal["round", "argmax"]
) -> NDArray[np.uint8]:
    """Softmax probabilities [*S, K] -> class indices [*S].

    `round` (UNet_3D_Medical of 2020, Habana, Ascend) rounds each probability: where none is above
    1/2 no class is left, which counts as background. `argmax` is the rule of 2021.
    """
    classes = np.argmax(probability, axis=-1).astype(np.uint8)
    if rule == "argmax":
        return classes
    return np.where(np.max(probability, axis=-1) > 0.5, classes, 0).astype(np.uint8)


def crop_and_pad(
    volume: NDArray[np.generic], *, plane: tuple[int, int] = (224, 224), depth: int = 160
) -> NDArray[np.generic]:
    """The part of a volume that is evaluated: its middle in the plane, zeros after its last slice.

    240 x 240 x 155: 8 pixels are cut from each side and 5 slices added.

    Args:
      volume: [X, Y, Z] or [X, Y, Z, C], a standardised image or a label map.
      plane: Size of the middle; not above that of the volume.
      depth: Slices of the result; not below those of the volume.

    Raises:
      ValueError: The volume is smaller in the plane, or deeper.
    """
    shape = volume.shape[:3]
    fits = shape[0] >= plane[0] and shape[1] >= plane[1] and shape[2] <= depth
    require(fits, "volume", shape, f"at least {plane} in the plane and at most {depth} slices deep")
    x, y = ((size - part) // 2 for size, part in zip(shape, plane, strict=False))
    middle = volume[x : x + plane[0], y : y + plane[1]]
    padding = [(0, 0), (0, 0), (0, depth - shape[2])] + [(0, 0)] * (volume.ndim - 3)
    return np.pad(middle, padding)


def smoothed_dice(counts: Overlap, *, numerator: float, denominator: float) -> float:
    """(2 |T and P| + numerator) / (|T| + |P| + denominator)."""
    total = counts.truth + counts.prediction
    return (2 * counts.intersection + numerator) / (total + denominator)


def volume_scores(truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> dict[str, float]:
    """Dice per label, their mean, and dice of the whole tumour, of one volume.

    Args:
      truth, prediction: [X, Y, Z], after `crop_and_pad`.

    Returns:
      The names of `SNAKE_CASE` -> 0 to 1; 0 where truth and prediction are both empty.
    """

    def score(classes: Sequence[int]) -> float:
        counts = overlap(truth, prediction, classes)
        return smoothed_dice(counts, numerator=0, denominator=DICE_EPSILON)

    scores = {name: score(classes) for name, classes in LABELS.items()}
    mean = sum(scores.values()) / len(scores)
    return scores | {"MeanDice": mean, "WholeTumor": score(sum(LABELS.values(), ()))}


def mean_of_batches(
    scores: Sequence[Scores], *, batches: int, batch_size: int, drop_remainder: bool = False
) -> dict[str, float]:
    """Mean of the means of batches: a short last batch weighs as much as the others.

    The 3D references take as many batches as there are record files: 68 volumes in 17 files give 17
    volumes at batch size 1, 34 at 2, and all at 4.

    Args:
      scores: Of all cases, in the order of the files.
      batches: At most so many are taken.
      batch_size: Cases per batch.
      drop_remainder: Whether an incomplete batch is left out, as Ascend and UNet_Industrial do.

    Raises:
      ValueError: No batch is left.
    """
    starts = range(0, len(scores), batch_size)
    taken = [scores[start : start + batch_size] for start in starts][:batches]
    whole = [batch for batch in taken if not drop_remainder or len(batch) == batch_size]
    if not whole:
        raise ValueError(
            f"a batch must be there to score, {len(scores)} cases make none of {batch_size}: lower"
            " --batch_size"
        )
    names = whole[0][0]
    means = [{n: float(np.mean([case[n] for case in batch])) for n in names} for batch in whole]
    return {name: float(np.mean([mean[name] for mean in means])) for name in names}


def pixel_confusion(mask: NDArray[np.floating], logits: NDArray[np.floating]) -> NDArray[np.int64]:
    """Pixels of an image by truth (row) and prediction (column): [2, 2], to be added up.

    The mask is cut to whole numbers, so that only pixels of exactly 1 are defects, and the raw
    logit is compared with 1/2 (Cerebras modelzoo).

    Args:
      mask: [H, W], 0 to 1, with soft edges.
      logits: [H, W].
    """
    truth = mask.astype(np.int64) == 1
    positive = logits > LOGIT_THRESHOLD
    rows = [[np.sum(t & ~positive), np.sum(t & positive)] for t in (~truth, truth)]
    return np.array(rows, np.int64)


def confusion_scores(matrix: NDArray[np.int64]) -> dict[str, float]:
    """Means over defect and background of what all pixels of all images give (Cerebras modelzoo).

    A class of which a score has nothing to divide by is left out of that mean.

    Args:
      matrix: [2, 2], the sum of `pixel_confusion` over the images.
    """
    classes = [
        Overlap(
            intersection=int(matrix[c, c]),
            truth=int(matrix[c].sum()),
            prediction=int(matrix[:, c].sum()),
        )
        for c in (0, 1)
    ]
    recalls = [c.intersection / c.truth for c in classes if c.truth]
    return {
        "eval/dice_coefficient": float(np.nanmean([dice(c, empty="nan") for c in classes])),
        "eval/mean_iou": float(np.nanmean([iou(c, empty="nan") for c in classes])),
        "eval/mean_per_class_accuracy": float(np.mean(recalls)),
        "eval/accuracy": float(np.trace(matrix) / matrix.sum()),
    }


def threshold_scores(
    mask: NDArray[np.floating], probability: NDArray[np.floating]
) -> dict[str, float]:
    """`IoU_THS_0.05` ... of an image: the dice, with mask and prediction both cut at a threshold.

    Empty on both sides is 1 (NVIDIA UNet_Industrial). The reference averages over all images.

    Args:
      mask: [H, W], 0 to 1, with soft edges.
      probability: [H, W].
    """
    scores = {}
    for threshold in THRESHOLDS:
        truth, prediction = ((x > threshold).astype(np.uint8) for x in (mask, probability))
        counts = overlap(truth, prediction, [1])
        scores[f"IoU_THS_{threshold}"] = smoothed_dice(
            counts, numerator=DICE_EPSILON, denominator=DICE_EPSILON
        )
    return scores


def image_rates(mask: NDArray[np.floating], probability: NDArray[np.floating]) -> dict[str, float]:
    """Whether an image is classified rightly at each of `THRESHOLDS` (NVIDIA UNet_Industrial).

    It is found where its largest probability lies above the threshold, not at it.

    Args:
      mask: [H, W], 0 to 1, with soft edges; any pixel above 0 is a defect.
      probability: [H, W].

    Returns:
      Of a defective image `TPR_THS_0.05` ..., of another `TNR_THS_0.05` ...: 1 or 0, so that the
      means over images are TP / (TP + FN) and TN / (TN + FP), as the reference prints them.
    """
    largest, defective = np.float32(np.max(probability)), bool(np.any(mask > 0))
    kind = "TPR" if defective else "TNR"
    return {
        f"{kind}_THS_{threshold}": float((largest > np.float32(threshold)) == defective)
        for threshold in THRESHOLDS
    }
