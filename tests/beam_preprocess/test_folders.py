"""A pair of folders: what is paired, what the config tells, and what is told where pairs fail."""

import hashlib
import json
import struct
import zlib
from dataclasses import asdict
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from beam_preprocess.case import DataError, DatasetInfo, Limits
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets import get_dataset, get_reader
from beam_preprocess.datasets.folders import Folders
from beam_preprocess.records import decode_raw, encode_raw

from .whole_cohort import messages_of, read_by_id

SHAPE = (24, 32)
LEAVE_OUT = "or leave the case out with data.exclude"
REPAIR = "repair the file, or leave the case out with data.exclude"
ALLOW = (
    "add the mask, set data.allow_unlabelled to take images without one for prediction only,"
    f" {LEAVE_OUT}"
)


def grey(seed: int = 0, shape: tuple[int, ...] = SHAPE, dtype=np.uint8) -> np.ndarray:
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(1, top, shape, dtype=dtype)


def mask(seed: int = 0) -> np.ndarray:
    return np.where(grey(seed) > 150, 255, 0).astype(np.uint8)


def save(pixels: np.ndarray, path: Path, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)


@pytest.fixture
def root(tmp_path) -> Path:
    """Pairs a (PNG), b (BMP and PNG), c (TIFF), a test pair, an image for prediction."""
    folder = tmp_path / "pairs"
    for seed, name in enumerate(("a.png", "b.bmp", "c.tif")):
        save(grey(seed), folder / "images" / name)
        save(mask(seed), folder / "masks" / f"{name[0]}.png")
    save(grey(3), folder / "test" / "images" / "d.png")
    save(mask(3), folder / "test" / "masks" / "d.tiff")
    save(grey(4), folder / "unlabelled" / "images" / "e.JPG")
    return folder


def dataset_of(root: Path, **values) -> Folders:
    return get_dataset(DataConfig(dataset="folders", root=str(root), **values))


def messages(root: Path, **values) -> list[str]:
    return messages_of(dataset_of(root, **values), root)


def case_of(root: Path, case_id: str, **values):
    return read_by_id(dataset_of(root, **values), root, case_id)


def test_describe_takes_labels_and_channels_from_the_config():
    default = Folders.describe(DataConfig(dataset="folders"))
    assert default == DatasetInfo(
        name="folders",
        rank=2,
        channels=("grey",),
        label_values=(0, 255),
        label_names={255: "foreground"},
        regions={},
        foreground="all",
        serving_dtypes=("float32", "uint8"),
        label_suffixes=(".png",),
        task="regions",
        limits=Limits(spacing_mm=(1, 1), size=(16, 16384), foreground=(1, 1), intensity=(0, 65535)),
        quantised=False,
    )
    config = DataConfig(
        dataset="folders", labels={"road": 7, "car": 2}, channels=("red", "green", "blue")
    )
    info = Folders.describe(config)
    assert (info.label_values, info.label_names) == ((0, 2, 7), {7: "road", 2: "car"})
    assert info.channels == ("red", "green", "blue")
    assert DatasetInfo(**(asdict(info) | {"limits": info.limits})) == info
    assert json.loads(json.dumps(asdict(info)))["label_names"] == {"7": "road", "2": "car"}


def test_labels_of_one_value_are_told():
    config = DataConfig(dataset="folders", root="in", labels={"road": 7, "car": 7})
    with pytest.raises(DataError, match="need values of their own, got {'road': 7, 'car': 7}"):
        Folders.describe(config)


def test_pairs_are_listed(root):
    listing = dataset_of(root).list_cases(root)
    assert listing.problems == () and listing.ignored == ()
    assert [(c.case_id, c.split) for c in listing.cases] == [
        *[(name, "cv") for name in "abc"],
        ("d", "test"),
        ("e", "unlabelled"),
    ]
    case = listing.cases[1]
    assert case.images == (root / "images" / "b.bmp",)
    assert case.label == root / "masks" / "b.png"
    assert (case.group, case.stratum) == ("b", "none")
    assert listing.cases[4].label is None


