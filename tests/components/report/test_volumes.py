"""A case in the grid of the viewer: orientation, crop, coarser grids, telling slices."""

from dataclasses import replace

import numpy as np
import pytest

from beam_preprocess.datasets.brats import BRATS
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.records import RawRecord
from components.report.volumes import (
    CaseVolume,
    class_indices,
    make_volume,
    ras_axes,
    shrink,
    telling_slices,
)


def make_record(image: np.ndarray, label: np.ndarray, **changes) -> RawRecord:
    record = RawRecord(
        case_id="c",
        group="c",
        stratum="s",
        image=image,
        label=label,
        box=tuple((0, n) for n in label.shape),
        full_shape=label.shape,
        affine=np.eye(4),
        spacing=(1.0,) * label.ndim,
        sources={},
    )
    return replace(record, **changes)


@pytest.mark.parametrize(
    ("affine", "expected"),
    [
        (np.diag([1.0, 1, 1, 1]), ((0, 1, 2), ())),
        (np.diag([-1.0, -1, 3, 1]), ((0, 1, 2), (0, 1))),
        # voxel axes go to the head, to the right and to the back
        ([[0, 1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], ((1, 2, 0), (1,))),
        # turned by 50 degrees in the plane: both would take the same axis, one by one
        ([[0.64, -0.77, 0, 0], [0.77, 0.64, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], ((1, 0, 2), (0,))),
    ],
)
def test_ras_axes(affine, expected):
    assert ras_axes(np.asarray(affine, float)) == expected


def test_volume_goes_right_front_and_up():
    image = np.zeros((2, 3, 4, 4), np.int16)
    image[0, 0, 3, 3] = 100  # LPS: the first voxel lies most to the right and to the front
    label = np.zeros((2, 3, 4), np.uint8)
    label[0, 0, 3] = 4
    record = make_record(image, label, affine=np.diag([-1.0, -1, 2, 1]), spacing=(1.0, 1.0, 2.0))
    volume = make_volume(record, label, BRATS)
    assert volume.oriented and volume.spacing == (1.0, 1.0, 2.0)
    assert np.argwhere(volume.image[..., 0] == 255).tolist() == [[1, 2, 3]]
    assert np.argwhere(volume.truth).tolist() == [[1, 2, 3]]
    assert volume.truth[1, 2, 3] == 3, "label 4 is the class of index 3"


def test_photograph_has_columns_along_x():
    image = np.zeros((2, 3, 1), np.uint8)
    image[1, 2] = 9
    label = np.array([[0, 0, 0], [0, 0, 255]], np.uint8)
    volume = make_volume(make_record(image, label), label, DAGM)
    assert not volume.oriented and volume.truth.shape == (3, 2, 1)
    assert volume.truth[2, 1, 0] == 1 and volume.image[2, 1, 0, 0] == 255


def test_prediction_is_cropped_as_the_record_is():
    label = np.full((1, 1, 2), 1, np.uint8)
    prediction = np.zeros((3, 3, 4), np.uint8)
    prediction[2, 1, 3] = 2
    record = make_record(
        np.ones((1, 1, 2, 4), np.int16),
        label,
        box=((2, 3), (1, 2), (2, 4)),
        full_shape=(3, 3, 4),
    )
    assert make_volume(record, prediction, BRATS).prediction.tolist() == [[[0, 2]]]
    with pytest.raises(ValueError, match=r"grid of the case, \(3, 3, 4\), it has \(1, 1, 2\)"):
        make_volume(record, label, BRATS)


def test_unknown_label_values_are_background():
    assert class_indices(np.array([0, 4, 7], np.uint8), (0, 1, 2, 4)).tolist() == [0, 3, 0]


def make_volume_of(truth: np.ndarray, image: np.ndarray | None = None) -> CaseVolume:
    shown = np.zeros((*truth.shape, 1), np.uint8) if image is None else image
    return CaseVolume(
        case_id="c",
        image=shown,
        truth=truth,
        prediction=np.zeros_like(truth),
        spacing=(1.0, 2.0, 3.0),
        oriented=True,
    )


def test_shrink_takes_means_of_voxels_and_middle_labels():
    image = np.array([10, 20, 30], np.uint8).reshape(3, 1, 1, 1)
    truth = np.array([1, 2, 3], np.uint8).reshape(3, 1, 1)
    small = shrink(make_volume_of(truth, image), 2)
    # the last voxel is repeated: (10 + 20) / 2 and (30 + 30) / 2; labels 2 and 3
    assert small.image.ravel().tolist() == [15, 30]
    assert small.truth.ravel().tolist() == [2, 3]
    assert small.spacing == (2.0, 2.0, 3.0), "a single slice stays"


def test_telling_slices_have_most_truth_or_else_most_prediction():
    truth = np.zeros((4, 5, 6), np.uint8)
    assert telling_slices(make_volume_of(truth)) == (2, 2, 3)
    predicted = truth.copy()
    predicted[1, 1, 1] = 1
    assert telling_slices(replace(make_volume_of(truth), prediction=predicted)) == (1, 1, 1)
    truth[3, 2:4, 5] = 1
    truth[0, 2, 4] = 1
    assert telling_slices(make_volume_of(truth)) == (3, 2, 5)
