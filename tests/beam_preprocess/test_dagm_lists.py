"""The lists of NVIDIA's UNet_Industrial, no list at all, and lists that disagree."""

import shutil
from pathlib import Path

import pytest

from beam_preprocess.case import UNLABELLED
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets.dagm import DAGM, Dagm
from beam_preprocess.datasets.dagm_lists import Row, parse_csv, parse_labels

HEADER = "image_filepath,lbl_image_filepath,is_defective"
PART = "Class1_Train"
PRIVATE = Path("raw_images", "private")
CORRECT_LIST = "correct or remove the list that is wrong, or leave the case out with data.exclude"


def config_of(root: Path, **values) -> DataConfig:
    return DataConfig(dataset="dagm", root=str(root), folds=2, **values)


def labels_of(part: Path) -> Path:
    return part / "Label" / "Labels.txt"


def parts_in(root: Path) -> list[Path]:
    return sorted(root.glob("Class*/T*"))


def write_csv(part: Path) -> Path:
    """Writes the list of a part as NVIDIA's preprocessor does: in the order of a glob."""
    path = part.parent / f"{part.name.lower()}_list.csv"
    rows = [
        f"{row.image},{row.mask or ''},{int(row.mask is not None)}"
        for row in parse_labels(labels_of(part).read_text(encoding="ascii"))
    ]
    path.write_text("\n".join([HEADER, *reversed(rows), ""]), encoding="ascii")
    return path


def to_nvidia(root: Path, *, csv: bool) -> Path:
    """Turns the Kaggle upload into NVIDIA's layout, and returns the folder of the classes."""
    for part in parts_in(root):
        if csv:
            write_csv(part)
        labels_of(part).unlink()
    private = root / PRIVATE
    private.mkdir(parents=True)
    for folder in root.glob("Class*"):
        folder.rename(private / folder.name)
    return private


def told_of(root: Path) -> list[str]:
    return [str(p) for p in Dagm().list_cases(root).problems]


def words_of(case, root: Path):
    """All that tells one case from another, paths from `root` on."""
    paths = [p.relative_to(root) for p in (*case.images, *([case.label] if case.label else []))]
    return case.case_id, case.group, case.stratum, case.split, paths


@pytest.mark.parametrize("csv", [True, False], ids=["lists", "masks only"])
@pytest.mark.parametrize("below", [Path(), PRIVATE], ids=["data_dir", "raw_images/private"])
def test_nvidia_layout_has_the_same_cases(dagm_cohort, dagm_root, csv, below):
    """Also beside the zip files and the public images, of which NVIDIA's scripts use none."""
    private = to_nvidia(dagm_root, csv=csv)
    (dagm_root / "zip_files" / "private").mkdir(parents=True)
    (dagm_root / "raw_images" / "public" / "Class1_def").mkdir(parents=True)
    expected = Dagm().list_cases(dagm_cohort)
    listing = Dagm().list_cases(dagm_root / below)
    assert [words_of(c, private) for c in listing.cases] == [
        words_of(c, dagm_cohort) for c in expected.cases
    ]
    assert len(listing.cases) == 20 and (listing.problems, listing.ignored) == ((), ())
    assert Dagm().read_case(listing.cases[-1]).sources == (
        Dagm().read_case(expected.cases[-1]).sources
    )


def test_nvidia_layout_converts(dagm_root, check_data):
    to_nvidia(dagm_root, csv=True)
    checked = check_data(config_of(dagm_root, classes=(2,)))
    assert checked.messages == [] and checked.cohort.listed == 10
    assert sorted(checked.cohort.splits) == ["fold-0", "fold-1", "test"]


def test_class_that_nvidia_layout_lacks_is_told(dagm_root):
    private = to_nvidia(dagm_root, csv=True)
    dataset = Dagm(DAGM, config_of(dagm_root, classes=(1, 3)))
    (problem,) = dataset.list_cases(dagm_root).problems
    assert (problem.case_id, problem.path) == ("Class3", str(private / "Class3"))


def test_both_lists_agree(dagm_root, check_data):
    for part in parts_in(dagm_root):
        write_csv(part)
    checked = check_data(config_of(dagm_root))
    assert (checked.messages, checked.cohort.listed, checked.cohort.ignored) == ([], 20, 0)


def test_some_parts_have_one_list_and_some_the_other(dagm_root):
    write_csv(dagm_root / "Class2" / "Test")
    labels_of(dagm_root / "Class2" / "Test").unlink()
    listing = Dagm().list_cases(dagm_root)
    assert len(listing.cases) == 20 and listing.problems == ()


