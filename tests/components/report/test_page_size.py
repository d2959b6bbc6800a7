"""Pages that would be too large: what goes first, and what is said of it."""

import re
from dataclasses import replace

import pytest

from components.report import page_size
from components.report.content import ReportData
from components.report.page import render_page
from components.report.page_size import check_size, leave_out, make_page

from ..report_samples import read_sample, write_artifacts


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> ReportData:
    return read_sample(write_artifacts(tmp_path_factory.mktemp("run")), chosen=["b"])


def shown(html: str) -> list[str]:
    return re.findall(r'name="case".*?<code>(.*?)</code>', html)


def test_page_that_fits_is_whole(data):
    html, viewer = make_page(data)
    assert html == render_page(data) and viewer == data.viewer.shown


def test_long_lists_go_first(data, monkeypatch):
    monkeypatch.setattr(page_size, "FEWER_CASES", 2)
    html, viewer = make_page(data, most_bytes=len(render_page(data).encode()))
    assert "(the first 2 of 4)" in html
    assert viewer == data.viewer.shown, "the cases of the viewer stay"


def test_then_the_least_important_cases_of_the_viewer(data):
    """In this order: the median, the best, the worst, those that were asked for."""
    least = len(render_page(data).encode())
    html, viewer = make_page(data, most_bytes=least - 10)
    assert viewer.left_out == ("c",) and shown(html) == ["a", "d", "b"]
    assert "so that the page stays below 15 MB: c." in html
    small = leave_out(data.viewer, 10**9)
    assert small.shown.items == () and small.shown.left_out == ("b", "d", "a", "c")


def test_page_that_is_too_large_all_the_same_names_its_largest_part(data):
    config = replace(data.texts, config="x" * 100_000)
    large = replace(data, texts=config)
    with pytest.raises(RuntimeError, match=r"below 90,000 bytes.* most of it is in config \(1\d\d"):
        make_page(large, most_bytes=90_000)


def test_size_is_a_limit():
    assert check_size("x" * 9, most_bytes=10) == "x" * 9
    with pytest.raises(RuntimeError, match="must be below 10 bytes, this one has 10"):
        check_size("x" * 10, most_bytes=10)


def test_long_list_of_exclusions_is_cut(data):
    counts = data.result.counts
    many = replace(counts, exclusions={f"case-{i}": "blurred" for i in range(30)})
    html = render_page(replace(data, result=replace(data.result, counts=many)), most_cases=10)
    assert html.count("blurred") == 10 and "And 20 more: result.json of CrossValidation" in html
