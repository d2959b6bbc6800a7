"""Scores of held-out cases by hand, without a voxel behind them."""

from trainer.metrics.case_scores import CaseScores, ImageScore
from trainer.metrics.region_scores import RegionScores
from trainer.overlap import Overlap

COUNTS = Overlap(intersection=1, truth=1, prediction=1)


def scored(case_id: str, dice: float | None = None, **more: float | str) -> CaseScores:
    """A case with `WT/dice`, further scores of WT, and its stratum (HGG unless told)."""
    stratum = str(more.pop("stratum", "HGG"))
    values = {} if dice is None else {"dice": dice}
    values |= {name: float(value) for name, value in more.items()}
    return CaseScores(
        case_id=case_id,
        columns={"stratum": stratum},
        regions={"WT": RegionScores(counts=COUNTS, values=values)},
    )


def photograph(case_id: str, score: float, *, defective: bool) -> CaseScores:
    """An image with the largest probability of its pixels."""
    image = ImageScore(score=score, defective=defective)
    return CaseScores(case_id=case_id, columns={"stratum": "a"}, regions={}, image=image)
