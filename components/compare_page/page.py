"""Two runs side by side as one HTML page; and as plain values, for JSON."""

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from math import isnan
from pathlib import Path
from typing import Any

from components.compare_page.comparison import RunComparison
from components.compare_page.lines import LEVEL, Line
from components.report.charts import spread_chart
from components.report.words import (
    full_name,
    number,
    region_name,
    score_name,
    sort_regions,
    sort_scores,
)
from components.web import DASH, FOLDER, make_environment, page_parts
from trainer.metrics.case_scores import without_nan
from trainer.metrics.config import level_words
from trainer.metrics.definitions import DEFINITIONS, unit_of

MOST_CASES = 10
"""Cases with the largest differences that a table shows."""
_FOLDER = Path(__file__).parent


def render_comparison(comparison: RunComparison) -> str:
    """The page."""
    environment = make_environment(_FOLDER)
    named = partial(score_name, rank=comparison.b.rank)
    environment.filters |= {
        "score_name": named,
        "region_name": region_name,
        "full_name": partial(full_name, rank=comparison.b.rank),
        "number": number,
        "p_value": p_value,
        "change": change,
    }
    groups = dict(by_score(comparison))
    return environment.get_template("compare.html").render(
        comparison=comparison,
        groups=groups,
        spreads={
            score: _spread(score, lines, rank=comparison.b.rank)
            for score, lines in groups.items()
            if any(line.differences for line in lines)
        },
        definitions={s: (named(s), DEFINITIONS[s].text) for s in groups if s in DEFINITIONS},
        cases=_largest(comparison),
        level=level_words(LEVEL),
        dash=DASH,
        **page_parts([_FOLDER.parent / "report" / "report.css"], [FOLDER / "terms.js"]),
    )


def by_score(comparison: RunComparison) -> Iterator[tuple[str, list[Line]]]:
    """The scores, the one that chooses B's model first, each with its regions in order."""
    lines = {(line.score, line.region): line for line in comparison.lines}
    scores = sort_scores(score for score, _ in lines)
    select = main_score(comparison)
    for score in sorted(scores, key=lambda s: s != select):
        regions = sort_regions(region for s, region in lines if s == score)
        yield score, [lines[score, region] for region in regions]


def main_score(comparison: RunComparison) -> str:
    """The score of `gate.select` of B, or dice."""
    gate = comparison.b.config.get("gate")
    select = str(gate.get("select", "")) if isinstance(gate, dict) else ""
    score = select.partition("/")[2]
    return score if any(line.score == score for line in comparison.lines) else "dice"


def _spread(score: str, lines: list[Line], *, rank: int) -> Any:
    values = {region_name(line.region): [*line.differences.values()] for line in lines}
    return spread_chart(values, share=False, unit=unit_of(score, rank=rank))


def _largest(comparison: RunComparison) -> tuple[Line, list[tuple[str, float]]] | None:
    """The cases with the largest differences of the main score, of the first region that has any.

    `mean` comes first where there is one.
    """
    lines = [
        line
        for score in (main_score(comparison), "dice")  # AUROC is no score of a case
        for line in comparison.lines
        if line.score == score and line.differences
    ]
    if not lines:
        return None
    first = [line for line in lines if line.score == lines[0].score]
    line = next((line for line in first if line.region == "mean"), first[0])
    cases = sorted(line.differences.items(), key=lambda item: (-abs(item[1]), item[0]))
    return line, [(case_id, d) for case_id, d in cases if d][:MOST_CASES]


def p_value(p: float | None) -> str:
    """`0.032`, `below 0.001`, or a dash."""
    if p is None or isnan(p):
        return DASH
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


def change(value: float | None, score: str) -> str:
    """A difference with its sign."""
    text = number(value, score)
    return text if value is None or isnan(value) or text.startswith("-") else f"+{text}"


def comparison_dict(comparison: RunComparison) -> dict[str, Any]:
    """All that is known, for JSON: NaN is None, and runs are told by name, dataset and config."""
    runs = {
        key: {"name": run.name, "dataset": run.dataset, "profile": run.profile}
        for key, run in (("a", comparison.a), ("b", comparison.b))
    }
    own = ("shared", "only_a", "only_b", "changed", "caveats", "questions")
    return runs | {
        "correction": f"Holm, {comparison.questions} questions, level {LEVEL}",
        **{name: getattr(comparison, name) for name in own},
        "settings": {n: {"a": a, "b": b} for n, (a, b) in comparison.settings.items()},
        "scores": [without_nan(asdict(line)) for line in comparison.lines],
    }
