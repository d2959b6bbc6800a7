"""What a run did, read back from ML Metadata: nodes, their state and time, and their outputs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

from ml_metadata import errors, proto
from ml_metadata.metadata_store import MetadataStore

from pipeline.run_folder import METADATA


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
    runs = store.get_contexts_by_type("pipeline_run")
    if not runs:
        raise LookupError("the metadata store has no run")
    newest = max(runs, key=lambda c: c.create_time_since_epoch)
    executions = sorted(store.get_executions_by_context(newest.id), key=lambda e: e.id)
    nodes = [_read_node(store, e) for e in executions]
    return {n.node: n for n in nodes}


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
