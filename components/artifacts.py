"""Where our components keep what they write, and the artifact types that TFX lacks.

On Kubeflow, TFX imports an artifact type by its type name, and allows one dot in it: hence
`components.Name`, which the package resolves.
"""

import json
from pathlib import Path
from typing import Any

from tfx.types.artifact import Artifact
from tfx.types.component_spec import ChannelParameter

from beam_preprocess.config import MAX_FOLDS

Artifacts = dict[str, list[Artifact]]
"""What TFX hands an executor: name of an input or output -> its artifacts."""

COHORT = "cohort.json"
"""In the `examples` artifact: cases listed and excluded, and the case ids of every split."""
COHORT_STATISTICS = "cohort-statistics.json"
"""In the `examples` artifact: the statistics of every case, for comparing cohorts."""
CASES_CSV = "cases.csv"
CASES_JSON = "cases.json"
SCORES = "scores.json"
PICTURES = "pictures"
RESULT = "result.json"
REPORT = "report.html"


class DataApproval(Artifact):
    """Says that no case statistics were out of the ordinary."""

    TYPE_NAME = "components.DataApproval"


class ReportPage(Artifact):
    """A folder with one self-contained HTML page. TFX 1.16 has no type for it."""

    TYPE_NAME = "components.ReportPage"


def fold_inputs(name: str, artifact_type: type[Artifact]) -> dict[str, ChannelParameter]:
    """Inputs `name_0`, `name_1`, ... of a component spec: one per fold, of as many as may be."""
    return {
        f"{name}_{i}": ChannelParameter(type=artifact_type, optional=True) for i in range(MAX_FOLDS)
    }


def read_json(uri: str, name: str) -> Any:
    """Reads a JSON file of an artifact."""
    return json.loads((Path(uri) / name).read_text(encoding="utf-8"))
