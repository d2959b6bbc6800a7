"""A small histogram as inline SVG, in the colours of the page's style sheet."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from components.check_page import number
from components.report.charts import Axis, nice_ticks

WIDTH, HEIGHT = 320, 132
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 12, 10, 26
_BINS = 24


def histogram(title: str, values: Sequence[float]) -> Markup:
    """How many cases have which value; a sentence where all have the same, or none has one."""
    body = _chart(title, values) if len(set(values)) > 1 else _sentence(values)
    return Markup('<figure class="histogram"><figcaption>{}</figcaption>{}</figure>').format(
        title, body
    )


def _sentence(values: Sequence[float]) -> Markup:
    words = f"{number(values[0])} in all {len(values)} cases" if values else "no case has it"
    return Markup('<p class="note">{}</p>').format(words)


def _chart(title: str, values: Sequence[float]) -> Markup:
    ticks = nice_ticks(min(values), max(values), most=5)
    counts, edges = np.histogram(values, bins=_BINS, range=(ticks[0], ticks[-1]))
    x = Axis(low=ticks[0], high=ticks[-1], start=_LEFT, end=WIDTH - _RIGHT)
    y = Axis(low=0, high=int(counts.max()), start=HEIGHT - _BOTTOM, end=_TOP)
    sides = [x.place(edge) for edge in edges.tolist()]
    bars = "".join(
        f"M{left:g} {y.start}V{y.place(n):g}H{right - 1:g}V{y.start}Z"
        for left, right, n in zip(sides, sides[1:], counts.tolist(), strict=False)
        if n
    )
    words = f"{title}: {len(values)} cases from {number(min(values))} to {number(max(values))}"
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img"><title>{}</title>'
        '<path class="rule" d="M{left} {top}H{right}"/><path class="bars" d="{bars}"/>'
        '<path class="axis" d="M{left} {bottom}H{right}"/>'
        '<text x="{label}" y="{top}" dy=".35em" text-anchor="end">{most}</text>'
        '<text x="{label}" y="{bottom}" dy=".35em" text-anchor="end">0</text>{ticks}</svg>'
    ).format(
        *(WIDTH, HEIGHT, words),
        left=x.start,
        right=x.end,
        top=y.end,
        bottom=y.start,
        bars=bars,
        label=x.start - 6,
        most=y.high,
        ticks=Markup("").join(_tick(x.place(tick), y.start, number(tick)) for tick in ticks),
    )


def _tick(x: float, bottom: float, label: str) -> Markup:
    return Markup('<text x="{}" y="{}" dy="1.5em" text-anchor="middle">{}</text>').format(
        x, bottom, label
    )