DISAGREEMENTS = {  # a row of the CSV -> what it becomes, the image, what both lists have
    "defect": ("0577.PNG,,0\n", "0577.PNG,0577_label.PNG,1\n", "no mask", "mask 0577_label.PNG"),
    "no defect": ("0578.PNG,0578_label.PNG,1\n", "0578.PNG,,0\n", "mask 0578_label.PNG", "no mask"),
    "no row": ("0577.PNG,,0\n", "", "no mask", "no row"),
    "one row more": ("0577.PNG,,0\n", "0577.PNG,,0\n0999.PNG,,0\n", "no row", "no mask"),
}


@pytest.mark.parametrize("kind", DISAGREEMENTS)
def test_lists_that_disagree_are_told(dagm_root, check_data, kind):
    old, new, first, second = DISAGREEMENTS[kind]
    image = "0999.PNG" if "0999" in new else old.split(",")[0]
    path = write_csv(dagm_root / "Class1" / "Train")
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    assert check_data(config_of(dagm_root)).messages == [
        f"{PART}_{image[:4]}: Labels.txt and train_list.csv must agree on {image}, they have"
        f" {first} and {second} ({path}): {CORRECT_LIST}"
    ]


def remove(name: str):
    return lambda part: (part / name).unlink()


def add(name: str):
    return lambda part: shutil.copy(part / "0577.PNG", part / name)


def edit_list(old: str, new: str):
    def edit(part: Path) -> None:
        path = part.parent / "train_list.csv"
        assert path.read_text().count(old) == 1
        path.write_text(path.read_text().replace(old, new))

    return edit


LISTED = {  # damage of a part with a CSV -> the case, the rule, the file
    "missing image": (
        remove("0577.PNG"),
        "0577",
        "a row of train_list.csv names image 0577.PNG, which is missing",
        "Train/0577.PNG",
    ),
    "missing mask": (
        remove("Label/0578_label.PNG"),
        "0578",
        "a row of train_list.csv names mask 0578_label.PNG, which is missing",
        "Train/Label/0578_label.PNG",
    ),
    "image without a row": (
        add("0999.PNG"),
        "0999",
        "image 0999.PNG has no row in train_list.csv that names it",
        "Train/0999.PNG",
    ),
    "mask that its row does not name": (
        edit_list("0578.PNG,0578_label.PNG,1", "0578.PNG,,0"),
        "0578",
        "mask 0578_label.PNG has no row in train_list.csv that names it",
        "Train/Label/0578_label.PNG",
    ),
    "two rows": (
        edit_list("0577.PNG,,0\n", "0577.PNG,,0\n0577.PNG,,0\n"),
        "0577",
        "every image needs one row in train_list.csv, this one has 2",
        "train_list.csv",
    ),
    "mask of another image": (
        edit_list("0578.PNG,0578_label.PNG", "0578.PNG,0580_label.PNG"),
        "0578",
        "a mask must be named after its image, train_list.csv gives 0578.PNG the mask"
        " 0580_label.PNG",
        "train_list.csv",
    ),
}


@pytest.mark.parametrize("damage", LISTED)
def test_damage_beside_a_csv_is_told(dagm_root, damage):
    change, number, rule, name = LISTED[damage]
    folder = to_nvidia(dagm_root, csv=True) / "Class1"
    change(folder / "Train")
    (problem,) = Dagm().list_cases(dagm_root).problems
    assert (problem.case_id, problem.rule) == (f"{PART}_{number}", rule)
    assert problem.path == str(folder / name)


UNLISTED = {  # damage of a part without a list -> the case, rule, file and remedy
    "mask without image": (
        remove("0578.PNG"),
        f"{PART}_0578",
        "mask 0578_label.PNG has no image that it belongs to",
        "Label/0578_label.PNG",
        "restore the image, remove the mask, or leave the case out with data.exclude",
    ),
    "mask of another name": (
        add("Label/0577_mask.PNG"),
        f"{PART}_0577_mask",
        "mask 0577_mask.PNG has no image that it belongs to",
        "Label/0577_mask.PNG",
        "restore the image, remove the mask, or leave the case out with data.exclude",
    ),
    "two images of a number": (
        add("0577.png"),
        f"{PART}_0577",
        "every image needs a number of its own, images of this one: 2",
        "Label",
        "remove all images of the number but one, or leave it out with data.exclude",
    ),
    "no Label folder": (
        lambda part: shutil.rmtree(part / "Label"),
        PART,
        "where no lists are, masks tell which images are defective: every part needs a folder"
        " Label, found none",
        "Label",
        "restore the folder or the lists, or leave the class out with data.classes",
    ),
}


@pytest.mark.parametrize("damage", UNLISTED)
def test_damage_without_lists_is_told(dagm_root, damage):
    change, case_id, rule, name, remedy = UNLISTED[damage]
    part = to_nvidia(dagm_root, csv=False) / "Class1" / "Train"
    change(part)
    assert told_of(dagm_root) == [f"{case_id}: {rule} ({part / name}): {remedy}"]


