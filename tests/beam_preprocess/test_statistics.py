"""Case statistics by hand."""

import numpy as np
import pytest

from beam_preprocess.datasets.brats import Brats
from beam_preprocess.datasets.dagm import Dagm
from beam_preprocess.statistics import case_statistics


@pytest.fixture
def scan(make_case):
    """[2, 3, 4, 4]: channel c has the values 10 c + (0, 1, 2, 3, 4) in its first voxels."""
    image = np.zeros((24, 4), np.int16)
    for channel in range(4):
        image[:5, channel] = 10 * channel + np.arange(5)
    label = np.zeros((2, 3, 4), np.uint8)
    label[0, 0] = [1, 4, 4, 0]
    return make_case(image.reshape(2, 3, 4, 4), label)


def test_scan(scan):
    statistics = case_statistics(scan, Brats.info)
    assert {k: v for k, v in statistics.items() if not k.startswith(("t1", "t2", "flair"))} == {
        "case_id": "c",
        "group": "g",
        "stratum": "s",
        "dtype": "int16",
        "orientation": "RAS",
        "channels": 4,
        "labelled": 1,
        "size_x": 2,
        "size_y": 3,
        "size_z": 4,
        "spacing_x": 2.0,
        "spacing_y": 3.0,
        "spacing_z": 4.0,
        "label_0_voxels": 21,
        "label_1_voxels": 1,
        "label_2_voxels": 0,
        "label_4_voxels": 2,
    }


def test_channels_count_their_own_foreground(scan):
    """t1 has 1, 2, 3, 4 (the zero is background): mean 2.5, variance 1.25; t1ce has 10 to 14."""
    statistics = case_statistics(scan, Brats.info)
    assert statistics["t1_foreground"] == pytest.approx(4 / 24)
    assert statistics["t1_mean"] == 2.5
    assert statistics["t1_stdev"] == pytest.approx(np.sqrt(1.25))
    assert statistics["t1_p50"] == 2.5
    assert statistics["t1_p01"] == pytest.approx(1.03)
    assert statistics["t1_p99"] == pytest.approx(3.97)
    assert statistics["t1ce_foreground"] == pytest.approx(5 / 24)
    assert (statistics["t1ce_mean"], statistics["flair_p50"]) == (12, 32)


def test_photograph_counts_every_pixel(make_case):
    image = np.array([[0, 0], [0, 200]], np.uint8)[..., np.newaxis]
    label = np.array([[0, 0], [255, 255]], np.uint8)
    statistics = case_statistics(make_case(image, label), Dagm.info)
    assert (statistics["grey_foreground"], statistics["grey_mean"]) == (1, 50)
    assert (statistics["orientation"], statistics["channels"]) == ("image", 1)
    assert (statistics["label_0_voxels"], statistics["label_255_voxels"]) == (2, 2)
    assert "size_z" not in statistics and statistics["size_y"] == 2


def test_unlabelled_case_has_no_label_counts(make_case):
    statistics = case_statistics(make_case(np.ones((2, 2, 2, 4), np.float32)), Brats.info)
    assert statistics["labelled"] == 0
    assert not [name for name in statistics if name.startswith("label_")]


def test_all_values_are_plain_and_finite(brats_case):
    """Large int16 sums do not overflow, and what a record cannot hold is not there."""
    statistics = case_statistics(brats_case, Brats.info)
    assert all(type(v) in (str, int, float) for v in statistics.values())
    assert all(np.isfinite(v) for v in statistics.values() if not isinstance(v, str))
    t1 = brats_case.image[..., 0].astype(float)
    assert statistics["t1_mean"] == pytest.approx(t1[t1 != 0].mean())
    assert statistics["orientation"] == "LPS"
