"""The run folder: what is where in it, one run at a time, and metadata that fit the artifacts."""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pipeline.usage import UsageError

METADATA = "metadata.sqlite"
CONFIG_FILE = "config.yaml"
"""Config of the last run."""
ARTIFACTS = "artifacts"
STATE = "state"
_REMEDY = (
    f"restore it, or remove it and {ARTIFACTS}/ ({STATE}/ keeps finished records and checkpoints,"
    " which the next run finds)"
)


class RunError(RuntimeError):
    """A run that could not be done."""


def is_run_folder(folder: str | Path) -> bool:
    """Whether a run was started in a folder: its metadata and its config are there."""
    return all((Path(folder) / name).is_file() for name in (METADATA, CONFIG_FILE))


def require_run_folder(folder: str | Path, name: str) -> None:
    """Raises UsageError unless `folder`, which the command line calls `name`, is a run folder."""
    if not is_run_folder(folder):
        raise UsageError(
            f"{name} must be a run folder, which holds {METADATA} and {CONFIG_FILE}, got"
            f" {str(folder)!r}"
        )


@contextmanager
def hold(output: Path) -> Iterator[None]:
    """Holds the lock of a run folder: two runs would write into each other's files.

    Raises:
      RunError: Another run holds it, or its metadata are missing or damaged.
    """
    output.mkdir(parents=True, exist_ok=True)
    with (output / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise RunError(
                f"a run folder is for one run at a time, another one is running in {output}:"
                " wait for it, or set output to another folder"
            ) from e
        check_metadata(output)
        yield


def check_metadata(output: Path) -> None:
    """Raises RunError where ML Metadata do not tell what is in `artifacts/`.

    A fresh database counts its artifacts from 1 again, into folders of earlier ones.
    """
    path = output / METADATA
    if not path.exists():
        if any((output / ARTIFACTS).glob("*")):
            raise RunError(f"{path} is missing, and artifacts of earlier runs are there: {_REMEDY}")
        return
    try:
        with closing(sqlite3.connect(path)) as database:
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as e:
        found = str(e)
    if found != "ok":
        raise RunError(f"{path} is damaged ({found}): {_REMEDY}")
