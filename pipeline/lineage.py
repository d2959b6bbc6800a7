"""What a run did, read back from ML Metadata: its nodes, and what they read and wrote."""

import importlib.metadata
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

from ml_metadata import errors, proto
from ml_metadata.metadata_store import MetadataStore

from components.report.lineage import ArtifactFact, ExecutionFact, Lineage
from pipeline.run_folder import METADATA

PLACE = 3
"""Parts of a URI, from its end, that tell where an artifact is: TFX keeps it in NODE/OUTPUT/ID."""
_VERSIONS = ("unet-tfx", "tfx", "tensorflow", "keras", "apache-beam", "numpy")


@dataclass(frozen=True, kw_only=True)
class NodeRun:
    """One node of a run.

    Attributes:
      node: Its id.
      state: `ran` or `cached` (or MLMD's word for anything else).
      seconds: Time it took.
      outputs: Output name -> URI.
    """

    node: str
    state: str
    seconds: float
    outputs: dict[str, str]


@contextmanager
def open_metadata(run: Path) -> Iterator[MetadataStore]:
    """Opens the metadata of a run folder, which it does not change.

    Raises:
      ValueError: They are damaged, or what is looked for inside the `with` is not in them.
    """
    connection = proto.ConnectionConfig()
    connection.sqlite.filename_uri = str(run / METADATA)
    connection.sqlite.connection_mode = connection.sqlite.READONLY
    try:
        yield MetadataStore(connection)
    except (LookupError, RuntimeError, errors.StatusError) as e:
        raise ValueError(f"{run / METADATA} must tell of a run: {shorten(str(e), 100)}") from e


def read_last_run(store: MetadataStore) -> dict[str, NodeRun]:
    """The nodes of the newest run in the store, in the order they started.

    Raises:
      LookupError: The store has no run.
    """
    nodes = [_read_node(store, e) for e in _last_executions(store)]
    return {n.node: n for n in nodes}


def require_finished(nodes: Mapping[str, NodeRun], names: Iterable[str], run: Path) -> None:
    """Raises ValueError unless the named nodes of the last run in a run folder have finished."""
    for name in names:
        state = nodes[name].state if name in nodes else "not started"
        if state not in _STATES.values():
            raise ValueError(
                f"{name} of the last run in {str(run)!r} must have finished, it is {state!r}: run"
                " `unet-tfx run` there again, or wait for it"
            )


def _last_executions(store: MetadataStore) -> list[proto.Execution]:
    runs = store.get_contexts_by_type("pipeline_run")
    if not runs:
        raise LookupError("the metadata store has no run")
    newest = max(runs, key=lambda c: c.create_time_since_epoch)
    return sorted(store.get_executions_by_context(newest.id), key=lambda e: e.id)


def read_lineage(store: MetadataStore) -> Lineage:
    """The newest run with all that it read and wrote, for the report.

    Raises:
      LookupError: The store has no run.
    """
    executions = _last_executions(store)
    events = store.get_events_by_execution_ids([e.id for e in executions])
    artifacts = {a.id: a for a in store.get_artifacts_by_id([e.artifact_id for e in events])}
    kinds = {t.id: t.name for t in store.get_artifact_types()}
    names = {e.artifact_id: e.path.steps[0].key for e in events if e.type == proto.Event.OUTPUT}
    return Lineage(
        executions=tuple(_execution_fact(store, e, events) for e in executions),
        artifacts={
            str(i): _artifact_fact(a, names.get(i, kinds[a.type_id]), kinds[a.type_id])
            for i, a in sorted(artifacts.items())
        },
        complete=True,
        facts=_facts(executions),
    )


def place(uri: str, artifacts: Path) -> Path:
    """Where an artifact is now, in the folder of the run's artifacts, which may have been moved."""
    return artifacts / Path(*Path(uri).parts[-PLACE:])


def read_parameter(store: MetadataStore, uri: str, name: str) -> str:
    """A parameter of the node that made an artifact."""
    [artifact, *_] = store.get_artifacts_by_uri(uri)
    events = store.get_events_by_artifact_ids([artifact.id])
    [maker, *_] = [e.execution_id for e in events if e.type == proto.Event.OUTPUT]
    [execution] = store.get_executions_by_id([maker])
    return str(execution.custom_properties[name].string_value)


def _artifact_fact(artifact: proto.Artifact, name: str, kind: str) -> ArtifactFact:
    place = "/".join(Path(artifact.uri).parts[-PLACE:])
    return ArtifactFact(id=str(artifact.id), name=name, type=kind.rpartition(".")[2], uri=place)


def _execution_fact(
    store: MetadataStore, execution: proto.Execution, events: Sequence[proto.Event]
) -> ExecutionFact:
    run = _read_node(store, execution)

    def of(kind: int) -> tuple[str, ...]:
        own = (e for e in events if e.execution_id == execution.id and e.type == kind)
        return tuple(dict.fromkeys(str(e.artifact_id) for e in own))

    return ExecutionFact(
        node=run.node,
        state=run.state,
        seconds=run.seconds,
        fingerprint=_fingerprint(_parameters(execution)),
        inputs=of(proto.Event.INPUT),
        outputs=of(proto.Event.OUTPUT),
    )


def _parameters(execution: proto.Execution) -> dict[str, str]:
    return {k: v.string_value for k, v in execution.custom_properties.items() if v.string_value}


def _fingerprint(parameters: Mapping[str, Any]) -> str:
    """Hash of the code behind a node: TFX's own nodes have it among their `custom_config`."""
    own = parameters.get("fingerprint") or parameters.get("code")
    if own:
        return str(own)
    custom = json.loads(parameters.get("custom_config") or "null")
    return str(custom.get("fingerprint", "")) if isinstance(custom, dict) else ""


def _facts(executions: Sequence[proto.Execution]) -> dict[str, str]:
    """Hash of the raw files, and the versions that the nodes ran with, as far as they are known."""
    found = {}
    for execution in executions:
        parameters = _parameters(execution)
        if data := parameters.get("data_fingerprint"):
            found["Fingerprint of the raw files"] = data
        if version := parameters.get("tfx_version"):
            found["TFX of the run"] = version
    versions = {name: importlib.metadata.version(name) for name in _VERSIONS}
    words = ", ".join(f"{name} {version}" for name, version in versions.items())
    return found | {"Versions where this was drawn": words}


_STATES = {proto.Execution.COMPLETE: "ran", proto.Execution.CACHED: "cached"}


def _read_node(store: MetadataStore, execution: proto.Execution) -> NodeRun:
    contexts = store.get_contexts_by_execution(execution.id)
    node = next(c.name for c in contexts if c.type == "node")
    state = execution.last_known_state
    took = execution.last_update_time_since_epoch - execution.create_time_since_epoch
    return NodeRun(
        node=node.rpartition(".")[2],
        state=_STATES.get(state) or proto.Execution.State.Name(state).lower(),
        seconds=took / 1000,
        outputs=_outputs(store, execution.id),
    )


def _outputs(store: MetadataStore, execution_id: int) -> dict[str, str]:
    events = [
        e for e in store.get_events_by_execution_ids([execution_id]) if e.type == proto.Event.OUTPUT
    ]
    artifacts = {a.id: a for a in store.get_artifacts_by_id([e.artifact_id for e in events])}
    return {e.path.steps[0].key: artifacts[e.artifact_id].uri for e in events}
