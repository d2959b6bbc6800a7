"""Pictures of scored cases: colours by hand, and the slice that is shown."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from beam_preprocess.case import DatasetInfo
from beam_preprocess.datasets.brats import BRATS
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.datasets.isbi2012 import ISBI2012
from beam_preprocess.datasets.severstal import SEVERSTAL
from beam_preprocess.records import decode_raw, encode_raw
from components.pictures import COLOURS, label_colours, overlay, write_picture

GAP = 4
HEIGHT = 320


@pytest.fixture
def picture_of(make_case, tmp_path):
    """A function: image, truth, prediction -> the three panels, each [320, *, 3]."""

    def make(
        image: np.ndarray,
        truth: np.ndarray,
        prediction: np.ndarray,
        info: DatasetInfo | None = None,
    ) -> list[np.ndarray]:
        info = info or (BRATS if image.ndim == 4 else DAGM)
        record = decode_raw(encode_raw(make_case(image, truth), foreground=info.foreground))
        path = tmp_path / "new" / "case.png"
        write_picture(record, prediction, info=info, path=path)
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
    result = overlay(picture, label, COLOURS)
    assert result.dtype == np.uint8
    assert result[0].tolist() == [[100, 100, 100], [171, 86, 78], tinted(100, 4)]
    assert (picture == 100).all()


def info_of(*values: int, channels: tuple[str, ...] = ("grey",)) -> DatasetInfo:
    """Photographs with these label values beside 0."""
    return replace(SEVERSTAL, channels=channels, label_values=(0, *values))


@pytest.mark.parametrize("info", [BRATS, DAGM, ISBI2012, SEVERSTAL], ids=lambda info: info.name)
def test_every_label_of_every_dataset_has_its_colour(info):
    colours = label_colours(info)
    assert set(colours) == set(info.label_names)
    assert len(set(colours.values())) == len(colours)
    assert all(colours[v] == COLOURS[v] for v in {1, 2, 4, 255} & set(colours))


def test_255_labels_have_255_colours():
    info = info_of(*range(1, 256))
    colours = label_colours(info)
    assert list(colours) == list(range(1, 256)) and len(set(colours.values())) == 255
    assert all(0 <= part <= 255 for colour in colours.values() for part in colour)
    assert colours == label_colours(info_of(*range(255, 0, -1)))


def test_255_has_another_colour_beside_label_1():
    assert label_colours(info_of(255))[255] == label_colours(info_of(1))[1] == COLOURS[1]
    both = label_colours(info_of(1, 255))
    assert both[1] == COLOURS[1] and both[255] != both[1]


def test_values_without_a_colour_of_their_own_take_the_palette_in_order():
    palette = list(label_colours(info_of(3, 5, 6)).values())
    assert palette == [(204, 121, 167), (0, 114, 178), (0, 158, 115)]
    assert label_colours(info_of(100, 200, 1)) == {1: COLOURS[1], 100: palette[0], 200: palette[1]}


def test_alias_is_shown_as_what_it_stands_for(picture_of):
    """BraTS: 3 is 4."""
    truth, other = np.zeros((2, 4, 6, 5), np.uint8)
    truth[3, 0, 2], other[3, 0, 2] = 4, 3
    of_4, of_3 = (picture_of(scan(), t, np.zeros_like(t))[1] for t in (truth, other))
    np.testing.assert_array_equal(of_3, of_4)
    assert of_3[10, -10].tolist() == tinted(0, 4)


@pytest.mark.parametrize("names", [("red", "green", "blue"), ("R", "G", "B")])
def test_photograph_in_colour(picture_of, names):
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 0], image[1, 1] = (255, 0, 0), (0, 255, 255)
    truth = np.array([[0, 3], [0, 0]], np.uint8)
    info = info_of(3, channels=names)
    plain, true, _ = picture_of(image, truth, np.zeros_like(truth), info)
    assert plain[20, 20].tolist() == [255, 0, 0] and plain[300, -20].tolist() == [0, 255, 255]
    assert true[20, -20].tolist() == [int(0.55 * c) for c in label_colours(info)[3]]


@pytest.mark.parametrize(
    "names", [("blue", "green", "red"), ("dark", "bright", "phase"), ("red", "green")]
)
def test_photograph_of_other_channels_shows_the_last(picture_of, names):
    image = np.zeros((2, 2, len(names)), np.uint16)
    image[0, 0, 0], image[1, 1, -1] = 900, 900
    none = np.zeros((2, 2), np.uint8)
    plain, *_ = picture_of(image, none, none, info_of(1, channels=names))
    assert plain[20, 20].tolist() == [0, 0, 0] and plain[300, -20].tolist() == [255, 255, 255]


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
        write_picture(record, np.zeros((2, 2), np.uint8), info=DAGM, path=tmp_path / "case.png")