def test_strays_are_ignored(root):
    for name in ("notes.txt", "images/Thumbs.db", "masks/a.json", "test/.DS_Store"):
        (root / name).touch()
    (root / "images" / "old").mkdir()
    save(mask(4), root / "unlabelled" / "masks" / "e.png")
    listing = dataset_of(root).list_cases(root)
    assert listing.problems == () and len(listing.cases) == 5
    assert [str(p.relative_to(root)) for p in listing.ignored] == [
        *("images/Thumbs.db", "images/old", "masks/a.json", "notes.txt"),
        *("test/.DS_Store", "unlabelled/masks"),
    ]


def test_read_case(root):
    case = case_of(root, "a")
    np.testing.assert_array_equal(case.image[..., 0], grey(0))
    np.testing.assert_array_equal(case.label, mask(0))
    assert case.image.shape == (*SHAPE, 1)
    assert (case.image.dtype, case.label.dtype) == (np.uint8, np.uint8)
    assert case.sources == {
        f"{folder}/a.png": hashlib.sha256((root / folder / "a.png").read_bytes()).hexdigest()
        for folder in ("images", "masks")
    }
    assert set(case_of(root, "b").sources) == {"b.bmp", "b.png"}
    np.testing.assert_array_equal(case_of(root, "d").label, mask(3))
    assert case_of(root, "e").label is None


@pytest.mark.parametrize("case_id", ["a", "c", "d", "e"])
def test_case_goes_through_a_raw_record(root, case_id):
    case = case_of(root, case_id)
    record = decode_raw(encode_raw(case, foreground=dataset_of(root).info.foreground))
    np.testing.assert_array_equal(record.image, case.image)
    assert record.full_shape == SHAPE and record.sources == case.sources
    if case.label is None:
        assert record.label is None
    else:
        np.testing.assert_array_equal(record.label, case.label)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bits_are_kept(root, suffix, order):
    pixels = grey(5, dtype=np.uint16)
    path = root / "images" / f"f{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, pixels, photometric="minisblack", byteorder=order)
    else:
        save(pixels, path)
    save(mask(5), root / "masks" / "f.png")
    case = case_of(root, "f")
    assert case.image.dtype == np.dtype("=u2")
    np.testing.assert_array_equal(case.image[..., 0], pixels)
    record = decode_raw(encode_raw(case, foreground="all"))
    np.testing.assert_array_equal(record.image[..., 0], pixels)


def test_thirty_two_bits_that_fit_into_sixteen(root):
    """As Pillow 10 gives a PNG of 16 bits; what does not fit is refused."""
    path = root / "images" / "a.tif"
    (root / "images" / "a.png").unlink()
    tifffile.imwrite(path, grey(5, dtype=np.uint16).astype(np.int32), photometric="minisblack")
    case = case_of(root, "a")
    assert case.image.dtype == np.uint16
    np.testing.assert_array_equal(case.image[..., 0], grey(5, dtype=np.uint16))
    tifffile.imwrite(path, np.full(SHAPE, 1 << 16, np.int32), photometric="minisblack")
    assert messages(root) == [
        f"a: an image must have 8 or 16 bits per channel, a.tif has mode I ({path}): convert the"
        f" image, {LEAVE_OUT}"
    ]


def test_colours(tmp_path):
    pixels = grey(0, (*SHAPE, 3))
    save(pixels, tmp_path / "images" / "a.png")
    save(mask(0), tmp_path / "masks" / "a.png")
    case = case_of(tmp_path, "a", channels=("red", "green", "blue"))
    np.testing.assert_array_equal(case.image, pixels)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_labels_of_the_config(tmp_path, mode):
    """In a mask with a palette the indices count, not the colours."""
    values = (grey(0) % 3).astype(np.uint8)
    image = Image.fromarray(values)
    if mode == "P":
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    save(grey(0), tmp_path / "images" / "a.png")
    (tmp_path / "masks").mkdir()
    image.save(tmp_path / "masks" / "a.png")
    with Image.open(tmp_path / "masks" / "a.png") as stored:
        assert stored.mode == mode
    case = case_of(tmp_path, "a", labels={"road": 1, "car": 2})
    np.testing.assert_array_equal(case.label, values)


def test_bilevel_mask(root):
    save(mask(0), root / "masks" / "a.png", mode="1")
    np.testing.assert_array_equal(case_of(root, "a").label, mask(0))


