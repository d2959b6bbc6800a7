"""Strategies, and a training over two devices against the same one on a single device.

Logical devices have to be set before TensorFlow starts: run as a script, this file is the process
that has two of them.
"""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from beam_preprocess.datasets.dagm import DAGM
from trainer.batches import RecordInfo
from trainer.config import InferenceConfig, TrainerConfig
from trainer.distribution import check_batch, make_strategy
from trainer.loop import RunFolder, train
from trainer.model_config import ModelConfig
from trainer.model_folder import ServingSpec
from trainer.progress import Progress
from trainer.serving import LoadedModel, export
from trainer.staging import stage

# No bias before a norm: its gradient is rounding noise, which Adam would make a full step of.
NETWORK = ModelConfig(rank=2, in_channels=1, classes=1, filters=(2, 4), conv_bias=False)
SPEC = ServingSpec(
    dataset=DAGM,
    profile="corrected",
    clip_percentiles=(0.5, 99.5),
    inference=InferenceConfig(window=(16, 16)),
)


def config(strategy: str) -> TrainerConfig:
    return TrainerConfig(
        samples=32,
        batch_size=4,
        crop=(8, 8),
        loss="bce",
        learning_rate=1e-2,
        strategy=strategy,
        checkpoint_steps=3,
        log_steps=4,
    )


def main(root: Path) -> None:
    """Trains on one device, and on two with an interruption: last checkpoint 3, crash in step 5."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    cases = stage([str(root / "records")], root / "staged")
    info = RecordInfo(rank=2, channels=1, foreground="all")

    def weights(strategy: str) -> dict[str, np.ndarray]:
        run = RunFolder(path=root / strategy)
        network = train(cases, info, NETWORK, config(strategy), run)
        if strategy == "mirrored":
            export(network, NETWORK, SPEC, str(root / "model"))
        return {f"{strategy}/{w.path}": np.asarray(w) for w in network.weights}

    result = weights("one-device")
    with suppress(KeyboardInterrupt), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "step", interrupted)
        weights("mirrored")
    result |= weights("mirrored")
    replicas = make_strategy("mirrored").num_replicas_in_sync
    np.savez(root / "weights.npz", replicas=replicas, **result)


def interrupted(self: Progress, number: int, loss: tf.Tensor) -> None:
    if number == 5:
        raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.distributed
def test_two_devices_train_what_one_does(tmp_path: Path, make_record, write_file) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (12, 10, 1)).astype(np.uint8) for _ in range(3)]
    labels = [(image[..., 0] > 128).astype(np.uint8) for image in images]
    pairs = enumerate(zip(images, labels, strict=True))
    records = [make_record(f"case-{n}", x, y, foreground="all") for n, (x, y) in pairs]
    write_file(tmp_path / "records", records)
    no_gpus = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([sys.executable, __file__, str(tmp_path)], check=True, env=no_gpus)

    with np.load(tmp_path / "weights.npz") as file:
        result = dict(file)
    assert result.pop("replicas") == 2
    names = [name.removeprefix("mirrored/") for name in result if name.startswith("mirrored/")]
    assert len(result) == 2 * len(names) > 0
    for name in names:
        one, two = result[f"one-device/{name}"], result[f"mirrored/{name}"]
        np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-5)
    label, probabilities = LoadedModel(tmp_path / "model").predict_probabilities(images[0])
    assert np.all((probabilities > 0) & (probabilities < 1))
    np.testing.assert_array_equal(label, np.where(probabilities[..., 0] >= 0.5, 255, 0))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("one-device", tf.distribute.OneDeviceStrategy), ("mirrored", tf.distribute.MirroredStrategy)],
)
def test_strategy_by_name(name: str, kind: type) -> None:
    strategy = make_strategy(name)
    assert isinstance(strategy, kind)
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    expected = 1 if name == "one-device" else len(devices)
    assert strategy.num_replicas_in_sync == expected


def test_batch_must_divide_over_the_devices() -> None:
    strategy = SimpleNamespace(num_replicas_in_sync=3)
    check_batch(6, strategy)
    message = r"^trainer\.batch_size must be a multiple of the 3 devices, got 8$"
    with pytest.raises(ValueError, match=message):
        check_batch(8, strategy)


def test_training_checks_its_batch(tmp_path: Path, photographs, photograph_info, monkeypatch):
    """Before anything is written."""
    strategy = SimpleNamespace(num_replicas_in_sync=3)
    monkeypatch.setattr("trainer.loop.make_strategy", lambda _: strategy)
    with pytest.raises(ValueError, match="multiple of the 3 devices, got 4"):
        train(photographs, photograph_info, NETWORK, config("mirrored"), RunFolder(path=tmp_path))
    assert not list(tmp_path.iterdir())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
