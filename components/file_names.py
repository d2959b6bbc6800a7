"""What the files in our artifacts are called. Commands for one model know these without TFX."""

import json
from pathlib import Path
from typing import Any

COHORT = "cohort.json"
"""In the `examples` artifact: cases listed and excluded, the case ids of every split, and what the
case table says of cases."""
COHORT_STATISTICS = "cohort-statistics.json"
"""In the `examples` artifact: the statistics of every case, for comparing cohorts."""
CASES_CSV = "cases.csv"
CASES_JSON = "cases.json"
SCORES = "scores.json"
EVALUATION = "evaluation.json"
"""Of `unet-tfx evaluate`: what was scored on what, how, and what could not be."""
PICTURES = "pictures"
PREDICTIONS = "predictions"
RESULT = "result.json"
CANDIDATE = "candidate.json"
"""Beside the model to be deployed: how it was made, and which folds are in it."""
BASELINE = "baseline.json"
"""Which deployed model a new one is compared with, or why with none."""
REPORT = "report.html"


def read_json(uri: str, name: str) -> Any:
    """Reads a JSON file of an artifact."""
    return json.loads((Path(uri) / name).read_text(encoding="utf-8"))
