"""Resampled crops: shifts, turns and magnifications by values computed by hand."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.augment.config import AugmentConfig
from trainer.augment.resample import Warp, draw_warp, resample, rotation_matrix, sources

ALWAYS = AugmentConfig(
    profile="full", rotate_probability=1.0, scale_probability=1.0, elastic_probability=1.0
)


def over_seeds(fn, count: int):
    """Results of `fn(seed)` for many seeds, from inside tf.data: a list of trees of arrays."""
    seeds = tf.data.Dataset.range(count).map(lambda n: tf.stack([tf.cast(n, tf.int32), 7]))
    return list(seeds.map(fn).as_numpy_iterator())


def warp_of(matrix, displacement=None) -> Warp:
    """A warp of a matrix, and of one displacement of all control points, in voxels."""
    matrix = np.asarray(matrix, np.float32)
    rank = len(matrix)
    control = np.zeros((rank, *(7,) * rank), np.float32)
    if displacement is not None:
        control += np.reshape(displacement, (-1, *(1,) * rank))
    return Warp(wanted=tf.constant(True), matrix=tf.constant(matrix), control=tf.constant(control))


def crop_of(x, label, warp: Warp, start, size) -> tuple[np.ndarray, np.ndarray]:
    """Resamples x [*S] as one channel: image [*c], marks [*c, 2]."""
    places = sources(warp, tf.constant(start), size)
    image, marks = resample(
        tf.constant(x, tf.uint8)[..., None],
        tf.constant(label, tf.uint8),
        places,
        prepare=lambda part: tf.cast(part, tf.float32),
    )
    return image.numpy()[..., 0], marks.numpy()


@pytest.mark.parametrize("shape", [(6, 7), (6, 7, 5)])
def test_the_identity_is_the_crop_and_zero_outside(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).integers(1, 200, shape)
    rank = len(shape)
    start, size = (2, 3, 1)[:rank], (3, 6, 5)[:rank]
    image, marks = crop_of(x, x % 3, warp_of(np.eye(rank)), start, size)
    padded = np.pad(x, [(0, 6)] * rank)
    expected = padded[tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))]
    np.testing.assert_array_equal(image, expected)
    np.testing.assert_array_equal(marks[..., 0], expected % 3)
    np.testing.assert_array_equal(marks[..., 1], expected > 0)


def test_a_shift_of_one_voxel_is_exact_and_reaches_around_the_crop() -> None:
    x = np.arange(1, 37).reshape(6, 6)
    image, marks = crop_of(x, x % 5, warp_of(np.eye(2), [1, -2]), (2, 2), (3, 3))
    np.testing.assert_allclose(image, x[3:6, 0:3], atol=1e-4)
    np.testing.assert_array_equal(marks[..., 0], x[3:6, 0:3] % 5)


def test_a_shift_of_a_quarter_voxel_has_these_weights() -> None:
    """0.75 of a voxel and 0.25 of the next; the last one's next is outside: 0.75 * 40 = 30."""
    x = np.array([[10, 20, 40]] * 3)
    image, marks = crop_of(x, x, warp_of(np.eye(2), [0, 0.25]), (0, 0), (3, 3))
    np.testing.assert_allclose(image, [[12.5, 25, 30]] * 3, atol=1e-4)
    np.testing.assert_array_equal(marks[..., 0], x)
    np.testing.assert_array_equal(marks[..., 1], 1)


def test_a_quarter_turn_is_rot90() -> None:
    """The voxel at (i, j) from the centre comes from (-j, i): np.rot90, clockwise."""
    x = np.arange(1, 26).reshape(5, 5)
    turn = rotation_matrix(tf.constant([np.pi / 2], tf.float32))
    np.testing.assert_allclose(turn, [[0, -1], [1, 0]], atol=1e-6)
    image, marks = crop_of(x, x, warp_of(turn), (0, 0), (5, 5))
    np.testing.assert_allclose(image, np.rot90(x, -1), atol=1e-3)
    np.testing.assert_array_equal(marks[..., 0], np.rot90(x, -1))


def test_rotation_in_space_is_about_x_then_y_then_z() -> None:
    def about(axis: int, angle: float) -> np.ndarray:
        one, other = (axis + 1) % 3, (axis + 2) % 3
        matrix = np.eye(3)
        matrix[[one, other], [one, other]] = np.cos(angle)
        matrix[one, other], matrix[other, one] = -np.sin(angle), np.sin(angle)
        return matrix

    angles = (0.3, -0.7, 1.1)
    expected = about(2, angles[2]) @ about(1, angles[1]) @ about(0, angles[0])
    np.testing.assert_allclose(rotation_matrix(tf.constant(angles)), expected, atol=1e-6)


def test_magnified_twice() -> None:
    """Voxels at -1.5, -0.5, 0.5, 1.5 of the centre 2.5 come from 1.75, 2.25, 2.75, 3.25."""
    x = np.tile(np.array([10, 20, 30, 40, 50, 60]), (6, 1))
    image, marks = crop_of(x, x, warp_of(np.eye(2) / 2), (1, 1), (4, 4))
    np.testing.assert_allclose(image, np.tile([27.5, 32.5, 37.5, 42.5], (4, 1)), atol=1e-4)
    np.testing.assert_array_equal(marks[..., 0], np.tile([30, 30, 40, 40], (4, 1)))


