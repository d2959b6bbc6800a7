"""The words of the report: names of scores and regions, what they mean, and their numbers."""

from collections.abc import Iterable, Sequence
from math import isnan

from beam_preprocess.case import DatasetInfo
from components.web import DASH
from trainer.metrics.cohort_scores import MEAN
from trainer.metrics.definitions import DEFINITIONS, unit_of

REFERENCE = "reference"
"""Takes the place of a score where all of the reference systems stand together."""
SCORE_NAMES = {
    "dice": "Dice",
    "iou": "IoU",
    "precision": "Precision",
    "recall": "Recall",
    "hd95": "HD95",
    "surface_dice": "Surface dice",
    "lesion_dice": "Lesion-wise dice",
    "lesion_hd95": "Lesion-wise HD95",
    "lesions_found": "Lesions found",
    "lesions_missed": "Lesions missed",
    "lesions_false": "False lesions",
    "volume_difference": "Relative volume difference",
    "volume_difference_ml": "Volume difference",
    "truth_ml": "Volume of the truth",
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "tpr": "True positive rate",
    "tnr": "True negative rate",
    REFERENCE: "As the reference systems score a case",
}
"""Name of a score -> how it is called on the page; also the order in which the page lists them."""

_REGIONS = ("WT", "TC", "ET", "TumorCore", "PeritumoralEdema", "EnhancingTumor")
"""In which order the page lists regions; others come by name, and the mean comes last."""

_BRATS = {
    "ET": "The BraTS region enhancing tumour.",
    "TC": "The BraTS region tumour core.",
    "WT": "The BraTS region whole tumour.",
    "TumorCore": "As the reference systems name it: this is not the BraTS tumour core; that is TC.",
    "PeritumoralEdema": "As the reference systems name it.",
    "EnhancingTumor": "As the reference systems name it; the same voxels as ET.",
    "WholeTumor": "WT under the name that the reference systems print.",
}
"""What the names of BraTS stand for, beside the labels that they are made of."""

PROFILES = {
    "corrected": "Known defects of the reference systems are corrected; scores are not directly"
    " comparable with figures that those systems published.",
    "reference": "The reference systems are reproduced, their known defects included, so that"
    " scores can be compared with the figures they published.",
}
EMPTY_POLICIES = {
    "brats": "Where truth and prediction are both empty, a case scores the best value"
    " (evaluation.empty: brats).",
    "nan": "Where truth and prediction are both empty, a case has no value and is left out of the"
    " means (evaluation.empty: nan).",
    "reference": "Where truth and prediction are both empty, a case scores the worst value, as in"
    " the reference systems (evaluation.empty: reference).",
}
ONE_EMPTY = "Where only one of them is empty, it scores the worst value."
DEPLOY_MODES = {
    "best-fold": "The model of the fold that is best by {select}.",
    "ensemble": "The mean of the probabilities of the models of all folds.",
    "refit": "One model, trained on all folds for as many samples as the folds needed.",
}


def score_name(score: str, *, rank: int) -> str:
    """How a score of cases with so many axes is called, with its unit: `HD95 (mm)`."""
    return SCORE_NAMES.get(score, score) + _bracketed_unit(score, rank)


def _bracketed_unit(score: str, rank: int) -> str:
    unit = unit_of(score, rank=rank)
    return f" ({unit})" if unit else ""


def full_name(name: str, *, rank: int) -> str:
    """How `REGION/SCORE` is called: `Dice of WT`, `HD95 of WT (mm)`, `Dice, mean of labels`."""
    region, _, score = name.partition("/")
    if not score:
        return name
    if score == REFERENCE:
        return f"{region}, as the reference systems score it"
    called, unit = SCORE_NAMES.get(score, score), _bracketed_unit(score, rank)
    if region == MEAN:
        return f"{called}, {region_name(region)}{unit}"
    return f"{called} of {region_name(region)}{unit}"


def region_name(region: str) -> str:
    """How a region is called."""
    return "mean of labels" if region == MEAN else region


def sort_scores(scores: Iterable[str]) -> list[str]:
    """Names of scores in the order in which the page lists them."""
    order = list(SCORE_NAMES)
    return sorted({*scores}, key=lambda s: (order.index(s) if s in order else len(order), s))


def sort_regions(regions: Iterable[str]) -> list[str]:
    """Names of regions in the order in which the page lists them."""
    return sorted(
        {*regions},
        key=lambda r: (r == MEAN, _REGIONS.index(r) if r in _REGIONS else len(_REGIONS), r),
    )


def define_regions(info: DatasetInfo) -> dict[str, str]:
    """Label or region of a dataset -> what it is."""
    labels = {name: (value,) for value, name in info.label_names.items()}
    groups = labels | info.regions
    notes = _BRATS if {*groups} <= {*_BRATS} else {}
    mean = {MEAN: f"Mean of the scores of {join(labels)} in a case."} if labels else {}
    return {
        name: f"{_labels(values)}. {notes.get(name, '')}".strip() for name, values in groups.items()
    } | mean


def _labels(values: Sequence[int]) -> str:
    words = f"label{'s' if len(values) > 1 else ''} {join(map(str, values))}".capitalize()
    return f"{words} as one" if len(values) > 1 else words


def join(names: Iterable[str]) -> str:
    """`a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def number(value: float | None, score: str) -> str:
    """A value of a score: shares with three decimals, others with as many as tell something."""
    if value is None or isnan(value):
        return DASH
    unit = DEFINITIONS[score].unit if score in DEFINITIONS else ""
    decimals = {"mm": 1, "ml": 1}.get(unit, 2 if score.startswith("lesions") else 3)
    return f"{value:.{decimals}f}"


def apart(value: float | None, bound: float) -> tuple[str, str]:
    """Two numbers with 3 decimals, or as many as tell them apart: 0.7996 is not 0.800."""
    if value is None:
        return DASH, f"{bound:.3f}"
    decimals = 3
    if value != bound:
        differ = (d for d in range(3, 17) if f"{value:.{d}f}" != f"{bound:.{d}f}")
        decimals = next(differ, 3)
    return f"{value:.{decimals}f}", f"{bound:.{decimals}f}"
