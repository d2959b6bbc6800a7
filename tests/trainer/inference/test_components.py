"""Connected components against SciPy's, and by hand what is dropped of a label map."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from trainer.config import InferenceConfig
from trainer.inference import components
from trainer.inference.components import find_components, keep_from, keep_largest, postprocess


def spiral(side: int) -> np.ndarray:
    """A line of one pixel that winds inwards, a pixel of background between its turns."""
    mask = np.zeros((side, side), bool)
    row, column, (down, right) = 0, 0, (0, 1)
    mask[0, 0] = True
    while True:
        steps = 0
        while _is_free(mask, row + down, column + right, down, right):
            row, column, steps = row + down, column + right, steps + 1
            mask[row, column] = True
        if steps < 2:
            return mask
        down, right = right, -down


def _is_free(mask: np.ndarray, row: int, column: int, down: int, right: int) -> bool:
    """Whether the pixel is in the image, and neither it nor the one behind it is taken."""
    side = len(mask)
    behind = (row + down, column + right)
    inside = 0 <= row < side and 0 <= column < side
    blocked = all(0 <= n < side for n in behind) and mask[behind]
    return inside and not mask[row, column] and not blocked


def comb(shape: tuple[int, ...]) -> np.ndarray:
    """Every second row, each joined with the next one at alternating ends: one long snake."""
    mask = np.zeros(shape, bool)
    mask[::2] = True
    mask[1::4, ..., -1:] = mask[3::4, ..., :1] = True
    return mask


def noise(shape: tuple[int, ...], share: float) -> np.ndarray:
    return np.random.default_rng(sum(shape)).random(shape) < share


MASKS = {
    "2D, sparse": noise((23, 31), 0.1),
    "2D, near the threshold of percolation": noise((40, 37), 0.4),
    "2D, dense": noise((19, 20), 0.8),
    "3D, sparse": noise((11, 12, 13), 0.03),
    "3D, near the threshold of percolation": noise((14, 9, 17), 0.1),
    "spiral": spiral(41),
    "spiral, mirrored": spiral(40)[::-1, ::-1],
    "comb": comb((33, 20)),
    "3D, comb": comb((13, 7, 8)),
    "empty": np.zeros((4, 5), bool),
    "full": np.ones((3, 4, 5), bool),
    "voxel": np.ones((1, 1, 1), bool),
    "row": np.ones((1, 50), bool),
    "diagonal": np.eye(9, dtype=bool),
}


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """As many entries as rounds were made."""
    made: list[int] = []
    largest_near = components._largest_near

    def spy(volume: tf.Tensor) -> tf.Tensor:
        made.append(1)
        return largest_near(volume)

    monkeypatch.setattr(components, "_largest_near", spy)
    return made


@pytest.mark.parametrize("name", MASKS)
def test_components_are_those_of_scipy(name: str, rounds: list[int]) -> None:
    mask = MASKS[name]
    expected, count = ndimage.label(mask, np.ones((3,) * mask.ndim))
    places, roots = (t.numpy() for t in find_components(tf.constant(mask)))
    np.testing.assert_array_equal(places, np.argwhere(mask))
    pairs = set(zip(roots.tolist(), expected[mask].tolist(), strict=True))
    assert len(pairs) == count == len(set(roots.tolist()))
    for root, label in pairs:
        assert root == np.flatnonzero(expected[mask] == label).max()
    assert len(rounds) <= 2 * np.log2(max(1, mask.sum())) + 1


def test_spiral_is_one_line() -> None:
    """The worst case for rules that go on by a voxel a round: it is one component, and long."""
    mask = spiral(41)
    assert ndimage.label(mask, np.ones((3, 3)))[1] == 1 and mask.sum() > 800
    blocks = mask[1:, 1:] & mask[1:, :-1] & mask[:-1, 1:] & mask[:-1, :-1]
    assert not blocks.any()


@pytest.mark.parametrize("name", MASKS)
def test_rules_give_what_scipy_gives(name: str) -> None:
    mask = MASKS[name]
    label, count = ndimage.label(mask, np.ones((3,) * mask.ndim))
    sizes = np.bincount(label.ravel(), minlength=count + 1)
    sizes[0] = 0
    np.testing.assert_array_equal(keep_from(tf.constant(mask), 3), (sizes >= 3)[label])
    largest = keep_largest(tf.constant(mask)).numpy()
    assert largest.sum() == sizes.max() and not (largest & ~mask).any()
    assert len(np.unique(label[largest])) == min(count, 1)


def test_of_equal_components_the_one_that_ends_first_is_kept() -> None:
    mask = np.array([[0, 1, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0]], bool)
    expected = np.zeros((4, 4), bool)
    expected[:2, 1] = True
    np.testing.assert_array_equal(keep_largest(tf.constant(mask)), expected)


LABEL = np.array(
    [
        [1, 2, 0, 0, 0, 2],
        [1, 0, 0, 1, 0, 0],
        [0, 0, 0, 1, 4, 4],
        [0, 0, 0, 1, 0, 0],
        [2, 0, 0, 0, 0, 0],
    ],
    np.uint8,
)
"""Components of the foreground: of 3, 5, 1 and 1 pixels. Of 1: 2 and 3. Of 2: three of 1."""


@pytest.mark.parametrize(
    ("options", "dropped"),
    [
        ({}, []),
        ({"keep_largest": ((1, 2, 4),)}, [(0, 0), (0, 1), (1, 0), (0, 5), (4, 0)]),
        ({"keep_largest": ((1,),)}, [(0, 0), (1, 0)]),
        ({"keep_largest": ((1,), (2,))}, [(0, 0), (1, 0), (0, 5), (4, 0)]),
        ({"keep_largest": ((2, 1),)}, [(1, 3), (2, 3), (3, 3), (0, 5), (4, 0)]),  # 3 pixels and 3
        ({"min_component": 1}, []),
        ({"min_component": 2}, [(0, 5), (4, 0)]),
        ({"min_component": 4}, [(0, 0), (0, 1), (1, 0), (0, 5), (4, 0)]),
        ({"min_component": 9}, [tuple(p) for p in np.argwhere(LABEL)]),
        # first the largest of 1, then what is left of the foreground
        ({"keep_largest": ((1,),), "min_component": 2}, [(0, 0), (1, 0), (0, 1), (0, 5), (4, 0)]),
    ],
)
def test_dropped_voxels_become_background(options: dict, dropped: list) -> None:
    expected = LABEL.copy()
    for place in dropped:
        expected[place] = 0
    config = InferenceConfig(window=(8, 8), **options)
    found = postprocess(tf.constant(LABEL), config, background=0)
    assert found.dtype == tf.uint8
    np.testing.assert_array_equal(found, expected)


def test_background_of_another_value() -> None:
    label = np.array([[7, 7, 0], [7, 7, 7], [0, 0, 7]], np.uint8)
    config = InferenceConfig(window=(8, 8), keep_largest=((0,),))
    found = postprocess(tf.constant(label), config, background=7)
    np.testing.assert_array_equal(found, [[7, 7, 7], [7, 7, 7], [0, 0, 7]])


def test_same_in_a_graph_that_knows_no_sizes() -> None:
    config = InferenceConfig(window=(8, 8), keep_largest=((1,),), min_component=2)

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.uint8)])
    def in_graph(label: tf.Tensor) -> tf.Tensor:
        return postprocess(label, config, background=0)

    for label in (LABEL, spiral(20).astype(np.uint8), np.zeros((3, 2), np.uint8)):
        expected = postprocess(tf.constant(label), config, background=0)
        np.testing.assert_array_equal(in_graph(tf.constant(label)), expected)
