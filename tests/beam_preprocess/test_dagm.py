"""DAGM folders: lists, photographs and masks, and what is told where they disagree."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from beam_preprocess.case import UNLABELLED, DataError
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets.dagm import DAGM, Dagm
from beam_preprocess.datasets.dagm_lists import Row, parse_labels

REPAIR = "repair the file, or leave the case out with data.exclude"
RESTORE = "restore the file, remove the row, or leave the case out with data.exclude"
RESTORE_MASK = (
    "restore the file, take the image for prediction only with data.allow_unlabelled, or leave the"
    " case out with data.exclude"
)
CORRECT = "add or correct the row, remove the file, or leave the case out with data.exclude"
PART = "Class1_Train"
ROWS = {  # class -> rows per part, defective ones in Train and in Test
    **{1: (575, 79, 71), 2: (575, 66, 84), 3: (575, 66, 84), 4: (575, 82, 68)},
    **{5: (575, 70, 80), 6: (575, 83, 67)},
    **dict.fromkeys((7, 8, 9, 10), (1150, 150, 150)),
}


def save(pixels: np.ndarray, path: Path) -> None:
    Image.fromarray(pixels).save(path, format="PNG")


def pixels_of(path: Path) -> np.ndarray:
    return np.array(Image.open(path))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:500])


def as_rgb(path: Path) -> None:
    Image.open(path).convert("RGB").save(path)


def edit_row(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))


DAMAGES = {  # the file -> what is done to it, the case, the rule, the remedy
    "missing mask": (
        "Label/0578_label.PNG",
        Path.unlink,
        f"{PART}_0578",
        "a row of Labels.txt names mask 0578_label.PNG, which is missing",
        RESTORE_MASK,
    ),
    "row without image": (
        "0577.PNG",
        Path.unlink,
        f"{PART}_0577",
        "a row of Labels.txt names image 0577.PNG, which is missing",
        RESTORE,
    ),
    "mask that the row does not name": (
        "Label/0577_label.PNG",
        lambda path: save(np.full((64, 64), 255, np.uint8), path),
        f"{PART}_0577",
        "mask 0577_label.PNG has no row in Labels.txt that names it",
        CORRECT,
    ),
    "mask without a row": (
        "Label/0999_label.PNG",
        lambda path: save(np.full((64, 64), 255, np.uint8), path),
        f"{PART}_0999",
        "mask 0999_label.PNG has no row in Labels.txt that names it",
        CORRECT,
    ),
    "image without a row": (
        "0999.PNG",
        lambda path: save(np.full((64, 64), 9, np.uint8), path),
        f"{PART}_0999",
        "image 0999.PNG has no row in Labels.txt that names it",
        CORRECT,
    ),
    "two rows": (
        "Label/Labels.txt",
        lambda path: edit_row(path, b"0577\t", b"0577\t0\t0577.PNG\t0\t0\t\r\n0577\t"),
        f"{PART}_0577",
        "every image needs one row in Labels.txt, this one has 2",
        "remove all rows of the image but one, or leave it out with data.exclude",
    ),
    "mask of another image": (
        "Label/Labels.txt",
        lambda path: edit_row(path, b"0578_label.PNG", b"0580_label.PNG"),
        f"{PART}_0578",
        "a mask must be named after its image, Labels.txt gives 0578.PNG the mask 0580_label.PNG",
        "correct the row, or leave the case out with data.exclude",
    ),
    "truncated image": (
        "0579.PNG",
        truncate,
        f"{PART}_0579",
        "0579.PNG is no complete image: image file is truncated",
        REPAIR,
    ),
    "empty mask file": (
        "Label/0580_label.PNG",
        lambda path: path.write_bytes(b""),
        f"{PART}_0580",
        "0580_label.PNG is no complete image: its format is unknown",
        REPAIR,
    ),
    "colour image": (
        "0579.PNG",
        as_rgb,
        f"{PART}_0579",
        "an image must be 8-bit grey, 0579.PNG has mode RGB",
        REPAIR,
    ),
    "16-bit image": (
        "0579.PNG",
        lambda path: save(np.full((64, 64), 999, np.uint16), path),
        f"{PART}_0579",
        "an image must be 8-bit grey, 0579.PNG has mode I;16",
        REPAIR,
    ),
    "black image": (
        "0579.PNG",
        lambda path: save(np.zeros((64, 64), np.uint8), path),
        f"{PART}_0579",
        "an image must have voxels other than 0, 0579.PNG has none of 4096",
        REPAIR,
    ),
    "mask of other shape": (
        "Label/0580_label.PNG",
        lambda path: save(pixels_of(path)[:, :-1], path),
        f"{PART}_0580",
        "image and mask must have one shape, 0580_label.PNG has (64, 63) and 0580.PNG has (64, 64)",
        REPAIR,
    ),
    "mask without defect": (
        "Label/0580_label.PNG",
        lambda path: save(np.zeros((64, 64), np.uint8), path),
        f"{PART}_0580",
        "a defective image needs defect pixels in its mask, 0580_label.PNG has none",
        REPAIR,
    ),
    "mask of other values": (
        "Label/0580_label.PNG",
        lambda path: save(pixels_of(path) // 2, path),
        f"{PART}_0580",
        "label values must be among [0, 255], 0580_label.PNG has [127]",
        REPAIR,
    ),
}


def config_of(root: Path, **values) -> DataConfig:
    return DataConfig(dataset="dagm", root=str(root), folds=2, **values)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told(dagm_root, check_data, damage):
    name, change, case_id, rule, remedy = DAMAGES[damage]
    path = dagm_root / "Class1" / "Train" / name
    change(path)
    checked = check_data(config_of(dagm_root))
    assert checked.messages == [f"{case_id}: {rule} ({path}): {remedy}"]


def test_defective_image_without_mask_is_for_prediction_where_that_is_allowed(dagm_root):
    (dagm_root / "Class1" / "Train" / "Label" / "0578_label.PNG").unlink()
    dataset = Dagm(DAGM, config_of(dagm_root, allow_unlabelled=True))
    listing = dataset.list_cases(dagm_root)
    assert listing.problems == () and len(listing.cases) == 20
    (files,) = (c for c in listing.cases if c.split == UNLABELLED)
    assert (files.case_id, files.label) == (f"{PART}_0578", None)
    assert files.stratum == "Class1-defective"
    case = dataset.read_case(files)
    assert case.label is None and case.image.shape == (64, 64, 1)


BAD_ROWS = {
    "too few fields": (b"0577\t0\t0577.PNG\t0\r\n", r"'0577\t0\t0577.PNG\t0'"),
    "spaces for tabs": (b"0577 0 0577.PNG 0 0\r\n", "'0577 0 0577.PNG 0 0'"),
    "other flag": (b"0577\t2\t0577.PNG\t0\t0\t\r\n", r"'0577\t2\t0577.PNG\t0\t0\t'"),
    "defective without mask": (b"0577\t1\t0577.PNG\t0\t\t\r\n", r"'0577\t1\t0577.PNG\t0\t\t'"),
}


@pytest.mark.parametrize("bad", BAD_ROWS)
def test_malformed_row_is_told(dagm_root, check_data, bad):
    row, words = BAD_ROWS[bad]
    path = dagm_root / "Class1" / "Train" / "Label" / "Labels.txt"
    edit_row(path, b"0577\t0\t0577.PNG\t0\t0\t\r\n", row)
    assert check_data(config_of(dagm_root)).messages == [
        f"{PART}: every part needs a readable Labels.txt: row 3 must have 5 or 6 tab-separated"
        " fields, the second 0 or 1, after a 1 the name of a mask in the fifth,"
        f" got {words} ({path}): restore the file, or leave the class out with data.classes"
    ]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (Path.unlink, "No such file or directory"),
        (lambda path: path.write_bytes(b"1\r\n\xff\xfe"), "'utf-8' codec can't decode byte 0xff"),
        (lambda path: shutil.rmtree(path.parent), "No such file or directory"),
    ],
    ids=["missing", "binary", "no Label folder"],
)
def test_unreadable_list_is_told(dagm_root, check_data, damage, words):
    path = dagm_root / "Class1" / "Train" / "Label" / "Labels.txt"
    damage(path)
    (message,) = check_data(config_of(dagm_root)).messages
    assert message.startswith(f"{PART}: every part needs a readable Labels.txt: ")
    assert words in message
    assert message.endswith(
        f" ({path}): restore the file, or leave the class out with data.classes"
    )


def test_unreadable_image_is_told(dagm_root, check_data, monkeypatch):
    path, read_bytes = dagm_root / "Class2" / "Test" / "0002.PNG", Path.read_bytes

    def refuse(self):
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return read_bytes(self)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert check_data(config_of(dagm_root)).messages == [
        "Class2_Test_0002: 0002.PNG is no complete image: [Errno 13] Permission denied:"
        f" '{path}' ({path}): {REPAIR}"
    ]


def test_class_without_folder_is_told(dagm_root, check_data):
    checked = check_data(config_of(dagm_root, classes=(1, 3)))
    assert checked.messages == [
        "Class3: every class of data.classes needs a folder, found ['Class1']"
        f" ({dagm_root}/Class3): set data.root to the parent of the class folders, and"
        " data.classes to those that are there"
    ]


def test_cases_are_listed_in_order(dagm_cohort):
    """By id as text, in which Class10 would come before Class1_."""
    listing = Dagm().list_cases(dagm_cohort)
    ids = [c.case_id for c in listing.cases]
    assert ids == sorted(ids) and len(ids) == 20 and listing.problems == ()
    case = next(c for c in listing.cases if c.case_id == "Class2_Train_0578")
    folder = dagm_cohort / "Class2" / "Train"
    assert case.images == (folder / "0578.PNG",)
    assert case.label == folder / "Label" / "0578_label.PNG"
    assert (case.group, case.stratum, case.split) == (case.case_id, "Class2-defective", "cv")
    clean = next(c for c in listing.cases if c.case_id == "Class1_Test_0002")
    assert (clean.label, clean.stratum, clean.split) == (None, "Class1-clean", "test")


def test_order_does_not_depend_on_folders_or_rows(dagm_root):
    (dagm_root / "Class2").rename(dagm_root / "Class10")
    path = dagm_root / "Class1" / "Train" / "Label" / "Labels.txt"
    first, *rows = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([first, *reversed(rows)]))
    ids = [c.case_id for c in Dagm().list_cases(dagm_root).cases]
    assert ids == sorted(ids) and len(ids) == 20


def test_classes_select(dagm_cohort):
    cases = Dagm(DAGM, config_of(dagm_cohort, classes=(2,))).list_cases(dagm_cohort).cases
    assert len(cases) == 10 and all(c.case_id.startswith("Class2_") for c in cases)


def test_stray_files_and_folders_are_ignored(dagm_root, check_data):
    for name in ("Class1/Train/Thumbs.db", "Class2/Test/Label/Thumbs.db", "Class2/Train/.DS_Store"):
        (dagm_root / name).touch()
    for name in ("__MACOSX", "Class1/.ipynb_checkpoints"):
        (dagm_root / name).mkdir()
    checked = check_data(config_of(dagm_root))
    assert checked.messages == []
    assert (checked.cohort.listed, checked.cohort.ignored) == (20, 5)


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("first", ["defective", "clean"])
def test_ragged_rows_in_any_order(first, end):
    """Readers that count the fields of the first row fail where that one is defective."""
    rows = ["0001\t1\t0001.PNG\t0\t0001_label.PNG", "0002\t0\t0002.PNG\t0\t0\t"]
    expected = [Row("0001.PNG", "0001_label.PNG"), Row("0002.PNG", None)]
    order = slice(None, None, 1 if first == "defective" else -1)
    text = end.join(["1", *rows[order], "", ""])
    assert parse_labels(text) == expected[order]


@pytest.mark.parametrize("text", ["", "1", "1\r\n", "1\r\n\r\n"])
def test_list_without_rows(text):
    assert parse_labels(text) == []


def test_byte_order_mark_is_no_row(dagm_root):
    path = dagm_root / "Class1" / "Train" / "Label" / "Labels.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    listing = Dagm().list_cases(dagm_root)
    assert len(listing.cases) == 20 and listing.problems == ()


def test_read_case(dagm_cohort):
    cases = {c.case_id: c for c in Dagm().list_cases(dagm_cohort).cases}
    flawed = Dagm().read_case(cases["Class1_Train_0576"])
    clean = Dagm().read_case(cases["Class1_Train_0577"])
    folder = dagm_cohort / "Class1" / "Train"
    mask_path = folder / "Label" / "0576_label.PNG"
    np.testing.assert_array_equal(flawed.image[..., 0], pixels_of(folder / "0576.PNG"))
    np.testing.assert_array_equal(flawed.label, pixels_of(mask_path))
    assert flawed.image.shape == (64, 64, 1) and flawed.image.dtype == np.uint8
    assert set(np.unique(flawed.label)) == {0, 255}
    assert flawed.sources["0576_label.PNG"] == hashlib.sha256(mask_path.read_bytes()).hexdigest()
    assert clean.label.shape == (64, 64) and not clean.label.any()
    assert list(clean.sources) == ["0577.PNG"]


@pytest.mark.parametrize("mode", ["1", "P"])
def test_masks_of_one_bit_or_palette_are_read(dagm_root, mode):
    path = dagm_root / "Class1" / "Train" / "Label" / "0576_label.PNG"
    pixels = pixels_of(path)
    Image.open(path).convert(mode).save(path)
    cases = {c.case_id: c for c in Dagm().list_cases(dagm_root).cases}
    case = Dagm().read_case(cases["Class1_Train_0576"])
    np.testing.assert_array_equal(case.label, pixels)


@pytest.mark.parametrize("suffix", DAGM.label_suffixes)
def test_read_image_and_write_label(dagm_cohort, tmp_path, suffix):
    case = Dagm().read_image(dagm_cohort / "Class1" / "Train" / "0576.PNG")
    assert case.label is None
    assert (case.files.case_id, case.files.split) == ("0576", UNLABELLED)
    mask = np.where(case.image[..., 0] > 128, 255, 0).astype(np.uint8)
    path = tmp_path / "new" / f"mask{suffix}"
    Dagm().write_label(mask, case, path)
    np.testing.assert_array_equal(pixels_of(path), mask)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_read_image_of_a_missing_file_is_told(tmp_path):
    with pytest.raises(DataError, match="is no complete image"):
        Dagm().read_image(tmp_path / "missing.png")


@pytest.mark.realdata
@pytest.mark.parametrize("number", ROWS)
def test_real_lists(real_data, number):
    count, *defective = ROWS[number]
    start = {"Train": count + 1, "Test": 1}
    for part, flawed in zip(("Train", "Test"), defective, strict=True):
        path = real_data / "dagm2007_labels" / f"Class{number}" / part / "Label" / "Labels.txt"
        rows = parse_labels(path.read_bytes().decode("ascii"))
        names = [f"{n:04d}" for n in range(start[part], start[part] + count)]
        assert [r.image for r in rows] == [f"{name}.PNG" for name in names]
        assert sum(r.mask is not None for r in rows) == flawed
        assert all(r.mask in (None, f"{n}_label.PNG") for r, n in zip(rows, names, strict=True))


@pytest.mark.realdata
def test_real_lists_as_a_whole(real_data):
    paths = sorted((real_data / "dagm2007_labels").rglob("Labels.txt"))
    rows = [row for path in paths for row in parse_labels(path.read_text(encoding="utf-8"))]
    assert (len(paths), len(rows)) == (20, 16_100)
    assert sum(row.mask is not None for row in rows) == 2_100


@pytest.mark.realdata
def test_real_images(real_data, check_data):
    """The mask of image 0003 did not come with the sample, and that is what is told."""
    root = real_data / "dagm2007"
    (problem,) = Dagm().list_cases(root).problems
    assert problem.case_id == "Class2_Test_0003"
    assert "names mask 0003_label.PNG, which is missing" in problem.rule
    checked = check_data(config_of(root, exclude={"Class2_Test_0003": "has no mask"}))
    assert checked.messages == []
    assert checked.cohort.listed == len([*root.glob("Class*/*/*.PNG")])
    cases = Dagm().list_cases(root).cases
    for case in map(Dagm().read_case, cases[:3]):
        assert case.image.shape == (512, 512, 1)
        assert case.label.any() == (case.files.label is not None)


def test_class_without_train_is_a_problem(tmp_path):
    (tmp_path / "Class3" / "Test" / "Label").mkdir(parents=True)
    (tmp_path / "Class3" / "Test" / "Label" / "Labels.txt").write_bytes(b"1\r\n")
    (problem,) = Dagm().list_cases(tmp_path).problems
    assert problem.case_id == "Class3"
    assert problem.rule == "every class folder needs a part Train, found ['Test']"
