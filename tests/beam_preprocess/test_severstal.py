"""Severstal steel: run-length masks by hand, one case per image, and what is told of bad lists."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from beam_preprocess.case import DataError
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets import get_dataset, get_reader, severstal
from beam_preprocess.datasets.severstal import (
    SEVERSTAL,
    Row,
    Severstal,
    decode_runs,
    parse_annotations,
)
from beam_preprocess.records import decode_raw, encode_raw

from .whole_cohort import messages_of, read_by_id

SHAPE = (4, 6)  # 24 pixels: 1 to 4 are the first column, 5 to 8 the second
NEW = "ImageId,ClassId,EncodedPixels"
OLD = "ImageId_ClassId,EncodedPixels"
CORRECT = "correct the row, or leave the case out with data.exclude"
REPAIR = "repair the file, or leave the case out with data.exclude"


def grey(seed: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Smooth, as JPEG keeps it well."""
    return (np.add.outer(*map(np.arange, shape)) * 9 + 20 + seed).astype(np.uint8)


def save_jpeg(pixels: np.ndarray, path: Path) -> None:
    """As Kaggle has them: three equal channels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert("RGB").save(path, quality=95)


def decoded(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L"))


def write_table(root: Path, *rows: str, header: str = NEW) -> Path:
    path = root / "train.csv"
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


@pytest.fixture
def root(tmp_path) -> Path:
    """Two images with defects, a clean one, and one to predict."""
    folder = tmp_path / "steel"
    for seed, name in enumerate(("a", "b", "c")):
        save_jpeg(grey(seed), folder / "train_images" / f"{name}.jpg")
    save_jpeg(grey(3), folder / "test_images" / "t.jpg")
    write_table(folder, "b.jpg,4,1 2 7 3", "b.jpg,3,24 1", "a.jpg,3,5 4")
    return folder


def dataset_of(root: Path, **values) -> Severstal:
    return get_dataset(DataConfig(dataset="severstal", root=str(root), **values))


def messages(root: Path, **values) -> list[str]:
    return messages_of(dataset_of(root, **values), root)


def case_of(root: Path, case_id: str):
    return read_by_id(dataset_of(root), root, case_id)


RUNS = {
    "first column": ("1 4", [(0, 0), (1, 0), (2, 0), (3, 0)]),
    "down, then right": ("3 4", [(2, 0), (3, 0), (0, 1), (1, 1)]),
    "last pixel": ("24 1", [(3, 5)]),
    "two runs, any order": ("21 2 2 1", [(0, 5), (1, 5), (1, 0)]),
    "adjacent runs": ("1 1 2 1", [(0, 0), (1, 0)]),
    "more spaces": (" 9  1 ", [(0, 2)]),
    "none": ("", []),
}


@pytest.mark.parametrize("runs", RUNS)
def test_runs_by_hand(runs):
    text, pixels = RUNS[runs]
    expected = np.zeros(SHAPE, bool)
    for row, column in pixels:
        expected[row, column] = True
    np.testing.assert_array_equal(decode_runs(text, SHAPE), expected)


def test_runs_of_a_full_size_image():
    """Kaggle's own example of a row, on 256 x 1600: pixel 29102 is (173, 113), counted from 0."""
    mask = decode_runs("29102 12 29346 24", (256, 1600))
    assert mask.shape == (256, 1600) and mask.sum() == 36
    assert mask[173:185, 113].all() and not mask[172, 113] and not mask[185, 113]
    assert mask[161:185, 114].all() and not mask[160, 114]


def test_cases_are_listed(root):
    listing = dataset_of(root).list_cases(root)
    assert listing.problems == () and listing.ignored == ()
    assert [(c.case_id, c.stratum, c.split) for c in listing.cases] == [
        ("a", "3", "cv"),
        ("b", "3+4", "cv"),
        ("c", "none", "cv"),
        ("t", "none", "unlabelled"),
    ]
    table = root / "train.csv"
    assert [c.label for c in listing.cases] == [table, table, None, None]
    assert [c.group for c in listing.cases] == ["a", "b", "c", "t"]


