"""Hard scores of one case by label and region, and what many cases give together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from beam_preprocess.case import DatasetInfo
from trainer.overlap import Overlap, dice, iou, overlap


@dataclass(frozen=True, kw_only=True)
class Row:
    """One score of one case, with the counts behind it.

    Attributes:
      case_id, stratum: Of the case.
      metric: Name of the score.
      value: The score; NaN where the case has none.
      intersection, truth, prediction: Voxel counts; -1 where the score is no ratio of counts.
    """

    case_id: str
    stratum: str
    metric: str
    value: float
    intersection: int = -1
    truth: int = -1
    prediction: int = -1


def score_regions(
    truth: NDArray[np.uint8], prediction: NDArray[np.uint8], info: DatasetInfo, *, empty: str
) -> dict[str, tuple[float, Overlap | None]]:
    """Dice per label (under the names of the references), their mean, and dice per region.

    Args:
      truth, prediction: Label values of one case.
      info: Labels and regions of the dataset.
      empty: Key of `overlap.EMPTY_SCORES`.

    Returns:
      Metric name -> (value, counts or None).
    """
    groups = {name: (value,) for value, name in info.label_names.items()}
    counts = {n: overlap(truth, prediction, v) for n, v in (groups | info.regions).items()}
    scores = {name: (dice(c, empty=empty), c) for name, c in counts.items()}
    mean = float(np.mean([scores[name][0] for name in groups]))
    return scores | {"MeanDice": (mean, None)}


def score_defects(
    truth: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    probability: NDArray[np.float32],
    *,
    empty: str,
) -> dict[str, tuple[float, Overlap | None]]:
    """Score of the image (its largest pixel probability), and dice and IoU where it is defective.

    Args:
      truth, prediction: Masks [H, W], not 0 where defective.
      probability: float32 [H, W].
      empty: Key of `overlap.EMPTY_SCORES`.

    Returns:
      Metric name -> (value, counts or None).
    """
    counts = overlap(truth != 0, prediction != 0, [1])
    scores: dict[str, tuple[float, Overlap | None]] = {
        "image_score": (float(probability.max()), counts)
    }
    if not counts.truth:
        return scores
    return scores | {
        "defect_dice": (dice(counts, empty=empty), counts),
        "defect_iou": (iou(counts, empty=empty), counts),
    }


def aggregate(rows: Sequence[Row]) -> dict[str, dict[str, float | int | None]]:
    """Mean, population standard deviation and number of the scores of every metric, NaN left out.

    `image_score` rows become `image_auroc`: the area under the receiver operating characteristic
    of the image scores, None where all images are defective or none is. It is one number of all
    images, so that it has no deviation: None.
    """
    values: dict[str, list[float]] = {}
    for row in rows:
        values.setdefault(row.metric, []).append(row.value)
    values.pop("image_score", None)
    result = {name: summarise(v) for name, v in values.items()}
    images = [r for r in rows if r.metric == "image_score"]
    return result | ({"image_auroc": _auroc(images)} if images else {})


def score_names(info: DatasetInfo) -> list[str]:
    """The names of the scores that `aggregate` gives for cases of a dataset."""
    if info.task == "defects":
        return ["defect_dice", "defect_iou", "image_auroc"]
    return [*info.label_names.values(), *info.regions, "MeanDice"]


def summarise(values: Sequence[float]) -> dict[str, float | int | None]:
    """`mean`, `std` (population) and `n` of the values but NaN; None, None and 0 of none."""
    finite = [v for v in values if not np.isnan(v)]
    if not finite:
        return {"mean": None, "std": None, "n": 0}
    return {"mean": float(np.mean(finite)), "std": float(np.std(finite)), "n": len(finite)}


def _auroc(images: Sequence[Row]) -> dict[str, float | int | None]:
    defective = [row.truth > 0 for row in images]
    if len(set(defective)) < 2:
        return {"mean": None, "std": None, "n": len(images)}
    area = float(roc_auc_score(defective, [row.value for row in images]))
    return {"mean": area, "std": None, "n": len(images)}
