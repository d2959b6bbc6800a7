"""The page in a real browser: pictures, slider, keys, wheel, definitions; an empty console."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.report.page import render_page

from ...browser import find_chromium, open_page
from ..report_samples import read_sample, write_artifacts

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_chromium() is None,
        reason="there is no Chromium: tools/add_chromium.sh installs it",
    ),
]
AXIAL = ".plane[data-plane=axial]"
PIXELS = f"[...document.querySelector('{AXIAL} canvas[data-panel=%s]').toDataURL()].join('')"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The open page, its viewer ready."""
    folder = tmp_path_factory.mktemp("page")
    path = folder / "report.html"
    path.write_text(render_page(read_sample(write_artifacts(folder / "run"))), encoding="utf-8")
    with open_page(path, folder / "profile") as opened:
        opened.view(1200, 900)
        opened.wait("document.getElementById('viewer').dataset.ready === '0'")
        yield opened


def slider(page) -> int:
    return page.run(f"Number(document.querySelector('{AXIAL} input').value)")


def colours(page, panel: str) -> np.ndarray:
    """The pixels of a panel of the axial plane [H, W, 3]."""
    url = page.run(PIXELS % panel)
    content = base64.b64decode(url.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.int16)


def test_screenshots_in_light_dark_and_on_a_phone(page, tmp_path: Path):
    sizes = {}
    for name, width, dark in (("light", 1200, False), ("dark", 1200, True), ("phone", 390, False)):
        page.view(width, 900, dark=dark)
        path = tmp_path / f"{name}.png"
        page.screenshot(path)
        sizes[name] = np.asarray(Image.open(path).convert("L")).mean()
        assert page.run("document.documentElement.scrollWidth <= innerWidth"), "no sideways scroll"
    assert sizes["dark"] < 80 and sizes["light"] > 180
    page.view(1200, 900)


def test_slider_moves_the_slice(page):
    before = page.run(PIXELS % "plain")
    label = page.run(f"document.querySelector('{AXIAL} canvas').getAttribute('aria-label')")
    assert "slice 2 of 5" in label and "Image of case a" in label
    page.run(
        f"(() => {{ const s = document.querySelector('{AXIAL} input'); s.value = 5;"
        " s.dispatchEvent(new Event('input', { bubbles: true })); })()"
    )
    assert page.run(PIXELS % "plain") != before
    output = page.run(f"document.querySelector('{AXIAL} output').textContent")
    assert output == "slice 5 of 5; nothing labelled"


def test_arrow_keys_move_the_slice(page):
    page.run(f"document.querySelector('{AXIAL} input').value = 3")
    page.run(f"document.querySelector('{AXIAL} input').focus()")
    page.key("ArrowLeft", 37)
    assert slider(page) == 2
    page.key("ArrowUp", 38)
    assert slider(page) == 3


def test_wheel_moves_the_slice_and_lets_the_page_go_at_the_end(page):
    wheel = (
        f"(() => {{ const e = new WheelEvent('wheel', {{ deltaY: 100, bubbles: true,"
        f" cancelable: true }}); document.querySelector('{AXIAL} canvas').dispatchEvent(e);"
        " return e.defaultPrevented; })()"
    )
    page.run(f"document.querySelector('{AXIAL} input').value = 4")
    assert page.run(wheel) is True and slider(page) == 5
    assert page.run(wheel) is False and slider(page) == 5


def test_labels_and_errors_are_where_they_should_be(page):
    """The truth is 3 x 3 voxels (2:5) of a grid [7, 6]; its first row along x is missed."""
    page.run(
        f"(() => {{ const s = document.querySelector('{AXIAL} input'); s.value = 3;"
        " s.dispatchEvent(new Event('input', { bubbles: true })); })()"
    )
    plain, truth, error = (colours(page, panel) for panel in ("plain", "truth", "error"))
    # the record is cropped to [1:7, 1:6]: 6 wide, 5 high
    assert plain.shape == (5, 6, 3)
    tinted = np.argwhere((truth != plain).any(-1))
    # LPS: x runs to the patient's left, so the screen shows it as it is; so does y, front first
    assert {tuple(p) for p in tinted} == {(r, c) for r in (1, 2, 3) for c in (1, 2, 3)}
    blue = error[..., 2] - error[..., 0] > 30
    assert {tuple(p) for p in np.argwhere(blue)} == {(1, 1), (2, 1), (3, 1)}, "missed is blue"
    orange = error[..., 0] - error[..., 2] > 30
    assert {tuple(p) for p in np.argwhere(orange)} == {(1, 4)}, "false is orange"


def test_another_case(page):
    page.run("document.querySelectorAll('input[name=case]')[2].click()")
    page.wait("document.getElementById('viewer').dataset.ready === '2'")
    label = page.run(f"document.querySelector('{AXIAL} canvas').getAttribute('aria-label')")
    assert "of case d" in label


def test_definitions_show_on_focus_and_hide_on_escape(page):
    page.run("document.querySelector('.term').focus()")
    assert page.run("document.querySelector('.tip').hidden") is False
    assert "voxels" in page.run("document.querySelector('.tip').textContent")
    page.key("Escape", 27)
    assert page.run("document.querySelector('.tip').hidden") is True


def test_text_has_contrast(page):
    """WCAG AA: 4.5 to 1 for text, in light and dark, for the pairs of colours of the pages."""
    ratio = """(() => {
      const probe = document.body.appendChild(document.createElement("span"));
      const light = (name) => {
        probe.style.color = `var(${name})`;
        const c = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
          .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2] + 0.05;
      };
      const pairs = [["--ink", "--page"], ["--soft", "--page"], ["--soft", "--panel"],
        ["--accent", "--page"], ["--accent", "--panel"], ["--good", "--good-panel"],
        ["--bad", "--bad-panel"], ["--open", "--open-panel"], ["--ink", "--box"]];
      const least = Math.min(...pairs.map(([a, b]) => {
        const [x, y] = [light(a), light(b)]; return Math.max(x, y) / Math.min(x, y); }));
      probe.remove();
      return least;
    })()"""
    for dark in (False, True):
        page.view(1200, 900, dark=dark)
        assert page.run(ratio) >= 4.5


def test_zz_console_stayed_empty(page):
    page.run("1")
    assert page.messages == []
