"""What is timed, and how often: on tiny networks. No test looks at how long it took."""

from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf

from trainer.batches import RecordInfo
from trainer.benchmark import timing
from trainer.benchmark.timing import time_forward, time_input, time_training, time_whole_cases
from trainer.config import InferenceConfig, TrainerConfig
from trainer.loss.config import LossConfig
from trainer.model_config import ModelConfig
from trainer.staging import StagedCase
from trainer.unet import build_unet

MODEL = ModelConfig(rank=2, in_channels=1, classes=1, filters=(2, 4))
CONFIG = TrainerConfig(
    samples=2, batch_size=2, crop=(8, 8), loss=LossConfig(name="ce"), strategy="one-device"
)


def test_training_takes_all_steps_whatever_its_budget(
    photographs: list[StagedCase], photograph_info: RecordInfo, monkeypatch
) -> None:
    """Its steps are those of `trainer.step`, on crops that differ from step to step."""
    given = []
    make_step = timing.make_step

    def spy(*arguments):
        step = make_step(*arguments)
        return lambda batch, stop: given.append(batch[0].numpy()) or step(batch, stop)

    monkeypatch.setattr(timing, "make_step", spy)
    found = time_training(photographs, photograph_info, MODEL, CONFIG, steps=3, warmup_steps=2)
    assert [image.shape for image in given] == [(2, 8, 8, 1)] * 5
    assert not np.array_equal(given[1], given[2])
    assert len(found.times.seconds) == len(found.waits) == 5
    assert len(found.times.timed) == 3 and found.times.samples == 2
    assert all(0 < w < s for w, s in zip(found.waits, found.times.seconds, strict=True))
    assert (found.workers, found.replicas, found.rank) == (1, 1, 0)
    assert found.strategy == "one-device"
    assert found.parameters == build_unet(MODEL).count_params()
    assert found.memory["peak_resident_bytes"] > 2**20


def test_input_goes_on_after_the_last_batch_that_is_timed(
    photographs: list[StagedCase], photograph_info: RecordInfo, monkeypatch
) -> None:
    taken = []
    batches = timing.training_batches

    def spy(*arguments) -> Iterator:
        for batch in batches(*arguments):
            taken.append(batch)
            yield batch

    monkeypatch.setattr(timing, "training_batches", spy)
    times = time_input(photographs, photograph_info, CONFIG, steps=3, warmup_steps=2)
    assert len(taken) == len(times.seconds) == 5 and times.samples == 2
    assert taken[0][0].shape == (2, 8, 8, 1)


def test_forward_pass_of_a_batch() -> None:
    times = time_forward(build_unet(MODEL), tf.zeros([3, 8, 8, 1]), steps=4, warmup_steps=1)
    assert len(times.seconds) == 5 and len(times.timed) == 4 and times.samples == 3


def test_whole_cases_follow_a_single_window() -> None:
    sizes = []

    def network(window: tf.Tensor, *, training: bool) -> tf.Tensor:
        assert not training
        tf.py_function(lambda x: sizes.append(tuple(x.shape)), [window], [])
        return window

    images = (tf.zeros([side, 8, 1]) for side in (12, 16))
    inference = InferenceConfig(window=(8, 8), overlap=0.5)
    times = time_whole_cases(network, images, MODEL, inference)
    assert len(times.timed) == 2 and (times.warmup_steps, times.samples) == (1, 1)
    assert sizes == [(1, 8, 8, 1)] * (1 + 2 + 3)  # 12 takes windows from 0 and 4; 16 from 0, 4, 8


def no_room(*_: object, **__: object) -> object:
    raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nand more")


def test_too_little_memory_to_train(photographs, photograph_info, monkeypatch) -> None:
    monkeypatch.setattr(timing, "make_step", lambda *_: no_room)
    message = r"batch_size 2 with crop \(8, 8\) .* lower trainer.batch_size, .*\(OOM when alloc"
    with pytest.raises(MemoryError, match=message):
        time_training(photographs, photograph_info, MODEL, CONFIG, steps=1, warmup_steps=1)


def test_too_little_memory_to_infer() -> None:
    with pytest.raises(MemoryError, match=r"pass of shape \(3, 8, 8, 1\) .*crop or --size, or"):
        time_forward(no_room, tf.zeros([3, 8, 8, 1]), steps=1, warmup_steps=1)
    inference = InferenceConfig(window=(16, 8))
    with pytest.raises(MemoryError, match=r"a window of \(16, 8\) does not: lower inference.wi"):
        time_whole_cases(no_room, iter([]), MODEL, inference)


def test_too_little_memory_for_crops(photographs, photograph_info, monkeypatch) -> None:
    monkeypatch.setattr(timing, "training_batches", no_room)
    with pytest.raises(MemoryError, match=r"crop \(8, 8\) does not: lower trainer.batch_size or"):
        time_input(photographs, photograph_info, CONFIG, steps=1, warmup_steps=1)
