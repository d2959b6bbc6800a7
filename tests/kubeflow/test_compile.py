"""The compiled specs of both datasets: the whole DAG, and nothing that only works locally."""

import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeflow.compile_command import main

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
IMAGE = "registry.example.com:5000/team/unet-tfx:1.2"
OPTIONS = {
    "brats": ["--data.folds", "3"],
    "dagm": ["--data_version", "2024-05-01", "--state", "/ckpt", "--serving", "/models"],
}
FOLDS = {"brats": 3, "dagm": 5}
COMMAND = ["python", "-m", "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"]
PAGE_COMMAND = ["python", "-m", "kubeflow.page_entrypoint"]
TASK_NAME = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
"""What Argo accepts (workflowFieldNameFmt of argo-workflows), which Kubeflow's driver and launcher
tasks are named after; 128 characters at most, of which Kubeflow takes `-driver`."""


@dataclass(frozen=True)
class Compiled:
    recipe: str
    text: str

    @property
    def spec(self) -> dict[str, Any]:
        return yaml.safe_load(self.text)

    @property
    def tasks(self) -> dict[str, Any]:
        return self.spec["root"]["dag"]["tasks"]

    @property
    def containers(self) -> dict[str, Any]:
        """Task -> its container."""
        spec = self.spec
        labels = {n: spec["components"][n]["executorLabel"] for n in self.tasks}
        executors = spec["deploymentSpec"]["executors"]
        return {n: executors[label]["container"] for n, label in labels.items()}

    def parameters(self, task: str) -> dict[str, Any]:
        given = self.tasks[task]["inputs"]["parameters"]
        return {name: value["runtimeValue"]["constant"] for name, value in given.items()}

    def producers(self, task: str) -> dict[str, str]:
        """Input -> `Task.output` that it comes from."""
        given = self.tasks[task]["inputs"]["artifacts"]
        sources = {name: value["taskOutputArtifact"] for name, value in given.items()}
        return {n: f"{s['producerTask']}.{s['outputArtifactKey']}" for n, s in sources.items()}


def compile_recipe(recipe: str, path: Path) -> str:
    argv = ["--recipe", recipe, "--output", str(path), "--image", IMAGE, *OPTIONS[recipe]]
    assert main(argv) == 0
    return path.read_text()


