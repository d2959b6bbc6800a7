"""The report as HTML: reads its templates, style sheets and scripts alone."""

import re
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from beam_preprocess.case import DatasetInfo
from beam_preprocess.cohort_summary import summarise_statistics
from components.pictures import label_colours
from components.report import tables
from components.report.charts import line_chart, spread_chart
from components.report.content import ReportData, ViewerCases
from components.report.lineage import Lineage, artifact_words, lineage_graph
from components.report.model_card import interval_note, make_card
from components.report.words import (
    DEPLOY_MODES,
    EMPTY_POLICIES,
    ONE_EMPTY,
    PROFILES,
    apart,
    define_regions,
    full_name,
    number,
    region_name,
    score_name,
    sort_regions,
)
from components.web import DASH, FOLDER, json_block, make_environment, page_parts
from trainer.metrics.config import level_words
from trainer.metrics.definitions import DEFINITIONS, unit_of

MOST_CASES = 1000
"""In the table of cases and that of exclusions: more make a page slow to open."""
_FOLDER = Path(__file__).parent
_LINEAGE = ("<!-- lineage -->", "<!-- end of lineage -->")


def render_page(data: ReportData, *, most_cases: int = MOST_CASES) -> str:
    """The page: style, scripts, charts and pictures inside, nothing loaded from elsewhere.

    Args:
      data: All that it shows.
      most_cases: In the table of cases and that of exclusions.
    """
    environment = make_environment(_FOLDER)
    rank = data.info.rank
    environment.filters |= {"full_name": partial(full_name, rank=rank), "number": number}
    environment.globals["apart"] = apart
    return environment.get_template("report.html").render(
        report=data,
        gate=data.result.gate,
        deploy=data.result.deploy,
        deploy_words=DEPLOY_MODES.get(data.result.deploy.mode, "").format(
            select=full_name(data.result.deploy.select, rank=rank)
        ),
        profile_note=PROFILES.get(data.texts.profile, ""),
        policy=f"{EMPTY_POLICIES[data.evaluation.empty]} {ONE_EMPTY}",
        level=level_words(data.evaluation.statistics.level),
        definitions=_definitions(data),
        cohort=summarise_statistics(data.data.statistics, data.info, data.data.splits),
        card=make_card(data),
        most_cases=most_cases,
        loss=line_chart(
            [t.loss for t in data.trainings],
            what="loss",
            none="No training history was recorded.",
        ),
        validation=_validation_chart(data),
        viewer=_viewer(data),
        lineage=_lineage_section(data.lineage),
        dash=DASH,
        **_score_tables(data),
        **page_parts([_FOLDER / "report.css"], [FOLDER / "terms.js", _FOLDER / "viewer.js"]),
    )


def _score_tables(data: ReportData) -> dict[str, Any]:
    """Tables and box plots; the score that chooses the model stands first."""
    result, score, rank = data.result, main_score(data), data.info.rank
    by_fold = sorted(tables.fold_tables(result, rank=rank), key=lambda t: t.key != score)
    return {
        "by_fold": by_fold,
        "by_slice": tables.slice_tables(result, score),
        "alike": interval_note(data),
        "slice_score": score_name(score, rank=rank),
        "images": tables.image_table(result),
        "own": tables.own_table(result, rank=rank),
        "detections": tables.detection_table(result),
        "reference": tables.reference_table(result),
        "baseline": tables.baseline_table(result, rank=rank),
        "empty": tables.empty_table(result),
        "cases": tables.case_table(data.folds, data.viewer.score, rank=rank),
        "spreads": [(t.name, spread_of(data, t.key)) for t in by_fold],
    }


def main_score(data: ReportData) -> str:
    """The score of `select` where regions have it, else dice."""
    score = data.result.deploy.select.partition("/")[2]
    known = tables.scores_of(data.result.scores)
    return score if score in known else next(iter(known), "dice")


def spread_of(data: ReportData, score: str) -> Markup:
    """Box plots of a score, one per region."""
    cases = [case for fold in data.folds for case in fold]
    values = {
        region: [v for c in cases if (v := tables.rank_value(c, f"{region}/{score}")) is not None]
        for region in sort_regions(data.result.scores.regions)
    }
    named = {region_name(region): v for region, v in values.items()}
    definition = DEFINITIONS.get(score)
    share = definition is None or definition.best == "high"
    return spread_chart(named, share=share, unit=unit_of(score, rank=data.info.rank))


def _definitions(data: ReportData) -> dict[str, tuple[str, str]]:
    """Key of a term on the page -> its name and definition."""
    scores = [*tables.scores_of(data.result.scores), *data.result.scores.images]
    rank = data.info.rank
    known = [s for s in scores if s in DEFINITIONS]
    named = {s: (score_name(s, rank=rank), DEFINITIONS[s].text) for s in known}
    regions = define_regions(data.info)
    return named | {
        r: (region_name(r), regions[r])
        for r in sort_regions(data.result.scores.regions)
        if r in regions
    }


def _validation_chart(data: ReportData) -> Markup:
    curves = [t.validation for t in data.trainings]
    return line_chart(
        curves,
        what="validation dice",
        none="The trainings were not validated on the way: trainer.validation.share is 0.",
    )


def _viewer(data: ReportData) -> dict[str, Any]:
    """What the template and the script of the viewer need."""
    viewer, info = data.viewer, data.info
    labels, items = _viewer_labels(info), _viewer_items(viewer)
    known = {*viewer.shown.left_out, *(item["id"] for item in items)}
    return {
        "labels": labels,
        "items": items,
        "score": full_name(viewer.score, rank=info.rank) if viewer.score else "",
        "same_as_select": viewer.score == data.result.deploy.select,
        "factor": viewer.shown.factor,
        "left_out": viewer.shown.left_out,
        "missing": [case_id for case_id in viewer.ranks if case_id not in known],
        "planes": ("axial", "coronal", "sagittal") if info.rank == 3 else ("image",),
        "channel": info.channels[-1] if info.rank == 3 else "",
        "data": json_block({"labels": labels, "cases": items, "rank": info.rank}),
    }


def _viewer_labels(info: DatasetInfo) -> list[dict[str, Any]]:
    """Value, name and colour of every label but the background."""
    colours = label_colours(info)
    return [
        {"value": v, "name": info.label_names[v], "colour": list(colours[v])}
        for v in info.label_values[1:]
    ]


def _viewer_items(viewer: ViewerCases) -> list[dict[str, Any]]:
    """The cases that are shown, each with its rank, its fold and the score that ranks it."""
    score = viewer.score.partition("/")[2]
    return [
        item
        | {
            "rank": viewer.ranks[item["id"]],
            "fold": viewer.folds[item["id"]],
            "value": number(viewer.values[item["id"]], score),
        }
        for item in viewer.shown.items
    ]


def _lineage_section(lineage: Lineage) -> Markup:
    environment = make_environment(_FOLDER)
    environment.globals["artifact_words"] = artifact_words
    html = environment.get_template("lineage.html").render(
        lineage=lineage, graph=lineage_graph(lineage)
    )
    return Markup(_LINEAGE[0] + html + _LINEAGE[1])


def replace_lineage(html: str, lineage: Lineage) -> str:
    """A page with the lineage of the whole run in place of what its component knew.

    The component writes the page before the run is at its end; whoever runs the DAG knows the rest.
    """
    pattern = re.compile("(?s)" + ".*?".join(map(re.escape, _LINEAGE)))
    section = str(_lineage_section(lineage))
    return pattern.sub(lambda _: section, html, count=1)
