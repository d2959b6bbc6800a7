"""What the lists and the files of a part of DAGM 2007 must agree on. Case ids are made here too."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from beam_preprocess.case import Problem
from beam_preprocess.datasets.dagm_lists import (
    LABELS_TXT,
    ImageList,
    Row,
    labels_path,
    list_by_masks,
    list_paths,
    pngs,
    read_list,
)


def prefix_of(part: Path) -> str:
    """What the ids of all cases of a part start with: Class1_Train."""
    return f"{part.parent.name}_{part.name}"


def case_id_of(part: Path, image: str) -> str:
    """The id of the case of an image: Class1_Train_0576."""
    return f"{prefix_of(part)}_{Path(image).stem}"


def read_lists(part: Path, *, listed: bool) -> tuple[list[ImageList], list[Problem]]:
    """The lists of a part, or what its masks amount to; problems of lists that cannot be read."""
    paths = list_paths(part) or ([labels_path(part)] if listed else [])
    if not paths and not (part / "Label").is_dir():
        return [], [_no_label_folder(part)]
    lists, problems = [], []
    for path in paths:
        try:
            lists.append(read_list(path))
        except (OSError, ValueError, csv.Error) as e:
            problems.append(_unreadable_list(part, path, e))
    return (lists if paths else [list_by_masks(part)]), problems


def _no_label_folder(part: Path) -> Problem:
    return Problem(
        case_id=prefix_of(part),
        rule="where no lists are, masks tell which images are defective: every part needs a folder"
        " Label, found none",
        path=str(part / "Label"),
        remedy="restore the folder or the lists, or leave the class out with data.classes",
    )


def _unreadable_list(part: Path, path: Path, error: Exception) -> Problem:
    is_main = path.name == LABELS_TXT
    rule = (
        f"every part needs a readable {path.name}" if is_main else f"{path.name} must be readable"
    )
    return Problem(
        case_id=prefix_of(part),
        rule=f"{rule}: {error}",
        path=str(path),
        remedy=f"restore {'' if is_main else 'or remove '}the file, or leave the class out with"
        " data.classes",
    )


def check_lists(part: Path, lists: Sequence[ImageList], *, masks_needed: bool) -> list[Problem]:
    """Problems of the images of which two lists, or the first list and the files, disagree."""
    problems = _disagreements(part, lists) + _foreign_masks(part, lists[0])
    told = {p.case_id for p in problems}
    found = [p for images in lists for p in _repeated_rows(part, images)]
    found += _missing_files(part, lists[0], masks_needed=masks_needed)
    found += _unlisted_files(part, lists[0])
    return problems + [p for p in found if p.case_id not in told]


def _foreign_masks(part: Path, images: ImageList) -> list[Problem]:
    """A row that names the mask of another image would teach the wrong defect."""
    return [
        Problem(
            case_id=case_id_of(part, row.image),
            rule=f"a mask must be named after its image, {images.path.name} gives {row.image}"
            f" the mask {row.mask}",
            path=str(images.path),
            remedy="correct the row, or leave the case out with data.exclude",
        )
        for row in images.rows
        if row.mask and Path(row.mask).stem != f"{Path(row.image).stem}_label"
    ]


def _missing_files(part: Path, images: ImageList, *, masks_needed: bool) -> list[Problem]:
    name = images.path.name
    files = [("image", row, part / row.image) for row in images.rows]
    if masks_needed:
        files += [("mask", row, part / "Label" / row.mask) for row in images.rows if row.mask]
    remedies = {
        "image": "restore the file, remove the row, or leave the case out with data.exclude",
        "mask": "restore the file, take the image for prediction only with data.allow_unlabelled,"
        " or leave the case out with data.exclude",
    }
    return [
        Problem(
            case_id=case_id_of(part, row.image),
            rule=f"a row of {name} names {kind} {path.name}, which is missing",
            path=str(path),
            remedy=remedies[kind],
        )
        for kind, row, path in files
        if not path.is_file()
    ]


def _unlisted_files(part: Path, images: ImageList) -> list[Problem]:
    """Problems of images without a row, and of masks without a row that names them."""
    images_listed = {row.image for row in images.rows}
    masks_listed = {row.mask for row in images.rows}
    masks = pngs(part / "Label") if (part / "Label").is_dir() else []
    unlisted = [("image", p, p.stem) for p in pngs(part) if p.name not in images_listed]
    unlisted += [
        ("mask", p, p.stem.removesuffix("_label")) for p in masks if p.name not in masks_listed
    ]
    what = f"row in {images.path.name} that names it"
    remedy = "add or correct the row, remove the file, or leave the case out with data.exclude"
    if images.path.is_dir():
        what = "image that it belongs to"
        remedy = "restore the image, remove the mask, or leave the case out with data.exclude"
    return [
        Problem(
            case_id=case_id_of(part, stem),
            rule=f"{kind} {path.name} has no {what}",
            path=str(path),
            remedy=remedy,
        )
        for kind, path, stem in unlisted
    ]


def _repeated_rows(part: Path, images: ImageList) -> list[Problem]:
    counts = Counter(case_id_of(part, row.image) for row in images.rows)
    rule = f"every image needs one row in {images.path.name}, this one has"
    what = "rows of the image"
    if images.path.is_dir():
        rule = "every image needs a number of its own, images of this one:"
        what = "images of the number"
    return [
        Problem(
            case_id=case_id,
            rule=f"{rule} {count}",
            path=str(images.path),
            remedy=f"remove all {what} but one, or leave it out with data.exclude",
        )
        for case_id, count in counts.items()
        if count > 1
    ]


def _disagreements(part: Path, lists: Sequence[ImageList]) -> list[Problem]:
    """Problems of images of which two lists say different things."""
    if len(lists) < 2:
        return []
    first, second = (_masks_by_image(images.rows) for images in lists)
    names = [images.path.name for images in lists]
    return [
        Problem(
            case_id=case_id_of(part, image),
            rule=f"{' and '.join(names)} must agree on {image}, they have"
            f" {first.get(image, 'no row')} and {second.get(image, 'no row')}",
            path=str(lists[1].path),
            remedy="correct or remove the list that is wrong, or leave the case out with"
            " data.exclude",
        )
        for image in sorted(first | second)
        if first.get(image) != second.get(image)
    ]


def _masks_by_image(rows: Sequence[Row]) -> dict[str, str]:
    """Image -> its mask, or words that say that it has none."""
    return {row.image: f"mask {row.mask}" if row.mask else "no mask" for row in rows}