def test_read_case(root):
    path = root / "train_images" / "b.jpg"
    case = case_of(root, "b")
    np.testing.assert_array_equal(case.image[..., 0], decoded(path))
    assert case.image.shape == (4, 6, 1) and case.image.dtype == np.uint8
    assert case.label.tolist() == [
        [4, 0, 4, 0, 0, 0],
        [4, 0, 0, 0, 0, 0],
        [0, 4, 0, 0, 0, 0],
        [0, 4, 0, 0, 0, 3],
    ]
    assert case.label.dtype == np.uint8
    rows = hashlib.sha256(b"3,24 1\n4,1 2 7 3").hexdigest()
    image = hashlib.sha256(path.read_bytes()).hexdigest()
    assert case.sources == {"b.jpg": image, "train.csv rows": rows}


def test_clean_and_unlabelled_images(root):
    clean = case_of(root, "c")
    assert clean.label.shape == (4, 6) and not clean.label.any()
    assert list(clean.sources) == ["c.jpg"]
    assert case_of(root, "t").label is None


@pytest.mark.parametrize("case_id", ["b", "c", "t"])
def test_case_goes_through_a_raw_record(root, case_id):
    case = case_of(root, case_id)
    record = decode_raw(encode_raw(case, foreground=SEVERSTAL.foreground))
    np.testing.assert_array_equal(record.image, case.image)
    assert record.full_shape == (4, 6) and record.sources == case.sources
    if case.label is None:
        assert record.label is None
    else:
        np.testing.assert_array_equal(record.label, case.label)


def test_another_row_changes_nothing(root):
    before = case_of(root, "b").sources
    write_table(root, "c.jpg,1,1 1", "b.jpg,3,24 1", "b.jpg,4,1 2 7 3", "a.jpg,3,5 4")
    assert case_of(root, "b").sources == before
    write_table(root, "b.jpg,3,24 1", "b.jpg,4,1 2 7 4", "a.jpg,3,5 4")
    assert case_of(root, "b").sources != before


def test_both_forms_of_the_list_are_one(root):
    new = [case_of(root, name) for name in "abc"]
    strata = [c.stratum for c in Severstal().list_cases(root).cases]
    masks = {"a": {3: "5 4"}, "b": {3: "24 1", 4: "1 2 7 3"}, "c": {}}
    rows = [f"{n}.jpg_{k},{masks[n].get(k, '')}" for n in "abc" for k in range(1, 5)]
    write_table(root, *rows, header=OLD)
    assert messages(root) == []
    assert [c.stratum for c in Severstal().list_cases(root).cases] == strata
    for before, name in zip(new, "abc", strict=True):
        case = case_of(root, name)
        np.testing.assert_array_equal(case.label, before.label)
        assert case.sources == before.sources and case.files == before.files


def test_columns_may_be_more_and_in_any_order():
    text = '\ufeff,EncodedPixels,ClassId,ImageId\r\n0,"3 2",1,a.jpg\r\n\r\n'.lstrip("\ufeff")
    assert parse_annotations(text) == {"a.jpg": (Row(2, "1", "3 2"),)}


def test_list_with_a_byte_order_mark(root):
    path = root / "train.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert messages(root) == []


def test_runs_longer_than_csv_takes(root):
    """The csv module stops at 131,072 characters."""
    runs = " ".join(f"{start} 1" for start in range(1, 60_001, 2))
    assert len(runs) > 131_072
    save_jpeg(grey(0, (250, 250)), root / "train_images" / "a.jpg")
    write_table(root, f"a.jpg,1,{runs}")
    assert case_of(root, "a").label.sum() == 30_000


def test_list_is_parsed_once(root):
    before = severstal._read_annotations.cache_info().misses
    dataset = dataset_of(root)
    for files in dataset.list_cases(root).cases:
        dataset.read_case(files)
    assert severstal._read_annotations.cache_info().misses == before + 1


def damage_row(*rows: str):
    return lambda root: write_table(root, *rows, "b.jpg,3,24 1")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def in_colour(path: Path) -> None:
    pixels = np.stack([grey(0), grey(0), grey(60)], axis=-1)
    Image.fromarray(pixels).save(path, quality=100, subsampling=0)


