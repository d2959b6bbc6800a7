"""What all pages share: head, style, and the definitions that show on hover and on focus.

A page is one file that loads nothing: style, scripts and pictures are inside. Its security policy
lets those scripts run that are named here by their hashes, and no other.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).parent
DASH = "\N{EN DASH}"
"""Stands for a value that there is not."""


def make_environment(folder: Path) -> Environment:
    """Templates of a page and of this folder; all that comes from outside is escaped."""
    return Environment(
        loader=FileSystemLoader([folder, FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page_parts(styles: Sequence[Path] = (), scripts: Sequence[Path] = ()) -> dict[str, Any]:
    """What `base.html` needs: `style`, `scripts`, and the `script_policy` that lets them run.

    Args:
      styles: Style sheets besides our own.
      scripts: Files of JavaScript.
    """
    texts = [path.read_text(encoding="utf-8") for path in scripts]
    hashes = [f"'sha256-{_digest(text)}'" for text in texts]
    return {
        "style": Markup("\n").join(_read(path) for path in (FOLDER / "style.css", *styles)),
        "scripts": [Markup(text) for text in texts],
        "script_policy": Markup(f"; script-src {' '.join(hashes)}" if hashes else ""),
    }


def _read(path: Path) -> Markup:
    return Markup(path.read_text(encoding="utf-8"))


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


def json_block(value: Any) -> Markup:
    """JSON that can stand inside of a `script` element: no text in it can end the element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("&", "\\u0026"))


def data_url(content: bytes, kind: str) -> str:
    """A `data:` address that holds the content itself, of the media type `kind`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
