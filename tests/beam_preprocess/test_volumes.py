"""Volumes of a case: names of its files, and where its channels lie in memory."""

from pathlib import Path

import numpy as np
import pytest

from beam_preprocess.datasets.volumes import source_names, stack_channels, without_suffix


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        ([], []),
        (["/d/a_0000.nii", "/d/a.nii"], ["a_0000.nii", "a.nii"]),
        (["/d/images/a.nii", "/d/labels/a.nii"], ["images/a.nii", "labels/a.nii"]),
        (["/1/x/a.nii", "/2/x/a.nii", "/d/e/b.nii"], ["1/x/a.nii", "2/x/a.nii", "d/e/b.nii"]),
        (["a.nii", "x/a.nii"], ["a.nii", "x/a.nii"]),
        (["/d/a.nii", "/d/a.nii"], ["a.nii"]),
    ],
)
def test_source_names(paths, names):
    assert list(source_names(map(Path, paths)).values()) == names


@pytest.mark.parametrize("name", ["a.b.nii.gz", "a.b.nii", "a.b"])
def test_without_suffix(name):
    assert without_suffix(name) == "a.b"


def test_stack_channels():
    volumes = [np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.ones((2, 3, 4), np.float32)]
    image = stack_channels(volumes)
    assert image.shape == (2, 3, 4, 2) and image.dtype == np.float32
    assert image.flags.f_contiguous
    for channel, volume in enumerate(volumes):
        np.testing.assert_array_equal(image[..., channel], volume)
