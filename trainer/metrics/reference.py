"""The "IoU" of NVIDIA's UNet_Industrial (profile `reference`), and what it is worth.

It is the dice, over all images, most of which have no defect and score 1 with nothing predicted.
So the score of a prediction that is always empty stands beside it, and that of the defective
images alone. In class 1 of DAGM 504 of 575 images have no defect: the always-empty prediction
scores 0.877, and who scores 0.975 has 0.80 on the defective ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

from trainer.reference.metrics import threshold_scores


@dataclass(frozen=True, kw_only=True)
class IndustrialScores:
    """The scores of one image.

    Attributes:
      defective: Whether any pixel of the mask is above 0.
      values: `IoU_THS_0.05` ... -> score.
      always_empty: The same of a prediction without any defect.
    """

    defective: bool
    values: dict[str, float]
    always_empty: dict[str, float]


def industrial_scores(
    mask: NDArray[np.floating], probability: NDArray[np.floating]
) -> IndustrialScores:
    """Scores one image as the reference does.

    Args:
      mask: [H, W], 0 to 1, with soft edges.
      probability: [H, W].
    """
    return IndustrialScores(
        defective=bool(np.any(mask > 0)),
        values=threshold_scores(mask, probability),
        always_empty=threshold_scores(mask, np.zeros_like(mask)),
    )


def industrial_means(images: Sequence[IndustrialScores]) -> dict[str, dict[str, float]]:
    """Means over images, per threshold.

    The reference leaves out the last incomplete batch; see `trainer.reference.metrics`'s
    `mean_of_batches` for that. Here all images count.

    Returns:
      `IoU_THS_0.05` ... -> `mean` over all images, `always_empty`: the same of a prediction without
      any defect, and `defective`: mean over the defective images, NaN without any.
    """
    names = images[0].values if images else {}
    return {
        name: {
            "mean": float(np.mean([i.values[name] for i in images])),
            "always_empty": float(np.mean([i.always_empty[name] for i in images])),
            "defective": _mean([i.values[name] for i in images if i.defective]),
        }
        for name in names
    }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else nan
