"""Files appear whole or not at all: written under a temporary name, then renamed."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path, *, folder: Path | None = None) -> Iterator[Path]:
    """Yields a temporary path: renamed to `path` on success, removed on an error.

    The name is random: pods that share a volume have equal process ids.

    Args:
      path: Of the file to appear.
      folder: Where the temporary file lies, on the same file system; beside `path` without one.
        What a killed process leaves must not lie among files that are read by a pattern.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = (folder or path.parent) / f".tmp-{uuid.uuid4().hex}-{path.name}"
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text to `path`, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
