"""The Report node as its pod runs it: Kubeflow's type in, the page out, where Kubeflow looks."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from beam_preprocess.config_io import to_json
from beam_preprocess.datasets.brats import BRATS

from ..components.report_samples import TEXTS, write_artifacts

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
TFX = "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"


def artifact(uri: Path, **kind: str) -> dict:
    return {"artifacts": [{"name": uri.name, "uri": str(uri), "type": kind}]}


@pytest.fixture
def invocation(tmp_path: Path) -> dict:
    """What Kubeflow's launcher hands the container: inputs, and outputs that are not there yet."""
    folders = write_artifacts(tmp_path / "run")
    inputs = {
        "examples": artifact(folders.examples, instanceSchema="title: tfx.Examples"),
        "cross_validation": artifact(
            folders.cross_validation, instanceSchema="title: tfx.ModelEvaluation"
        ),
    }
    for i in range(2):
        evaluation, run = folders.evaluations[i], folders.model_runs[i]
        inputs[f"evaluation_{i}"] = artifact(
            evaluation, instanceSchema="title: tfx.ModelEvaluation"
        )
        inputs[f"model_run_{i}"] = artifact(run, instanceSchema="title: tfx.ModelRun")
    page = artifact(tmp_path / "out" / "report", schemaTitle="system.HTML", schemaVersion="0.0.1")
    parameters = {"folds": 2, "info": to_json(BRATS), **asdict(TEXTS)}
    return {
        "inputs": {"artifacts": inputs, "parameterValues": parameters},
        "outputs": {
            "artifacts": {"report": page},
            "outputFile": str(tmp_path / "task" / "executor_output.json"),
        },
    }


def run(module: str, invocation: dict) -> subprocess.CompletedProcess:
    kinds = {"folds": "NUMBER_INTEGER"}
    names = invocation["inputs"]["parameterValues"]
    inputs_spec = {
        "parameters": {name: {"parameterType": kinds.get(name, "STRING")} for name in names}
    }
    command = [
        *(sys.executable, "-m", module),
        *("--executor_class_path", "components.report.component.ReportExecutor"),
        *("--json_serialized_invocation_args", json.dumps(invocation)),
        *("--json_serialized_inputs_spec_args", json.dumps(inputs_spec)),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_page_is_where_kubeflow_looks(invocation, tmp_path):
    (tmp_path / "out").mkdir()
    done = run("kubeflow.page_entrypoint", invocation)
    assert done.returncode == 0, done.stderr[-2000:]
    page = tmp_path / "out" / "report"
    assert page.is_file() and page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    written = json.loads((tmp_path / "task" / "executor_output.json").read_text())
    (report,) = written["artifacts"]["report"]["artifacts"]
    assert report["uri"] == str(page)


def test_tfx_alone_does_not_know_the_type(invocation):
    """Why there is an entry point of our own: once this fails, there need be none."""
    done = run(TFX, invocation)
    assert done.returncode != 0
    assert "No module named 'system'" in done.stderr
