"""`horovodrun -np 2 python -m trainer`, for real, against one process on the same global batch."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trainer.checkpoints import read
from trainer.progress import read_history

pytestmark = [
    pytest.mark.slow,
    pytest.mark.horovod,
    pytest.mark.skipif(
        importlib.util.find_spec("horovod") is None, reason="Horovod is not installed"
    ),
]
HOROVODRUN = [sys.executable, "-m", "horovod.runner.launch", "--gloo", "-np", "2"]
# A network without norms: before one, Adam would make full steps of the rounding noise of a bias.
COMMON = [
    *("--exec_mode", "train_and_evaluate", "--reference", "dagm", "--num_folds", "2"),
    *("--input_shape", "32", "32", "--preset", "unet2d-dagm", "--log_every", "1", "--augment"),
]


@pytest.fixture
def records(tmp_path: Path, make_record, write_file) -> Path:
    """Normalised photographs of ours with a bright square, in two folds of three."""
    for fold in range(2):
        made = []
        for n in range(3):
            y = np.zeros((40, 36), np.uint8)
            y[2 * n : 2 * n + 8, 4:12] = 1
            noise = np.random.default_rng(3 * fold + n).integers(60, 100, (40, 36, 1))
            x = (noise + 100 * y[..., np.newaxis]).astype(np.uint8)
            made.append(make_record(f"photo-{fold}{n}", x, y, foreground="all"))
        write_file(tmp_path / "records" / f"Split-fold-{fold}" / "x-00000-of-00001.gz", made)
    return tmp_path / "records"


def run(command: list[str], records: Path, model_dir: Path, *options: str) -> str:
    """Runs the trainer in processes of its own. Returns what it printed on the standard output."""
    folders = ["--data_dir", str(records), "--model_dir", str(model_dir)]
    words = [sys.executable, "-m", "trainer", *COMMON, *folders, *options]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_two_workers_share_the_steps_and_train_what_one_does(records: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    printed = run(HOROVODRUN, records, two, "--batch_size", "1", "--max_steps", "8")
    run([], records, one, "--batch_size", "2", "--max_steps", "4")

    histories = [read_history(folder / "training" / "logs") for folder in (two, one)]
    assert [[r["step"] for r in h] for h in histories] == [[1, 2, 3, 4]] * 2
    losses = [[r["loss"] for r in h] for h in histories]
    np.testing.assert_allclose(*losses, rtol=1e-5)

    last = "training/checkpoints/samples-000000000008.npz"
    found, expected = read(two / last), read(one / last)
    assert int(found["samples"]) == 8
    weights = [name for name in found if name.startswith("network/")]
    assert len(weights) > 4
    for name in weights:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-5)

    [events] = (two / "training" / "logs").glob("events.*")
    assert events.stat().st_size > 0
    scored = [line for line in printed.splitlines() if "image_auroc" in line or "defect" in line]
    assert scored and all("[1,0]" in line or "[0]" in line for line in scored)
