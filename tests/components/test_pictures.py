"""Pictures of scored cases: colours by hand, and the slice that is shown."""

import numpy as np
import pytest
from PIL import Image

from beam_preprocess.datasets.brats import Brats
from beam_preprocess.datasets.dagm import Dagm
from beam_preprocess.records import decode_raw, encode_raw
from components.pictures import COLOURS, overlay, write_picture

GAP = 4
HEIGHT = 320


@pytest.fixture
def picture_of(make_case, tmp_path):
    """A function: image, truth, prediction -> the three panels, each [320, *, 3]."""

    def make(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> list[np.ndarray]:
        foreground = "nonzero" if image.ndim == 4 else "all"
        record = decode_raw(encode_raw(make_case(image, truth), foreground=foreground))
        path = tmp_path / "new" / "case.png"
        write_picture(record, prediction, path)
        assert [p.name for p in path.parent.iterdir()] == ["case.png"]
        with Image.open(path) as file:
            assert (file.format, file.mode, file.height) == ("PNG", "RGB", HEIGHT)
            pixels = np.asarray(file)
        columns = (pixels == 255).all(axis=(0, 2))
        edges = np.flatnonzero(np.diff(columns.astype(int)))
        return [
            pixels[:, : edges[0]],
            pixels[:, edges[1] + 1 : edges[2]],
            pixels[:, edges[3] + 1 :],
        ]

    return make


def tinted(grey: int, label: int) -> list[int]:
    """45 % of the grey value and 55 % of the colour."""
    return [int(0.45 * grey + 0.55 * c) for c in COLOURS[label]]


def test_overlay_by_hand():
    """Label 1 is (230, 75, 60): 0.45 * 100 + 0.55 * 230 = 171.5, and so on."""
    picture = np.full((1, 3, 3), 100, np.uint8)
    label = np.array([[0, 1, 4]], np.uint8)
    result = overlay(picture, label)
    assert result.dtype == np.uint8
    assert result[0].tolist() == [[100, 100, 100], [171, 86, 78], tinted(100, 4)]
    assert (picture == 100).all()


def test_unknown_label_is_tinted_too():
    picture = np.zeros((1, 1, 3), np.uint8)
    result = overlay(picture, np.array([[3]], np.uint8))
    assert result[0, 0].tolist() == [110, 44, 121]


def test_every_label_of_every_dataset_has_its_colour():
    for info in (Brats.info, Dagm.info):
        colours = [COLOURS[value] for value in info.label_names]
        assert len(set(colours)) == len(colours)


def test_photograph_beside_truth_and_prediction(picture_of):
    image = np.array([[[0], [255]], [[255], [0]]], np.uint8)
    truth = np.array([[255, 0], [0, 0]], np.uint8)
    prediction = np.array([[0, 0], [0, 255]], np.uint8)
    plain, true, predicted = picture_of(image, truth, prediction)
    assert {plain.shape[0], true.shape[0], predicted.shape[0]} == {HEIGHT}
    first, last = (20, 20), (300, -20)
    assert plain[first].tolist() == plain[last].tolist() == [0, 0, 0]
    assert true[first].tolist() == tinted(0, 255) and true[last].tolist() == [0, 0, 0]
    assert predicted[last].tolist() == tinted(0, 255) and predicted[first].tolist() == [0, 0, 0]


def volume(labels: dict[int, int]) -> np.ndarray:
    """[4, 6, 5] with `n` voxels of label 2 in each slice z of {z: n}."""
    label = np.zeros((4, 6, 5), np.uint8)
    for z, count in labels.items():
        label[:, :, z].flat[:count] = 2
    return label


def scan() -> np.ndarray:
    """[4, 6, 5, 4]: the last channel is 10 (z + 1) in slice z, and 1 in one corner."""
    image = np.ones((4, 6, 5, 4), np.int16)
    image[..., -1] = 10 * (1 + np.arange(5))
    return image


@pytest.mark.parametrize(
    ("truth", "prediction", "shown"),
    [
        ({1: 3, 3: 8}, {0: 24}, 3),
        ({}, {1: 5, 4: 6}, 4),
        ({}, {}, 2),
        ({1: 4, 3: 4}, {}, 1),
    ],
)
def test_slice_with_most_truth_or_else_most_prediction_or_the_middle(
    picture_of, truth, prediction, shown
):
    image = scan()
    image[0, 0, shown, -1] = 500  # the one bright voxel, in the first row and column
    plain, *_ = picture_of(image, volume(truth), volume(prediction))
    assert (plain[10, 10, 0], plain[-10, -10, 0]) == (255, 0)


def test_scan_lies_with_x_along_the_rows(picture_of):
    """A case of 4 x 6 voxels is 4 columns wide and 6 rows high."""
    truth = np.zeros((4, 6, 5), np.uint8)
    truth[3, 0, 2] = 4  # largest x, smallest y: upper right
    _, true, predicted = picture_of(scan(), truth, np.zeros_like(truth))
    assert true[10, -10].tolist() == tinted(0, 4)
    assert len({tuple(p) for p in predicted.reshape(-1, 3).tolist()}) == 1
    assert true.shape[0] / true.shape[1] == pytest.approx(6 / 4, rel=0.1)


def test_flat_image_is_no_division_by_zero(picture_of):
    image = np.full((4, 4, 1), 77, np.uint8)
    with np.errstate(all="raise"):
        plain, *_ = picture_of(image, np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8))
    assert (plain == 0).all()


def test_record_without_label(make_case, tmp_path):
    record = decode_raw(encode_raw(make_case(np.ones((2, 2, 1), np.uint8), None), foreground="all"))
    with pytest.raises(AssertionError):
        write_picture(record, np.zeros((2, 2), np.uint8), tmp_path / "case.png")