RULES = {  # what is done to the root, the file at fault, the rule, the remedy
    "row for a missing image": (
        damage_row("z.jpg,3,1 2"),
        "train_images/z.jpg",
        "z: a row of train.csv names image z.jpg, which is missing",
        "restore the file, remove the row, or leave the case out with data.exclude",
    ),
    "class 5": (
        damage_row("a.jpg,5,1 2"),
        "train.csv",
        "a: ClassId must be one of 1, 2, 3, 4, line 2 of train.csv has '5'",
        CORRECT,
    ),
    "class that is no number": (
        damage_row("a.jpg,scratch,1 2"),
        "train.csv",
        "a: ClassId must be one of 1, 2, 3, 4, line 2 of train.csv has 'scratch'",
        CORRECT,
    ),
    "two rows of a class": (
        damage_row("a.jpg,1,1 2", "a.jpg,1,5 2"),
        "train.csv",
        "a: an image needs one row per class in train.csv, this one has 2 of class 1",
        CORRECT,
    ),
    "odd count": (
        damage_row("a.jpg,1,1 2 7"),
        "train.csv",
        "a: runs must be pairs of integers, start and length, got 3 values, '1 2 7' in line 2 of"
        " train.csv, class 1",
        CORRECT,
    ),
    "no integers": (
        damage_row("a.jpg,1,1 2.5"),
        "train.csv",
        "a: runs must be pairs of integers, start and length, got 2 values, '1 2.5' in line 2 of"
        " train.csv, class 1",
        CORRECT,
    ),
    "start 0": (
        damage_row("a.jpg,1,0 2"),
        "train.csv",
        "a: runs must lie within pixels 1 to 24 of an image of 4 x 6, got start 0 and length 2 in"
        " line 2 of train.csv, class 1",
        CORRECT,
    ),
    "past the end": (
        damage_row("a.jpg,1,24 2"),
        "train.csv",
        "a: runs must lie within pixels 1 to 24 of an image of 4 x 6, got start 24 and length 2 in"
        " line 2 of train.csv, class 1",
        CORRECT,
    ),
    "length 0": (
        damage_row("a.jpg,1,3 0"),
        "train.csv",
        "a: runs must lie within pixels 1 to 24 of an image of 4 x 6, got start 3 and length 0 in"
        " line 2 of train.csv, class 1",
        CORRECT,
    ),
    "overlapping runs": (
        damage_row("a.jpg,1,3 4 6 1"),
        "train.csv",
        "a: runs of a class must not overlap, '6 1' does in line 2 of train.csv, class 1",
        CORRECT,
    ),
    "pixels of two classes": (
        damage_row("a.jpg,1,1 4", "a.jpg,2,3 4"),
        "train.csv",
        "a: a pixel must have one class, 2 of class 2 (line 3 of train.csv) have class 1 too",
        CORRECT,
    ),
    "truncated image": (
        lambda root: truncate(root / "train_images" / "a.jpg"),
        "train_images/a.jpg",
        "a: a.jpg is no complete image: Truncated File Read",
        REPAIR,
    ),
    "coloured image": (
        lambda root: in_colour(root / "train_images" / "a.jpg"),
        "train_images/a.jpg",
        "a: an image must be grey, with channels that differ by 2 levels at most, those of a.jpg"
        " differ by 60",
        REPAIR,
    ),
    "CMYK image": (
        lambda root: Image.new("CMYK", (6, 4)).save(root / "train_images" / "a.jpg"),
        "train_images/a.jpg",
        "a: an image must be 8-bit grey, a.jpg has mode CMYK",
        REPAIR,
    ),
    "black image": (
        lambda root: save_jpeg(np.zeros(SHAPE, np.uint8), root / "train_images" / "a.jpg"),
        "train_images/a.jpg",
        "a: an image must have voxels other than 0, a.jpg has none of 24",
        REPAIR,
    ),
    "missing list": (
        lambda root: (root / "train.csv").unlink(),
        "train.csv",
        "train.csv: the dataset needs a readable list train.csv: [Errno 2] No such file or"
        " directory: '{path}'",
        "restore the file; or take the images for prediction only with data.allow_unlabelled",
    ),
    "other columns": (
        lambda root: write_table(root, "a.jpg,1 2", header="Image,Pixels"),
        "train.csv",
        "train.csv: the dataset needs a readable list train.csv: it must have columns ImageId,"
        " ClassId, EncodedPixels or ImageId_ClassId, EncodedPixels, got 'Image,Pixels'",
        "restore the file",
    ),
    "row cut short": (
        damage_row("a.jpg,3"),
        "train.csv",
        "train.csv: the dataset needs a readable list train.csv: line 2 must have 3 fields"
        " (ImageId, ClassId, EncodedPixels) and name an image and a class, got 'a.jpg,3'",
        "restore the file",
    ),
    "old form without a class": (
        lambda root: write_table(root, "a.jpg,1 2", header=OLD),
        "train.csv",
        "train.csv: the dataset needs a readable list train.csv: line 2 must have 2 fields"
        " (ImageId_ClassId, EncodedPixels) and name an image and a class, got 'a.jpg,1 2'",
        "restore the file",
    ),
}


