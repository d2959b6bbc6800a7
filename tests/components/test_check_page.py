"""The page of a checked cohort: its words, its histograms, and that it runs nothing foreign."""

import re
from dataclasses import replace

import pytest

from beam_preprocess.case import CaseFiles, Problem
from beam_preprocess.cohort import Cohort
from beam_preprocess.cohort_check import CohortCheck, undescribed
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets.brats import BRATS
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.difference import Shares, Spread, compare_cohorts
from components.check_page import (
    describe,
    difference_verdict,
    feature_words,
    number,
    p_value,
    repeated_words,
)
from components.check_page.histogram import histogram
from components.check_page.page import MOST_ROWS, make_rows, render_page

HOSTILE = '<script>alert("1")</script>'
TIMES = "\N{MULTIPLICATION SIGN}"


def statistics(case_id: str, **changes: object) -> dict[str, object]:
    """A scan of 8 x 6 x 4 voxels, 80 of them background."""
    spatial = {"size_x": 8, "size_y": 6, "size_z": 4, "spacing_x": 1.0, "spacing_y": 1.0}
    foreground = {f"{c}_foreground": (i + 1) / 10 for i, c in enumerate(BRATS.channels)}
    labels = {"label_0_voxels": 80, "label_1_voxels": 100, "label_2_voxels": 12}
    return {
        "case_id": case_id,
        "content": case_id,
        "dtype": "int16",
        "orientation": "LPS",
        "spacing_z": 2.5,
        **spatial,
        **foreground,
        **labels,
        "label_4_voxels": 0,
    } | changes


def files(case_id: str) -> CaseFiles:
    return CaseFiles(case_id=case_id, group=case_id, stratum="HGG", images=(), label=None)


def make_check(cases, problems=(), excluded=None) -> CohortCheck:
    """A checked cohort of one fold."""
    ids = [str(c["case_id"]) for c in cases]
    cohort = Cohort(
        splits={"fold-0": tuple(files(i) for i in ids)},
        problems=(),
        listed=len(ids),
        excluded=excluded or {},
        ignored=3,
    )
    return CohortCheck(
        config=DataConfig(dataset="brats", root="/data/brats"),
        info=BRATS,
        cohort=cohort,
        problems=tuple(problems),
        statistics=tuple(cases),
    )


def text_of(html: str) -> str:
    """What a reader sees: no style, no tags, one space between words."""
    body = re.sub(r"(?s)<(style|title)>.*?</\1>", " ", html)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_a_cohort_in_order():
    html = render_page(make_check([statistics("a"), statistics("b", size_x=10)]), None, "")
    text = text_of(html)
    assert "brats /data/brats OK: 2 cases can be trained on" in text
    assert "Listed 2 To train on 2 Files ignored 3 Could be read 2 Errors 0 Warnings 0" in text
    assert "fold-0 2 2 HGG 2" in text
    assert "Nothing is wrong with this cohort." in text
    assert "size x (voxels) 8 9 10" in text
    assert "orientation LPS in 2" in text
    assert "TumorCore 1 2 of 2 100 100 100 89.29% 52.083%" in text  # of 112 and of 192 voxels
    assert "EnhancingTumor 4 0 of 2 no case has it 0.00% 0.000%" in text
    assert f"a fold-0 1 {TIMES} 1 {TIMES} 2.5 8 {TIMES} 6 {TIMES} 4 25.0% 100 12 0" in text
    assert "Difference" not in text


def test_nothing_is_loaded_and_no_script_runs():
    html = render_page(make_check([statistics("a")]), None, "")
    assert "default-src 'none'" in html
    assert not re.search(r"<script|<link [^>]*href=\"(?!data:)|src=|@import|url\(", html)


def test_all_that_comes_from_outside_is_escaped():
    case = statistics(HOSTILE, dtype=HOSTILE, orientation=HOSTILE)
    problem = Problem(case_id=HOSTILE, rule=HOSTILE, path=HOSTILE, remedy=HOSTILE)
    check = make_check([case], [problem, replace(problem, severity="warning")], {HOSTILE: HOSTILE})
    info = replace(
        BRATS, label_names=dict.fromkeys(BRATS.label_names, HOSTILE), channels=(HOSTILE,)
    )
    check = replace(check, info=info, config=replace(check.config, root=HOSTILE))
    named = {**case, f"{HOSTILE}_foreground": 0.5, HOSTILE: 1.0}
    other = {**named, "content": "other", f"{HOSTILE}_foreground": 0.25}
    check = replace(check, statistics=(named, other))
    difference = compare_cohorts([named], [named])
    html = render_page(check, difference, HOSTILE)
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 15


def test_problems_are_tables_by_severity():
    wrong = Problem(case_id="a", rule="a rule", path="/d/a.nii", remedy="a remedy")
    warning = replace(wrong, case_id="b", rule="an oddity", severity="warning")
    html = render_page(make_check([statistics("a")], [wrong, warning]), None, "")
    text = text_of(html)
    assert "1 error in 1 case: repair the data" in text
    assert (
        "1 error Case What must hold, and what was found What to do a a rule /d/a.nii a rem" in text
    )
    assert "1 warning Case What must hold, and what was found What to do b an oddity" in text
    assert re.findall(r"<details( open)?>", html) == [" open", ""]