def test_part_without_list_is_told_where_others_have_one(dagm_root):
    """Its masks do not decide: a list that got lost would make images defect-free unnoticed."""
    private = to_nvidia(dagm_root, csv=True)
    (private / "Class2" / "test_list.csv").unlink()
    (problem,) = Dagm().list_cases(dagm_root).problems
    assert problem.case_id == "Class2_Test"
    assert problem.rule.startswith("every part needs a readable Labels.txt: [Errno 2] No such file")


def test_lists_of_classes_that_are_not_used_do_not_count(dagm_root):
    for part in (dagm_root / "Class2").iterdir():
        labels_of(part).unlink()
    dataset = Dagm(DAGM, config_of(dagm_root, classes=(2,)))
    listing = dataset.list_cases(dagm_root)
    assert len(listing.cases) == 10 and listing.problems == ()
    assert sum(c.label is not None for c in listing.cases) == 5


def test_listed_mask_that_is_missing_makes_an_image_for_prediction(dagm_root):
    private = to_nvidia(dagm_root, csv=True)
    (private / "Class1" / "Test" / "Label" / "0001_label.PNG").unlink()
    dataset = Dagm(DAGM, config_of(dagm_root, allow_unlabelled=True))
    listing = dataset.list_cases(dagm_root)
    assert listing.problems == ()
    assert [c.case_id for c in listing.cases if c.split == UNLABELLED] == ["Class1_Test_0001"]


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_csv_rows(end):
    text = end.join([HEADER, "0577.PNG,,0", "0576.PNG,0576_label.PNG,1", "", ""])
    assert parse_csv(text) == [Row("0577.PNG", None), Row("0576.PNG", "0576_label.PNG")]


def test_csv_without_rows():
    assert parse_csv(HEADER) == []


ROW = "must have an image, a mask or nothing, and after a mask 1, after nothing 0"
BARE = "must have names of files without folders"
BAD_CSV = {
    "empty": ("", f"its header must be {HEADER}, got ''"),
    "other header": ("a,b,c\n", f"its header must be {HEADER}, got 'a,b,c'"),
    "no header": ("0577.PNG,,0\n", f"its header must be {HEADER}, got '0577.PNG,,0'"),
    "two fields": (f"{HEADER}\n0577.PNG,0\n", f"row 2 {ROW}, got '0577.PNG,0'"),
    "other flag": (f"{HEADER}\n0577.PNG,,2\n", f"row 2 {ROW}, got '0577.PNG,,2'"),
    "flag without mask": (f"{HEADER}\n0577.PNG,,1\n", f"row 2 {ROW}, got '0577.PNG,,1'"),
    "mask without flag": (f"{HEADER}\n1.PNG,1_label.PNG,0\n", f"row 2 {ROW}, got '1.PNG,1_label"),
    "path": (f"{HEADER}\n../Test/0001.PNG,,0\n", f"row 2 {BARE}, got '../Test/0001.PNG'"),
    "path of Windows": (f"{HEADER}\nTest\\1.PNG,,0\n", f"row 2 {BARE}, got 'Test\\\\1.PNG'"),
    "no image": (f"{HEADER}\n0577.PNG,,0\n,,0\n", f"row 3 {BARE}, got ''"),
}


@pytest.mark.parametrize("bad", BAD_CSV)
def test_malformed_csv_is_told(dagm_root, bad):
    text, words = BAD_CSV[bad]
    path = dagm_root / "Class1" / "train_list.csv"
    path.write_text(text)
    (message,) = told_of(dagm_root)
    assert message.startswith(f"{PART}: train_list.csv must be readable: {words}")
    assert message.endswith(
        f" ({path}): restore or remove the file, or leave the class out with data.classes"
    )


def test_path_in_labels_txt_is_told():
    """It could lead from Train into Test."""
    with pytest.raises(ValueError, match=f"row 2 {BARE}, got '../Test/0001.PNG'"):
        parse_labels("1\r\n0576\t0\t../Test/0001.PNG\t0\t0\t\r\n")


@pytest.mark.realdata
def test_all_real_lists_as_a_cohort_in_both_layouts(real_data, tmp_path):
    """All 16,100 images by name, with Labels.txt and with the CSV that NVIDIA makes of it."""
    root = tmp_path / "dagm"
    shutil.copytree(real_data / "dagm2007_labels", root)
    for part in parts_in(root):
        write_csv(part)
        for row in parse_labels(labels_of(part).read_text(encoding="ascii")):
            (part / row.image).touch()
            if row.mask:
                (part / "Label" / row.mask).touch()
    listing = Dagm().list_cases(root)
    assert listing.problems == () and len(listing.cases) == 16_100
    assert sum(c.label is not None for c in listing.cases) == 2_100
    assert sum(c.split == "test" for c in listing.cases) == 8_050
    for part in parts_in(root):
        labels_of(part).unlink()
    assert Dagm().list_cases(root).cases == listing.cases
