"""The DAG as a Kubeflow Pipelines spec: YAML, schema version 2.1.0.

Needs no cluster and no data. The pipeline root is no part of a spec: it is given at submission.
"""

from pathlib import Path
from typing import Any

import yaml
from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import (
    KubeflowV2DagRunner,
    KubeflowV2DagRunnerConfig,
)
from tfx.orchestration.pipeline import Pipeline

from beam_preprocess.atomic import write_text
from kubeflow.config import HTML, ClusterConfig, check_run
from pipeline.config import RunConfig
from pipeline.pipeline import BEAM_ARGS, create_pipeline
from pipeline.plan import Places

Spec = dict[str, Any]
_HTML_VERSION = "0.0.1"
_REPORT = "Report"
_PAGE_ENTRYPOINT = "kubeflow.page_entrypoint"


def write_spec(config: RunConfig, cluster: ClusterConfig, path: Path) -> Spec:
    """Compiles the DAG and writes it to `path`, atomically. Equal configs give equal files.

    Raises:
      ValueError: The config is none for a cluster, or the network does not suit the dataset.
    """
    spec = make_spec(config, cluster)
    write_text(path, yaml.safe_dump(spec, sort_keys=True))
    return spec


def make_spec(config: RunConfig, cluster: ClusterConfig) -> Spec:
    """The DAG as a pipeline spec. Raises ValueError as `write_spec` does."""
    check_run(config)
    runner = KubeflowV2DagRunner(
        config=KubeflowV2DagRunnerConfig(
            default_image=cluster.image,
            use_pipeline_spec_2_1=True,  # Kubeflow Pipelines reads no other
        )
    )
    job = runner.run(_make_pipeline(config, cluster), write_out=False)
    spec: Spec = job["pipelineSpec"]
    always = ["Baseline"]  # what is deployed changes outside of the run
    if not cluster.data_version:
        always.append("CaseGen")
    for name in tasks(spec).keys() & {*always}:
        del tasks(spec)[name]["cachingOptions"]
    _show_page(spec)
    return spec


def _show_page(spec: Spec) -> None:
    """Gives the report the type that Kubeflow's page shows, and its pod an entry point for it.

    TFX knows only types of its own making, in which a page is a file for download.
    """
    component = spec["components"][tasks(spec)[_REPORT]["componentRef"]["name"]]
    output = component["outputDefinitions"]["artifacts"]["report"]
    output["artifactType"] = {"schemaTitle": HTML, "schemaVersion": _HTML_VERSION}
    executor = spec["deploymentSpec"]["executors"][component["executorLabel"]]
    executor["container"]["command"] = ["python", "-m", _PAGE_ENTRYPOINT]


def tasks(spec: Spec) -> dict[str, Spec]:
    """The tasks of a spec by their names."""
    return spec["root"]["dag"]["tasks"]


def _make_pipeline(config: RunConfig, cluster: ClusterConfig) -> Pipeline:
    places = Places(
        pipeline_root="",
        serving=f"{cluster.serving}/{config.name}",
        state=f"{cluster.state}/{config.name}",
        data_fingerprint=cluster.data_version,
        deployed=None,
    )
    return Pipeline(
        pipeline_name=config.name,
        pipeline_root=places.pipeline_root,
        components=create_pipeline(config, places),
        beam_pipeline_args=list(BEAM_ARGS),
        enable_cache=True,
    )
