"""The stream of training crops: every case once per epoch, and resumable at any step."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainer.augment.config import AugmentConfig
from trainer.batches import Part, RecordInfo, parse_features, training_batches, whole_example
from trainer.config import TrainerConfig
from trainer.staging import StagedCase, stage

PLAIN = AugmentConfig(flips=False, rotations=False, brightness=0.0)
CONFIG = TrainerConfig(samples=20, batch_size=2, crop=(8, 8), seed=3)
GREY = RecordInfo(rank=2, channels=1, foreground="all")
CASES = 5


@pytest.fixture
def constant_cases(stage_arrays: Callable[..., list[StagedCase]]) -> list[StagedCase]:
    """Case n is 4x4 pixels of value n + 1; mean 0 and deviation 1 leave it so."""
    arrays = {
        f"case-{n}": (np.full((4, 4, 1), n + 1, np.uint8), np.zeros((4, 4), np.uint8))
        for n in range(CASES)
    }
    return stage_arrays(arrays, mean=[0.0], stdev=[1.0])


def batches_of(
    cases: list[StagedCase], info: RecordInfo, config: TrainerConfig, start_step: int = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(training_batches(cases, info, config, start_step=start_step).as_numpy_iterator())


def order(cases: list[StagedCase], **changes: object) -> np.ndarray:
    """Case numbers in the order of training, [epochs, CASES]."""
    config = replace(CONFIG, crop=(4, 4), augment=PLAIN, **changes)
    images = [image for image, _ in batches_of(cases, GREY, config)]
    return np.concatenate(images)[:, 0, 0, 0].reshape(-1, CASES) - 1


def assert_equal_streams(one: list, other: list) -> None:
    assert len(one) == len(other) > 0
    for (image, label), (other_image, other_label) in zip(one, other, strict=True):
        np.testing.assert_array_equal(image, other_image)
        np.testing.assert_array_equal(label, other_label)


def test_every_case_occurs_once_per_epoch(constant_cases) -> None:
    """20 examples of 5 cases: 4 epochs, cut by batches of 2 that do not end with them."""
    epochs = order(constant_cases)
    np.testing.assert_array_equal(np.sort(epochs), np.broadcast_to(np.arange(CASES), (4, CASES)))


def test_order_differs_by_epoch_and_seed(constant_cases) -> None:
    epochs = order(constant_cases)
    assert len(np.unique(epochs, axis=0)) > 1
    assert np.any(epochs != order(constant_cases, seed=4))
    np.testing.assert_array_equal(epochs, order(constant_cases))


def test_order_does_not_depend_on_the_batch_size(constant_cases) -> None:
    np.testing.assert_array_equal(order(constant_cases), order(constant_cases, batch_size=5))


def test_steps_are_samples_by_batch_size_and_the_incomplete_batch_is_left_out(
    constant_cases,
) -> None:
    config = replace(CONFIG, samples=7, batch_size=3)
    assert [len(image) for image, _ in batches_of(constant_cases, GREY, config)] == [3, 3]


@pytest.mark.parametrize("start", [0, 1, 4, 9])
def test_stream_from_a_step_is_the_tail_of_the_whole_stream(
    photographs, photograph_info, start: int
) -> None:
    whole = batches_of(photographs, photograph_info, CONFIG)
    tail = batches_of(photographs, photograph_info, CONFIG, start)
    assert len(whole) == CONFIG.steps(1)
    assert_equal_streams(tail, whole[start:])


def test_stream_from_the_last_step_is_empty(photographs, photograph_info) -> None:
    assert batches_of(photographs, photograph_info, CONFIG, CONFIG.steps(1)) == []


def test_stream_does_not_depend_on_the_order_or_the_folder_of_the_cases(
    volumes, volume_info, tmp_path: Path
) -> None:
    config = replace(CONFIG, samples=6, crop=(8, 8, 8))
    moved = []
    for case in reversed(volumes):
        copy = tmp_path / f"0-{case.sha256}"
        copy.write_bytes(Path(case.path).read_bytes())
        moved.append(replace(case, path=str(copy)))
    expected = batches_of(volumes, volume_info, config)
    assert_equal_streams(batches_of(moved, volume_info, config), expected)
    assert_equal_streams(batches_of(volumes[1:] + volumes[:1], volume_info, config), expected)


def test_workers_share_the_stream_of_one_process_without_overlap(
    photographs, photograph_info
) -> None:
    """A step of two workers with batches of 2 is a step of one process with batches of 4."""
    whole = batches_of(photographs, photograph_info, replace(CONFIG, batch_size=4))
    parts = [
        training_batches(
            photographs, photograph_info, CONFIG, part=Part(first=rank, count=1, replicas=2)
        )
        for rank in (0, 1)
    ]
    steps = zip(*(part.as_numpy_iterator() for part in parts), strict=True)
    joined = [tuple(np.concatenate(pair) for pair in zip(*step, strict=True)) for step in steps]
    assert_equal_streams(joined, whole)


def test_types_and_shapes_are_static(volumes, volume_info) -> None:
    config = replace(CONFIG, crop=(8, 4, 6), batch_size=3)
    image, label = training_batches(volumes, volume_info, config, start_step=0).element_spec
    assert (image.shape, image.dtype) == ((3, 8, 4, 6, 2), tf.float32)
    assert (label.shape, label.dtype) == ((3, 8, 4, 6), tf.int32)


def test_crops_of_a_case_differ_between_epochs(photographs, photograph_info) -> None:
    crops = batches_of(photographs[:1], photograph_info, replace(CONFIG, batch_size=1))
    assert len({image.tobytes() for image, _ in crops}) == 20


def test_crops_do_not_follow_the_position_in_the_order(photographs, photograph_info) -> None:
    """The crop is a function of seed, case and epoch: fewer other cases do not change it."""
    config = replace(CONFIG, samples=4, batch_size=1)
    all_four = {image.tobytes() for image, _ in batches_of(photographs, photograph_info, config)}
    config = replace(config, samples=1)
    for case in photographs:
        [(image, _)] = batches_of([case], photograph_info, config)
        assert image.tobytes() in all_four


def test_whole_case_is_standardised_as_in_numpy(
    stage_arrays: Callable[..., list[StagedCase]], volume_info
) -> None:
    x = np.random.default_rng(0).integers(0, 4, (6, 5, 4, 2)).astype(np.uint8)
    y = np.random.default_rng(1).integers(0, 3, (6, 5, 4)).astype(np.uint8)
    config = replace(CONFIG, samples=1, batch_size=1, crop=(6, 5, 4), augment=PLAIN)
    [(image, label)] = batches_of(stage_arrays({"case": (x, y)}), volume_info, config)
    mean = np.array([x[x[..., c] > 0][:, c].mean() for c in range(2)])
    stdev = np.array([x[x[..., c] > 0][:, c].std() for c in range(2)])
    np.testing.assert_allclose(image[0], np.where(x > 0, (x - mean) / stdev, 0), atol=1e-5)
    np.testing.assert_array_equal(label[0], y)


@pytest.mark.parametrize("in_graph", [False, True])
def test_whole_example_is_all_of_a_record(
    stage_arrays: Callable[..., list[StagedCase]], volume_info, in_graph: bool
) -> None:
    """Intensities 0 and 1 of a mean of 3 and a deviation of 2: background, and (1 - 3) / 2."""
    x, y = np.zeros((6, 5, 4, 2), np.uint8), np.zeros((6, 5, 4), np.uint8)
    x[1:4, 2:, 1:3], y[2, 3, 1] = 1, 2
    cases = stage_arrays({"case": (x, y)}, mean=[3.0, 3.0], stdev=[2.0, 2.0])

    def read(path: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return whole_example(parse_features(tf.io.read_file(path), volume_info), volume_info)

    paths = tf.data.Dataset.from_tensors(cases[0].path)
    image, label = next(iter(paths.map(read))) if in_graph else read(tf.constant(cases[0].path))
    assert (image.dtype, label.dtype) == (tf.float32, tf.uint8)
    np.testing.assert_array_equal(image, np.where(x > 0, -1.0, 0.0))
    np.testing.assert_array_equal(label, y)


@pytest.mark.parametrize("foreground", ["nonzero", "all"])
def test_padding_is_zero_after_standardisation(
    stage_arrays: Callable[..., list[StagedCase]], foreground: str
) -> None:
    """Of 3x5 pixels, none of which is the mean, 15 of 8x8 are not 0, wherever they are turned."""
    x = np.arange(1, 16, dtype=np.uint8).reshape(3, 5, 1)
    cases = stage_arrays({"case": (x, np.ones((3, 5), np.uint8))}, mean=[7.5], stdev=[2.0])
    info = replace(GREY, foreground=foreground)
    corners = set()
    for images, labels in batches_of(cases, info, CONFIG):
        for image, label in zip(images[..., 0], labels, strict=True):
            rows, columns = np.nonzero(image)
            assert len(rows) == 15
            np.testing.assert_array_equal(label, image != 0)
            assert {np.ptp(rows), np.ptp(columns)} == {2, 4}
            corners.add((rows.min(), columns.min()))
    assert len(corners) > 1


@pytest.mark.parametrize("rank", [2, 3])
def test_image_and_label_stay_together(request, rank: int) -> None:
    """The labelled pixels are those that stand out, also after crop, flips and turns."""
    names = ("photographs", "photograph_info") if rank == 2 else ("volumes", "volume_info")
    cases, info = (request.getfixturevalue(name) for name in names)
    config = replace(CONFIG, crop=(8,) * rank, foreground_fraction=1.0)
    for images, labels in batches_of(cases, info, config):
        for image, label in zip(images, labels, strict=True):
            assert label.any()
            for index in range(1, info.channels + 1):
                values, inside = image[..., index - 1], label == index
                assert not inside.any() or values[inside].min() > values[~inside].max()


def test_brightness_changes_the_standardised_image(photographs, photograph_info) -> None:
    config = replace(CONFIG, samples=8, augment=PLAIN)
    plain = batches_of(photographs, photograph_info, config)
    config = replace(config, augment=replace(PLAIN, brightness=0.3))
    factors = []
    for (image, label), (expected, same_label) in zip(
        batches_of(photographs, photograph_info, config), plain, strict=True
    ):
        np.testing.assert_array_equal(label, same_label)
        for bright, dim in zip(image, expected, strict=True):
            factors.append(np.median(bright / dim))
            np.testing.assert_allclose(bright, dim * factors[-1], atol=1e-5)
    assert len(set(factors)) == 8
    assert 0.7 <= min(factors) < 1 < max(factors) <= 1.3


def test_staging_folder_is_enough_to_train(tmp_path: Path, make_record, write_file) -> None:
    """Once staged, the record files may go."""
    record = make_record("case", np.full((4, 4, 1), 9, np.uint8), np.zeros((4, 4), np.uint8))
    path = write_file(tmp_path / "records.gz", [record])
    cases = stage([str(path)], tmp_path / "staged")
    path.unlink()
    config = replace(CONFIG, samples=2, crop=(4, 4), augment=PLAIN)
    [(image, label)] = batches_of(cases, GREY, config)
    assert image.shape == (2, 4, 4, 1) and not label.any()
