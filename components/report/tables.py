"""Scores as the rows of tables: text in every cell, so that the template only lays out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan

from components.report.result import RunResult
from components.report.words import (
    SCORE_NAMES,
    full_name,
    number,
    region_name,
    score_name,
    sort_regions,
    sort_scores,
)
from components.web import DASH
from trainer.metrics.case_scores import CaseScores
from trainer.metrics.cohort_scores import IMAGES, CohortScores, cohort_from_dict
from trainer.metrics.definitions import DEFINITIONS
from trainer.metrics.summary import Summary


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A value and what stands below it in small print; a dash where there is none."""

    text: str
    below: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of a table.

    Attributes:
      key: Of its definition; empty for none.
      name: What its head says.
      cells: One per column.
    """

    key: str
    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with one score, or with several.

    Attributes:
      key: Of the score; it makes ids unique.
      name: How the score is called, with its unit.
      heads: Of the columns after the first.
      rows: See there.
    """

    key: str
    name: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]


def scores_of(scores: CohortScores) -> list[str]:
    """The scores that any region has."""
    return sort_scores(name for region in scores.regions.values() for name in region.scores)


def fold_tables(result: RunResult, *, rank: int) -> list[Table]:
    """A table per score: a row per region, columns for all cases and for every fold."""
    return [_fold_table(result, score, rank=rank) for score in scores_of(result.scores)]


def _fold_table(result: RunResult, score: str, *, rank: int) -> Table:
    regions = [
        r for r in sort_regions(result.scores.regions) if score in result.scores.regions[r].scores
    ]
    heads = ("All cases", "Median", *(f"Fold {i}" for i in range(len(result.folds))))
    rows = tuple(_fold_row(result, region, score) for region in regions)
    return Table(key=score, name=score_name(score, rank=rank), heads=heads, rows=rows)


def _fold_row(result: RunResult, region: str, score: str) -> Row:
    name = f"{region}/{score}"
    found = result.scores.find(name)
    assert found is not None
    quartiles = f"{number(found.q25, score)} to {number(found.q75, score)}"
    cells = (
        overall(found, score),
        Cell(text=number(found.median, score), below=quartiles if found.n else ""),
        *(_mean(fold.find(name), score) for fold in result.folds),
    )
    return Row(key=region, name=region_name(region), cells=cells)


def overall(found: Summary, score: str) -> Cell:
    """Mean and deviation, and below them the interval and the number of cases."""
    interval = f"{number(found.low, score)} to {number(found.high, score)}, "
    if found.mean is None:
        return Cell(text=DASH, below=_count(found))
    spread = "" if found.std is None else f" ± {number(found.std, score)}"
    below = (interval if found.low is not None else "") + _count(found)
    return Cell(text=number(found.mean, score) + spread, below=below)


def _mean(found: Summary | None, score: str) -> Cell:
    if found is None:
        return Cell(text=DASH, below="n = 0")
    return Cell(text=number(found.mean, score), below=_count(found))


def _count(found: Summary) -> str:
    return f"n = {found.n:,}" + (f", {found.n_nan:,} without" if found.n_nan else "")


def slice_tables(result: RunResult, score: str) -> list[Table]:
    """A table per column: a row per value of it, a column per region, of one score."""
    tables = []
    for column, values in result.slices.items():
        regions = [
            r
            for r in sort_regions(result.scores.regions)
            if score in result.scores.regions[r].scores
        ]
        rows = tuple(
            Row(
                key="",
                name=value,
                cells=tuple(_mean(part.find(f"{r}/{score}"), score) for r in regions),
            )
            for value, part in values.items()
        )
        heads = tuple(region_name(r) for r in regions)
        tables.append(Table(key=column, name=column, heads=heads, rows=rows))
    return tables


def empty_table(result: RunResult) -> Table:
    """A row per region: cases in which truth, prediction or both are empty."""
    rows = tuple(
        Row(
            key=name,
            name=region_name(name),
            cells=tuple(
                Cell(text=f"{n:,}")
                for n in (region.n, region.no_truth, region.no_prediction, region.neither)
            ),
        )
        for name, region in ((r, result.scores.regions[r]) for r in _ordered(result.scores))
    )
    heads = ("Cases", "Only the truth is empty", "Only the prediction is empty", "Both are empty")
    return Table(key="empty", name="Empty cases", heads=heads, rows=rows)


def _ordered(scores: CohortScores) -> list[str]:
    return sort_regions(scores.regions)


def image_table(result: RunResult) -> Table | None:
    """Scores of whole images over all cases and per fold; None where images have none."""
    if not result.scores.images:
        return None
    rows = tuple(
        Row(
            key=score,
            name=SCORE_NAMES.get(score, score),
            cells=(
                overall(result.scores.images[score], score),
                *(_mean(fold.find(f"{IMAGES}/{score}"), score) for fold in result.folds),
            ),
        )
        for score in sort_scores(result.scores.images)
    )
    heads = ("All images", *(f"Fold {i}" for i in range(len(result.folds))))
    return Table(key=IMAGES, name="Images as a whole", heads=heads, rows=rows)


def detection_table(result: RunResult) -> Table | None:
    """Images found and missed, a row per threshold; None where images have no scores."""
    if not result.scores.detections:
        return None
    rows = tuple(
        Row(
            key="",
            name=f"{found.threshold:.4g}{', chosen' if found.chosen else ''}",
            cells=(
                *(Cell(text=number(rate, "tpr")) for rate in (found.tpr, found.tnr)),
                *(Cell(text=f"{n:,}") for n in (found.tp, found.fn, found.tn, found.fp)),
            ),
        )
        for found in result.scores.detections
    )
    rates = (SCORE_NAMES["tpr"], SCORE_NAMES["tnr"])
    heads = (*rates, "Defect found", "Defect missed", "No defect, passed", "No defect, found")
    return Table(key="detections", name="Images found at thresholds", heads=heads, rows=rows)


