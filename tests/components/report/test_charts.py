"""Charts: axes, curves and box plots, by values worked by hand."""

import re

import pytest

from components.report.charts import Axis, Curve, line_chart, nice_ticks, spread_chart

NONE = "Nothing was recorded."


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 0.83, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 10000, [0, 2000, 4000, 6000, 8000, 10000]),
        (-0.3, 0.4, [-0.4, -0.2, 0, 0.2, 0.4]),
        (0, 0, [0, 0.2]),
    ],
)
def test_nice_ticks(low: float, high: float, expected: list[float]):
    assert nice_ticks(low, high) == expected


def test_nice_ticks_of_counts_are_whole():
    assert nice_ticks(0, 2, smallest=1) == [0, 1, 2]
    assert nice_ticks(0, 1, smallest=1) == [0, 1]


def test_axis_places_values():
    axis = Axis(low=0, high=10, start=100, end=0)
    assert [axis.place(v) for v in (0, 2.5, 10)] == [100, 75, 0]


def test_line_chart_without_points_says_so():
    for curves in ((), (Curve(name="Fold 0", points=()),)):
        chart = line_chart(curves, what="loss", none=NONE)
        assert NONE in chart and "<svg" not in chart


def test_line_chart_draws_a_single_point_as_dot():
    chart = line_chart([Curve(name="Fold 0", points=((1, 0.5),))], what="loss", none=NONE)
    assert chart.count("<circle") == 1
    assert "0.500 at step 1" in chart
    assert "nan" not in chart


def test_line_chart_draws_one_line_per_fold_all_different():
    points = tuple((step, 1 / step) for step in (10, 20, 1200))
    curves = [Curve(name=f"Fold {i}", points=points) for i in range(20)]
    chart = line_chart([*curves, Curve(name="Fold 20", points=())], what="loss", none=NONE)
    lines = re.findall(r'<path class="(line c\d d\d)" d="[^"]+"><title>', chart)
    assert len(lines) == len(set(lines)) == 20
    assert "Fold 20 <small>no history</small>" in chart
    for label in (">step<", ">loss<", ">1,500<", ">0.02<"):
        assert label in chart


def test_spread_chart_draws_quartiles_worked_by_hand():
    chart = spread_chart({"TC": [0.0, 0.25, 0.5, 0.75, 1.0], "ET": []})
    assert "median 0.500, quartiles 0.250 to 0.750" in chart
    assert chart.count('class="box"') == 1 and "ET" not in chart
    # 0 to 1 is drawn from 16 to 624, so the box goes from 168 to 472 and the median is at 320
    assert 'class="box" x="168.0"' in chart and 'width="304.0"' in chart
    assert 'class="median" d="M320.0 ' in chart


def test_spread_chart_of_differences_has_room_for_both_signs():
    chart = spread_chart({"WT": [-0.1, 0.0, 0.2]}, share=False)
    assert ">-0.1<" in chart and ">0.2<" in chart and ">1<" not in chart


def test_spread_chart_of_distances_goes_as_far_as_they_do():
    chart = spread_chart({"WT": [3.0, 374.0]}, share=False, unit="mm")
    assert ">400<" in chart and "median 188.5, quartiles" in chart and "in mm" in chart


def test_spread_chart_without_values_says_so():
    assert spread_chart({"TC": []}) == '<p class="note">No case has a value.</p>'


def test_names_are_escaped():
    assert "<b>" not in spread_chart({"<b>": [1.0]})
    curve = Curve(name="<b>", points=((1, 1.0), (2, 1.0)))
    assert "<b>" not in line_chart([curve], what="loss", none=NONE)