@pytest.fixture(scope="module", params=["brats", "dagm"])
def compiled(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("compiled") / "new" / "pipeline.yaml"
    text = compile_recipe(request.param, path)
    assert [p.name for p in path.parent.iterdir()] == ["pipeline.yaml"]
    return Compiled(recipe=request.param, text=text)


@pytest.fixture
def folds(compiled):
    return range(FOLDS[compiled.recipe])


def test_loads_with_the_kfp_sdk(compiled):
    from kfp import components

    loaded = components.load_component_from_text(compiled.text)
    assert loaded.name == compiled.recipe
    assert loaded.pipeline_spec.schema_version == "2.1.0"
    assert set(loaded.pipeline_spec.root.dag.tasks) == set(compiled.tasks)


def test_is_what_kubeflow_declares(compiled):
    """Every field of the YAML is one of the protos of the schema."""
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    spec = json_format.ParseDict(compiled.spec, pipeline_spec_pb2.PipelineSpec())
    deployment = json_format.ParseDict(
        json_format.MessageToDict(spec.deployment_spec),
        pipeline_spec_pb2.PipelineDeploymentConfig(),
    )
    assert {e.WhichOneof("spec") for e in deployment.executors.values()} == {"container"}
    for task in spec.root.dag.tasks.values():
        component = spec.components[task.component_ref.name]
        assert set(task.inputs.artifacts) == set(component.input_definitions.artifacts)
        for given in task.inputs.artifacts.values():
            source = given.task_output_artifact
            outputs = spec.components[source.producer_task].output_definitions.artifacts
            assert source.output_artifact_key in outputs


def test_the_whole_dag(compiled, folds):
    assert set(compiled.tasks) == {
        *("CaseGen", "StatisticsGen", "StatisticsSchema", "ExampleValidator", "DataGate"),
        *("RecordSchema", "Transform", "Candidate", "Evaluator-candidate"),
        *("CrossValidation", "Pusher", "Report"),
        *(f"{name}-fold-{i}" for name in ("Trainer", "Evaluator") for i in folds),
    }


def test_names_are_legal(compiled):
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", compiled.spec["pipelineInfo"]["name"])
    for name, task in compiled.tasks.items():
        assert TASK_NAME.fullmatch(name) and len(f"{name}-driver") <= 128
        assert task["taskInfo"]["name"] == task["componentRef"]["name"] == name


def test_nothing_that_kubeflow_does_not_run(compiled):
    executors = compiled.spec["deploymentSpec"]["executors"]
    assert {kind for e in executors.values() for kind in e} == {
        "container"
    }  # no resolver, importer
    for container in compiled.containers.values():
        assert "lifecycle" not in container  # the hook of a file-based ExampleGen
    for word in ("Resolver", "InfraValidator", "ExampleGen", "module_file", "module_path"):
        assert word not in compiled.text


def test_nothing_of_the_compiling_machine(compiled):
    for folder in {ROOT, Path.home(), Path.cwd(), Path(tempfile.gettempdir())}:
        assert f"{folder}/" not in compiled.text


def test_fold_inputs_arrive_by_name(compiled, folds):
    scores = {f"evaluation_{i}": f"Evaluator-fold-{i}.evaluation" for i in folds}
    models = {f"model_{i}": f"Trainer-fold-{i}.model" for i in folds}
    runs = {f"model_run_{i}": f"Trainer-fold-{i}.model_run" for i in folds}
    assert compiled.producers("Candidate") == models | scores
    joined = compiled.producers("CrossValidation")
    read = {"examples": "CaseGen.examples", "model": "Candidate.model"}
    assert joined == read | {"tested": "Evaluator-candidate.evaluation"} | scores
    reported = compiled.producers("Report")
    shared = {"cross_validation": "CrossValidation.evaluation", "examples": "CaseGen.examples"}
    assert reported == shared | scores | runs
    assert compiled.parameters("CrossValidation")["folds"] == len(folds)


def test_each_fold_is_scored_by_the_model_that_has_not_seen_it(compiled, folds):
    for i in folds:
        producers = compiled.producers(f"Evaluator-fold-{i}")
        assert producers == {
            "examples": "CaseGen.examples",
            "model": f"Trainer-fold-{i}.model",
        }
        trainer = compiled.parameters(f"Trainer-fold-{i}")
        others = [f"fold-{j}" for j in folds if j != i]
        assert json.loads(trainer["train_args"]) == {"splits": others}
        assert json.loads(trainer["eval_args"]) == {"splits": [f"fold-{i}"]}
        assert compiled.parameters(f"Evaluator-fold-{i}")["split"] == f"fold-{i}"


def test_nothing_is_trained_on_data_that_the_gate_has_not_seen(compiled, folds):
    assert "DataGate" in compiled.tasks["Transform"]["dependentTasks"]
    for i in folds:
        assert compiled.producers(f"Trainer-fold-{i}")["examples"].startswith("Transform.")
        assert compiled.tasks[f"Trainer-fold-{i}"]["dependentTasks"] == ["Transform"]  # in parallel


def test_every_task_runs_the_image(compiled):
    for task, container in compiled.containers.items():
        assert container["image"] == IMAGE
        assert container["command"] == (PAGE_COMMAND if task == "Report" else COMMAND)
        assert container["args"][0] == "--executor_class_path"


def test_the_image_finds_all_classes_by_their_names(compiled):
    """The executors, and the artifact types: TFX imports them in the pod."""
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils
    from tfx.utils import import_utils

    for container in compiled.containers.values():
        assert import_utils.import_class_by_path(container["args"][1])
    for task, component in compiled.spec["components"].items():
        if task == "Report":
            continue  # test_page_entrypoint
        for name, artifact in component["outputDefinitions"]["artifacts"].items():
            runtime = {"name": "1", "uri": "/a", "type": artifact["artifactType"]}
            raw = json_format.ParseDict(
                {"artifacts": {name: {"artifacts": [runtime]}}},
                pipeline_spec_pb2.ExecutorInput.Inputs(),
            )
            parsed = kubeflow_v2_entrypoint_utils.parse_raw_artifact_dict(raw.artifacts)
            title = yaml.safe_load(artifact["artifactType"]["instanceSchema"])["title"]
            assert parsed[name][0].type_name == title.removeprefix("tfx.")


def test_the_report_is_a_page_for_kubeflow_and_nobody_reads_it(compiled):
    """Kubeflow's page shows what is of this type; as an input TFX would not know it."""
    output = compiled.spec["components"]["Report"]["outputDefinitions"]["artifacts"]["report"]
    assert output["artifactType"] == {"schemaTitle": "system.HTML", "schemaVersion": "0.0.1"}
    assert compiled.text.count("system.HTML") == 1
    read = [
        compiled.producers(n)
        for n, t in compiled.tasks.items()
        if "artifacts" in t.get("inputs", {})
    ]
    assert read and "Report.report" not in [source for task in read for source in task.values()]


def test_places_are_those_that_pods_see(compiled):
    state, serving = {
        "brats": ("/mnt/unet-tfx/state/brats", "/mnt/unet-tfx/serving/brats"),
        "dagm": ("/ckpt/dagm", "/models/dagm"),
    }[compiled.recipe]
    trainer = json.loads(compiled.parameters("Trainer-fold-0")["custom_config"])
    assert trainer["state_root"] == state
    pushed = json.loads(compiled.parameters("Pusher")["push_destination"])
    assert pushed == {"filesystem": {"base_directory": serving}}
    data = json.loads(compiled.parameters("CaseGen")["config"])
    assert data["root"] == f"/mnt/unet-tfx/data/{compiled.recipe}"


def test_files_are_read_again_unless_their_version_is_known(compiled):
    cached = {
        n for n, t in compiled.tasks.items() if t.get("cachingOptions") == {"enableCache": True}
    }
    known = compiled.recipe == "dagm"
    assert cached == set(compiled.tasks) - (set() if known else {"CaseGen"})
    assert (compiled.parameters("CaseGen")["data_fingerprint"] == "2024-05-01") == known


def test_deployed_model_is_looked_up_in_every_run_and_a_refit_trained_on_all(tmp_path):
    """Its cache sees parameters alone, and what is deployed is none when this is compiled."""
    path = tmp_path / "pipeline.yaml"
    options = ["--gate.max_drop", "0.02", "--gate.deploy", "refit", "--data_version", "1"]
    argv = ["--recipe", "brats", "--output", str(path), "--image", IMAGE, *options]
    assert main(argv) == 0
    spec = Compiled(recipe="brats", text=path.read_text())
    assert {n for n, t in spec.tasks.items() if "cachingOptions" not in t} == {"Baseline"}
    assert spec.parameters("Baseline")["version"] == "newest"
    assert spec.parameters("Baseline")["serving"] == "/mnt/unet-tfx/serving/brats"
    assert spec.producers("Evaluator-baseline")["model"] == "Baseline.model"
    assert spec.producers("CrossValidation")["tested"] == "Evaluator-candidate.evaluation"
    assert spec.producers("Trainer-refit")["hyperparameters"] == "RefitBudget.hyperparameters"
    assert spec.producers("Candidate")["refit"] == "Trainer-refit.model"
    assert all(TASK_NAME.fullmatch(name) for name in spec.tasks)
    assert "Resolver" not in spec.text


def test_equal_configs_give_equal_files(compiled, tmp_path, capsys):
    assert compile_recipe(compiled.recipe, tmp_path / "again.yaml") == compiled.text
    line = f": pipeline {compiled.recipe}, {len(compiled.tasks)} tasks, image {IMAGE}\n"
    assert capsys.readouterr().out.endswith(line)


def test_beam_options_of_a_node_reach_its_container(tmp_path):
    options = ["--runner=PortableRunner", "--job_endpoint=flink-jobs:8099"]
    path = tmp_path / "pipeline.yaml"
    argv = ["--recipe", "brats", "--output", str(path), "--image", IMAGE]
    assert main([*argv, "--pipeline.beam_args.CaseGen", json.dumps(options)]) == 0
    containers = Compiled(recipe="brats", text=path.read_text()).containers
    assert containers["CaseGen"]["args"][-2:] == options
    assert "--direct_running_mode=multi_threading" in containers["Transform"]["args"]
    assert [n for n, c in containers.items() if options[0] in c["args"]] == ["CaseGen"]
