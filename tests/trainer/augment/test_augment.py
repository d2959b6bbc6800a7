"""Whole crops: what each profile does, and that equal seeds give equal crops."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import tensorflow as tf

from trainer.augment.augment import augmented_crop
from trainer.augment.config import AugmentConfig
from trainer.config import TrainerConfig

OFF = AugmentConfig(enabled=False)
FULL = AugmentConfig(
    profile="full",
    rotate_probability=0.6,
    scale_probability=0.6,
    elastic_probability=0.6,
    noise_probability=0.5,
    blur_probability=0.5,
    contrast_probability=0.5,
    low_resolution_probability=0.5,
    gamma_probability=0.5,
)
PROFILES = {
    "off": OFF,
    "basic": AugmentConfig(),
    "full": FULL,
    "reference-3d": AugmentConfig(profile="reference-3d"),
    "reference-dagm": AugmentConfig(profile="reference-dagm"),
    "reference-medical": AugmentConfig(profile="reference-medical"),
}


SPECS = {"X": tf.uint8, "Y": tf.uint8, "mean": tf.float32, "stdev": tf.float32}
SPECS["spacing"] = tf.float32


def config(augment: AugmentConfig, *crop: int) -> TrainerConfig:
    return TrainerConfig(samples=8, batch_size=1, crop=crop, foreground_fraction=0, augment=augment)


def features(*shape: int) -> dict[str, tf.Tensor]:
    """Two channels of noise around 80, 0 at the border; 120 more where the label is 1."""
    rng = np.random.default_rng(0)
    label = np.zeros(shape, np.uint8)
    label[tuple(slice(n // 4, n // 2) for n in shape)] = 1
    x = np.zeros((*shape, 2), np.uint8)
    inner = (slice(1, -1),) * len(shape)
    x[inner] = rng.integers(60, 100, (*(n - 2 for n in shape), 2))
    x += 120 * label[..., None]
    return {
        "X": tf.constant(x),
        "Y": tf.constant(label),
        "mean": tf.constant([80.0, 90.0]),
        "stdev": tf.constant([20.0, 30.0]),
        "spacing": tf.constant([1.0, 1.0, 2.0][: len(shape)]),
    }


@cache
def traced(options: TrainerConfig, foreground: str) -> tf.types.experimental.GenericFunction:
    """`augmented_crop` of cases of any size, as a graph that the tests share."""
    rank = len(options.crop)
    shapes = {"X": [None] * rank + [2], "Y": [None] * rank, "mean": [2], "stdev": [2]}
    shapes["spacing"] = [rank]
    spec = {name: tf.TensorSpec(shapes[name], SPECS[name]) for name in SPECS}
    return tf.function(
        lambda record, s: augmented_crop(record, options, s, foreground=foreground),
        input_signature=[spec, tf.TensorSpec([2], tf.int32)],
    )


def crops(record: dict, options: TrainerConfig, count: int, foreground: str = "nonzero") -> list:
    """(image, label) for `count` seeds."""
    run = traced(options, foreground)
    results = (run(record, tf.constant([n, 7])) for n in range(count))
    return [(image.numpy(), label.numpy()) for image, label in results]


def square(name: str) -> TrainerConfig:
    return config(PROFILES[name], 12, 12)


@pytest.mark.parametrize(
    ("name", "crop"),
    [
        *((name, (12, 12)) for name in PROFILES),
        ("reference-3d", (6, 6, 6)),
        pytest.param("full", (6, 6, 6), marks=pytest.mark.slow),
    ],
)
def test_same_seed_gives_the_same_crop_eagerly_and_in_tf_data(
    name: str, crop: tuple[int, ...]
) -> None:
    """Bit for bit, the case read inside of the pipeline as in training."""
    record, options = features(*(n + 4 for n in crop)), config(PROFILES[name], *crop)
    records = tf.data.Dataset.from_tensors(record).repeat(4).enumerate()
    in_tf_data = records.map(
        lambda n, r: augmented_crop(
            r, options, tf.stack([tf.cast(n, tf.int32), 7]), foreground="nonzero"
        )
    )
    images = set()
    for n, (image, label) in enumerate(in_tf_data.as_numpy_iterator()):
        eager = augmented_crop(record, options, tf.constant([n, 7]), foreground="nonzero")
        np.testing.assert_array_equal(image, eager[0])
        np.testing.assert_array_equal(label, eager[1])
        images.add(image.tobytes())
    assert len(images) > 1


@pytest.mark.parametrize("name", PROFILES)
def test_shapes_and_types_are_static(name: str) -> None:
    image, label = traced(square(name), "nonzero").get_concrete_function().outputs
    assert (image.shape, image.dtype) == ((12, 12, 2), tf.float32)
    assert (label.shape, label.dtype) == ((12, 12), tf.int32)


@pytest.mark.parametrize(
    ("name", "foreground"),
    [*((name, "nonzero") for name in PROFILES), ("basic", "all"), ("full", "all")],
)
def test_padding_is_zero(name: str, foreground: str) -> None:
    """Of a grey 5x5, magnified by at most 1.4 and moved by 0.2 * 3 a side, 9x9 of 12x12 remain."""
    record = features(5, 5) | {"X": tf.fill([5, 5, 2], tf.constant(200, tf.uint8))}
    record |= {"Y": tf.ones([5, 5], tf.uint8)}
    results = crops(record, square(name), 12, foreground)
    assert any(image.any() for image, _ in results)
    for image, label in results:
        inside = np.any(image != 0, axis=-1)
        assert inside.sum() <= 9 * 9 + 1
        assert not label[~inside].any()


@pytest.mark.parametrize("name", ["basic", "full", "reference-3d"])
def test_background_of_scans_stays_zero(name: str) -> None:
    """Only the first quarter of the case is tissue."""
    x = np.zeros((16, 16, 2), np.uint8)
    x[:4] = 90
    for image, _ in crops(features(16, 16) | {"X": tf.constant(x)}, square(name), 12):
        assert np.mean(image[..., 0] == 0) > 0.4


@pytest.mark.parametrize("name", PROFILES)
def test_image_and_label_stay_together(name: str) -> None:
    """The labelled pixels stand out by 120 grey levels, on the scale that one profile clips to."""
    grey = tf.constant([127.5, 127.5])
    results = crops(features(18, 18) | {"mean": grey, "stdev": grey}, square(name), 12)
    assert sum(label.any() for _, label in results) > 6
    for image, label in results:
        values = image[..., 0]
        if label.sum() > 8:
            assert np.median(values[label == 1]) > np.quantile(values[label == 0], 0.75)


def test_off_leaves_the_crop_as_it_is() -> None:
    record = features(12, 12)
    [(image, label)] = crops(record, square("off"), 1)
    x = record["X"].numpy().astype(np.float32)
    expected = np.where(x > 0, (x - [80, 90]) / [20, 30], 0)
    np.testing.assert_allclose(image, expected, atol=1e-5)
    np.testing.assert_array_equal(label, record["Y"])


def test_crops_of_a_profile_that_is_off_are_still_its_crops() -> None:
    """Of 13 pixels and a crop of 12, the reference knows offset 0 alone."""
    reference = config(replace(PROFILES["reference-3d"], enabled=False), 12, 12)
    record = features(13, 13)
    assert len({image.tobytes() for image, _ in crops(record, reference, 20)}) == 1
    assert len({image.tobytes() for image, _ in crops(record, square("off"), 20)}) == 4


@pytest.mark.parametrize(
    ("augment", "outcomes"),
    [
        (AugmentConfig(brightness=0.0), 8),
        (AugmentConfig(brightness=0.0, rotations=False), 4),
        (AugmentConfig(brightness=0.0, flips=False), 4),
        (AugmentConfig(brightness=0.0, flips=False, rotations=False), 1),
        (AugmentConfig(profile="reference-dagm"), 6),
    ],
)
def test_orientations_of_a_whole_square(augment: AugmentConfig, outcomes: int) -> None:
    results = crops(features(5, 5), config(augment, 5, 5), 80)
    assert len({image.tobytes() for image, _ in results}) == outcomes


def test_switching_a_transform_off_leaves_the_others() -> None:
    """Without flips, turns and intensity changes, labels are the same but for a symmetry."""
    off = {n: 0.0 for n in ("noise_probability", "gamma_probability", "blur_probability")}
    still = config(replace(FULL, flips=False, rotations=False, **off), 12, 12)
    record = features(16, 16)
    moved = 0
    for (_, label), (_, upright) in zip(
        crops(record, square("full"), 8), crops(record, still, 8), strict=True
    ):
        symmetries = [np.rot90(m, k) for m in (upright, upright[::-1]) for k in range(4)]
        assert any(np.array_equal(label, s) for s in symmetries)
        moved += not np.array_equal(label, upright)
    assert moved > 0


def test_profile_that_does_not_fit_the_crop() -> None:
    options = config(PROFILES["reference-medical"], 4, 4, 4)
    with pytest.raises(ValueError, match="reference-medical"):
        augmented_crop(features(6, 6, 6), options, tf.constant([1, 7]), foreground="nonzero")