@pytest.mark.parametrize("damage", RULES)
def test_damage_is_told(root, damage):
    change, name, rule, remedy = RULES[damage]
    change(root)
    path = root / name
    assert messages(root) == [f"{rule.format(path=path)} ({path}): {remedy}"]


def test_missing_folder_is_told_once(root):
    folder = root / "train_images"
    shutil.rmtree(folder)
    assert messages(root) == [
        f"train_images: train.csv names 2 images, and train_images has no .jpg ({folder}): restore"
        " the folder, or set data.root to the parent of train_images"
    ]


def test_rows_by_several_rules_are_told_at_once(root):
    write_table(root, "a.jpg,9,1 2", "b.jpg,1,0 1", "b.jpg,2,1", "y.jpg,1,1 1", "c.jpg,1,1 99")
    assert [m.split(":")[0] for m in messages(root)] == ["a", "b", "b", "c", "y"]


def test_one_name_in_train_and_test_is_told(root):
    save_jpeg(grey(1), root / "test_images" / "a.jpg")
    assert messages(root) == [
        f"a: a case id must be unique, found 2 images of that name ({root / folder / 'a.jpg'}):"
        " remove or rename one of the images"
        for folder in ("test_images", "train_images")
    ]


def test_list_that_changed_after_listing_is_told(root):
    dataset = dataset_of(root)
    files = dataset.list_cases(root).cases[0]
    write_table(root, "b.jpg,3,24 1")
    with pytest.raises(DataError, match="changed since it was listed: the image has no row"):
        dataset.read_case(files)


def test_images_without_a_list_can_be_taken_for_prediction(root):
    (root / "train.csv").unlink()
    listing = dataset_of(root, allow_unlabelled=True).list_cases(root)
    assert listing.problems == ()
    assert [(c.case_id, c.split) for c in listing.cases] == [(n, "unlabelled") for n in "abct"]


def test_other_files_are_ignored(root):
    for name in ("sample_submission.csv", "train_images/Thumbs.db", "test_images/notes.txt"):
        (root / name).touch()
    listing = Severstal().list_cases(root)
    assert len(listing.cases) == 4 and len(listing.ignored) == 3


def test_missing_root_is_told(tmp_path):
    (problem,) = Severstal().list_cases(tmp_path / "nowhere").problems
    assert "does not exist" in problem.rule


def test_channels_may_differ_by_rounding(tmp_path):
    """Pillow's luma of channels that differ by two levels, and of a file with one channel."""
    pixels = np.stack([grey(0), grey(1), grey(2)], axis=-1)
    path = tmp_path / "x.png"
    Image.fromarray(pixels).save(path)
    case = get_reader(SEVERSTAL).read_image(path)
    np.testing.assert_array_equal(case.image[..., 0], decoded(path))
    Image.fromarray(grey(0)).save(tmp_path / "y.jpg", quality=100)
    case = get_reader(SEVERSTAL).read_image(tmp_path / "y.jpg")
    np.testing.assert_array_equal(case.image[..., 0], decoded(tmp_path / "y.jpg"))
    assert case.label is None and case.files.case_id == "y"


def test_equal_channels_stay_as_they_are(tmp_path):
    """All 256 levels: luma must not round them."""
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    path = tmp_path / "x.png"
    Image.fromarray(levels).convert("RGB").save(path)
    np.testing.assert_array_equal(Severstal().read_image(path).image[..., 0], levels)


def test_write_label(root, tmp_path):
    case = case_of(root, "b")
    path = tmp_path / "new" / "b.png"
    Severstal().write_label(case.label, case, path)
    with Image.open(path) as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), case.label)
    assert [p.name for p in path.parent.iterdir()] == ["b.png"]
