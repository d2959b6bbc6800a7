"""ISBI 2012 stacks: pages as cases, neighbours in one fold, and what is told of damaged stacks."""

import hashlib
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from beam_preprocess.case import DataError
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets import get_dataset, get_reader, isbi2012
from beam_preprocess.datasets.isbi2012 import ISBI2012, Isbi2012, count_pages, read_page
from beam_preprocess.folds import assign_folds
from beam_preprocess.records import decode_raw, encode_raw

from .whole_cohort import messages_of, read_by_id

SHAPE = (7, 24, 32)
RESTORE = "restore the file: all pages of this part depend on it"
UNREADABLE = "save the stack as 8-bit grey, uncompressed, or leave the case out with data.exclude"


def save(pages: np.ndarray, path: Path, **options) -> None:
    tifffile.imwrite(path, pages, **({"photometric": "minisblack"} | options))


def volume(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, shape, dtype=np.uint8)


def labels(seed: int = 1, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.where(volume(seed, shape) > 100, 255, 0).astype(np.uint8)


@pytest.fixture
def root(tmp_path) -> Path:
    folder = tmp_path / "isbi"
    folder.mkdir()
    save(volume(), folder / "train-volume.tif")
    save(labels(), folder / "train-labels.tif")
    save(volume(2, (4, 16, 20)), folder / "test-volume.tif")
    return folder


def dataset_of(root: Path, **values) -> Isbi2012:
    return get_dataset(DataConfig(dataset="isbi2012", root=str(root), **values))


def messages(root: Path, **values) -> list[str]:
    return messages_of(dataset_of(root, **values), root)


def case_of(root: Path, case_id: str):
    return read_by_id(dataset_of(root), root, case_id)


def test_pages_are_listed(root):
    listing = dataset_of(root).list_cases(root)
    assert listing.problems == () and listing.ignored == ()
    assert [c.case_id for c in listing.cases] == [
        *(f"test_{n:02d}" for n in range(4)),
        *(f"train_{n:02d}" for n in range(7)),
    ]
    assert {c.split for c in listing.cases[:4]} == {"unlabelled"}
    assert {c.label for c in listing.cases[:4]} == {None}
    case = listing.cases[4 + 5]
    assert (case.case_id, case.index, case.group, case.split) == ("train_05", 5, "block-01", "cv")
    assert case.images == (root / "train-volume.tif",)
    assert case.label == root / "train-labels.tif"


def test_ids_sort_beyond_a_hundred_pages(root):
    for name in ("volume", "labels"):
        save(np.full((101, 4, 4), 255, np.uint8), root / f"train-{name}.tif")
    cases = [c for c in Isbi2012().list_cases(root).cases if c.case_id.startswith("train")]
    assert [c.index for c in cases] == list(range(101))
    assert (cases[9].case_id, cases[100].case_id) == ("train_009", "train_100")
    assert (cases[9].group, cases[100].group) == ("block-003", "block-033")


def test_neighbours_are_in_one_fold(root):
    for name in ("volume", "labels"):
        save(np.zeros((30, 4, 4), np.uint8), root / f"train-{name}.tif")
    cases = [c for c in Isbi2012().list_cases(root).cases if c.split == "cv"]
    folds = assign_folds(cases, folds=5, seed=0)
    assert Counter(folds.values()) == dict.fromkeys(range(5), 6)
    of_page = [folds[f"train_{n:02d}"] for n in range(30)]
    assert all(len(set(of_page[n : n + 3])) == 1 for n in range(0, 30, 3))
    assert sum(a != b for a, b in pairwise(of_page)) <= 9


def test_test_pages_share_no_group_with_train(root):
    groups = {
        split: {c.group for c in Isbi2012().list_cases(root).cases if c.split == split}
        for split in ("cv", "unlabelled")
    }
    assert groups["cv"] == {"block-00", "block-01", "block-02"}
    assert groups["unlabelled"] == {"test-block-00", "test-block-01"}


def test_labelled_test_pages_become_the_test_split(root):
    save(labels(3, (4, 16, 20)), root / "test-labels.tif")
    cases = [c for c in Isbi2012().list_cases(root).cases if c.case_id.startswith("test")]
    assert {c.split for c in cases} == {"test"}
    case = Isbi2012().read_case(cases[2])
    np.testing.assert_array_equal(case.label, labels(3, (4, 16, 20))[2])


def test_test_volume_may_be_missing(root):
    (root / "test-volume.tif").unlink()
    listing = Isbi2012().list_cases(root)
    assert len(listing.cases) == 7 and listing.problems == ()


def test_other_files_are_ignored(root):
    (root / "Thumbs.db").touch()
    (root / "README.txt").touch()
    ignored = Isbi2012().list_cases(root).ignored
    assert [p.name for p in ignored] == ["README.txt", "Thumbs.db"]


def test_read_case(root):
    case = case_of(root, "train_05")
    np.testing.assert_array_equal(case.image[..., 0], volume()[5])
    np.testing.assert_array_equal(case.label, labels()[5])
    assert case.image.shape == (24, 32, 1) and case.image.dtype == np.uint8
    assert case.label.dtype == np.uint8 and set(np.unique(case.label)) == {0, 255}
    assert case.spacing == (1, 1)
    assert case.sources == {
        name: hashlib.sha256((root / name).read_bytes()).hexdigest()
        for name in ("train-volume.tif", "train-labels.tif")
    }
    unlabelled = case_of(root, "test_03")
    np.testing.assert_array_equal(unlabelled.image[..., 0], volume(2, (4, 16, 20))[3])
    assert unlabelled.label is None and list(unlabelled.sources) == ["test-volume.tif"]


@pytest.mark.parametrize("case_id", ["train_05", "test_03"])
def test_case_goes_through_a_raw_record(root, case_id):
    case = case_of(root, case_id)
    record = decode_raw(encode_raw(case, foreground=ISBI2012.foreground))
    np.testing.assert_array_equal(record.image, case.image)
    assert record.full_shape == case.image.shape[:2] and record.sources == case.sources
    if case.label is None:
        assert record.label is None
    else:
        np.testing.assert_array_equal(record.label, case.label)


def test_a_stack_is_hashed_once(root):
    before = isbi2012._sha256.cache_info().misses
    first = {c.case_id: case_of(root, c.case_id) for c in Isbi2012().list_cases(root).cases}
    assert isbi2012._sha256.cache_info().misses == before + 3
    pages = volume()
    pages[0, 0, 0] = 0
    save(pages, root / "train-volume.tif", software="another length")
    again = case_of(root, "train_05")
    content = (root / "train-volume.tif").read_bytes()
    assert again.sources["train-volume.tif"] == hashlib.sha256(content).hexdigest()
    assert again.sources != first["train_05"].sources


def test_a_page_is_read_without_the_others(root):
    """The first page is destroyed, its place in the chain of pages is not."""
    path = root / "train-volume.tif"
    save(volume(), path, compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages[0].dataoffsets[0], tiff.pages[0].databytecounts[0]
    content = path.read_bytes()
    path.write_bytes(content[:offset] + bytes(count) + content[offset + count :])
    (message,) = messages(root)
    assert message.startswith(
        "train_00: page 0 of train-volume.tif (the first is 0) cannot be read: Error -3 while"
        " decompressing data"
    )
    assert message.endswith(f" ({path}): {UNREADABLE}")
    np.testing.assert_array_equal(read_page(path, 6), volume()[6])


@pytest.mark.parametrize(
    "options", [{"imagej": True}, {"compression": "zlib"}, {"bigtiff": True}, {"byteorder": ">"}]
)
def test_kinds_of_stacks(tmp_path, options):
    path = tmp_path / "stack.tif"
    save(volume(), path, **options)
    assert count_pages(path) == 7
    np.testing.assert_array_equal(read_page(path, 4), volume()[4])


def test_white_is_zero_stacks_are_read_as_shown(tmp_path):
    """As other readers do: taken as stored, membrane and interior would be swapped."""
    path = tmp_path / "stack.tif"
    save(255 - labels(), path, photometric="miniswhite", metadata=None)
    np.testing.assert_array_equal(read_page(path, 4), labels()[4])
    with Image.open(path) as image:
        image.seek(4)
        np.testing.assert_array_equal(np.asarray(image), labels()[4])


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def in_colour(path: Path) -> None:
    save(np.stack([labels()] * 3, axis=-1), path, photometric="rgb")


def other_size(path: Path) -> None:
    save(labels()[:, :-1], path)


def black_page(path: Path) -> None:
    pages = volume()
    pages[3] = 0
    save(pages, path)


STACKS = {  # the stack -> what is done to it, the rule, the remedy
    "missing labels": (
        "train-labels.tif",
        Path.unlink,
        "every part needs a stack train-labels.tif, found none",
        f"{RESTORE}; or take the pages for prediction only with data.allow_unlabelled",
    ),
    "missing volume": (
        "train-volume.tif",
        Path.unlink,
        "every part needs a stack train-volume.tif, found none",
        RESTORE,
    ),
    "truncated volume": (
        "train-volume.tif",
        truncate,
        "train-volume.tif is no complete TIFF file: the file ends after 1 pages, and there are"
        " more",
        RESTORE,
    ),
    "truncated test volume": (
        "test-volume.tif",
        truncate,
        "test-volume.tif is no complete TIFF file: the file ends after 1 pages, and there are more",
        RESTORE,
    ),
    "no TIFF": (
        "train-labels.tif",
        lambda path: path.write_text("<html>502 Bad Gateway</html>"),
        "train-labels.tif is no complete TIFF file: not a TIFF file b'<htm'",
        RESTORE,
    ),
    "empty file": (
        "test-volume.tif",
        lambda path: path.write_bytes(b""),
        "test-volume.tif is no complete TIFF file: not a TIFF file b''",
        RESTORE,
    ),
    "fewer pages": (
        "train-labels.tif",
        lambda path: save(labels()[:-1], path),
        "images and labels must have the same number of pages, train-volume.tif has 7 and"
        " train-labels.tif has 6",
        RESTORE,
    ),
}


@pytest.mark.parametrize("damage", STACKS)
def test_damaged_stack_is_told(root, damage):
    name, change, rule, remedy = STACKS[damage]
    change(root / name)
    assert messages(root) == [f"{name}: {rule} ({root / name}): {remedy}"]


def test_labels_without_their_pages_are_told(root):
    save(labels(), root / "test-labels.tif")
    path = root / "test-volume.tif"
    path.unlink()
    rule = "every part needs a stack test-volume.tif, found none"
    assert messages(root) == [f"test-volume.tif: {rule} ({path}): {RESTORE}"]


PAGES = {  # the stack -> what is done to it, the rule of every page or of some, the remedy
    "colours": (
        "train-labels.tif",
        in_colour,
        "a page must be 8-bit grey, page 3 of train-labels.tif (the first is 0) is RGB, uint8,"
        " shape (24, 32, 3)",
        UNREADABLE,
    ),
    "16 bits": (
        "train-volume.tif",
        lambda path: save(volume().astype(np.uint16), path),
        "a page must be 8-bit grey, page 3 of train-volume.tif (the first is 0) is MINISBLACK,"
        " uint16, shape (24, 32)",
        UNREADABLE,
    ),
    "other size": (
        "train-labels.tif",
        other_size,
        "image and mask must have one shape, train-labels.tif has (23, 32) and train-volume.tif"
        " has (24, 32)",
        "repair the file, or leave the case out with data.exclude",
    ),
    "labels of 0 and 1": (
        "train-labels.tif",
        lambda path: save(labels() // 255, path),
        "label values must be among [0, 255], train-labels.tif has [1]",
        "store membrane as 0 and interior as 255 (multiply labels of 0 and 1 by 255), or leave"
        " the case out with data.exclude",
    ),
    "black page": (
        "train-volume.tif",
        black_page,
        "an image must have voxels other than 0, train-volume.tif has none of 768",
        "repair the file, or leave the case out with data.exclude",
    ),
}


@pytest.mark.parametrize("damage", PAGES)
def test_damaged_page_is_told(root, damage):
    name, change, rule, remedy = PAGES[damage]
    change(root / name)
    found = messages(root)
    assert f"train_03: {rule} ({root / name}): {remedy}" in found
    assert len(found) == (1 if damage == "black page" else 7)


def test_compressions_beyond_tifffile_are_told(root):
    """LZW needs another package, which is none of ours."""
    path = root / "train-volume.tif"
    first, *rest = (Image.fromarray(page) for page in volume())
    first.save(path, save_all=True, append_images=rest, compression="tiff_lzw")
    found = messages(root)
    assert len(found) == 7
    assert "page 0 of train-volume.tif (the first is 0) cannot be read:" in found[0]
    assert "LZW" in found[0] and found[0].endswith(UNREADABLE)


def test_all_problems_of_a_page_at_once(root):
    black_page(root / "train-volume.tif")
    save(labels()[:, :-1] // 255, root / "train-labels.tif")
    assert [m.split(" must ")[0] for m in messages(root) if m.startswith("train_03")] == [
        "train_03: an image",
        "train_03: image and mask",
        "train_03: label values",
    ]


def test_pages_without_labels_can_be_taken_for_prediction(root):
    (root / "train-labels.tif").unlink()
    listing = dataset_of(root, allow_unlabelled=True).list_cases(root)
    assert listing.problems == () and len(listing.cases) == 11
    assert {c.split for c in listing.cases} == {"unlabelled"}


def test_missing_root_is_told(tmp_path):
    (problem,) = Isbi2012().list_cases(tmp_path / "nowhere").problems
    assert "does not exist" in problem.rule


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_read_image(tmp_path, suffix):
    path = tmp_path / f"section{suffix}"
    Image.fromarray(volume()[0]).save(path)
    case = get_reader(ISBI2012).read_image(path)
    np.testing.assert_array_equal(case.image[..., 0], volume()[0])
    assert case.label is None and case.files.case_id == "section"


def test_read_image_of_a_stack_is_refused(root):
    with pytest.raises(DataError, match=r"a file must hold one image, test-volume\.tif has 4"):
        Isbi2012().read_image(root / "test-volume.tif")


@pytest.mark.parametrize("suffix", ISBI2012.label_suffixes)
def test_write_label(root, tmp_path, suffix):
    case = case_of(root, "train_05")
    path = tmp_path / "new" / f"label{suffix}"
    Isbi2012().write_label(case.label, case, path)
    with Image.open(path) as image:
        assert image.format == ("PNG" if suffix == ".png" else "TIFF")
        np.testing.assert_array_equal(np.asarray(image), case.label)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