def test_many_problems_and_cases_are_cut_short_and_counted():
    count = MOST_ROWS + 5
    problems = [
        Problem(case_id=f"case-{i:05d}", rule="r", path="p", severity="warning")
        for i in range(count)
    ]
    cases = [statistics(f"case-{i:05d}") for i in range(count)]
    html = render_page(make_check(cases, problems), None, "")
    text = text_of(html)
    assert "1,005 warnings" in text
    assert "And 5 more: the file that --json writes has all of them." in text
    assert "the first 1,000 of 1,005: the file that --json writes has all of them" in text
    assert html.count("case-00999") == 2
    assert "case-01000" not in html
    assert len(html) < 2_000_000


def test_difference_against_another_cohort():
    old = [statistics(f"o{i}", size_x=10 + i) for i in range(4)]
    new = [statistics("o0", size_x=30), statistics("n", size_x=40)]
    difference = compare_cohorts(old, new)
    text = text_of(render_page(make_check(new), difference, "runs/old"))
    assert "1 of 15 features differ between 2 new and 4 old cases." in text
    assert "1 of the 2 new cases was in the old cohort" in text
    assert "This cohort against runs/old" in text
    assert "size_x differs 1.00 0.13 2 of 2 11.5 (10.75 to 12.25) 35 (32.5 to 37.5)" in text
    assert "dtype no 0.00 0 of 2 int16 100% int16 100%" in text


def test_unlabelled_cases_have_no_voxels():
    case = {k: v for k, v in statistics("a").items() if not k.startswith("label")}
    check = make_check([case])
    (row,) = make_rows(check)
    assert row.voxels == (None, None, None)
    text = text_of(render_page(check, None, ""))
    assert "No case that could be read has a label." in text
    assert "25.0% \N{EN DASH} \N{EN DASH} \N{EN DASH}" in text


def test_many_labels_share_a_column():
    values = tuple(range(11))
    info = replace(BRATS, label_values=values, label_names={v: f"organ {v}" for v in values[1:]})
    labels = {f"label_{v}_voxels": v for v in values}
    check = replace(make_check([statistics("a", **labels)]), info=info)
    (row,) = make_rows(check)
    assert row.voxels == (sum(values),)
    assert "All labels" in text_of(render_page(check, None, ""))


def test_photographs_have_no_foreground_column():
    case = {
        **{"case_id": "a", "dtype": "uint8", "orientation": "image", "grey_foreground": 1.0},
        **{"size_x": 64, "size_y": 32, "spacing_x": 1.0, "spacing_y": 1.0},
        **{"label_0_voxels": 2000, "label_255_voxels": 48},
    }
    check = replace(make_check([case]), info=DAGM)
    (row,) = make_rows(check)
    assert (row.size, row.spacing) == (f"64 {TIMES} 32", f"1 {TIMES} 1")
    assert row.foreground is None
    text = text_of(render_page(check, None, ""))
    assert "Size defect a fold-0" in text
    assert "defect (pixels) 48 in all 1 cases" in text


def test_a_cohort_that_could_not_be_described():
    problem = Problem(case_id="d", rule="dataset.json must be there", path="/d/dataset.json")
    check = undescribed(DataConfig(dataset="nnunet", root="/d"), [problem])
    text = text_of(render_page(check, None, ""))
    assert "dataset.json must be there /d/dataset.json" in text
    assert "No case could be read." in text


def test_bars_of_a_histogram_by_hand():
    """Values 0 to 24 in 24 bins of one; the axis goes from 34 to 308 units, the bars from 106 (0
    cases) up to 10 (3 cases): one case is 32 units high.
    """
    svg = str(histogram("volume", [0, 0, 0, 12, 24, 24]))
    bars = re.search(r'class="bars" d="([^"]+)"', svg)[1]
    tops = re.findall(r"M([\d.]+) 106V([\d.]+)H", bars)
    assert [top for _, top in tops] == ["10", "74", "42"]
    assert tops[0][0] == "34"
    assert "<title>volume: 6 cases from 0 to 24</title>" in svg


@pytest.mark.parametrize(
    ("values", "words"), [([2.5, 2.5], "2.5 in all 2 cases"), ([], "no case has it")]
)
def test_no_histogram_of_one_value(values, words):
    html = str(histogram(HOSTILE, values))
    assert words in html
    assert "<svg" not in html and "<script" not in html


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.93754, "0.9375"),
        (240.0, "240"),
        (12345.6, "12,346"),
        (0.00001, "1e-05"),
        (999.96, "1000"),
    ],
)
def test_number(value, text):
    assert number(value) == text


def test_words():
    assert feature_words("spacing_x") == "spacing x (mm)"
    assert feature_words("t1_ce_foreground") == "foreground of t1_ce (share)"
    spread = Spread(n=3, minimum=0, q1=1, median=2.5, q3=4, maximum=9)
    assert describe(spread) == "2.5 (1 to 4)"
    assert describe(Shares(n=4, values={"LPS": 0.75, "RAS": 0.25})) == "LPS 75%, RAS 25%"
    many = Shares(n=7, values={c: 1 / 7 for c in "abcdefg"})
    assert describe(many).endswith("e 14%, 2 more")
    assert (p_value(None), p_value(0.0123), p_value(3e-7)) == ("", "0.012", "3e-07")


def test_words_of_a_difference():
    a, b = statistics("a"), statistics("b", dtype="uint8")
    assert repeated_words(compare_cohorts([a], [b])).startswith("None of the new cases")
    assert repeated_words(compare_cohorts([a, b], [a, b])).startswith("2 of the 2 new cases were")
    assert difference_verdict(compare_cohorts([a], [b])).startswith("1 of 15 features differ ")
