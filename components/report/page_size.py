"""Keeps a page below the size that browsers open at once and mail servers let through.

What the page can do without goes first: rows of its long lists, then cases of the viewer. The page
itself says what it left out.
"""

import re
from dataclasses import replace

from components.report.content import ReportData, ViewerCases
from components.report.page import render_page
from components.report.ranking import by_importance
from components.report.sprites import Shown, size_of

MOST_BYTES = 15_000_000
"""Of a page."""
FEWER_CASES = 100
"""In the long lists of a page that is too large with `page.MOST_CASES`."""
_SECTION = re.compile(r'<section id="([a-z-]+)"')


def make_page(data: ReportData, *, most_bytes: int = MOST_BYTES) -> tuple[str, Shown]:
    """The page, with as much as finds its place, and what its viewer shows.

    Raises:
      RuntimeError: It is too large without the long lists and the viewer, too.
    """
    html = render_page(data)
    if _size(html) >= most_bytes:
        html = render_page(data, most_cases=FEWER_CASES)
    if (excess := _size(html) - most_bytes) >= 0:
        data = replace(data, viewer=leave_out(data.viewer, excess + 1))
        html = render_page(data, most_cases=FEWER_CASES)
    return check_size(html, most_bytes=most_bytes), data.viewer.shown


def leave_out(viewer: ViewerCases, least_bytes: int) -> ViewerCases:
    """The viewer without its least important cases, until so many bytes are free or none is left.

    Args:
      viewer: With cases whose sizes are known.
      least_bytes: To set free.
    """
    items = {item["id"]: item for item in viewer.shown.items}
    gone: list[str] = []
    for case_id in reversed([c for c in by_importance(viewer.ranks) if c in items]):
        if sum(size_of(items[c]) for c in gone) >= least_bytes:
            break
        gone.append(case_id)
    shown = replace(
        viewer.shown,
        items=tuple(item for item in viewer.shown.items if item["id"] not in gone),
        left_out=(*viewer.shown.left_out, *reversed(gone)),
    )
    return replace(viewer, shown=shown)


def check_size(html: str, *, most_bytes: int = MOST_BYTES) -> str:
    """The page itself. Raises RuntimeError where it is larger than a page may be."""
    if (size := _size(html)) < most_bytes:
        return html
    largest = sorted(_section_sizes(html).items(), key=lambda item: -item[1])[:2]
    sections = " and ".join(f"{name} ({bytes_:,})" for name, bytes_ in largest)
    raise RuntimeError(
        f"a report must be below {most_bytes:,} bytes, this one has {size:,}, with {FEWER_CASES}"
        f" cases in its lists and none in the viewer; most of it is in {sections}: slice by columns"
        " with fewer values (evaluation.slices), or make the run's configuration shorter"
    )


def _section_sizes(html: str) -> dict[str, int]:
    """Id of a section of the page -> its bytes."""
    parts = _SECTION.split(html)
    return {name: _size(text) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _size(html: str) -> int:
    return len(html.encode())
