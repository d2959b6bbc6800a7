"""Tiny normalised records made from arrays, and cases staged from them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from beam_preprocess.records import encode_example
from trainer.batches import RecordInfo
from trainer.staging import StagedCase, stage


def encode_record(
    case_id: str,
    x: np.ndarray,
    y: np.ndarray,
    *,
    group: str | None = None,
    foreground: str = "nonzero",
    mean: Sequence[float] | None = None,
    stdev: Sequence[float] | None = None,
) -> bytes:
    """A normalised record of X uint8 [*S, C] and Y uint8 [*S]; moments are NumPy's by default."""
    channels = [v[v > 0] if foreground == "nonzero" else v.ravel() for v in np.moveaxis(x, -1, 0)]
    return encode_example(
        {
            "case_id": case_id,
            "group": group or f"patient-of-{case_id}",
            "stratum": "any",
            "content": f"image-of-{case_id}",
            "X": x.tobytes(),
            "Y": y.tobytes(),
            "mean": [float(m) for m in mean or [v.mean() for v in channels]],
            "stdev": [float(s) for s in stdev or [v.std() for v in channels]],
            "shape": list(x.shape),
            "box": [edge for n in y.shape for edge in (0, n)],
            "full_shape": list(y.shape),
            "affine": np.eye(4).tobytes(),
            "spacing": [1.0] * y.ndim,
        }
    )


def write_records(path: Path, records: Sequence[bytes]) -> Path:
    """Writes a record file, gzip where the name ends with `.gz`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), "GZIP" if path.suffix == ".gz" else "") as writer:
        for record in records:
            writer.write(record)
    return path


def photograph(seed: int, shape: tuple[int, int] = (20, 18)) -> tuple[np.ndarray, np.ndarray]:
    """Noise around 80, and a bright square around 200 that is the label."""
    rng = np.random.default_rng(seed)
    y = np.zeros(shape, np.uint8)
    row, column = rng.integers(0, (shape[0] - 6, shape[1] - 6))
    y[row : row + 6, column : column + 6] = 1
    x = 80 + 120 * y[..., None] + rng.normal(0, 8, (*shape, 1))
    return x.astype(np.uint8), y


def volume(seed: int, shape: tuple[int, int, int] = (10, 9, 11)) -> tuple[np.ndarray, np.ndarray]:
    """Two channels, a border of background, classes 1 and 2 that stand out in channel 0 and 1."""
    rng = np.random.default_rng(seed)
    x, y = np.zeros((*shape, 2), np.uint8), np.zeros(shape, np.uint8)
    x[1:-1, 1:-1, 1:-1] = rng.integers(60, 100, (*(n - 2 for n in shape), 2))
    i, j, k = rng.integers(1, 4, 3)
    for index, start in ((1, k), (2, k + 3)):
        block = (slice(i, i + 3), slice(j, j + 3), slice(start, start + 3))
        y[block] = index
        x[(*block, index - 1)] += 100
    return x, y


@pytest.fixture(scope="session")
def make_record() -> Callable[..., bytes]:
    return encode_record


@pytest.fixture(scope="session")
def write_file() -> Callable[[Path, Sequence[bytes]], Path]:
    return write_records


@pytest.fixture
def stage_arrays(tmp_path: Path) -> Callable[..., list[StagedCase]]:
    """A function: {case id: (X, Y)}, options of the record -> staged cases."""

    def stage_all(
        arrays: Mapping[str, tuple[np.ndarray, np.ndarray]], **options: object
    ) -> list[StagedCase]:
        records = [encode_record(case_id, x, y, **options) for case_id, (x, y) in arrays.items()]
        return stage([str(write_records(tmp_path / "records", records))], tmp_path / "staged")

    return stage_all


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[StagedCase]:
    """Four staged photographs of one channel."""
    root = tmp_path_factory.mktemp("photographs")
    records = [encode_record(f"photo-{n}", *photograph(n), foreground="all") for n in range(4)]
    return stage([str(write_records(root / "records", records))], root / "staged")


@pytest.fixture(scope="session")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> list[StagedCase]:
    """Three staged volumes of two channels and three classes."""
    root = tmp_path_factory.mktemp("volumes")
    records = [encode_record(f"scan-{n}", *volume(n)) for n in range(3)]
    return stage([str(write_records(root / "records", records))], root / "staged")


@pytest.fixture(scope="session")
def photograph_info() -> RecordInfo:
    return RecordInfo(rank=2, channels=1, foreground="all")


@pytest.fixture(scope="session")
def volume_info() -> RecordInfo:
    return RecordInfo(rank=3, channels=2, foreground="nonzero")
