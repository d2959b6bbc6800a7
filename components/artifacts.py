"""The artifact types that TFX lacks, and what all our components need of artifacts.

On Kubeflow, TFX imports an artifact type by its type name, and allows one dot in it: hence
`components.Name`, which the package resolves.
"""

from tfx.types.artifact import Artifact
from tfx.types.component_spec import ChannelParameter

from beam_preprocess.config import MAX_FOLDS

Artifacts = dict[str, list[Artifact]]
"""What TFX hands an executor: name of an input or output -> its artifacts."""


class DataApproval(Artifact):
    """Says that no case statistics were out of the ordinary."""

    TYPE_NAME = "components.DataApproval"


class ReportPage(Artifact):
    """A folder with one self-contained HTML page, `report.html`; on Kubeflow the page itself.

    TFX 1.16 has no type for it.
    """

    TYPE_NAME = "components.ReportPage"


def fold_inputs(name: str, artifact_type: type[Artifact]) -> dict[str, ChannelParameter]:
    """Inputs `name_0`, `name_1`, ... of a component spec: one per fold, of as many as may be."""
    return {
        f"{name}_{i}": ChannelParameter(type=artifact_type, optional=True) for i in range(MAX_FOLDS)
    }
