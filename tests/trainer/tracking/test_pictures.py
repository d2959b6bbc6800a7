"""Pictures of predictions, pixel by pixel."""

import numpy as np
import pytest

from trainer.tracking.pictures import class_colour, overlay, picture

GAP = 4
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def test_photograph_beside_truth_and_prediction() -> None:
    """2 x 2 pixels, enlarged 128 times; a pixel of 0 is black, whatever is darker than the mean.

    Truth is the bright pixel above to the right; the prediction the dark one below to the left.
    """
    image = np.array([[[-1.0], [1.0]], [[-1.0], [0.0]]], np.float32)
    truth, predicted = np.array([[[0, 1], [0, 0]], [[0, 0], [1, 0]]], np.uint8)
    shown = picture(image, truth, predicted)
    assert shown.shape == (256, 3 * 256 + 2 * GAP, 3) and shown.dtype == np.uint8
    assert (shown[:, 256 : 256 + GAP] == 255).all()
    left, middle, right = (shown[:, n * (256 + GAP) :][:, :256] for n in range(3))
    for panel in (left, middle, right):
        np.testing.assert_array_equal(panel, panel[::128, ::128].repeat(128, 0).repeat(128, 1))
    assert [tuple(p) for p in left[::128, ::128].reshape(4, 3)] == [BLACK, WHITE, BLACK, BLACK]
    # 0.45 * 255 + 0.55 * (230, 75, 60), and 0.55 * (230, 75, 60) on black
    assert tuple(middle[0, 128]) == (241, 156, 148) and tuple(middle[128, 0]) == BLACK
    assert tuple(right[0, 128]) == WHITE and tuple(right[128, 0]) == (126, 41, 33)


def test_photograph_of_three_channels_is_in_colour_and_any_other_shows_its_last() -> None:
    image = np.zeros((2, 2, 3), np.float32)
    image[0, 0], image[0, 1], image[1, 0] = (3, -3, -3), (-3, 3, -3), (-3, -3, -3)
    nothing = np.zeros((2, 2), np.uint8)
    shown = picture(image, nothing, nothing)[::128, :256:128]
    assert tuple(shown[0, 0]) == (255, 0, 0) and tuple(shown[0, 1]) == (0, 255, 0)
    shown = picture(image[..., :2], nothing, nothing)[::128, :256:128]
    assert tuple(shown[0, 0]) == BLACK and tuple(shown[0, 1]) == WHITE


@pytest.mark.parametrize(
    ("truth_at", "predicted_at", "shown_z"), [((2,), (0,), 2), ((), (0,), 0), ((), (), 1)]
)
def test_volume_shows_the_slice_with_most_truth_or_prediction_or_the_middle(
    truth_at: tuple[int, ...], predicted_at: tuple[int, ...], shown_z: int
) -> None:
    """Brightness is -z off 0; rows of the picture are Y, 2 long, columns X, 4 long."""
    image = np.broadcast_to(np.array([-3.0, -2.0, -1.0], np.float32), (4, 2, 3))[..., np.newaxis]
    truth, predicted = np.zeros((2, 4, 2, 3), np.uint8)
    truth[..., truth_at], predicted[0, 0, predicted_at] = 1, 1
    shown = picture(image, truth, predicted)
    assert shown.shape == (256, 3 * 512 + 2 * GAP, 3)
    np.testing.assert_array_equal(np.unique(shown[:, :512]), [(0, 127, 255)[shown_z]])


def test_background_of_a_scan_is_black() -> None:
    """Standardised, most of the brain is darker than the 0 around it."""
    image = np.full((4, 4, 1, 1), -2.0, np.float32)
    image[0], image[3] = 0.0, 2.0
    nothing = np.zeros((4, 4, 1), np.uint8)
    shown = picture(image, nothing, nothing)[0, :256:64, 0]
    np.testing.assert_array_equal(shown, [0, 0, 0, 255])


def test_overlay_leaves_background_and_tells_classes_apart() -> None:
    plain = np.full((1, 4, 3), 100, np.uint8)
    shown = overlay(plain, np.array([[0, 1, 2, 3]], np.uint8))
    assert [tuple(p) for p in shown[0]] == [
        (100, 100, 100),
        (172, 86, 78),
        (177, 155, 67),
        (78, 133, 177),
    ]


def test_no_two_of_many_classes_have_one_colour() -> None:
    assert len({class_colour(index) for index in range(40)}) == 40
