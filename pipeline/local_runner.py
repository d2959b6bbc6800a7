"""Runs the DAG on this machine: TFX's LocalDagRunner, ML Metadata in SQLite."""

import json
import logging
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path

from ml_metadata.metadata_store import MetadataStore
from tfx import v1 as tfx

from beam_preprocess.atomic import write_text
from beam_preprocess.fingerprint import fingerprint_folder
from components.artifacts import REPORT, RESULT, read_json
from pipeline.config import RunConfig
from pipeline.config_text import config_text
from pipeline.console import adopt_frameworks, set_up_logging
from pipeline.lineage import NodeRun, read_last_run
from pipeline.pipeline import BEAM_ARGS, Places, create_pipeline
from pipeline.summary import Summary, describe_nodes, peak_rss_bytes, summary_table

EXIT_BLESSED, EXIT_NOT_BLESSED = 0, 3
_log = logging.getLogger(__name__)


def run(config: RunConfig) -> int:
    """Runs the pipeline, writes `summary.json` and prints the table. Returns the exit status.

    Raises:
      RunError: A node failed; the message is that of its error, the whole trace is in the log file.
    """
    started = time.monotonic()
    output = Path(config.output).absolute()
    set_up_logging(output / "logs" / "run.log")
    adopt_frameworks()
    write_text(output / "config.yaml", config_text(config))
    _log.info("pipeline %s in %s", config.name, output)
    connection = tfx.orchestration.metadata.sqlite_metadata_connection_config(
        str(output / "metadata.sqlite")
    )
    pipeline = tfx.dsl.Pipeline(
        pipeline_name=config.name,
        pipeline_root=str(output / "artifacts"),
        components=create_pipeline(config, _places(config, output)),
        metadata_connection_config=connection,
        beam_pipeline_args=list(BEAM_ARGS),
        enable_cache=True,
    )
    _run_nodes(pipeline, output)
    nodes = read_last_run(MetadataStore(connection))
    summary = _summarise(nodes, output, seconds=time.monotonic() - started)
    write_text(output / "summary.json", json.dumps(asdict(summary), indent=1))
    sys.stdout.write(summary_table(summary) + "\n")
    return EXIT_BLESSED if summary.blessed else EXIT_NOT_BLESSED


class RunError(RuntimeError):
    """A node of the pipeline failed."""


def _run_nodes(pipeline: tfx.dsl.Pipeline, output: Path) -> None:
    try:
        tfx.orchestration.LocalDagRunner().run(pipeline)
    except Exception as e:
        logging.getLogger("tfx").exception("the run failed")
        raise RunError(f"{e}\nthe whole story is in {output / 'logs' / 'run.log'}") from e


def _places(config: RunConfig, output: Path) -> Places:
    return Places(
        pipeline_root=str(output / "artifacts"),
        serving=str(output / "serving"),
        state=str(output / "state"),
        data_fingerprint=fingerprint_folder(
            Path(config.data.root), output / "state" / "file-hashes.json"
        ),
    )


def _summarise(nodes: dict[str, NodeRun], output: Path, *, seconds: float) -> Summary:
    """Reads the results of a run's artifacts; copies the report to where a user looks for it."""
    result = read_json(nodes["CrossValidation"].outputs["evaluation"], RESULT)
    report = output / REPORT
    shutil.copyfile(Path(nodes["Report"].outputs["report"]) / REPORT, report)
    pushed = sorted((output / "serving").glob("[0-9]*"), key=lambda p: int(p.name))
    return Summary(
        blessed=result["blessed"],
        reasons=result["reasons"],
        scores=result["scores"],
        folds=result["folds"],
        cases=result["cases"],
        model=str(pushed[-1]) if result["blessed"] and pushed else None,
        report=str(report),
        logs=str(output / "state"),
        nodes=describe_nodes(nodes),
        seconds=round(seconds, 1),
        peak_rss_bytes=peak_rss_bytes(),
    )
