"""The report of a run: one self-contained HTML page, and the component that writes it.

Here are its words and its orders: what a score measures, what a profile means, and in which order
scores and cases are shown.
"""

from collections.abc import Iterable, Mapping, Sequence

from beam_preprocess.case import DatasetInfo

_ORDER = (
    *("ET", "TC", "WT", "TumorCore", "PeritumoralEdema", "EnhancingTumor", "MeanDice"),
    *("WholeTumor", "defect_dice", "defect_iou", "image_auroc"),
)
"""In which order the page lists scores; others come last, by name."""

_DEFECTS = {
    "defect_dice": "Dice of the defect mask, over defective images only.",
    "defect_iou": "Intersection over union of the defect mask, over defective images only.",
    "image_auroc": "Area under the receiver operating characteristic that tells defective images"
    " by their largest pixel probability. No score of a single image: the value of all cases is"
    " the mean and standard deviation over folds, and n counts images.",
}
_BRATS = {
    "ET": "The BraTS region enhancing tumour.",
    "TC": "The BraTS region tumour core.",
    "WT": "The BraTS region whole tumour.",
    "TumorCore": "As the reference systems print it: this is not the BraTS tumour core; that is"
    " TC.",
    "PeritumoralEdema": "As the reference systems print it.",
    "EnhancingTumor": "As the reference systems print it; the same voxels as ET.",
    "WholeTumor": "WT under the name that the reference systems print.",
}
"""What the names of BraTS stand for, beside the labels that they are made of."""

PROFILES = {
    "corrected": "Known defects of the reference systems are corrected; scores are not directly"
    " comparable with figures that those systems published.",
    "reference": "The reference systems are reproduced, their known defects included, so that"
    " scores can be compared with the figures they published.",
}


def define_scores(info: DatasetInfo) -> dict[str, str]:
    """Score that cases of a dataset get -> what it measures."""
    if info.task == "defects":
        return _DEFECTS
    labels = {name: f"Dice of {_words([value])}." for value, name in info.label_names.items()}
    regions = {name: _region(values) for name, values in info.regions.items()}
    mean = {"MeanDice": f"Mean of {_join(labels)} of a case."}
    notes = _BRATS if {*labels, *regions} <= set(_BRATS) else {}
    return {
        n: f"{text} {notes.get(n, '')}".strip() for n, text in (labels | regions | mean).items()
    }


def _region(values: Sequence[int]) -> str:
    return f"Dice of {_words(values)}{' as one' if len(values) > 1 else ''}."


def _words(values: Sequence[int]) -> str:
    return f"label{'s' if len(values) > 1 else ''} {_join(map(str, values))}"


def _join(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def sort_scores(names: Iterable[str]) -> list[str]:
    """The names in the order in which the page lists scores."""
    return sorted(names, key=lambda n: (_ORDER.index(n) if n in _ORDER else len(_ORDER), n))


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
