"""Cases to time with: made up, or the first ones of a folder of records."""

import math
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import tensorflow as tf

from beam_preprocess.records import decode_example, encode_example
from trainer.augment.crop import cut
from trainer.batches import RecordInfo, parse_features, whole_example
from trainer.model_config import ModelConfig
from trainer.reference.records import find_records, normalised_records
from trainer.staging import StagedCase, stage_records


def record_info(model: ModelConfig) -> RecordInfo:
    """What records for a network hold: scans have a background of 0, photographs none."""
    foreground = "nonzero" if model.rank == 3 else "all"
    return RecordInfo(rank=model.rank, channels=model.in_channels, foreground=foreground)


def synthetic_cases(
    model: ModelConfig, shape: Sequence[int], folder: Path, *, count: int
) -> list[StagedCase]:
    """Stages cases of noise with a labelled block in the middle: for speed, never for scores.

    Args:
      model: Tells the channels and classes.
      shape: Spatial shape of every case.
      folder: Of the staged cases.
      count: How many.
    """
    records = (_noise(number, shape, model) for number in range(count))
    return stage_records(records, folder, source="synthetic data")


def _noise(number: int, shape: Sequence[int], model: ModelConfig) -> bytes:
    """Image 1 to 255; the block takes a quarter of every axis, the foreground classes in turn."""
    rng = np.random.default_rng(number)
    x = rng.integers(1, 256, (*shape, model.in_channels), dtype=np.uint8)
    y = np.zeros(shape, np.uint8)
    block = y[tuple(slice(3 * n // 8, 3 * n // 8 + math.ceil(n / 4)) for n in shape)]
    block[...] = 1 + np.arange(block.shape[-1]) % max(1, model.classes - 1)
    name = f"noise-{number}"
    return encode_example(
        {
            **{"case_id": name, "group": name, "stratum": "none"},
            **{"X": x.tobytes(), "Y": y.tobytes()},
            "mean": [float(x.mean())] * model.in_channels,
            "stdev": [float(x.std())] * model.in_channels,
            "shape": [*x.shape],
            "box": [edge for size in shape for edge in (0, size)],
            "full_shape": [*shape],
            "affine": np.eye(4, dtype="<f8").tobytes(),
            "spacing": [1.0] * len(shape),
        }
    )


def recorded_cases(
    records: Path, model: ModelConfig, folder: Path, *, count: int
) -> list[StagedCase]:
    """Stages the first cases of a folder of records.

    Args:
      records: In a layout that `find_records` knows.
      model: The network that they are for.
      folder: Of the staged cases.
      count: How many at most.

    Raises:
      ValueError: There are no records, or their rank or channels are not the network's.
    """
    found = find_records(records, option="--records")
    files = [file for name in sorted(found.files) for file in found.files[name]]
    encoded = (record for file in files for record in normalised_records(file))
    checked = (_require_network(record, model, records) for record in encoded)
    return stage_records(islice(checked, count), folder, source=str(records))


def _require_network(record: bytes, model: ModelConfig, source: Path) -> bytes:
    """The record. Raises ValueError unless it has the network's axes and channels."""
    *spatial, channels = decode_example(record)["shape"]
    given, expected = (len(spatial), channels), (model.rank, model.in_channels)
    if given != expected:
        raise ValueError(
            f"records must have the {expected[0]} axes and {expected[1]} channels of the network,"
            f" those in {source} have {given[0]} and {given[1]}: name their recipe, or give"
            " model.rank and model.in_channels"
        )
    return record


def case_size(case: StagedCase) -> tuple[int, ...]:
    """Spatial size of a case."""
    return tuple(decode_example(Path(case.path).read_bytes())["shape"][:-1])


def whole_image(case: StagedCase, info: RecordInfo) -> tf.Tensor:
    """The standardised image of a case: float32 [*S, C]."""
    image, _ = whole_example(parse_features(tf.io.read_file(case.path), info), info)
    return image


def image_batch(
    case: StagedCase, info: RecordInfo, size: Sequence[int], *, batch_size: int
) -> tf.Tensor:
    """The first corner of a case, so many times: float32 [B, *size, C]; 0 where the case ends."""
    corner = cut(whole_image(case, info), tf.zeros(info.rank, tf.int32), size)
    return tf.repeat(corner[tf.newaxis], batch_size, axis=0)
