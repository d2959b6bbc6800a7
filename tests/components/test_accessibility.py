"""What a screen reader and a keyboard get of the pages, in a real browser."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.compare_page.comparison import Run, compare_runs
from components.compare_page.page import render_comparison
from components.report.page import render_page

from ..browser import Page, find_chromium, open_page
from .report_samples import EVALUATION, make_folds, read_sample, write_artifacts

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_chromium() is None,
        reason="there is no Chromium: tools/add_chromium.sh installs it",
    ),
]
NAMED = {"button", "image", "link", "radio", "region", "slider", "table"}
"""Roles that need a name, beside all that can have the focus."""
STOPS = "a[href], button, summary, input:checked, input[type=range], [tabindex='0']"
"""Where the Tab key stops; of the radio buttons it is the chosen one."""


def make_report(folder: Path) -> str:
    return render_page(read_sample(write_artifacts(folder / "run")))


def make_comparison(folder: Path) -> str:
    dice = {f"c{i}": 0.5 + i / 100 for i in range(12)}
    better = {case_id: value + 0.1 for case_id, value in dice.items()}
    return render_comparison(compare_runs(make_run("a", dice), make_run("bb", better)))


def make_run(name: str, dice: dict[str, float]) -> Run:
    return Run(
        name=name,
        dataset="brats",
        rank=3,
        evaluation=EVALUATION,
        profile="corrected",
        config={"trainer": {"samples": len(name)}},
        threshold=0.5,
        contents={case_id: case_id for case_id in dice},
        groups={case_id: case_id for case_id in dice},
        folds=make_folds(dice),
    )


def read_aloud(page: Page) -> list[tuple[str, str, bool]]:
    """Role, name, and whether it can have the focus, of all that a screen reader gets."""
    page.call("Accessibility.enable")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    return [
        (
            node["role"]["value"],
            node.get("name", {}).get("value", "").strip(),
            any(p["name"] == "focusable" and p["value"]["value"] for p in node["properties"]),
        )
        for node in nodes
        if not node["ignored"]
    ]


@pytest.mark.parametrize(
    ("make", "roles"),
    [(make_report, NAMED), (make_comparison, NAMED - {"radio", "slider"})],
)
def test_everything_has_a_name_and_is_reached_by_the_tab_key(
    make: Callable[[Path], str], roles: set[str], tmp_path: Path
) -> None:
    (tmp_path / "page.html").write_text(make(tmp_path), encoding="utf-8")
    with open_page(tmp_path / "page.html", tmp_path / "profile") as page:
        page.wait("!document.getElementById('viewer') || window.viewer.dataset.ready === '0'")
        page.run("document.querySelectorAll('details').forEach(fold => fold.open = true)")
        heard = read_aloud(page)
        assert roles <= {role for role, _, _ in heard}
        nameless = [(role, focus) for role, name, focus in heard if not name]
        assert [n for n in nameless if n[0] in NAMED or n[1]] == []
        page.run(f'window.stops = [...document.querySelectorAll("{STOPS}")]')
        reached = []
        for _ in range(page.run("stops.length")):
            page.key("Tab", 9)
            reached.append(page.run("stops.indexOf(document.activeElement)"))
        assert reached == list(range(len(reached)))
        assert page.messages == []