def colour_png_of_16_bits(path: Path) -> None:
    """A PNG that Pillow cannot write: RGB, 2 x 2 pixels of 16 bits."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + bytes(range(12)) for _ in range(2))
    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def with_palette(path: Path) -> None:
    image = Image.fromarray((grey(0) % 3).astype(np.uint8))
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    image.save(path)


FILES = {  # the file -> what is done to it, the rule, the remedy
    "mask missing": (
        "masks/a.png",
        Path.unlink,
        "every image needs a mask of its stem, a.png has none",
        ALLOW,
        "images/a.png",
    ),
    "image missing": (
        "images/a.png",
        Path.unlink,
        "every mask needs an image of its stem, a.png has none",
        f"add the image, remove the mask, {LEAVE_OUT}",
        "masks/a.png",
    ),
    "two images": (
        "images/a.bmp",
        lambda path: save(grey(0), path),
        "every case needs one image, found a.bmp, a.png",
        f"remove or rename all but one, {LEAVE_OUT}",
        "images/a.bmp",
    ),
    "two masks": (
        "masks/a.tif",
        lambda path: save(mask(0), path),
        "every case needs one mask, found a.png, a.tif",
        f"remove or rename all but one, {LEAVE_OUT}",
        "masks/a.png",
    ),
    "RGB image": (
        "images/a.png",
        lambda path: save(grey(0), path, mode="RGB"),
        "an image must have the channels of data.channels (grey), a.png has 3 (mode RGB)",
        f"set data.channels to a name per channel, convert the image, {LEAVE_OUT}",
        "images/a.png",
    ),
    "RGBA image": (
        "images/a.png",
        lambda path: save(grey(0), path, mode="RGBA"),
        "an image must have the channels of data.channels (grey), a.png has 4 (mode RGBA)",
        f"set data.channels to a name per channel, convert the image, {LEAVE_OUT}",
        "images/a.png",
    ),
    "image with a palette": (
        "images/a.png",
        with_palette,
        "an image must be stored in grey or colours, a.png has a palette (mode P)",
        f"convert the image, {LEAVE_OUT}",
        "images/a.png",
    ),
    "colours of 16 bits": (
        "images/a.png",
        lambda path: (colour_png_of_16_bits(path), save(mask(0)[:2, :2], masks_of(path))),
        "colours must have 8 bits, a.png has 16 (mode RGB;16), of which 8 would go",
        f"convert the image, {LEAVE_OUT}",
        "images/a.png",
    ),
    "float image": (
        "images/c.tif",
        lambda path: tifffile.imwrite(path, grey(0).astype(np.float32)),
        "an image must have 8 or 16 bits per channel, c.tif has mode F",
        f"convert the image, {LEAVE_OUT}",
        "images/c.tif",
    ),
    "stack": (
        "images/c.tif",
        lambda path: tifffile.imwrite(path, grey(0, (5, *SHAPE)), photometric="minisblack"),
        "a file must hold one image, c.tif has 5",
        f"save every page as a file of its own, {LEAVE_OUT}",
        "images/c.tif",
    ),
    "truncated image": (
        "images/a.png",
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        "a.png is no complete image: image file is truncated",
        REPAIR,
        "images/a.png",
    ),
    "no image": (
        "masks/a.png",
        lambda path: path.write_text("<html>502 Bad Gateway</html>"),
        "a.png is no complete image: its format is unknown",
        REPAIR,
        "masks/a.png",
    ),
    "black image": (
        "images/a.png",
        lambda path: save(np.zeros(SHAPE, np.uint8), path),
        "an image must have voxels other than 0, a.png has none of 768",
        REPAIR,
        "images/a.png",
    ),
    "mask of another size": (
        "masks/a.png",
        lambda path: save(mask(0)[:, :-1], path),
        "image and mask must have one shape, a.png has (24, 31) and a.png has (24, 32)",
        REPAIR,
        "masks/a.png",
    ),
    "mask of 16 bits": (
        "masks/a.png",
        lambda path: save(mask(0).astype(np.uint16), path),
        "a mask must have 8 bits and one channel, a.png has mode I;16",
        REPAIR,
        "masks/a.png",
    ),
    "mask in colours": (
        "masks/a.png",
        lambda path: save(mask(0), path, mode="RGB"),
        "a mask must have 8 bits and one channel, a.png has mode RGB",
        REPAIR,
        "masks/a.png",
    ),
    "mask of other values": (
        "masks/a.png",
        lambda path: save(mask(0) // 255, path),
        "label values must be among [0, 255], a.png has [1]",
        f"name all labels and their values in data.labels, repair the mask, {LEAVE_OUT}",
        "masks/a.png",
    ),
}


def masks_of(path: Path) -> Path:
    return path.parent.parent / "masks" / path.name


@pytest.mark.parametrize("damage", FILES)
def test_damage_is_told(root, damage):
    name, change, rule, remedy, at_fault = FILES[damage]
    change(root / name)
    path = root / at_fault
    assert messages(root) == [f"{path.stem}: {rule} ({path}): {remedy}"]


def test_grey_image_where_colours_are_named(root):
    assert len(found := messages(root, channels=("red", "green", "blue"))) == 5
    assert (
        "a: an image must have the channels of data.channels (red, green, blue), a.png has 1"
        " (mode L)" in found[0]
    )


def test_all_problems_of_a_case_at_once(root):
    save(grey(0), root / "images" / "a.png", mode="RGB")
    save(mask(0)[:, :-1] // 255, root / "masks" / "a.png")
    save(np.zeros(SHAPE, np.uint8), root / "images" / "b.bmp")
    (root / "masks" / "b.png").write_bytes(b"")
    assert [m[:20] for m in messages(root)] == [
        "a: an image must hav",
        "a: image and mask mu",
        "a: label values must",
        "b: an image must hav",
        "b: b.png is no compl",
    ]


def test_one_stem_in_two_parts_is_told(root):
    save(grey(0), root / "unlabelled" / "images" / "a.png")
    rule = "a: a case id must be unique, 2 folders have an image of it"
    remedy = "rename or remove all but one of the images"
    assert messages(root) == [
        f"{rule} ({root / folder / 'a.png'}): {remedy}"
        for folder in ("images", "unlabelled/images")
    ]


def test_misplaced_images_are_told(root):
    save(grey(0), root / "x.png")
    save(grey(0), root / "unlabelled" / "y.png")
    remedy = "move the files into these folders, or out of the dataset"
    assert messages(root) == [
        f"{folder.name}: images must lie in {folder.name}/images, masks in {folder.name}/masks,"
        f" found 1 beside them, {name} first ({folder}): {remedy}"
        for folder, name in ((root, "x.png"), (root / "unlabelled", "y.png"))
    ]


@pytest.mark.parametrize("name", ["images/f.nii.gz", "masks/f.nii", "f.nii.gz"])
def test_nifti_is_told(root, name):
    path = root / name
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), path)
    assert messages(root) == [
        "pairs: images must be .png, .jpg, .jpeg, .bmp, .tif, .tiff, found 1 NIfTI,"
        f" {path.name} first ({path}): use dataset nnunet (data.dataset) and its layout for volumes"
    ]


def test_images_without_masks_can_be_taken_for_prediction(root):
    (root / "masks" / "a.png").unlink()
    (root / "test" / "masks" / "d.tiff").unlink()
    listing = dataset_of(root, allow_unlabelled=True).list_cases(root)
    assert listing.problems == ()
    assert {c.case_id: c.split for c in listing.cases} == {
        **{"a": "unlabelled", "b": "cv", "c": "cv", "d": "unlabelled", "e": "unlabelled"}
    }
    assert case_of(root, "a", allow_unlabelled=True).label is None


def test_missing_root_is_told(root):
    (problem,) = dataset_of(root).list_cases(root / "nowhere").problems
    assert "does not exist" in problem.rule


def test_read_image_and_write_label_need_the_info_alone(root, tmp_path):
    reader = get_reader(dataset_of(root).info)
    case = reader.read_image(root / "images" / "a.png")
    np.testing.assert_array_equal(case.image[..., 0], grey(0))
    assert case.label is None and (case.files.case_id, case.files.split) == ("a", "unlabelled")
    assert list(case.sources) == ["a.png"]
    path = tmp_path / "new" / "a.png"
    reader.write_label(mask(0), case, path)
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), mask(0))
    with pytest.raises(DataError, match="is no complete image"):
        reader.read_image(root / "images" / "missing.png")
