"""What every score is, in a sentence, with its unit: for tables and reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

IMAGES = "images"
"""Takes the place of a region in the names of scores of whole images."""
MEAN = "mean"
"""The region that is the mean over the labels, as the references' MeanDice."""


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A score in words.

    Attributes:
      text: A sentence or two.
      unit: `mm`, `ml`, or empty for a share or a count; see `unit_of`.
      best: Where good predictions are: `high`, `low`, at `zero`, or `none` where it is no score.
      of: What has it: the `regions` of every dataset, those of `volumes` alone, or whole `images`
        with and without a defect.
    """

    text: str
    unit: str = ""
    best: Literal["high", "low", "zero", "none"] = "high"
    of: Literal["regions", "volumes", "images"] = "regions"


DEFINITIONS: Mapping[str, Definition] = MappingProxyType(
    {
        "dice": Definition(
            text="Twice the voxels that truth and prediction share, over the voxels of both."
        ),
        "iou": Definition(
            text="Voxels that truth and prediction share, over the voxels of either."
        ),
        "precision": Definition(text="Share of the prediction that is in the truth."),
        "recall": Definition(text="Share of the truth that is predicted; also called sensitivity."),
        "volume_difference": Definition(
            text="Volume of the prediction less that of the truth, over that of the truth.",
            best="zero",
        ),
        "volume_difference_ml": Definition(
            text="Volume of the prediction less that of the truth.",
            unit="ml",
            best="zero",
            of="volumes",
        ),
        "truth_ml": Definition(text="Volume of the truth.", unit="ml", best="none", of="volumes"),
        "hd95": Definition(
            text="95 % of the surface of each of truth and prediction lie within this distance of"
            " the other; where one of them is empty, the penalty.",
            unit="mm",
            best="low",
        ),
        "surface_dice": Definition(
            text="Share of the surfaces of truth and prediction that lie within the tolerance of"
            " each other."
        ),
        "lesion_dice": Definition(
            text="Mean dice of the lesions, missed and false ones with 0 (BraTS 2023).",
            of="volumes",
        ),
        "lesion_hd95": Definition(
            text="Mean HD95 of the lesions, missed and false ones with the penalty (BraTS 2023).",
            unit="mm",
            best="low",
            of="volumes",
        ),
        "lesions_found": Definition(
            text="Lesions of the truth near which something is predicted.",
            best="none",
            of="volumes",
        ),
        "lesions_missed": Definition(
            text="Lesions of the truth near which nothing is predicted.",
            best="low",
            of="volumes",
        ),
        "lesions_false": Definition(
            text="Predicted lesions far from all true ones.", best="low", of="volumes"
        ),
        "auroc": Definition(
            text="How often a defective image scores above one without defect, of all such pairs.",
            of="images",
        ),
        "average_precision": Definition(
            text="Mean, over the defective images from the highest score down, of the share of"
            " defective ones among all images that score as high.",
            of="images",
        ),
        "tpr": Definition(text="Share of the defective images that are found.", of="images"),
        "tnr": Definition(text="Share of the images without defect that are passed.", of="images"),
    }
)
"""Name of a score -> what it is."""


def unit_of(score: str, *, rank: int) -> str:
    """What a score is counted in: `mm`, `pixels`, `ml`, or empty for a share or a count.

    >>> unit_of("hd95", rank=3), unit_of("WT/hd95", rank=2), unit_of("dice", rank=3)
    ('mm', 'pixels', '')

    Args:
      score: A key of `DEFINITIONS`, or `REGION/SCORE`; others have no unit.
      rank: Axes of a case. A photograph says nothing of millimetres: its distances are in pixels.
    """
    definition = DEFINITIONS.get(score.rpartition("/")[2])
    unit = definition.unit if definition else ""
    return "pixels" if unit == "mm" and rank == 2 else unit
