"""nnU-Net's raw format with photographs: what is read, and what is told of bad files."""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from beam_preprocess.case import UNLABELLED
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets import get_dataset, get_reader
from beam_preprocess.datasets.nnunet import NnUnet
from beam_preprocess.records import decode_raw, encode_raw

from .whole_cohort import messages_of, read_by_id

REPAIR = "repair the file, or leave the case out with data.exclude"


def write_pixels(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_json(root: Path, **changes) -> None:
    content = {
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {"background": 0, "road": 1},
        "numTraining": 3,
        "file_ending": ".png",
    }
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.json").write_text(json.dumps(content | changes))


@pytest.fixture
def photographs(tmp_path) -> Path:
    """Three photographs in colour with a label, r0 to r2, and one to predict, r3."""
    root = tmp_path / "Dataset120_Roads"
    write_json(root)
    for number, part in enumerate(("Tr", "Tr", "Tr", "Ts")):
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 256, (16, 20, 3), np.uint8)
        write_pixels(root / f"images{part}" / f"r{number}_0000.png", pixels)
        if part == "Tr":
            mask = rng.integers(0, 2, (16, 20), np.uint8)
            write_pixels(root / "labelsTr" / f"r{number}.png", mask)
    return root


def dataset(root: Path) -> NnUnet:
    found = get_dataset(DataConfig(dataset="nnunet", root=str(root)))
    assert isinstance(found, NnUnet)
    return found


def read(root: Path, case_id: str):
    return read_by_id(dataset(root), root, case_id)


def messages(root: Path) -> list[str]:
    return messages_of(dataset(root), root)


def test_in_colour(photographs):
    assert messages(photographs) == []
    cases = dataset(photographs).list_cases(photographs).cases
    assert [c.split for c in cases] == ["cv", "cv", "cv", UNLABELLED]
    info = dataset(photographs).info
    assert (info.rank, info.channels, info.foreground) == (2, ("r", "g", "b"), "all")
    case = read(photographs, "r1")
    pixels = np.asarray(Image.open(photographs / "imagesTr" / "r1_0000.png"))
    mask = np.asarray(Image.open(photographs / "labelsTr" / "r1.png"))
    np.testing.assert_array_equal(case.image, pixels)
    np.testing.assert_array_equal(case.label, mask)
    assert case.image.dtype == np.uint8 and case.spacing == (1, 1)
    assert list(case.sources) == ["r1_0000.png", "r1.png"]
    assert read(photographs, "r3").label is None


