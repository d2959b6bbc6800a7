"""Case statistics by hand, and counted integers against sorted ones."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from beam_preprocess.case import Case, CaseFiles
from beam_preprocess.datasets.brats import BRATS
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.statistics import PERCENTILES, case_statistics

COUNTED = 2**20
"""Integers of a smaller range are counted, those of others are sorted."""
NONZERO = replace(DAGM, foreground="nonzero")
INTEGERS = ("uint8", "int8", "uint16", "int16", ">i2", "int32", "uint32", "int64")


def grey_statistics(values, info=DAGM) -> tuple[float, ...]:
    """Mean, standard deviation and percentiles of a photograph of these values, any shape."""
    image = np.asarray(values)
    image = image.reshape((1, -1, 1) if image.ndim == 1 else (*image.shape, 1))
    files = CaseFiles(case_id="c", group="c", stratum="s", images=(), label=None)
    case = Case(
        files=files, image=image, label=None, affine=np.eye(4), spacing=(1.0, 1.0), sources={}
    )
    found = case_statistics(case, info)
    return tuple(found[f"grey_{name}"] for name in ("mean", "stdev", "p01", "p50", "p99"))


def sorted_statistics(values) -> tuple[float, ...]:
    exact = np.asarray(values).astype(np.float64)
    return exact.mean(), exact.std(), *np.percentile(exact, PERCENTILES, method="linear")


@st.composite
def integer_images(draw):
    """Up to 300 integers of any type, within 8, 12 or 20 bits or the whole range of the type."""
    dtype = np.dtype(draw(st.sampled_from(INTEGERS)))
    limits = np.iinfo(dtype)
    low = draw(st.integers(limits.min, limits.max))
    span = draw(st.sampled_from([1, 255, 4095, COUNTED - 1, COUNTED, 2**63]))
    high = min(limits.max, low + span)
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=17))
    return draw(hnp.arrays(dtype, shape, elements=st.integers(low, high), fill=st.nothing()))


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
    statistics = case_statistics(scan, BRATS)
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
    statistics = case_statistics(scan, BRATS)
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
    statistics = case_statistics(make_case(image, label), DAGM)
    assert (statistics["grey_foreground"], statistics["grey_mean"]) == (1, 50)
    assert (statistics["orientation"], statistics["channels"]) == ("image", 1)
    assert (statistics["label_0_voxels"], statistics["label_255_voxels"]) == (2, 2)
    assert "size_z" not in statistics and statistics["size_y"] == 2


def test_unlabelled_case_has_no_label_counts(make_case):
    statistics = case_statistics(make_case(np.ones((2, 2, 2, 4), np.float32)), BRATS)
    assert statistics["labelled"] == 0
    assert not [name for name in statistics if name.startswith("label_")]


def test_all_values_are_plain_and_finite(brats_case):
    """Large int16 sums do not overflow, and what a record cannot hold is not there."""
    statistics = case_statistics(brats_case, BRATS)
    assert all(type(v) in (str, int, float) for v in statistics.values())
    assert all(np.isfinite(v) for v in statistics.values() if not isinstance(v, str))
    t1 = brats_case.image[..., 0].astype(float)
    assert statistics["t1_mean"] == pytest.approx(t1[t1 != 0].mean())
    assert statistics["orientation"] == "LPS"


@settings(deadline=None, derandomize=True, max_examples=60)
@given(image=integer_images(), is_transposed=st.booleans())
def test_counting_gives_what_sorting_gives(image, is_transposed):
    image = image.T if is_transposed else image
    scale = np.abs(image.astype(np.float64)).max()
    np.testing.assert_allclose(
        grey_statistics(image), sorted_statistics(image), rtol=1e-12, atol=1e-12 * scale
    )


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("size", [1, 2, 3, 100, 101, 701, 5000])
def test_every_size_and_type(dtype, size):
    """With positions of percentiles on values and between them; signed values below 0 too."""
    limits = np.iinfo(dtype)
    low, high = max(limits.min, -2000), min(limits.max, 2000)
    values = np.random.default_rng(size).integers(low, high, size, endpoint=True).astype(dtype)
    assert grey_statistics(values) == pytest.approx(sorted_statistics(values), rel=1e-12)


def test_negative_values_by_hand():
    """-3, -1, -1, 5: mean 0, variance 36 / 4; p01 at 0.03 * 2 above -3, p99 at 0.03 * 6 below 5."""
    values = np.array([-1, 5, -3, -1], np.int16)
    assert grey_statistics(values) == pytest.approx((0, 3, -2.94, -1, 4.82), rel=1e-12)


def test_large_range_is_not_counted():
    """Counting would need memory for every one of 2^32 levels, or of 2^64."""
    values = np.array([-(2**31), 2**31 - 1, 0, 7], np.int32)
    assert grey_statistics(values) == pytest.approx(sorted_statistics(values), rel=1e-12)
    mean, _, _, median, _ = grey_statistics(np.array([-(2**63), 2**63 - 1, 3, 5], np.int64))
    assert (mean, median) == (2.0, 4.0)


@pytest.mark.parametrize("highest", [COUNTED - 2, COUNTED - 1, COUNTED, COUNTED + 1])
@pytest.mark.parametrize("offset", [0, -1000, 2**31 - COUNTED - 2])
def test_both_sides_of_the_largest_range(highest, offset):
    values = np.array([0, 1, 1, 70, highest - 3, highest], np.int32) + np.int32(offset)
    assert grey_statistics(values) == pytest.approx(sorted_statistics(values), rel=1e-9)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
def test_single_value(dtype):
    assert grey_statistics(np.array([7], dtype)) == (7, 0, 7, 7, 7)
    assert grey_statistics(np.array([0, 0, 7, 0], dtype), NONZERO) == (7, 0, 7, 7, 7)


@pytest.mark.parametrize("dtype", ["float16", "float32", ">f4", "float64"])
def test_intensities_that_are_no_integers(dtype):
    """-0.5, 0.25, 1.5, 4.75: in 64 bits, whatever the type."""
    values = np.array([4.75, -0.5, 0.25, 1.5], dtype)
    expected = (1.5, np.sqrt((3.25**2 + 2**2 + 1.25**2) / 4), -0.4775, 0.875, 4.6525)
    assert grey_statistics(values) == pytest.approx(expected, rel=1e-12)


def test_only_foreground_is_counted():
    """Zeros are left out where they mean "no tissue", negative values are not."""
    values = np.array([[0, -2, 0], [4, 0, 1]], np.int16)
    assert grey_statistics(values, NONZERO) == pytest.approx(sorted_statistics([-2, 4, 1]))
    assert grey_statistics(values) == pytest.approx(sorted_statistics([0, -2, 0, 4, 0, 1]))


def test_aliases_count_as_the_label_that_they_stand_for(make_case):
    """Of three voxels of enhancing tumour two are stored as 3, one as 4."""
    label = np.array([3, 4, 3, 1, 0, 2, 0, 0], np.uint8).reshape(2, 2, 2)
    statistics = case_statistics(make_case(np.ones((2, 2, 2, 4), np.int16), label), BRATS)
    labels = {k: v for k, v in statistics.items() if k.startswith("label_")}
    assert labels == {
        "label_0_voxels": 3,
        "label_1_voxels": 1,
        "label_2_voxels": 1,
        "label_4_voxels": 3,
    }
