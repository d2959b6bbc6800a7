"""Where our components keep what they write, and the one artifact type that TFX lacks."""

import json
from pathlib import Path
from typing import Any

from tfx.types.artifact import Artifact

COHORT = "cohort.json"
"""In the `examples` artifact: cases listed and excluded, and the case ids of every split."""
CASES_CSV = "cases.csv"
CASES_JSON = "cases.json"
SCORES = "scores.json"
PICTURES = "pictures"
RESULT = "result.json"
REPORT = "report.html"


class DataApproval(Artifact):
    """Says that no case statistics were out of the ordinary."""

    TYPE_NAME = "DataApproval"


def read_json(uri: str, name: str) -> Any:
    """Reads a JSON file of an artifact."""
    return json.loads((Path(uri) / name).read_text(encoding="utf-8"))
