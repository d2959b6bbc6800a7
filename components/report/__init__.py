"""The report of a run: one self-contained HTML page, and the component that writes it.

Here are its words and its orders: what a score measures, what a profile means, and in which order
scores and cases are shown.
"""

from collections.abc import Iterable, Mapping

DEFINITIONS = {
    "ET": "Dice of the enhancing tumour, a BraTS region: label 4.",
    "TC": "Dice of the BraTS tumour core: union of labels 1 and 4.",
    "WT": "Dice of the whole tumour, a BraTS region: union of labels 1, 2 and 4.",
    "TumorCore": "Dice of label 1 alone, as the reference systems print it. This is not the"
    " BraTS tumour core; that is TC.",
    "PeritumoralEdema": "Dice of label 2, as the reference systems print it.",
    "EnhancingTumor": "Dice of label 4, as the reference systems print it; the same voxels as ET.",
    "MeanDice": "Mean of TumorCore, PeritumoralEdema and EnhancingTumor of a case.",
    "WholeTumor": "WT under the name the reference systems print: labels 1, 2 and 4.",
    "defect_dice": "Dice of the defect mask, over defective images only.",
    "defect_iou": "Intersection over union of the defect mask, over defective images only.",
    "image_auroc": "Area under the receiver operating characteristic that tells defective images"
    " by their largest pixel probability. No score of a single image: the value of all cases is"
    " the mean and standard deviation over folds, and n counts images.",
}
"""Score -> what it measures, in the order in which the page lists scores."""

PROFILES = {
    "corrected": "Known defects of the reference systems are corrected; scores are not directly"
    " comparable with figures that those systems published.",
    "reference": "The reference systems are reproduced, their known defects included, so that"
    " scores can be compared with the figures they published.",
}


def sort_scores(names: Iterable[str]) -> list[str]:
    """The names in the order of `DEFINITIONS`; unknown ones last, by name."""
    order = list(DEFINITIONS)
    return sorted(names, key=lambda n: (order.index(n) if n in order else len(order), n))


def rank_cases(values: Mapping[str, float]) -> dict[str, str]:
    """Best, median and worst case.

    Args:
      values: Case id -> score.

    Returns:
      Case id -> rank, best first; `median, worst` where one case is both. Of an even number of
      cases the lower middle one is the median; ties go by case id.
    """
    ordered = sorted(values, key=lambda c: (-values[c], c))
    if not ordered:
        return {}
    ranks: dict[str, str] = {}
    for name, index in (("best", 0), ("median", len(ordered) // 2), ("worst", -1)):
        case = ordered[index]
        ranks[case] = f"{ranks[case]}, {name}" if case in ranks else name
    return ranks
