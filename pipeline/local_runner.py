"""Runs the DAG on this machine: TFX's LocalDagRunner, ML Metadata in SQLite."""

import json
import logging
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

from ml_metadata.metadata_store import MetadataStore
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.utils import path_utils

from beam_preprocess.atomic import write_text
from beam_preprocess.fingerprint import fingerprint_folder
from components.file_names import COHORT_STATISTICS, REPORT, RESULT, read_json
from components.origin import list_deployments
from components.report.lineage import Lineage
from components.report.page import replace_lineage
from pipeline.config import RunConfig
from pipeline.config_text import config_text
from pipeline.console import adopt_frameworks, set_up_logging
from pipeline.lineage import NodeRun, read_last_run, read_lineage
from pipeline.pipeline import BEAM_ARGS, check_config, create_pipeline
from pipeline.plan import Places
from pipeline.run_folder import ARTIFACTS, CONFIG_FILE, METADATA, STATE, RunError, hold
from pipeline.served import ensure_served
from pipeline.summary import Summary, describe_nodes, peak_rss_bytes, summary_table
from pipeline.usage import EXIT_DONE, EXIT_NOT_BLESSED

SUMMARY = "summary.json"
_MAX_WORKERS = 8  # each holds a whole case or two
_log = logging.getLogger(__name__)


def run(config: RunConfig, *, force: bool = False) -> int:
    """Runs the pipeline, writes `summary.json` and prints the table. Returns the exit status.

    Args:
      config: Of the run.
      force: Whether a model that is not blessed is pushed all the same.

    Raises:
      RunError: A node failed; the message is that of its error, the whole trace is in the log file.
        Or the run folder cannot be used.
      ValueError: The network or the gate does not suit the dataset.
    """
    started = time.monotonic()
    check_config(config)
    output = Path(config.output).absolute()
    with hold(output):
        nodes, lineage = _run_pipeline(config, output, force=force)
        _copy_report(nodes, output, lineage)
        summary = _summarise(nodes, output, config, seconds=time.monotonic() - started)
        write_text(output / SUMMARY, json.dumps(asdict(summary), indent=1))
    sys.stdout.write(summary_table(summary) + "\n")
    return EXIT_DONE if summary.model else EXIT_NOT_BLESSED


def _run_pipeline(
    config: RunConfig, output: Path, *, force: bool
) -> tuple[dict[str, NodeRun], Lineage]:
    """Runs all nodes, and tells what they did. An earlier run's result is removed first.

    That, and the config of this run, waits until the raw files are hashed and the nodes are made:
    whoever stops the run before leaves the folder as it was, one run with its own config.
    """
    set_up_logging(output / "logs" / "run.log")
    adopt_frameworks()
    _log.info("pipeline %s in %s", config.name, output)
    connection = sqlite_metadata_connection_config(str(output / METADATA))
    pipeline = Pipeline(
        pipeline_name=config.name,
        pipeline_root=str(output / ARTIFACTS),
        components=create_pipeline(config, _places(config, output), force=force),
        metadata_connection_config=connection,
        beam_pipeline_args=list(BEAM_ARGS),
        enable_cache=True,
    )
    for name in (SUMMARY, REPORT):
        (output / name).unlink(missing_ok=True)
    write_text(output / CONFIG_FILE, config_text(config))
    try:
        LocalDagRunner().run(pipeline)
    except Exception as e:
        logging.getLogger("tfx").exception("the run failed")
        raise RunError(f"{e}\nthe whole story is in {output / 'logs' / 'run.log'}") from e
    store = MetadataStore(connection)
    return read_last_run(store), read_lineage(store)


def _places(config: RunConfig, output: Path) -> Places:
    return Places(
        pipeline_root=str(output / ARTIFACTS),
        serving=str(output / "serving"),
        state=str(output / STATE),
        workers=min(_MAX_WORKERS, os.cpu_count() or 1),
        data_fingerprint=fingerprint_folder(
            Path(config.data.root),
            output / STATE / "file-hashes.json",
            more=[Path(p) for p in (config.data.case_table, config.data.splits) if p],
        ),
        deployed=list_deployments(output / "serving"),
    )


def _copy_report(nodes: dict[str, NodeRun], output: Path, lineage: Lineage) -> None:
    """Copies the report to where a user looks for it, now with the lineage of the whole run."""
    page = Path(nodes["Report"].outputs["report"]) / REPORT
    write_text(output / REPORT, replace_lineage(page.read_text(encoding="utf-8"), lineage))


def _summarise(
    nodes: dict[str, NodeRun], output: Path, config: RunConfig, *, seconds: float
) -> Summary:
    """Reads the results of a run's artifacts."""
    result = read_json(nodes["CrossValidation"].outputs["evaluation"], RESULT)
    gate, serving = result["gate"], output / "serving"
    chosen = Path(path_utils.serving_model_dir(nodes["Candidate"].outputs["model"]))
    pushed = gate["blessed"] or gate["forced"]
    return Summary(
        blessed=gate["blessed"],
        forced=gate["forced"],
        reasons=gate["reasons"],
        **{
            name: result[name]
            for name in ("scores", "folds", "slices", "cases", "gate", "test", "deploy")
        },
        level=config.evaluation.statistics.level,
        cohort_statistics=str(Path(nodes["CaseGen"].outputs["examples"]) / COHORT_STATISTICS),
        model=str(ensure_served(chosen, serving)) if pushed else None,
        report=str(output / REPORT),
        logs=str(output / STATE),
        nodes=describe_nodes(nodes),
        seconds=round(seconds, 1),
        peak_rss_bytes=peak_rss_bytes(),
    )
