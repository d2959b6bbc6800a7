"""The scores of a cohort as rows of text: those that most questions are about."""

from collections.abc import Iterator

from trainer.metrics.cohort_scores import CohortScores
from trainer.metrics.definitions import DEFINITIONS, IMAGES
from trainer.metrics.summary import Summary

_SHOWN = ("dice", "hd95", "lesion_dice")
_SHOWN_OF_PHOTOGRAPHS = ("dice", "iou")
HEADS = ("score", "mean", "std", "interval of the mean", "n")


def score_rows(scores: CohortScores) -> list[list[str]]:
    """Head, and a row per score: of every region a few, all of images and of the references."""
    rows = [_row(name, summary) for name, summary in _shown(scores)]
    return [[*HEADS], *rows]


def _shown(scores: CohortScores) -> Iterator[tuple[str, Summary]]:
    volumes = any("truth_ml" in region.scores for region in scores.regions.values())
    names = _SHOWN if volumes else _SHOWN_OF_PHOTOGRAPHS
    for name in names:
        for region, of_region in scores.regions.items():
            if name in of_region.scores:
                yield _with_unit(f"{region}/{name}", name), of_region.scores[name]
    for name, summary in scores.images.items():
        yield f"{IMAGES}/{name}", summary
    for name, summary in scores.reference.items():
        yield f"reference/{name}", summary


def _with_unit(text: str, name: str) -> str:
    unit = DEFINITIONS[name].unit
    return f"{text} ({unit})" if unit else text


def _row(name: str, summary: Summary) -> list[str]:
    interval = "-"
    if summary.low is not None and summary.high is not None:
        interval = f"{summary.low:.4f} to {summary.high:.4f}"
    return [name, _number(summary.mean), _number(summary.std), interval, str(summary.n)]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
