"""Checkpoints of a training: one file each, whole or not at all, in a folder that nothing wipes.

A checkpoint is an uncompressed NumPy archive of the state's arrays by name. Archives hold a CRC-32
of every array, so that a damaged file is told from a good one and passed over.
"""

import logging
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beam_preprocess.atomic import atomic_path

Arrays = Mapping[str, NDArray]
BEST = "best.npz"
_NUMBERED = "samples-{:012d}.npz"
_DAMAGE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)
_log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one training.

    Args:
      folder: Made where it is missing.
      keep: How many of the last ones stay, at least 1; the best one stays besides.
    """

    def __init__(self, folder: Path, *, keep: int):
        self._folder, self._keep = folder, keep

    def save(self, samples: int, arrays: Arrays) -> Path:
        """Writes the state after `samples` samples, then removes those that are too old.

        Raises:
          OSError: It cannot be written; all earlier ones are whole.
        """
        path = self._write(_NUMBERED.format(samples), arrays)
        for old in self._numbered()[: -self._keep]:
            old.unlink(missing_ok=True)
        return path

    def save_best(self, arrays: Arrays) -> Path:
        """Writes the best state so far over the one before."""
        return self._write(BEST, arrays)

    def newest(self) -> dict[str, NDArray] | None:
        """The newest state that can be read; None where nothing was saved yet.

        Raises:
          RuntimeError: There are checkpoints, and all are damaged.
        """
        paths = self._numbered()
        for path in reversed(paths):
            try:
                return read(path)
            except _DAMAGE as e:
                _log.warning("checkpoint %s is damaged and skipped: %s", path, e)
        if paths:
            raise RuntimeError(
                f"a checkpoint must be readable, all in {self._folder} are damaged:"
                " remove that folder to train from the start"
            )
        return None

    def best(self) -> dict[str, NDArray] | None:
        """The best state; None where none was saved.

        Raises:
          RuntimeError: It is damaged.
        """
        path = self._folder / BEST
        try:
            return read(path) if path.exists() else None
        except _DAMAGE as e:
            raise RuntimeError(
                f"the best checkpoint must be readable, {path} is damaged ({e}): remove it to go on"
                " with the last one"
            ) from e

    def last_path(self) -> Path | None:
        """File of the newest checkpoint; None where there is none."""
        return next(iter(reversed(self._numbered())), None)

    def _numbered(self) -> list[Path]:
        return sorted(self._folder.glob(_NUMBERED.format(0).replace("0" * 12, "*")))

    def _write(self, name: str, arrays: Arrays) -> Path:
        path = self._folder / name
        self._remove_leftovers()
        try:
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.savez(file, **arrays)
                file.flush()
                os.fsync(file.fileno())
        except OSError as e:
            raise OSError(
                f"checkpoint {path} must be written, and could not be ({e}): make room on that disk"
                " and run again; earlier checkpoints are whole, the training goes on from the last"
            ) from e
        return path

    def _remove_leftovers(self) -> None:
        """What a killed process left half-written."""
        for path in self._folder.glob(".tmp-*.npz"):
            path.unlink(missing_ok=True)


def read(path: Path) -> dict[str, NDArray]:
    """All arrays of a checkpoint, checked."""
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}
