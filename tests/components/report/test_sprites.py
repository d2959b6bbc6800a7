"""Cases as a page holds them: unpacked again here, as its script does; and kept below a size."""

import base64
import io
import zlib

import numpy as np
import pytest
from PIL import Image

from components.report.sprites import encode, fit, size_of
from components.report.volumes import CaseVolume


def make_volume(case_id: str = "c", shape=(5, 4, 3), seed: int = 0) -> CaseVolume:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*shape, 1)).astype(np.uint8)
    truth, prediction = (rng.integers(0, 4, shape).astype(np.uint8) for _ in range(2))
    return CaseVolume(
        case_id=case_id,
        image=image,
        truth=truth,
        prediction=prediction,
        spacing=(1.0, 1.0, 2.5),
        oriented=True,
    )


def unpack(item: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image [X, Y, Z], truth and prediction, as `viewer.js` indexes them."""
    x, y, z = item["shape"]
    content = base64.b64decode(item["image"].partition(",")[2])
    tiles = np.asarray(Image.open(io.BytesIO(content)))
    image = np.zeros((x, y, z), np.uint8)
    for k in range(z):
        row, column = divmod(k, item["columns"])
        image[..., k] = tiles[row * y : (row + 1) * y, column * x : (column + 1) * x].T
    labels = np.frombuffer(zlib.decompress(base64.b64decode(item["labels"])), np.uint8)
    truth, prediction = labels.reshape(2, z, y, x)
    return image, truth.T, prediction.T


def test_labels_come_back_exactly():
    volume = make_volume()
    _, truth, prediction = unpack(encode(volume))
    np.testing.assert_array_equal(truth, volume.truth)
    np.testing.assert_array_equal(prediction, volume.prediction)


def test_every_slice_is_where_the_script_looks_for_it():
    volume = make_volume(shape=(16, 8, 5))
    flat = np.broadcast_to(np.arange(5, dtype=np.uint8) * 50, (16, 8, 5))[..., None]
    image, *_ = unpack(encode(CaseVolume(**{**vars(volume), "image": np.array(flat)})))
    assert [int(image[..., k].mean().round()) for k in range(5)] == [0, 50, 100, 150, 200]


def test_colours_stay():
    photograph = np.zeros((16, 16, 1, 3), np.uint8)
    photograph[..., 0] = 200
    volume = make_volume(shape=(16, 16, 1))
    item = encode(CaseVolume(**{**vars(volume), "image": photograph}))
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(item["image"].partition(",")[2]))))
    assert pixels.shape == (16, 16, 3) and pixels[8, 8, 0] > 190 and pixels[8, 8, 1] < 10


def test_all_fit():
    volumes = {name: make_volume(name) for name in "ab"}
    shown = fit("ab", volumes.__getitem__)
    assert [i["id"] for i in shown.items] == ["a", "b"]
    assert (shown.factor, shown.left_out) == (1, ())


def test_resolution_is_dropped_before_cases_are():
    volumes = {name: make_volume(name, (24, 24, 24)) for name in "ab"}
    whole = sum(size_of(encode(v)) for v in volumes.values())
    shown = fit("ab", volumes.__getitem__, most_bytes=whole // 2)
    assert [i["id"] for i in shown.items] == ["a", "b"] and shown.left_out == ()
    assert shown.factor == 2
    assert shown.items[0]["shape"] == [12, 12, 12] and shown.items[0]["spacing"] == [2, 2, 5]
    assert sum(map(size_of, shown.items)) <= whole // 2


def test_the_last_cases_are_left_out_where_nothing_else_helps():
    volumes = {name: make_volume(name) for name in "abc"}
    shown = fit("abc", volumes.__getitem__, most_bytes=size_of(encode(volumes["a"])) + 100)
    assert [i["id"] for i in shown.items] == ["a"]
    assert (shown.factor, shown.left_out) == (4, ("b", "c"))


@pytest.mark.slow
def test_a_full_size_case_costs_less_than_two_megabytes():
    """The box of a brain of BraTS, with the noise that scans have."""
    shape = (134, 177, 136)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    brain = (grid**2).sum(0) < 1
    noise = np.random.default_rng(0).normal(0, 8, shape)
    image = np.where(brain, 120 + 50 * np.sin(7 * grid.sum(0)) + noise, 0)
    truth = ((grid - 0.3) ** 2).sum(0) < 0.08
    volume = CaseVolume(
        case_id="c",
        image=image.clip(0, 255).astype(np.uint8)[..., None],
        truth=truth.astype(np.uint8),
        prediction=np.roll(truth, 2, 0).astype(np.uint8),
        spacing=(1.0, 1.0, 1.0),
        oriented=True,
    )
    assert size_of(encode(volume)) < 2_000_000