def test_a_turn_takes_its_corners_from_the_case() -> None:
    """A crop of ones in a case of ones stays so at any angle; at the case's corner it does not."""
    x = np.ones((40, 40))
    turn = warp_of(rotation_matrix(tf.constant([0.7])))
    image, marks = crop_of(x, x, turn, (12, 12), (16, 16))
    np.testing.assert_allclose(image, 1, atol=1e-5)
    np.testing.assert_array_equal(marks, 1)
    image, marks = crop_of(x, x, turn, (0, 0), (16, 16))
    assert not image[0, 0] and not marks[0, 0].any() and image[8, 8] == pytest.approx(1)


def test_a_crop_that_lies_outside_is_zero() -> None:
    image, marks = crop_of(
        np.ones((3, 3)), np.ones((3, 3)), warp_of(np.eye(2), [50, -80]), (0, 0), (4, 4)
    )
    assert not image.any() and not marks.any()


def test_rotation_is_one_of_physical_space() -> None:
    """Voxels of 1 mm by 4 mm: D M / f is D R, and D M D^-1 is orthogonal but for f."""
    spacing = np.array([1.0, 4.0], np.float32)
    config = AugmentConfig(
        profile="full",
        rotate_probability=1.0,
        rotate_degrees=90.0,
        scale_probability=0.0,
        elastic_probability=0.0,
    )
    for warp in over_seeds(lambda s: draw_warp((8, 8), tf.constant(spacing), config, s).matrix, 20):
        turn = np.diag(spacing) @ warp @ np.diag(1 / spacing)
        np.testing.assert_allclose(turn @ turn.T, np.eye(2), atol=1e-5)
        assert np.linalg.det(turn) == pytest.approx(1, abs=1e-5)


def test_angles_and_factors_are_those_of_the_config() -> None:
    """The determinant of M is 1 / f^2, its angle atan2(M10, M00)."""
    matrices = np.stack(
        over_seeds(lambda s: draw_warp((8, 8), tf.ones([2]), ALWAYS, s).matrix, 300)
    )
    factors = np.linalg.det(matrices) ** -0.5
    assert 0.7 <= factors.min() + 1e-5 < 0.72 and 1.38 < factors.max() <= 1.4001
    angles = np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert -30.01 <= angles.min() < -28 and 28 < angles.max() <= 30.01
    assert abs(np.corrcoef(factors, angles)[0, 1]) < 0.2


@pytest.mark.parametrize(
    ("name", "matrix_moves", "grid_moves"),
    [("rotate", True, False), ("scale", True, False), ("elastic", False, True), (None, 0, 0)],
)
def test_each_is_drawn_by_itself(name: str | None, matrix_moves: bool, grid_moves: bool) -> None:
    chances = {f"{n}_probability": float(n == name) for n in ("rotate", "scale", "elastic")}
    warp = draw_warp(
        (8, 8), tf.ones([2]), AugmentConfig(profile="full", **chances), tf.constant([1, 7])
    )
    assert bool(warp.wanted) == (name is not None)
    assert bool(np.any(warp.matrix != np.eye(2))) == bool(matrix_moves)
    assert bool(np.any(warp.control)) == bool(grid_moves)


def test_elastic_of_no_size_is_the_identity() -> None:
    config = AugmentConfig(
        profile="full",
        rotate_probability=0.0,
        scale_probability=0.0,
        elastic_probability=1.0,
        elastic_share=0.0,
    )
    x = np.random.default_rng(0).integers(1, 200, (7, 8, 6))
    warp = draw_warp((5, 5, 4), tf.ones([3]), config, tf.constant([1, 7]))
    image, marks = crop_of(x, x % 4, warp, (1, 2, 1), (5, 5, 4))
    np.testing.assert_array_equal(image, x[1:6, 2:7, 1:5])
    np.testing.assert_array_equal(marks[..., 0], x[1:6, 2:7, 1:5] % 4)


def test_the_strongest_elastic_deformation_does_not_fold() -> None:
    """Along every axis, places of later voxels come later; cells of 4 voxels move by 0.4 * 4."""
    config = AugmentConfig(
        profile="full",
        rotate_probability=0.0,
        scale_probability=0.0,
        elastic_probability=1.0,
        elastic_share=0.39,
    )

    def places(s: tf.Tensor) -> tf.Tensor:
        warp = draw_warp((16, 16), tf.ones([2]), config, s)
        return tf.stack(sources(warp, tf.constant([0, 0]), (16, 16)))

    for x, y in over_seeds(places, 50):
        moved = max(np.abs(x - np.arange(16)[:, None]).max(), np.abs(y - np.arange(16)).max())
        assert 0.2 < moved <= 1.6
        a, b = np.gradient(x)
        c, d = np.gradient(y)
        assert (a * d - b * c).min() > 0


def test_labels_are_never_invented_and_stay_with_the_image() -> None:
    """Labels 1 and 4 in an image of 100 times the label: between 0 and 4 there is no 2."""
    label = np.zeros((20, 20, 12), np.uint8)
    label[3:17, 3:17, 2:10] = 1
    label[7:13, 7:13, 4:8] = 4
    seen = set()
    for n in range(4):
        warp = draw_warp((12, 12, 8), tf.ones([3]), ALWAYS, tf.constant([n, 7]))
        image, marks = crop_of(50 * label, label, warp, (4, 4, 2), (12, 12, 8))
        seen |= set(np.unique(marks[..., 0]))
        pure = np.isin(image, [0, 50, 200])  # all neighbours alike
        assert pure.mean() > 0.2
        np.testing.assert_array_equal(50 * marks[..., 0][pure], image[pure])
    assert seen == {0, 1, 4}
