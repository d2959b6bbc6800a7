"""The references' scores, by hand: a volume of 12 voxels, an image of 6 pixels."""

from math import exp

import numpy as np
import pytest

from trainer.overlap import Overlap
from trainer.reference.metrics import (
    SNAKE_CASE,
    confusion_scores,
    crop_and_pad,
    image_rates,
    mean_of_batches,
    pixel_confusion,
    smoothed_dice,
    threshold_scores,
    to_classes,
    volume_scores,
)

TRUTH = np.array([[[1, 1, 2], [2, 3, 0]], [[0, 0, 0], [0, 0, 0]]], np.uint8)
PREDICTION = np.array([[[1, 2, 2], [2, 0, 0]], [[3, 0, 0], [0, 0, 0]]], np.uint8)
# class 1: truth 2, prediction 1, both 1; class 2: 2, 3, 2; class 3: 1, 1, 0
# whole tumour: truth 5, prediction 5, both 4
E = 1e-5


def test_scores_of_a_volume() -> None:
    one, two, three = 2 / (3 + E), 4 / (5 + E), 0.0
    expected = {
        "TumorCore": one,
        "PeritumoralEdema": two,
        "EnhancingTumor": three,
        "MeanDice": (one + two + three) / 3,
        "WholeTumor": 8 / (10 + E),
    }
    assert volume_scores(TRUTH, PREDICTION) == pytest.approx(expected, rel=1e-12)
    assert list(SNAKE_CASE) == list(expected)


def test_empty_in_truth_and_prediction_scores_zero() -> None:
    nothing = np.zeros((2, 2, 2), np.uint8)
    assert set(volume_scores(nothing, nothing).values()) == {0.0}


def test_rounding_makes_background_of_what_no_class_has_for_sure() -> None:
    probability = np.array([[0.1, 0.6, 0.2, 0.1], [0.3, 0.4, 0.2, 0.1], [0.5, 0.5, 0.0, 0.0]])
    assert to_classes(probability, "round").tolist() == [1, 0, 0]
    assert to_classes(probability, "argmax").tolist() == [1, 1, 0]


def test_rounding_is_that_of_the_reference() -> None:
    """The reference rounds every probability, 1/2 to the even 0, and drops the background."""
    probability = np.random.default_rng(0).dirichlet(np.ones(4), 500)
    one_hot = np.rint(probability)[:, 1:]
    classes = to_classes(probability, "round")
    np.testing.assert_array_equal(one_hot, np.eye(4)[classes][:, 1:])


def test_the_middle_is_scored_and_slices_are_added_at_the_end() -> None:
    volume = np.zeros((240, 240, 155), np.uint8)
    volume[8, 231, 154] = 1  # corners of what is kept: 8 = (240 - 224) / 2, 231 = 8 + 224 - 1
    volume[7, 8, 0] = 2  # just outside
    part = crop_and_pad(volume)
    assert part.shape == (224, 224, 160)
    assert np.argwhere(part).tolist() == [[0, 223, 154]]


def test_an_image_keeps_its_channels() -> None:
    image = np.arange(4 * 4 * 2 * 3).reshape(4, 4, 2, 3)
    part = crop_and_pad(image, plane=(2, 2), depth=3)
    np.testing.assert_array_equal(part[:, :, :2], image[1:3, 1:3])
    assert part.shape == (2, 2, 3, 3)
    assert not part[:, :, 2].any()


@pytest.mark.parametrize("shape", [(220, 240, 155), (240, 220, 155), (240, 240, 161)])
def test_a_volume_that_does_not_fit_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="volume must be at least .224, 224. in the plane and at"):
        crop_and_pad(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("volumes", "files", "batch_size", "scored"),
    [(68, 17, 1, 17), (68, 17, 2, 34), (68, 17, 4, 68), (63, 16, 1, 16), (63, 16, 2, 32)],
)
def test_as_many_batches_as_files(volumes: int, files: int, batch_size: int, scored: int) -> None:
    """Facts 12.2: legacy-scored volumes at batch 1, 2, 4 of a fold of 17 (or 16) files."""
    scores = [{"dice": float(n)} for n in range(volumes)]
    mean = mean_of_batches(scores, batches=files, batch_size=batch_size)["dice"]
    assert mean == pytest.approx((scored - 1) / 2)  # the mean of 0 ... scored - 1


