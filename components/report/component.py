"""Report: what the folds and CrossValidation left -> one self-contained HTML page."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from beam_preprocess.atomic import write_text
from beam_preprocess.case import DatasetInfo
from beam_preprocess.config_io import from_json, to_json
from components.artifacts import Artifacts, ReportPage, fold_inputs
from components.file_names import REPORT
from components.report.content import Texts
from components.report.lineage import ArtifactFact, ExecutionFact, Lineage
from components.report.page_size import make_page
from components.report.read import Folders, read_report

TEXTS = tuple(field.name for field in fields(Texts))
_PLACE = 3
"""Parts of a URI, from its end, that tell where an artifact is: NODE/OUTPUT/ID."""


class ReportSpec(ComponentSpec):
    """Inputs (one evaluation and one training per fold, by name), output and parameters."""

    PARAMETERS = {"folds": ExecutionParameter(type=int)} | {
        name: ExecutionParameter(type=str) for name in ("info", *TEXTS)
    }
    INPUTS = (
        {
            "examples": ChannelParameter(type=standard_artifacts.Examples),
            "cross_validation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        }
        | fold_inputs("evaluation", standard_artifacts.ModelEvaluation)
        | fold_inputs("model_run", standard_artifacts.ModelRun)
    )
    OUTPUTS = {"report": ChannelParameter(type=ReportPage)}


def known_lineage(inputs: Artifacts) -> Lineage:
    """What an executor can tell of the run: what it was given, and which nodes made that."""
    given = {name: artifacts[0] for name, artifacts in sorted(inputs.items()) if artifacts}
    facts, makers = {}, {}
    for name, artifact in given.items():
        node = artifact.producer_component or name
        makers[name] = node
        facts[name] = ArtifactFact(
            id=str(artifact.id or name),
            name=name.rstrip("0123456789").rstrip("_"),
            type=artifact.type_name,
            uri="/".join(Path(artifact.uri).parts[-_PLACE:]),
        )
    executions = [
        ExecutionFact(node=node, outputs=tuple(n for n in given if makers[n] == node))
        for node in dict.fromkeys(makers.values())
    ]
    return Lineage(
        executions=(*executions, ExecutionFact(node="Report", inputs=tuple(given))),
        artifacts=facts,
        complete=False,
    )


class ReportExecutor(base_executor.BaseExecutor):
    """Writes the page."""

    def Do(  # noqa: N802
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        """Reads the folds and writes the page, atomically."""

        def folder(name: str) -> Path:
            return Path(artifact_utils.get_single_uri(input_dict[name]))

        folds = range(int(exec_properties["folds"]))
        data = read_report(
            Folders(
                cross_validation=folder("cross_validation"),
                examples=folder("examples"),
                evaluations=tuple(folder(f"evaluation_{i}") for i in folds),
                model_runs=tuple(folder(f"model_run_{i}") for i in folds),
            ),
            info=from_json(DatasetInfo, exec_properties["info"]),
            texts=Texts(**{name: exec_properties[name] for name in TEXTS}),
            lineage=known_lineage(input_dict),
        )
        target = page_path(Path(artifact_utils.get_single_uri(output_dict["report"])))
        html, _ = make_page(data)
        write_text(target, html)


def page_path(artifact: Path) -> Path:
    """`report.html` in the folder that TFX made; where it made none, the artifact itself.

    On Kubeflow nobody makes a folder, and its UI shows an artifact that is a page, not a folder.
    """
    return artifact / REPORT if artifact.is_dir() else artifact


class Report(base_component.BaseComponent):
    """Writes the report of a run.

    Args:
      examples: Of CaseGen: the scans of the cases that are shown, and what is known of all.
      cross_validation: Of CrossValidation, with `result.json`.
      folds: Of every fold its evaluation, and its model run with the history of the training.
      info: The dataset.
      texts: Title and such.
    """

    SPEC_CLASS = ReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(ReportExecutor)

    def __init__(
        self,
        examples: types.BaseChannel,
        cross_validation: types.BaseChannel,
        folds: Sequence[tuple[types.BaseChannel, types.BaseChannel]],
        *,
        info: DatasetInfo,
        texts: Texts,
    ):
        named = {f"evaluation_{i}": e for i, (e, _) in enumerate(folds)}
        named |= {f"model_run_{i}": r for i, (_, r) in enumerate(folds)}
        super().__init__(
            ReportSpec(
                examples=examples,
                cross_validation=cross_validation,
                folds=len(folds),
                info=to_json(info),
                report=types.Channel(type=ReportPage),
                **asdict(texts),
                **named,
            )
        )
