"""Runs read back from a small metadata store, made by hand as TFX makes it."""

import time

import pytest
from ml_metadata import proto
from ml_metadata.metadata_store import MetadataStore

from pipeline.lineage import NodeRun, place, read_last_run, read_lineage

State = proto.Execution


@pytest.fixture
def store(tmp_path):
    config = proto.ConnectionConfig()
    config.sqlite.filename_uri = str(tmp_path / "metadata.sqlite")
    return MetadataStore(config)


class Writer:
    """Writes runs as TFX does: contexts of pipeline, run and node, executions, events."""

    def __init__(self, store: MetadataStore):
        self.store = store
        self.types = {
            name: store.put_context_type(proto.ContextType(name=name))
            for name in ("pipeline", "pipeline_run", "node")
        }
        self.execution_type = store.put_execution_type(proto.ExecutionType(name="Node"))
        self.artifact_type = store.put_artifact_type(proto.ArtifactType(name="Examples"))

    def context(self, kind: str, name: str) -> proto.Context:
        found = self.store.get_context_by_type_and_name(kind, name)
        context = proto.Context(type_id=self.types[kind], name=name)
        if not found:
            self.store.put_contexts([context])
        return found or context

    def node(self, run: str, node: str, state: int, outputs: dict[str, str] | None = None) -> None:
        names = {"pipeline": "brats", "pipeline_run": run, "node": f"brats.{node}"}
        uris = {"read": "/raw"} | (outputs or {})
        pairs = [
            (
                proto.Artifact(type_id=self.artifact_type, uri=uri),
                proto.Event(
                    type=proto.Event.INPUT if key == "read" else proto.Event.OUTPUT,
                    path=proto.Event.Path(steps=[{"key": key}, {"index": 0}]),
                ),
            )
            for key, uri in uris.items()
        ]
        execution = proto.Execution(type_id=self.execution_type, last_known_state=state)
        contexts = [self.context(kind, name) for kind, name in names.items()]
        self.store.put_execution(execution, pairs, contexts, reuse_context_if_already_exist=True)


@pytest.fixture
def writer(store):
    return Writer(store)


def test_nodes_with_state_and_outputs_in_the_order_they_started(store, writer):
    writer.node("run-1", "CaseGen", State.CACHED, {"examples": "/a/1", "case_statistics": "/b/1"})
    writer.node("run-1", "Trainer-fold-0", State.COMPLETE, {"model": "/m/2"})
    writer.node("run-1", "Pusher", State.FAILED)
    nodes = read_last_run(store)
    assert list(nodes) == ["CaseGen", "Trainer-fold-0", "Pusher"]
    assert [n.state for n in nodes.values()] == ["cached", "ran", "failed"]
    assert nodes["CaseGen"].outputs == {"examples": "/a/1", "case_statistics": "/b/1"}
    assert nodes["Trainer-fold-0"].outputs == {"model": "/m/2"}
    assert nodes["Pusher"].outputs == {}
    assert all(isinstance(n, NodeRun) and n.seconds >= 0 for n in nodes.values())


def test_only_the_newest_run_counts(store, writer):
    writer.node("run-1", "CaseGen", State.COMPLETE, {"examples": "/a/1"})
    writer.node("run-1", "Trainer-fold-0", State.FAILED)
    time.sleep(0.01)  # the store counts milliseconds
    writer.node("run-2", "CaseGen", State.CACHED, {"examples": "/a/1"})
    nodes = read_last_run(store)
    assert {n.node: n.state for n in nodes.values()} == {"CaseGen": "cached"}


def test_store_without_a_run(store):
    with pytest.raises(LookupError, match="^the metadata store has no run$"):
        read_last_run(store)


def test_lineage_has_inputs_outputs_and_places(store, writer):
    writer.node("run-1", "CaseGen", State.CACHED, {"examples": "/root/CaseGen/examples/1"})
    lineage = read_lineage(store)
    [execution] = lineage.executions
    assert (execution.node, execution.state) == ("CaseGen", "cached")
    names = {a.name: a.uri for a in lineage.artifacts.values()}
    assert names["examples"] == "CaseGen/examples/1"
    assert [lineage.artifacts[i].name for i in execution.outputs] == ["examples"]
    assert [lineage.artifacts[i].uri for i in execution.inputs] == ["//raw"]
    assert lineage.complete and "tensorflow 2" in lineage.facts["Versions where this was drawn"]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"fingerprint": "f1"}, "f1"),
        ({"code": "f2", "data_fingerprint": "d"}, "f2"),
        ({"custom_config": '{"fingerprint": "f3"}'}, "f3"),
        ({"custom_config": "null"}, ""),
        ({}, ""),
    ],
)
def test_fingerprint_of_the_code_is_found(parameters, expected):
    from pipeline.lineage import _fingerprint

    assert _fingerprint(parameters) == expected


def test_artifacts_are_found_where_they_were_moved_to(tmp_path):
    assert place("/old/run/artifacts/CaseGen/examples/1", tmp_path) == (
        tmp_path / "CaseGen" / "examples" / "1"
    )
