"""The folder of an exported model: where it is among versions, and what is told beside it."""

import json
from pathlib import Path
from typing import Any

METADATA = "assets.extra/unet_tfx.json"


def newest_version(path: Path) -> Path:
    """`path` where it is a SavedModel, or its newest numbered sub-folder that is one.

    Raises:
      ValueError: There is none, or it was not exported by us.
    """
    versions = [p for p in path.glob("*") if p.name.isdigit()] if path.is_dir() else []
    candidates = [path, *sorted(versions, key=lambda p: int(p.name), reverse=True)]
    for candidate in candidates:
        if (candidate / "saved_model.pb").is_file() and (candidate / METADATA).is_file():
            return candidate
    raise ValueError(
        f"model must be a folder that unet-tfx pushed (with saved_model.pb and {METADATA}),"
        f" got {str(path)!r}"
    )


def read_metadata(model: Path) -> dict[str, Any]:
    """The `ServingSpec` that a model was exported with, as a dict."""
    return json.loads((model / METADATA).read_text(encoding="utf-8"))
