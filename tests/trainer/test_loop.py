"""The loop: it learns, repeats itself bit for bit, and goes on where it was interrupted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.checkpoints import read
from trainer.config import TrainerConfig, ValidationConfig
from trainer.loop import train
from trainer.loss.config import LossConfig
from trainer.model_config import ModelConfig
from trainer.optimizer_config import OptimizerConfig
from trainer.progress import Progress, read_history
from trainer.run_folder import RunFolder
from trainer.staging import StagedCase
from trainer.step import central_part
from trainer.tracking_config import TrackingConfig

NETWORK = ModelConfig(rank=2, in_channels=1, classes=1, filters=(2, 4), norm="none")
STATEFUL = replace(NETWORK, norm="batch", dropout=0.5, padding="valid", downsample="max-pool")
NETWORK_3D = ModelConfig(rank=3, in_channels=2, classes=3, filters=(2, 4))
CONFIG = TrainerConfig(
    tracking=TrackingConfig(image_steps=0),
    samples=16,
    batch_size=2,
    crop=(8, 8),
    loss=LossConfig(name="ce"),
    learning_rate=1e-2,
    checkpoint_steps=3,
    log_steps=2,
)
CONFIG_3D = replace(
    CONFIG, samples=80, crop=(8, 8, 8), loss=LossConfig(), checkpoint_steps=15, log_steps=10
)


@dataclass(frozen=True, kw_only=True)
class Twins:
    """A training that nothing disturbed, and the same one with a crash.

    Attributes:
      again: Trains on in the folder of the interrupted one.
      before, after: Steps that were done until the crash, and from the restart.
    """

    undisturbed: keras.Model
    resumed: keras.Model
    undisturbed_folder: RunFolder
    folder: RunFolder
    again: Callable[[], keras.Model]
    before: list[int]
    after: list[int]


def make_twins(root: Path, crash_at: int, *arguments: object) -> Twins:
    undisturbed_folder = RunFolder(path=root / "undisturbed")
    folder = RunFolder(path=root / "interrupted")
    undisturbed = train(*arguments, undisturbed_folder)
    with recorded_steps(crash_at=crash_at) as before, pytest.raises(KeyboardInterrupt):
        train(*arguments, folder)
    with recorded_steps() as after:
        resumed = train(*arguments, folder)
    return Twins(
        undisturbed=undisturbed,
        resumed=resumed,
        undisturbed_folder=undisturbed_folder,
        folder=folder,
        again=lambda: train(*arguments, folder),
        before=before,
        after=after,
    )


@contextmanager
def recorded_steps(*, crash_at: int | None = None) -> Iterator[list[int]]:
    """Steps that are done, as a list that grows; step `crash_at` ends in a crash."""
    done: list[int] = []
    original = Progress.step

    def step(self: Progress, number: int, values: dict[str, float]) -> None:
        if number == crash_at:
            raise KeyboardInterrupt
        done.append(number)
        original(self, number, values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "step", step)
        yield done


@pytest.fixture(scope="module")
def stateful(tmp_path_factory, photographs, photograph_info) -> Twins:
    """8 steps of a network with dropout and batch norm; checkpoints at 3 and 6, crash in step 5."""
    config = replace(CONFIG, crop=(20, 20))
    root = tmp_path_factory.mktemp("stateful")
    return make_twins(root, 5, photographs, photograph_info, STATEFUL, config)


@pytest.fixture(scope="module")
def volumetric(tmp_path_factory, volumes, volume_info) -> Twins:
    """40 steps of a 3D network; checkpoints at 15 and 30, crash in step 22."""
    root = tmp_path_factory.mktemp("volumetric")
    return make_twins(root, 22, volumes, volume_info, NETWORK_3D, CONFIG_3D)


@pytest.fixture(scope="module")
def one_step(tmp_path_factory, photographs, photograph_info) -> Callable[..., keras.Model]:
    """A function that trains one step."""

    def train_one(**changes: object) -> keras.Model:
        config = replace(CONFIG, samples=2, **changes)
        folder = RunFolder(path=tmp_path_factory.mktemp("one-step"))
        return train(photographs, photograph_info, NETWORK, config, folder)

    return train_one


@pytest.fixture(scope="module")
def after_one_step(one_step: Callable[..., keras.Model]) -> keras.Model:
    return one_step()


def numbers(network: keras.Model) -> list[np.ndarray]:
    """All variables: weights, moving averages, states of random seeds."""
    return [np.asarray(v.value) for v in network.variables]


def assert_identical(one: keras.Model, other: keras.Model) -> None:
    for a, b in zip(numbers(one), numbers(other), strict=True):
        np.testing.assert_array_equal(a, b)


def losses(folder: RunFolder) -> dict[int, float]:
    return {int(r["step"]): r["loss"] for r in read_history(folder.logs)}


def test_loss_falls_on_bright_squares(photographs, photograph_info, tmp_path: Path) -> None:
    config = replace(CONFIG, samples=240, batch_size=4, crop=(16, 16), log_steps=10)
    folder = RunFolder(path=tmp_path)
    train(photographs, photograph_info, NETWORK, config, folder)
    falling = losses(folder)
    assert list(falling) == [10, 20, 30, 40, 50, 60]
    assert falling[60] < 0.5 * falling[10]


def test_loss_falls_on_volumes_with_three_classes(volumetric: Twins) -> None:
    falling = losses(volumetric.undisturbed_folder)
    assert list(falling) == [10, 20, 30, 40]
    assert falling[40] < 0.9 * falling[10]


def test_training_resumes_after_its_last_checkpoint(stateful: Twins, volumetric: Twins) -> None:
    assert stateful.before == [1, 2, 3, 4]
    assert stateful.after == [4, 5, 6, 7, 8]
    assert volumetric.before == list(range(1, 22))
    assert volumetric.after == list(range(16, 41))


@pytest.mark.parametrize("name", ["stateful", "volumetric"])
def test_interrupted_training_ends_in_the_weights_of_an_undisturbed_one(
    request: pytest.FixtureRequest, name: str
) -> None:
    twins = request.getfixturevalue(name)
    assert_identical(twins.resumed, twins.undisturbed)


def test_states_beside_the_weights_were_trained_and_resumed(stateful: Twins) -> None:
    """One draw of the dropout per step, and moving averages that left 0 and 1."""
    found = {v.path: np.asarray(v.value) for v in stateful.resumed.non_trainable_variables}
    [draws] = [v[1] for path, v in found.items() if path.endswith("seed_generator_state")]
    assert draws == 8
    means = [v for path, v in found.items() if path.endswith("moving_mean")]
    assert len(means) == 6 and all(np.any(m != 0) for m in means)


def test_history_of_an_interrupted_training_has_every_report_once(stateful: Twins) -> None:
    """Reports at 2, 4, 6 and 8; the one at 4 lacks step 3, which was not done again."""
    expected, found = losses(stateful.undisturbed_folder), losses(stateful.folder)
    assert list(found) == list(expected) == [2, 4, 6, 8]
    assert {s: found[s] for s in (2, 6, 8)} == {s: expected[s] for s in (2, 6, 8)}


def test_last_two_checkpoints_are_kept_the_final_one_among_them(stateful: Twins) -> None:
    names = sorted(p.name for p in stateful.folder.checkpoints.iterdir())
    assert names == ["samples-000000000012.npz", "samples-000000000016.npz"]


def test_finished_training_is_not_trained_on(stateful: Twins) -> None:
    with recorded_steps() as done:
        assert_identical(stateful.again(), stateful.undisturbed)
    assert done == []


@pytest.mark.parametrize(
    ("precision", "compute"),
    [("float32", "float32"), ("bfloat16", "bfloat16"), ("float16", "float16")],
)
def test_two_trainings_give_identical_weights(one_step, precision: str, compute: str) -> None:
    one, other = one_step(precision=precision), one_step(precision=precision)
    assert_identical(one, other)
    assert all(np.all(np.isfinite(n)) for n in numbers(one))
    assert {w.dtype for w in one.weights} == {"float32"}
    assert one.get_layer("encoder0_conv1_act").compute_dtype == compute


@pytest.mark.parametrize("tf32", [False, True])
def test_tf32_is_switched(one_step, tf32: bool) -> None:
    one_step(tf32=tf32)
    assert tf.config.experimental.tensor_float_32_execution_enabled() == tf32


def test_first_step_is_adams(after_one_step: keras.Model) -> None:
    """It moves a weight by the rate, whatever its gradient. The head's bias started at 0."""
    [bias] = np.asarray(after_one_step.get_layer("head").bias)
    assert abs(bias) == pytest.approx(1e-2, rel=1e-4)