def test_to_record_and_back(photographs):
    case = read(photographs, "r0")
    record = decode_raw(encode_raw(case, foreground="all"))
    np.testing.assert_array_equal(record.image, case.image)
    np.testing.assert_array_equal(record.label, case.label)
    np.testing.assert_array_equal(record.affine, np.eye(4))


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif", ".tiff"])
def test_grey_files(tmp_path, ending):
    root = tmp_path / "Dataset200_Cells"
    write_json(
        root,
        channel_names={"0": "nuclei", "1": "membrane"},
        file_ending=ending,
        numTraining=1,
    )
    channels = np.random.default_rng(0).integers(0, 256, (2, 16, 20), np.uint8)
    for number, channel in enumerate(channels):
        write_pixels(root / "imagesTr" / f"a_{number:04d}{ending}", channel)
    write_pixels(root / "labelsTr" / f"a{ending}", channels[0] // 128)
    assert messages(root) == []
    case = read(root, "a")
    np.testing.assert_array_equal(case.image, np.moveaxis(channels, 0, -1))
    np.testing.assert_array_equal(case.label, channels[0] // 128)


def test_16_bits(photographs):
    write_json(photographs, channel_names={"0": "R"})
    pixels = np.arange(16 * 20, dtype=np.uint16).reshape(16, 20) * 200
    write_pixels(photographs / "imagesTr" / "r0_0000.png", pixels)
    case = read(photographs, "r0")
    np.testing.assert_array_equal(case.image[..., 0], pixels)


def test_label_of_a_palette_or_of_one_bit(photographs):
    path = photographs / "labelsTr" / "r0.png"
    mask = np.asarray(Image.open(path))
    indexed = Image.fromarray(mask).convert("P")
    indexed.putdata(mask.ravel().tolist())
    indexed.putpalette([0, 0, 0, 255, 0, 0])
    indexed.save(path)
    assert Image.open(path).mode == "P"
    np.testing.assert_array_equal(read(photographs, "r0").label, mask)
    Image.fromarray(mask.astype(bool)).save(path)
    assert Image.open(path).mode == "1"
    np.testing.assert_array_equal(read(photographs, "r0").label, mask)


def as_mode(mode: str):
    return lambda path: Image.open(path).convert(mode).save(path)


def save_pages(path: Path) -> None:
    page = Image.open(path)
    page.save(path, format="TIFF", save_all=True, append_images=[page])


DAMAGES = {
    "grey for colour": (
        "imagesTr/r0_0000.png",
        as_mode("L"),
        "the images of a case must have the 3 channels r, g, b, found {'r0_0000.png': 1}",
        "correct channel_names in dataset.json, or save the image with these channels",
    ),
    "transparency": (
        "imagesTr/r0_0000.png",
        as_mode("RGBA"),
        "the images of a case must have the 3 channels r, g, b, found {'r0_0000.png': 4}",
        "correct channel_names in dataset.json, or save the image with these channels",
    ),
    "label in colour": (
        "labelsTr/r0.png",
        as_mode("RGB"),
        "a label map must have one channel, r0.png has mode RGB",
        "save the label values as 8-bit grey, or leave the case out with data.exclude",
    ),
    "unequal sizes": (
        "labelsTr/r0.png",
        lambda path: write_pixels(path, np.ones((16, 19), np.uint8)),
        "all files of a case must have one height and width, r0.png has (16, 19) and r0_0000.png"
        " has (16, 20)",
        REPAIR,
    ),
    "label 255": (
        "labelsTr/r0.png",
        lambda path: write_pixels(path, np.full((16, 20), 255, np.uint8)),
        "label values must be among [0, 1], r0.png has [255]",
        REPAIR,
    ),
    "truncated": (
        "imagesTr/r0_0000.png",
        lambda path: path.write_bytes(path.read_bytes()[:300]),
        "r0_0000.png is no complete image: image file is truncated",
        REPAIR,
    ),
    "pages": (
        "imagesTr/r0_0000.png",
        save_pages,
        "a file must hold one image, r0_0000.png has 2",
        "save every page as a file of its own, or leave the case out with data.exclude",
    ),
    "black": (
        "imagesTr/r0_0000.png",
        lambda path: write_pixels(path, np.zeros((16, 20, 3), np.uint8)),
        "an image must have voxels other than 0, r0_0000.png has none of 960",
        REPAIR,
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told(photographs, damage):
    name, change, rule, remedy = DAMAGES[damage]
    change(photographs / name)
    assert messages(photographs) == [f"r0: {rule} ({photographs / name}): {remedy}"]


def test_colours_of_16_bits_are_refused(photographs):
    """Pillow would cut them to 8 bits."""
    path = photographs / "imagesTr" / "r0_0000.png"
    rows = b"".join(b"\0" + bytes(range(120)) for _ in range(16))
    path.write_bytes(png(width=20, height=16, bits=16, colour_type=2, rows=rows))
    assert messages(photographs) == [
        f"r0: colours must have 8 bits, r0_0000.png has mode RGB;16 ({path}): save every channel as"
        " a grey file of 16 bits, CASE_0000, CASE_0001 and so on"
    ]


def png(*, width: int, height: int, bits: int, colour_type: int, rows: bytes) -> bytes:
    """A PNG file; Pillow writes none with colours of 16 bits."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        size, check = len(data).to_bytes(4, "big"), zlib.crc32(kind + data).to_bytes(4, "big")
        return size + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_read_image_and_write_label(photographs, tmp_path):
    reader = get_reader(dataset(photographs).info)
    case = reader.read_image(photographs / "imagesTs" / "r3_0000.png")
    assert case.image.shape == (16, 20, 3) and case.label is None
    mask = np.arange(320, dtype=np.uint8).reshape(16, 20) % 2
    reader.write_label(mask, case, tmp_path / "out" / "r3.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "r3.png")), mask)
