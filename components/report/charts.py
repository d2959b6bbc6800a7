"""Charts of the report as inline SVG: training curves, and how scores spread over the cases.

Colours and text sizes are classes in `style.css`, so that the charts follow its light, dark,
narrow and printed layouts; lengths are SVG user units. All that comes from outside is escaped.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

WIDTH, HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 68, 28, 12, 54
_EDGE = 16
_ROW, _BOX, _TAIL = 46, 16, 28
_COLOURS, _DASHES = 5, 4


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The training of one fold.

    Attributes:
      name: What the line is called, such as `Fold 0`.
      points: (step, value), by rising step; may be empty.
    """

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Maps values from `low` to `high` onto lengths from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """The length at which `value` is drawn, to a tenth of a unit."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def nice_ticks(low: float, high: float, *, smallest: float = 0.0, most: int = 6) -> list[float]:
    """Round numbers in equal steps of 1, 2 or 5 times a power of ten.

    Args:
      low, high: What the ticks cover: the first is not above `low`, the last not below `high`.
      smallest: Smallest step, such as 1 for an axis that counts.
      most: About how many ticks.

    Returns:
      Rising; two at least. `nice_ticks(0, 0.83)` is [0, 0.2, 0.4, 0.6, 0.8, 1].
    """
    rough = max(((high - low) or abs(high) or 1.0) / (most - 1), smallest)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, max(last, first + 1) + 1)]


def line_chart(curves: Sequence[Curve], *, what: str, none: str) -> Markup:
    """A value over the steps of training, a line per fold, with a legend.

    Args:
      curves: One per fold.
      what: Name of the value.
      none: Sentence that stands there where no curve has a point.
    """
    points = [point for curve in curves for point in curve.points]
    if not points:
        return Markup('<p class="note">{}</p>').format(none)
    y_ticks = nice_ticks(min(0.0, *(y for _, y in points)), max(y for _, y in points))
    x_ticks = nice_ticks(0, max(step for step, _ in points), smallest=1)
    x = Axis(low=0, high=x_ticks[-1], start=_LEFT, end=WIDTH - _RIGHT)
    y = Axis(low=y_ticks[0], high=y_ticks[-1], start=HEIGHT - _BOTTOM, end=_TOP)
    parts = [
        *(_rule(y.place(tick), _number(tick)) for tick in y_ticks),
        *(_x_tick(x.place(tick), y.start, _number(tick), top=y.start + 4) for tick in x_ticks),
        *(_line(curve, index, x=x, y=y) for index, curve in enumerate(curves)),
        _axes(x, y, what),
    ]
    legend = Markup("").join(_legend_item(curve, i) for i, curve in enumerate(curves))
    title = (
        f"{what.capitalize()} over steps, one line per fold. The list below has the last values."
    )
    chart = _svg(HEIGHT, title, parts)
    return chart + Markup('<ul class="legend" role="list">{}</ul>').format(legend)


def _svg(height: float, title: str, parts: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img"><title>{}</title>{}</svg>'
    ).format(WIDTH, height, title, Markup("").join(parts))


def _number(value: float) -> str:
    """`12,000`, `0.25`."""
    return f"{value:,.10g}"


def _rule(y: float, label: str) -> Markup:
    """A horizontal line of the grid with its label left of it."""
    return Markup(
        '<path class="rule" d="M{} {}H{}"/><text x="{}" y="{}" dy=".35em"'
        ' text-anchor="end">{}</text>'
    ).format(_LEFT, y, WIDTH - _RIGHT, _LEFT - 8, y, label)


def _x_tick(x: float, bottom: float, label: str, *, top: float) -> Markup:
    """A label below `bottom`, and a line from there to `top`."""
    return Markup(
        '<path class="rule" d="M{x} {y}V{top}"/><text x="{x}" y="{y}" dy="1.5em"'
        ' text-anchor="middle">{label}</text>'
    ).format(x=x, y=bottom, top=top, label=label)


def _axes(x: Axis, y: Axis, what: str) -> Markup:
    middle = (x.start + x.end) / 2, (y.start + y.end) / 2
    return Markup(
        '<path class="axis" d="M{} {}V{bottom}H{}"/>'
        '<text x="{}" y="{bottom}" dy="2.7em" text-anchor="middle">step</text>'
        '<text transform="translate(16 {}) rotate(-90)" text-anchor="middle">{}</text>'
    ).format(x.start, y.end, x.end, *middle, what, bottom=y.start)


def _style(index: int) -> str:
    """Colour and dashes of a line: 20 lines differ, and neighbours differ without colour."""
    return f"line c{index % _COLOURS} d{index % _DASHES}"


def _line(curve: Curve, index: int, *, x: Axis, y: Axis) -> Markup:
    """A line; a dot where the curve has a single point."""
    places = [(x.place(step), y.place(loss)) for step, loss in curve.points]
    if not places:
        return Markup("")
    name = Markup("<title>{}</title>").format(curve.name)
    if len(places) == 1:
        dot = Markup('<circle class="dot c{}" cx="{}" cy="{}" r="4">{}</circle>')
        return dot.format(index % _COLOURS, *places[0], name)
    path = "L".join(f"{a:g} {b:g}" for a, b in places)
    return Markup('<path class="{}" d="M{}">{}</path>').format(_style(index), path, name)


def _legend_item(curve: Curve, index: int) -> Markup:
    last = "no history"
    if curve.points:
        step, value = curve.points[-1]
        last = f"{value:.3f} at step {_number(step)}"
    return Markup(
        '<li><svg class="swatch" viewBox="0 0 36 8" aria-hidden="true">'
        '<path class="{}" d="M0 4H36"/></svg><span>{} <small>{}</small></span></li>'
    ).format(_style(index), curve.name, last)


def spread_chart(
    values: Mapping[str, Sequence[float]], *, share: bool = True, unit: str = ""
) -> Markup:
    """A row per name: a tick per case, a box from first to third quartile, a bar at the median.

    Args:
      values: Name -> its values, one per case; names without values are left out.
      share: Whether the axis goes from 0 to 1, at least.
      unit: Of the values; empty where they have none.
    """
    drawn = {name: v for name, v in values.items() if len(v)}
    if not drawn:
        return Markup('<p class="note">No case has a value.</p>')
    lows, highs = [min(v) for v in drawn.values()], [max(v) for v in drawn.values()]
    ticks = nice_ticks(min(0.0, *lows), max(float(share), *highs))
    x = Axis(low=ticks[0], high=ticks[-1], start=_EDGE, end=WIDTH - _EDGE)
    bottom = _ROW * len(drawn) + 4
    parts = [
        *(_x_tick(x.place(tick), bottom, _number(tick), top=0) for tick in ticks),
        *(
            _spread_row(name, v, x=x, top=_ROW * i, decimals=1 if unit else 3)
            for i, (name, v) in enumerate(drawn.items())
        ),
    ]
    scale = f", in {unit}" if unit else ""
    return _svg(bottom + _TAIL, f"Spread over the cases{scale}, a row per region.", parts)


def _spread_row(
    name: str, values: Sequence[float], *, x: Axis, top: float, decimals: int
) -> Markup:
    q1, median, q3 = np.percentile(values, (25, 50, 75)).tolist()
    box = top + _ROW - _BOX - 4
    ticks = "".join(f"M{at:g} {box:g}v{_BOX}" for at in sorted({x.place(v) for v in values}))
    shown = [f"{v:.{decimals}f}" for v in (median, q1, q3)]
    return Markup(
        '<text class="row-name" x="{x0}" y="{text}">{name}</text>'
        '<text class="over" x="{x1}" y="{text}" text-anchor="end">{summary}</text>'
        '<rect class="box" x="{a}" y="{box}" width="{width}" height="{height}" rx="2"/>'
        '<path class="case" d="{ticks}"/><path class="median" d="M{m} {over}v{long}"/>'
    ).format(
        x0=x.start,
        x1=x.end,
        text=box - 7,
        name=name,
        summary=f"median {shown[0]}, quartiles {shown[1]} to {shown[2]}",
        a=x.place(q1),
        box=box,
        width=round(max(x.place(q3) - x.place(q1), 1), 1),
        height=_BOX,
        ticks=ticks,
        m=x.place(median),
        over=box - 3,
        long=_BOX + 6,
    )
