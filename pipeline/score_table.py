"""Scores as text for 100 columns; input are the dicts of `summary.json` and `scores.json`."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.text_table import table
from trainer.metrics.config import level_words

Cohort = Mapping[str, Any]
"""A `CohortScores` as a dict: `n`, `regions`, `images`, `threshold`."""
_WIDTH = 100
_OF_VOLUMES = {
    "hd95": ("HD95 mm", 2),
    "lesion_dice": ("lesion dice", 4),
    "lesion_hd95": ("lesion HD95", 2),
}
_OF_PHOTOGRAPHS = {"iou": ("IoU", 4)}
"""Further columns, where cases have the score: its head and decimals."""
_IMAGES = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "tpr": "defective images found (TPR)",
    "tnr": "others passed (TNR)",
}


def score_lines(scores: Cohort, folds: Sequence[Mapping[str, Any]], *, level: float) -> list[str]:
    """Dice per region with its interval, other scores beside it; dice per fold; scores of images.

    Args:
      scores: Of all cases.
      folds: Each with its number `fold` and `scores`.
      level: Of the intervals.
    """
    lines = _region_lines(scores, level) + _fold_lines(scores, folds)
    lines += _image_lines(scores, level) if scores["images"] else []
    return lines + _reference_lines(scores.get("reference", {}), level)


def slice_lines(slices: Mapping[str, Mapping[str, Cohort]]) -> list[str]:
    """Mean dice of every part of the cases, and what else tells it in a number.

    Args:
      slices: Column -> its value -> scores of the cases that have it.
    """
    lines = []
    for column, values in slices.items():
        regions = list(
            dict.fromkeys(name for scores in values.values() for name in scores["regions"])
        )
        images = any(scores["images"] for scores in values.values())
        heads = [f"dice by {column}", *regions, *(["AUROC"] if images else []), "n"]
        rows = [
            [
                value,
                *(_number(_dice({"scores": scores}, region)) for region in regions),
                *([_number(scores["images"].get("auroc", {}).get("mean"))] if images else []),
                str(scores["n"]),
            ]
            for value, scores in values.items()
        ]
        lines += ["", *_ruled(heads, rows)]
    return lines


def _region_lines(scores: Cohort, level: float) -> list[str]:
    regions = {name: region["scores"] for name, region in scores["regions"].items()}
    volumes = any("truth_ml" in found for found in regions.values())
    further = _OF_VOLUMES if volumes else _OF_PHOTOGRAPHS
    more = {s: how for s, how in further.items() if any(s in found for found in regions.values())}
    heads = ["", "dice", "std", _interval_head(level), "n", *(head for head, _ in more.values())]
    rows = []
    for name, found in regions.items():
        dice = found.get("dice", {})
        cells = [_number(dice.get("mean")), _number(dice.get("std")), _interval(dice)]
        others = [_number(found.get(s, {}).get("mean"), places) for s, (_, places) in more.items()]
        rows.append([name, *cells, str(dice.get("n", 0)), *others])
    return _ruled(heads, rows)


def _fold_lines(scores: Cohort, folds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Mean dice of every fold, as many folds side by side as there is room for."""
    first = max(len(name) for name in ["dice of fold", *scores["regions"]])
    at_once = max(1, (_WIDTH - first) // 8)  # 0.1234 and two spaces
    lines = []
    for start in range(0, len(folds), at_once):
        part = folds[start : start + at_once]
        rows = [
            [name, *(_number(_dice(fold, name)) for fold in part)] for name in scores["regions"]
        ]
        lines += ["", *_ruled(["dice of fold", *(str(fold["fold"]) for fold in part)], rows)]
    return lines


def _dice(fold: Mapping[str, Any], region: str) -> float | None:
    found = fold["scores"]["regions"].get(region, {"scores": {}})
    return found["scores"].get("dice", {}).get("mean")


def _image_lines(scores: Cohort, level: float) -> list[str]:
    images, threshold = scores["images"], scores["threshold"]
    heads = ["images", "value", _interval_head(level), "n"]
    rows = [
        [title, _number(images[name]["mean"]), _interval(images[name]), str(images[name]["n"])]
        for name, title in _IMAGES.items()
        if name in images
    ]
    note = [] if threshold is None else [f"found: from a probability of {threshold:.4f} on"]
    return ["", *_ruled(heads, rows), *note]


def _reference_lines(reference: Mapping[str, Mapping[str, Any]], level: float) -> list[str]:
    """The scores as the references compute them, of profile `reference`."""
    heads = ["as the reference", "mean", "std", _interval_head(level), "n"]
    rows = [
        [name, _number(found["mean"]), _number(found["std"]), _interval(found), str(found["n"])]
        for name, found in reference.items()
    ]
    return ["", *_ruled(heads, rows)] if rows else []


def _interval_head(level: float) -> str:
    return f"{level_words(level)} interval"


def _interval(summary: Mapping[str, Any]) -> str:
    """Of the mean."""
    low, high = summary.get("low"), summary.get("high")
    return "-" if low is None or high is None else f"{low:.4f} - {high:.4f}"


def _number(value: float | None, decimals: int = 4) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"


def _ruled(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return table([heads, *rows], rule=True)