def test_seed_and_loss_reach_the_training(one_step, after_one_step: keras.Model) -> None:
    """The kernels are further apart than one step moves them."""
    networks = (after_one_step, one_step(seed=1))
    kernels = [np.asarray(network.get_layer("head").kernel) for network in networks]
    assert not np.allclose(*kernels, atol=2.1e-2)
    with pytest.raises(ValueError, match="channel"):
        one_step(loss=LossConfig(name="dice", profile="reference"))


def test_nan_loss_is_an_error_that_names_the_steps(
    stage_arrays: Callable[..., list[StagedCase]], photograph_info, tmp_path: Path
) -> None:
    arrays = {"case": (np.ones((8, 8, 1), np.uint8), np.ones((8, 8), np.uint8))}
    cases = stage_arrays(arrays, mean=[float("nan")], stdev=[1.0])
    folder = RunFolder(path=tmp_path / "run", title="Trainer-fold-1")
    with pytest.raises(
        FloatingPointError,
        match=r"^Trainer-fold-1: .* is nan in step 1 \(cases case, case\): .* none yet$",
    ):
        train(cases, photograph_info, NETWORK, CONFIG, folder)


def test_out_of_memory_says_what_to_lower(
    photographs, photograph_info, tmp_path: Path, monkeypatch
) -> None:
    def no_room(*_: object) -> object:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\nmore")

    monkeypatch.setattr("trainer.loop.make_step", lambda *_: no_room)
    message = (
        r"batch_size 2 with crop \(8, 8\) in float32 does not: lower trainer.batch_size, raise"
        r" .*accumulate_parts, lower trainer.crop, .* to bfloat16 \(OOM when allocating tensor\)$"
    )
    with pytest.raises(MemoryError, match=message):
        train(photographs, photograph_info, NETWORK, CONFIG, RunFolder(path=tmp_path))