def test_a_short_batch_weighs_as_much_as_the_others() -> None:
    scores = [{"dice": d} for d in (0.2, 0.4, 0.9)]
    # means of batches 0.3 and 0.9
    assert mean_of_batches(scores, batches=9, batch_size=2)["dice"] == pytest.approx(0.6)
    dropped = mean_of_batches(scores, batches=9, batch_size=2, drop_remainder=True)
    assert dropped["dice"] == pytest.approx(0.3)


def test_no_batch_is_an_error() -> None:
    message = "a batch must be there to score, 1 cases make none of 2: lower --batch_size"
    with pytest.raises(ValueError, match=message):
        mean_of_batches([{"dice": 1.0}], batches=1, batch_size=2, drop_remainder=True)


MASK = np.array([[1.0, 0.75, 1.0], [0.0, 0.0, 1.0]], np.float32)
LOGITS = np.array([[2.0, 0.6, 0.4], [-1.0, 0.6, 0.5]], np.float32)
# defects are the three exact ones; positive are the logits above 0.5: 2.0 and 0.6 twice


def test_pixels_by_raw_logits_and_exact_masks() -> None:
    assert pixel_confusion(MASK, LOGITS).tolist() == [[1, 2], [2, 1]]


def test_the_threshold_on_the_logit_is_a_probability_of_62_percent() -> None:
    probability = np.array([[0.6224, 0.6225]])
    logits = np.log(probability / (1 - probability))
    assert pixel_confusion(np.ones((1, 2)), logits).tolist() == [[0, 0], [1, 1]]
    assert 1 / (1 + exp(-0.5)) == pytest.approx(0.62246, abs=1e-5)


def test_scores_of_a_confusion_matrix_count_the_background() -> None:
    matrix = np.array([[6, 2], [1, 3]])
    expected = {
        "eval/dice_coefficient": (12 / 15 + 6 / 9) / 2,
        "eval/mean_iou": (6 / 9 + 3 / 6) / 2,
        "eval/mean_per_class_accuracy": (6 / 8 + 3 / 4) / 2,
        "eval/accuracy": 9 / 12,
    }
    assert confusion_scores(matrix) == pytest.approx(expected)


def test_a_class_that_is_nowhere_is_left_out() -> None:
    assert set(confusion_scores(np.array([[5, 0], [0, 0]])).values()) == {1.0}
    # no defect, one false alarm: dice 8 / 9 and 0, IoU 4 / 5 and 0, recall of the background alone
    scores = confusion_scores(np.array([[4, 1], [0, 0]]))
    assert list(scores.values()) == pytest.approx([4 / 9, 2 / 5, 4 / 5, 4 / 5])


def test_iou_that_is_a_dice_cuts_both_at_the_threshold() -> None:
    probability = np.array([[0.9, 0.9, 0.2], [0.2, 0.0, 0.9]], np.float32)
    scores = threshold_scores(MASK, probability)
    # above 0.5: mask 4, prediction 3, both 3; above 0.75: mask 3, prediction 3, both 2
    assert scores["IoU_THS_0.5"] == pytest.approx((6 + E) / (7 + E))
    assert scores["IoU_THS_0.75"] == pytest.approx((4 + E) / (6 + E))
    # above 0.95: mask 3, prediction none
    assert scores["IoU_THS_0.95"] == pytest.approx(E / (3 + E))
    assert len(scores) == 8


def test_an_image_without_defect_and_finding_scores_one() -> None:
    clean = np.zeros((2, 3), np.float32)
    assert set(threshold_scores(clean, clean).values()) == {1.0}


def test_images_found_and_missed() -> None:
    """Largest 0.75: above 0.5, and at 0.75, which is not above it."""
    probability = np.array([[0.1, 0.75]], np.float32)
    defect, clean = np.array([[0.0, 0.1]]), np.zeros((1, 2))
    found, alarm = image_rates(defect, probability), image_rates(clean, probability)
    at = ("0.05", "0.125", "0.25", "0.5", "0.75", "0.85", "0.95", "0.99")
    assert list(found) == [f"TPR_THS_{t}" for t in at]
    assert list(alarm) == [f"TNR_THS_{t}" for t in at]
    assert list(found.values()) == [1, 1, 1, 1, 0, 0, 0, 0]
    assert list(alarm.values()) == [0, 0, 0, 0, 1, 1, 1, 1]


def test_smoothed_dice_of_nothing() -> None:
    nothing = Overlap(intersection=0, truth=0, prediction=0)
    assert smoothed_dice(nothing, numerator=0, denominator=E) == 0
    assert smoothed_dice(nothing, numerator=E, denominator=E) == 1
