"""One hash of the content of a folder of raw files, and a memory of hashes so that it is cheap."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from beam_preprocess.atomic import write_text
from beam_preprocess.datasets.listing import is_stray

_CHUNK = 1 << 20


def fingerprint_folder(root: Path, memory: Path, more: Iterable[Path] = ()) -> str:
    """Hashes the relative paths and contents of all files under `root`; stray files are left out.

    Args:
      root: Folder of a dataset; one that does not exist has the fingerprint of an empty one.
      memory: JSON file that keeps the hash of every file with its size and time of change, so that
        a file is read again only when one of these differs.
      more: Single files elsewhere that belong to it.
    """
    known = _read_memory(memory)
    current = {}
    for path in _files(root):
        stat = path.stat()
        key = f"{path.relative_to(root)}|{stat.st_size}|{stat.st_mtime_ns}"
        current[key] = known.get(key) or _hash_file(path)
    write_text(memory, json.dumps(current))
    lines = [f"{key.rsplit('|', 2)[0]} {digest}" for key, digest in current.items()]
    content = "\n".join([*lines, *(_hash_file(path) for path in more)])
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()


def _read_memory(memory: Path) -> dict[str, str]:
    """What was hashed before; nothing where the file is missing or damaged."""
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _files(root: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """All files below, sorted; through links too, as the listing of a dataset goes. A link to a
    folder that it lies in is not followed.
    """
    here = os.path.realpath(root)
    if here in above or not os.access(root, os.R_OK | os.X_OK) or not root.is_dir():
        return
    for path in sorted(p for p in root.iterdir() if not is_stray(p)):
        if path.is_file():
            yield path
        else:
            yield from _files(path, above | {here})


def _hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    if not os.access(path, os.R_OK):
        return "unreadable"  # the listing of the cases says so
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