def test_workers_that_differ_are_an_error(photographs, photograph_info, tmp_path, monkeypatch):
    """Their sum is not that of equal workers."""
    monkeypatch.setattr("trainer.distribution.TensorFlowDistribution.sum", lambda _, v: v + 1)
    with pytest.raises(RuntimeError, match=r"^all workers must have the same weights, the sum of"):
        train(photographs, photograph_info, NETWORK, CONFIG, RunFolder(path=tmp_path))


def test_validation_of_a_class_that_the_network_lacks(photographs, photograph_info, tmp_path):
    config = replace(CONFIG, validation=ValidationConfig(share=0.25, classes=(2,)))
    message = r"^trainer.validation.classes must be foreground classes of the network, 1 to 1, got"
    with pytest.raises(ValueError, match=message):
        train(photographs, photograph_info, NETWORK, config, RunFolder(path=tmp_path))


def test_picture_that_fails_is_a_warning(one_step, monkeypatch, caplog) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("trainer.tracking.watch.picture", fail)
    one_step(tracking=TrackingConfig())
    assert "no picture after step 1 (OSError: no space left)" in caplog.text


def test_resuming_with_other_options_is_an_error(photographs, photograph_info, tmp_path) -> None:
    arguments = (photographs, photograph_info)
    folder = RunFolder(path=tmp_path)
    train(*arguments, NETWORK, CONFIG, folder)
    with pytest.raises(ValueError, match=r"must have the variables of the training, .* differ"):
        train(*arguments, replace(NETWORK, filters=(4, 4)), CONFIG, folder)


