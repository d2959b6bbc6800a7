"""Strategies, and a training over two devices against the same one on a single device.

Logical devices have to be set before TensorFlow starts: run as a script, this file is the process
that has two of them.
"""

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from beam_preprocess.datasets.dagm import DAGM
from trainer.batches import Part, RecordInfo
from trainer.config import InferenceConfig, TrainerConfig
from trainer.distribution import choose_strategy, make_distribution, prepare
from trainer.loop import train
from trainer.loss.config import LossConfig
from trainer.model_config import ModelConfig
from trainer.model_folder import ServingSpec
from trainer.progress import Progress
from trainer.run_folder import RunFolder
from trainer.serving import LoadedModel, export
from trainer.staging import stage
from trainer.tracking_config import TrackingConfig

# No bias before a norm: its gradient is rounding noise, which Adam would make a full step of.
NETWORK = ModelConfig(rank=2, in_channels=1, classes=1, filters=(2, 4), conv_bias=False)
SPEC = ServingSpec(
    dataset=DAGM,
    profile="corrected",
    clip_percentiles=(0.5, 99.5),
    inference=InferenceConfig(window=(16, 16)),
    model=NETWORK,
)


def config(strategy: str) -> TrainerConfig:
    """Batches of 4: on two devices 2 each."""
    return TrainerConfig(
        tracking=TrackingConfig(image_steps=0),
        samples=32,
        batch_size=2 if strategy == "mirrored" else 4,
        crop=(8, 8),
        loss=LossConfig(name="ce"),
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
            export([network], SPEC, str(root / "model"))
        return {f"{strategy}/{w.path}": np.asarray(w) for w in network.weights}

    result = weights("one-device")
    with suppress(KeyboardInterrupt), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "step", interrupted)
        weights("mirrored")
    result |= weights("mirrored")
    replicas = make_distribution("mirrored").part.replicas
    np.savez(root / "weights.npz", replicas=replicas, **result)


def interrupted(self: Progress, number: int, values: dict[str, float]) -> None:
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


@pytest.mark.parametrize("name", ["one-device", "mirrored", "auto"])
def test_one_process_has_all_replicas(name: str) -> None:
    distribution = make_distribution(name)
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    replicas = 1 if name == "one-device" else len(devices)
    assert (distribution.workers, distribution.rank) == (1, 0)
    assert distribution.part == Part(first=0, count=replicas, replicas=replicas)
    values = np.array([1.5, -2.0])
    np.testing.assert_array_equal(distribution.sum(values), values)
    [same] = distribution.from_chief([values])
    np.testing.assert_array_equal(same, values)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "multi-worker",
            r"needs the addresses of all workers in TF_CONFIG, .* trainer\.workers start",
        ),
        ("tpu", r"^strategy 'tpu' needs a TPU, none was found \(.*\): set TPU_NAME, or take"),
        ("hpu", r"^strategy 'hpu' needs the Python package habana_frameworks, .* install Habana's"),
        ("npu", r"^strategy 'npu' needs the Python package npu_device, it is missing: .* Ascend's"),
    ],
)
def test_what_a_strategy_needs_is_told(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_distribution(name)


PLUG_INS = {
    "hpu": (
        "habana_frameworks/tensorflow.py",
        "def load_habana_module():\n    print('loaded')\n",
    ),
    "npu": (
        "npu_device.py",
        "class open:\n    def as_default(self):\n        print('loaded')\n",
    ),
}


@pytest.mark.parametrize("name", PLUG_INS)
def test_plug_in_is_loaded_and_a_missing_device_is_told(
    name: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    """A stand-in for the vendor's package, which registers no device."""
    file, code = PLUG_INS[name]
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", sys.modules.copy())  # the stand-in does not stay
    with pytest.raises(ValueError, match=f"needs a device of type {name.upper()}, .* found none"):
        make_distribution(name)
    assert capsys.readouterr().out == "loaded\n"


@pytest.mark.parametrize("tf32", [False, True])
def test_training_is_prepared_by_its_config(tf32: bool) -> None:
    """The same seed draws the same numbers; what was drawn before does not matter."""
    own = replace(config("one-device"), tf32=tf32, seed=7)
    drawn = []
    for _ in range(2):
        distribution = prepare(own)
        drawn.append((tf.random.uniform([4]).numpy(), np.random.uniform(size=4)))
    assert (distribution.workers, distribution.part) == (1, Part())
    assert tf.config.experimental.tensor_float_32_execution_enabled() == tf32
    np.testing.assert_array_equal(drawn[0], drawn[1])
    prepare(replace(own, seed=8))
    assert np.any(tf.random.uniform([4]).numpy() != drawn[0][0])


def test_a_strategy_that_is_named_stands_for_itself(monkeypatch) -> None:
    monkeypatch.setenv("HOROVOD_SIZE", "2")
    assert choose_strategy("one-device") == "one-device"
    assert choose_strategy("auto") == choose_strategy() == "horovod"


def test_auto_takes_an_hpu_unless_told_not_to(tmp_path: Path, monkeypatch) -> None:
    file, code = PLUG_INS["hpu"]
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    assert choose_strategy() == "hpu"
    assert choose_strategy(hpu=False) in ("one-device", "mirrored")


def test_tf_config_must_be_json(monkeypatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "{cluster")
    with pytest.raises(ValueError, match=r"^TF_CONFIG must be a JSON object, got '{cluster'"):
        make_distribution("auto")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
