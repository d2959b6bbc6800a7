"""The report of a run folder, which may have been moved: from its artifacts and ML Metadata."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beam_preprocess.case import DatasetInfo
from beam_preprocess.config_io import from_dict, from_json, to_json
from components.report.content import ReportData, Texts
from components.report.lineage import Lineage
from components.report.read import Folders, read_report
from pipeline.fingerprints import code_fingerprint
from pipeline.lineage import (
    NodeRun,
    open_metadata,
    place,
    read_last_run,
    read_lineage,
    read_parameter,
    require_finished,
)
from pipeline.run_config import read_values
from pipeline.run_folder import ARTIFACTS, CONFIG_FILE
from trainer.config import EvaluationConfig


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """What ML Metadata tell of the last run in a folder.

    Attributes:
      folders: Of its artifacts, where they are now.
      info: The dataset.
      config: Content of `config.yaml`.
      config_text: The same as text.
      data_fingerprint: Hash of the raw files.
      lineage: What made what.
    """

    folders: Folders
    info: DatasetInfo
    config: dict[str, Any]
    config_text: str
    data_fingerprint: str
    lineage: Lineage

    @property
    def evaluation(self) -> EvaluationConfig:
        """How its cases were scored."""
        return from_dict(EvaluationConfig, self.config["evaluation"])


def find_run(run: Path) -> FinishedRun:
    """Finds the last run in a run folder.

    Raises:
      ValueError: Its cross-validation has not finished, its artifacts are gone, or its metadata or
        config are damaged.
    """
    with open_metadata(run) as store:
        nodes = read_last_run(store)
        require_finished(nodes, ["CrossValidation"], run)
        info = read_parameter(store, nodes["RecordSchema"].outputs["schema"], "info")
        examples = nodes["CaseGen"].outputs["examples"]
        data_fingerprint = read_parameter(store, examples, "data_fingerprint")
        lineage = read_lineage(store)
    return FinishedRun(
        folders=_folders(nodes, run),
        info=from_json(DatasetInfo, info),
        config=read_values(run),
        config_text=(run / CONFIG_FILE).read_text(encoding="utf-8"),
        data_fingerprint=data_fingerprint,
        lineage=lineage,
    )


def _folders(nodes: dict[str, NodeRun], run: Path) -> Folders:
    """The artifacts, each checked to be there."""

    def folder(node: str, output: str) -> Path:
        found = place(nodes[node].outputs[output], run / ARTIFACTS)
        if not found.is_dir():
            raise ValueError(
                f"output {output!r} of {node} must be in {str(found)!r}, it is not: copy it back,"
                " or run `unet-tfx run` again with another --output"
            )
        return found

    folds = range(sum(name.startswith("Evaluator-fold-") for name in nodes))
    return Folders(
        cross_validation=folder("CrossValidation", "evaluation"),
        examples=folder("CaseGen", "examples"),
        evaluations=tuple(folder(f"Evaluator-fold-{i}", "evaluation") for i in folds),
        model_runs=tuple(folder(f"Trainer-fold-{i}", "model_run") for i in folds),
    )


def read_run_report(run: Path, *, cases: Sequence[str] = ()) -> ReportData:
    """Reads all that the page of a run shows.

    Args:
      run: Run folder.
      cases: To show besides the best, the median and the worst.

    Raises:
      ValueError: See `find_run`; or a case was not scored.
    """
    found = find_run(run)
    return read_report(
        found.folders,
        info=found.info,
        texts=Texts(
            title=str(found.config["name"]),
            config=found.config_text,
            evaluation=to_json(found.evaluation),
            profile=str(found.config["preprocessing"]["profile"]),
            fingerprint=code_fingerprint("Report"),
        ),
        lineage=found.lineage,
        chosen=cases,
    )
