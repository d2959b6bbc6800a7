"""Scores of a case as the references compute them (profile `reference`), and what they are worth.

Of brain scans: dice per label of what rounding leaves of the probabilities, in the part of the scan
that the references evaluate. Of photographs: the "IoU" of NVIDIA's UNet_Industrial.

That "IoU" is the dice, over all images, most of which have no defect and score 1 with nothing
predicted. So the score of a prediction that is always empty stands beside it, and that of the
defective images alone. In class 1 of DAGM 504 of 575 images have no defect: the always-empty
prediction scores 0.877, and who scores 0.975 has 0.80 on the defective ones.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from beam_preprocess.case import DatasetInfo
from beam_preprocess.crop import Box, uncrop
from trainer.reference.metrics import (
    LABELS,
    crop_and_pad,
    image_rates,
    threshold_scores,
    to_classes,
    volume_scores,
)

PLANE, DEPTH = 224, 160
"""What the references evaluate of a scan: the middle of so many voxels, and so many slices."""


def reference_scores(
    truth: NDArray[np.uint8],
    probabilities: NDArray[np.float32],
    info: DatasetInfo,
    *,
    box: Box,
    full_shape: Sequence[int],
) -> dict[str, float]:
    """Scores a case as the reference of its dataset does.

    The probabilities are those of the served model. The references show the network the middle of
    the scan in one piece too, with other probabilities: that is `python -m trainer --profile
    reference`, which also takes their means of batches.

    Args:
      truth: Label values [*crop].
      probabilities: [*crop, K], softmax or the sigmoid of one logit.
      info: The dataset.
      box, full_shape: Where the crop lies in the full grid.

    Returns:
      Scans with the labels of BraTS: `TumorCore` ... `WholeTumor`, see `volume_scores`. Photographs
      with defects: `IoU_THS_0.05` ..., `IoU_THS_0.05_always_empty` ..., the same of a prediction
      without any defect, and of defective ones `IoU_THS_0.05_defective` ..., so that there is a
      mean of theirs alone; `TPR_THS_0.05` ... or `TNR_THS_0.05` ..., see `image_rates`. Others have
      no reference: empty.
    """
    if info.task == "defects":
        mask = (truth != info.label_values[0]).astype(np.float32)
        return industrial_scores(mask, probabilities[..., -1])
    if tuple(info.label_names.values()) != tuple(LABELS) or info.rank != 3:
        return {}
    classes = np.zeros(256, np.uint8)
    classes[list(info.label_values)] = np.arange(len(info.label_values))
    parts = [
        _evaluated(uncrop(part, box, full_shape))
        for part in (classes[truth], to_classes(probabilities, "round"))
    ]
    return volume_scores(*parts)


def _evaluated(volume: NDArray[np.generic]) -> NDArray[np.uint8]:
    """What the references evaluate; of scans that are too small or too deep for them, all."""
    plane = (min(PLANE, volume.shape[0]), min(PLANE, volume.shape[1]))
    part = crop_and_pad(volume, plane=plane, depth=max(DEPTH, volume.shape[2]))
    return part.astype(np.uint8)


def industrial_scores(
    mask: NDArray[np.floating], probability: NDArray[np.floating]
) -> dict[str, float]:
    """Scores one image as the reference does.

    Args:
      mask: [H, W], 0 to 1, with soft edges.
      probability: [H, W].
    """
    scores = threshold_scores(mask, probability)
    empty = threshold_scores(mask, np.zeros_like(mask))
    beside = {f"{name}_always_empty": value for name, value in empty.items()}
    defective = {f"{name}_defective": value for name, value in scores.items() if np.any(mask > 0)}
    return scores | beside | defective | image_rates(mask, probability)