def test_training_ends_where_validation_gets_no_better(
    photographs, photograph_info, tmp_path: Path, monkeypatch
) -> None:
    """Scores 0.5, 0.7, 0.6, 0.7: the second is the best, and two without a better one end it."""
    scores = iter([0.5, 0.7, 0.6, 0.7])
    monkeypatch.setattr("trainer.loop.mean_dice", lambda *_: (next(scores), []))
    validation = ValidationConfig(share=0.25, every_steps=1, patience=2)
    folder = RunFolder(path=tmp_path)
    network = train(
        photographs, photograph_info, NETWORK, replace(CONFIG, validation=validation), folder
    )
    noted = [r["validation_dice"] for r in read_history(folder.logs) if "validation_dice" in r]
    assert noted == [0.5, 0.7, 0.6, 0.7]
    best = read(folder.checkpoints / "best.npz")
    last = read(folder.checkpoints / "samples-000000000008.npz")
    for number, found in enumerate(numbers(network)):
        np.testing.assert_array_equal(found, best[f"network/{number:04d}"])
    assert np.any(best["network/0000"] != last["network/0000"])


def test_average_of_weights_is_what_is_returned(one_step, after_one_step: keras.Model) -> None:
    """After one step the average is the weights; the start has no part in it."""
    averaged = one_step(optimizer=OptimizerConfig(ema_decay=0.9))
    for a, b in zip(numbers(averaged), numbers(after_one_step), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_central_part_is_what_a_valid_network_sees() -> None:
    labels = np.arange(2 * 6 * 4).reshape(2, 6, 4)
    part = central_part(tf.constant(labels), tf.zeros((2, 2, 2, 3)))
    np.testing.assert_array_equal(part, labels[:, 2:4, 1:3])
    whole = central_part(tf.constant(labels), tf.zeros((2, 6, 4, 3)))
    np.testing.assert_array_equal(whole, labels)


def test_folders_of_a_run(tmp_path: Path) -> None:
    folder = RunFolder(path=tmp_path)
    assert folder.checkpoints == tmp_path / "checkpoints"
    assert folder.logs == tmp_path / "logs"


def _damage(folder: RunFolder, samples: int) -> None:
    """Changes one byte in the middle."""
    path = folder.checkpoints / f"samples-{samples:012d}.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_damaged_checkpoint_is_skipped_for_the_one_before(
    tmp_path, photographs, photograph_info
) -> None:
    arguments = (photographs, photograph_info, NETWORK, CONFIG)
    undisturbed = train(*arguments, RunFolder(path=tmp_path / "undisturbed"))
    folder = RunFolder(path=tmp_path / "damaged")
    with recorded_steps(crash_at=8), pytest.raises(KeyboardInterrupt):
        train(*arguments, folder)
    _damage(folder, 12)
    with recorded_steps() as after:
        resumed = train(*arguments, folder)
    assert after == [4, 5, 6, 7, 8]
    for one, other in zip(resumed.weights, undisturbed.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_only_damaged_checkpoints_are_an_error(tmp_path, photographs, photograph_info) -> None:
    arguments = (photographs, photograph_info, NETWORK, CONFIG)
    folder = RunFolder(path=tmp_path)
    with recorded_steps(crash_at=5), pytest.raises(KeyboardInterrupt):
        train(*arguments, folder)
    _damage(folder, 6)
    with pytest.raises(RuntimeError, match="remove that folder to train from the start"):
        train(*arguments, folder)
