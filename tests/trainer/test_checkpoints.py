"""Checkpoints: whole or not there, damaged ones passed over, and a full disk that loses nothing."""

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trainer.checkpoints import Checkpoints, read


def arrays(number: int) -> dict[str, np.ndarray]:
    return {"network/0000": np.full((3, 2), number, np.float32), "samples": np.array(number)}


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_last_ones_and_the_best_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    assert checkpoints.newest() is None and checkpoints.best() is None
    assert checkpoints.last_path() is None
    for number in (8, 16, 24):
        checkpoints.save(number, arrays(number))
        if number == 8:
            checkpoints.save_best(arrays(number))
    assert names(tmp_path) == ["best.npz", "samples-000000000016.npz", "samples-000000000024.npz"]
    assert checkpoints.newest()["samples"] == 24 and checkpoints.best()["samples"] == 8
    assert checkpoints.last_path() == tmp_path / "samples-000000000024.npz"
    np.testing.assert_array_equal(checkpoints.newest()["network/0000"], np.full((3, 2), 24))


@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_damaged_checkpoint_is_passed_over(tmp_path: Path, caplog, damage: str) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(8, arrays(8))
    path = checkpoints.save(16, arrays(16))
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 1
    path.write_bytes({"cut": content[:200], "changed": bytes(content), "empty": b""}[damage])
    assert checkpoints.newest()["samples"] == 8
    assert "samples-000000000016.npz is damaged and skipped" in caplog.text


def test_only_damaged_ones_are_an_error(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    for path in (checkpoints.save(8, arrays(8)), checkpoints.save_best(arrays(8))):
        path.write_bytes(b"PK")
    with pytest.raises(RuntimeError, match=r"all in .* are damaged: remove that folder to train"):
        checkpoints.newest()
    with pytest.raises(RuntimeError, match=r"best.npz is damaged .*: remove it to go on with the"):
        checkpoints.best()


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".tmp-abc-samples-000000000008.npz").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    Checkpoints(tmp_path, keep=1).save(8, arrays(8))
    assert names(tmp_path) == ["notes.txt", "samples-000000000008.npz"]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from trainer.checkpoints import Checkpoints
checkpoints = Checkpoints(Path(sys.argv[1]), keep=1)
checkpoints.save(8, {"a": np.zeros(10)})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    checkpoints.save(16, {"a": np.zeros(10000)})
except OSError as e:
    sys.exit(str(e))
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit of file sizes here")
def test_disk_that_fills_up_loses_no_earlier_checkpoint(tmp_path: Path) -> None:
    """A limit of the file size stands for the full disk: the write fails in the middle."""
    folder = tmp_path / "checkpoints"
    command = [sys.executable, "-c", FULL_DISK, str(folder)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 1
    assert "must be written, and could not be" in done.stderr
    assert "make room on that disk and run again; earlier checkpoints are whole" in done.stderr
    assert names(folder) == ["samples-000000000008.npz"]
    assert read(folder / "samples-000000000008.npz")["a"].shape == (10,)