def own_table(result: RunResult, *, rank: int) -> Table | None:
    """Scores of the model to be deployed on `test`, a row per region, or images as a whole.

    None where no case is held out as `test`.
    """
    if result.test is None:
        return None
    found, score = result.test, result.deploy.select.partition("/")[2]
    if result.deploy.select.partition("/")[0] == IMAGES:
        names = {f"{IMAGES}/{s}": SCORE_NAMES.get(s, s) for s in sort_scores(found.images)}
        rows = tuple(_test_row(s.partition("/")[2], n, found, (s,)) for s, n in names.items())
        return Table(key="test", name="Score", heads=("All images",), rows=rows)
    regions = sort_regions(found.regions)
    scores = [s for s in scores_of(found) if s in ("dice", "hd95", score)]
    rows = tuple(_test_row(r, region_name(r), found, [f"{r}/{s}" for s in scores]) for r in regions)
    heads = tuple(score_name(s, rank=rank) for s in scores)
    return Table(key="test", name="Region", heads=heads, rows=rows)


def _test_row(key: str, shown: str, scores: CohortScores, names: Sequence[str]) -> Row:
    cells = [(scores.find(name), name.partition("/")[2]) for name in names]
    none = Cell(text=DASH)
    return Row(
        key=key,
        name=shown,
        cells=tuple(none if found is None else overall(found, score) for found, score in cells),
    )


def reference_table(result: RunResult) -> Table | None:
    """Scores as the references compute them; None in profile `corrected`."""
    if not result.scores.reference:
        return None
    rows = tuple(
        Row(
            key="",
            name=name,
            cells=(
                overall(found, name),
                *(_mean(fold.reference.get(name), name) for fold in result.folds),
            ),
        )
        for name, found in result.scores.reference.items()
    )
    heads = ("All cases", *(f"Fold {i}" for i in range(len(result.folds))))
    return Table(key="reference", name="As the reference systems", heads=heads, rows=rows)


def baseline_table(result: RunResult, *, rank: int) -> Table | None:
    """Scores of the deployed and of the new model on the same cases; None where there are none.

    A row per region of the score that chooses the model; where that is one of whole images, a row
    per score of images.
    """
    baseline, select = result.gate.baseline, result.deploy.select
    if not baseline or not baseline.get("scores") or not baseline.get("new_scores"):
        return None
    old, new = (cohort_from_dict(baseline[name]) for name in ("scores", "new_scores"))
    region, _, score = select.partition("/")
    if region == IMAGES:
        called = "Scores of whole images"
        named = {f"{IMAGES}/{s}": SCORE_NAMES.get(s, s) for s in sort_scores(old.images)}
    else:
        called = score_name(score, rank=rank)
        regions = (r for r in sort_regions(old.regions) if score in old.regions[r].scores)
        named = {f"{r}/{score}": region_name(r) for r in regions}
    rows = tuple(_baseline_row(name, shown, (new, old)) for name, shown in named.items())
    return Table(key="baseline", name=called, heads=("New model", "Deployed model"), rows=rows)


def _baseline_row(name: str, shown: str, sides: Sequence[CohortScores]) -> Row:
    """`REGION/SCORE` of either model; the definition is that of the part that is shown."""
    region, _, score = name.partition("/")
    cells = tuple(_mean(side.find(name), score) for side in sides)
    return Row(key=score if region == IMAGES else region, name=shown, cells=cells)


def case_table(folds: Sequence[Sequence[CaseScores]], ranked_by: str, *, rank: int) -> Table:
    """A row per case, the worst first: fold, columns, and the score of every region.

    Args:
      folds: The cases of every fold.
      ranked_by: `REGION/SCORE` that cases have, as `ranking_score` finds it; the table is named
        after it. Empty where no case has one: there are no scores then.
      rank: Axes of a case.
    """
    score = ranked_by.partition("/")[2]
    pairs = [(i, case) for i, fold in enumerate(folds) for case in fold]
    regions = sort_regions(name for _, c in pairs for name in c.regions) if score else []
    columns = list(dict.fromkeys(name for _, c in pairs for name in c.columns))
    direction = -1 if best_of(score) in ("low", "zero") else 1
    value = {c.case_id: rank_value(c, ranked_by) for _, c in pairs}
    pairs.sort(key=lambda p: (value[p[1].case_id] is None, direction * (value[p[1].case_id] or 0)))
    called = score_name(score, rank=rank)
    heads = ("Fold", *columns, *(f"{called} {region_name(r)}" for r in regions))
    return Table(
        key="cases",
        name=full_name(ranked_by, rank=rank),
        heads=heads,
        rows=tuple(_case_row(i, case, columns, regions, score=score) for i, case in pairs),
    )


def best_of(score: str) -> str:
    """Where good values of a score are; `high` for one that has no definition."""
    return DEFINITIONS[score].best if score in DEFINITIONS else "high"


def rank_value(case: CaseScores, select: str) -> float | None:
    """A case's value of `REGION/SCORE`; None where it has none."""
    region, _, score = select.partition("/")
    value = case.regions[region].values.get(score) if region in case.regions else None
    return None if value is None or isnan(value) else value


def _case_row(
    fold: int, case: CaseScores, columns: Sequence[str], regions: Sequence[str], *, score: str
) -> Row:
    values: Mapping[str, float | None] = {r: rank_value(case, f"{r}/{score}") for r in regions}
    cells = (
        Cell(text=str(fold)),
        *(Cell(text=case.columns.get(name, DASH)) for name in columns),
        *(Cell(text=number(values[r], score)) for r in regions),
    )
    return Row(key="", name=case.case_id, cells=cells)
