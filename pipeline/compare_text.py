"""Two runs side by side as text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.text_table import some_lines, table

if TYPE_CHECKING:
    from components.compare_page.comparison import RunComparison
    from components.compare_page.lines import Line

MOST_LINES = 15
"""Settings that are printed; the page and the JSON have all."""


def comparison_text(comparison: "RunComparison") -> str:
    """What `unet-tfx compare` prints: the runs, what to mind, scores, and settings that differ."""
    from components.compare_page.page import by_score

    (main, lines), *others = by_score(comparison)
    settings = [
        f"{name}: {_value(a)} -> {_value(b)}" for name, (a, b) in comparison.settings.items()
    ]
    return "\n".join(
        [
            *_heading(comparison),
            "",
            *_score_table(main, lines, rank=comparison.b.rank),
            *_others(others, rank=comparison.b.rank),
            "",
            *_test(comparison),
            "",
            "settings that differ" if settings else "settings  no difference",
            *some_lines(settings, most=MOST_LINES),
        ]
    )


def _heading(comparison: "RunComparison") -> list[str]:
    alone = f"{len(comparison.only_a)} in A alone, {len(comparison.only_b)} in B alone"
    return [
        f"A         {comparison.a.name}",
        f"B         {comparison.b.name}",
        f"cases     {len(comparison.shared)} of both, {alone}",
        *(f"mind      {caveat}" for caveat in comparison.caveats),
    ]


def _test(comparison: "RunComparison") -> list[str]:
    """How p came about."""
    ranked = any(line.score == "auroc" for line in comparison.lines)
    other = "; AUROC and average precision: a paired bootstrap" if ranked else ""
    return [
        f"p         Wilcoxon's signed-rank test{other}",
        f"          Holm's correction for {comparison.questions} questions",
    ]


def _score_table(score: str, lines: Sequence["Line"], *, rank: int) -> list[str]:
    from components.report.words import region_name, score_name

    heads = [score_name(score, rank=rank), "A", "B", "B - A", "interval", "n", "p", "finding"]
    rows = [_row(region_name(line.region), line) for line in lines]
    return table([heads, *rows], left=(0, 7))


def _others(groups: Sequence[tuple[str, Sequence["Line"]]], *, rank: int) -> list[str]:
    """The other scores in which the runs differ."""
    from components.compare_page.lines import NO_DIFFERENCE, NOT_TESTED
    from components.report.words import full_name

    found = [
        (full_name(f"{line.region}/{score}", rank=rank), line)
        for score, lines in groups
        for line in lines
        if line.verdict not in (NO_DIFFERENCE, NOT_TESTED)
    ]
    if not found:
        return ["", "no other score differs"]
    heads = ["other scores that differ", "A", "B", "B - A", "interval", "n", "p", "finding"]
    return ["", *table([heads, *(_row(name, line) for name, line in found)], left=(0, 7))]


def _row(name: str, line: "Line") -> list[str]:
    from components.compare_page.page import change, p_value
    from components.report.words import number

    difference, unpaired = line.comparison.difference, line.comparison.unpaired
    ends = [change(end, line.score) for end in (difference.low, difference.high)]
    return [
        name,
        number(line.a.mean, line.score),
        number(line.b.mean, line.score),
        change(difference.mean, line.score),
        " to ".join(ends) if difference.low is not None else "-",
        f"{difference.n}{f' ({unpaired} unpaired)' if unpaired else ''}",
        p_value(line.p),
        line.verdict,
    ]


def _value(value: object) -> str:
    return "-" if value is None else str(value)
