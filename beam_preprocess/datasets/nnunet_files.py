"""Files of a dataset in nnU-Net's raw format: which belong to which case, and what is missing.

Images are named `CASE_0000.nii.gz` by case and channel, labels `CASE.nii.gz`. Instead of imagesTr
and labelsTr, "dataset" in dataset.json may name the files of every training case.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from beam_preprocess.case import UNLABELLED, CaseFiles, DatasetInfo, Problem
from beam_preprocess.datasets.dataset_json import NAME, Description
from beam_preprocess.datasets.listing import is_stray, some

RANKS = {".nii.gz": 3, ".nii": 3, ".png": 2, ".bmp": 2, ".tif": 2, ".tiff": 2}
"""File ending -> spatial dimensions."""
_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>[0-9]{4})")
_EXCLUDE = "or leave the case out with data.exclude"


@dataclass(frozen=True, kw_only=True)
class Part:
    """Files of the training or of the test part.

    Attributes:
      images: Case id -> channel number -> path.
      labels: Case id -> path.
      problems: What is wrong with names of files, or with the entries that list them.
    """

    images: dict[str, dict[int, Path]]
    labels: dict[str, Path]
    problems: list[Problem]


def scan(root: Path, part: str, *, ending: str) -> Part:
    """Finds the files of `part`, Tr or Ts, by their names in the folders images and labels."""
    found = Part(images={}, labels={}, problems=[])
    for path in _files(root / f"images{part}"):
        match = _CHANNEL.fullmatch(path.name.removesuffix(ending))
        if match and path.name.endswith(ending):
            found.images.setdefault(match["case"], {})[int(match["channel"])] = path
        else:
            found.problems.append(_misnamed(path, f"CASE_0000{ending}", ending=ending))
    for path in _files(root / f"labels{part}"):
        if path.name.endswith(ending):
            found.labels[path.name.removesuffix(ending)] = path
        else:
            found.problems.append(_misnamed(path, f"CASE{ending}", ending=ending))
    return found


def _files(folder: Path) -> list[Path]:
    """What lies in a folder, sorted, stray files left out; a link to nowhere counts as a file."""
    return sorted(p for p in folder.iterdir() if not is_stray(p)) if folder.is_dir() else []


def _misnamed(path: Path, pattern: str, *, ending: str) -> Problem:
    lacks_number = path.name.endswith(ending) and RANKS[ending] == 3
    hint = "; images with all channels in one file have data.dataset decathlon"
    return Problem(
        case_id=path.name.removesuffix(ending),
        rule=f"files of {path.parent.name} must be named as {pattern}, found {path.name}",
        path=str(path),
        remedy=f"rename or remove the file{hint if lacks_number else ''}",
    )


def read_entries(description: Description, info: DatasetInfo) -> Part:
    """The files that "dataset" names; their paths start from the folder of the dataset.json."""
    found = Part(images={}, labels={}, problems=[])
    folder = description.path.parent
    for case_id, entry in sorted(description.content["dataset"].items()):
        if not _is_entry(entry, info):
            found.problems.append(_malformed(description, case_id, entry=entry, info=info))
            continue
        found.images[case_id] = {n: folder / path for n, path in enumerate(entry["images"])}
        paths = list(found.images[case_id].values())
        if entry.get("label"):
            found.labels[case_id] = folder / entry["label"]
            paths.append(found.labels[case_id])
        found.problems.extend(_lost(case_id, path) for path in paths if not path.is_file())
    return found


def _is_entry(entry: object, info: DatasetInfo) -> bool:
    if not isinstance(entry, dict) or not isinstance(images := entry.get("images"), list):
        return False
    is_text = all(isinstance(p, str) for p in (*images, entry.get("label") or ""))
    return is_text and not any(channel_faults(range(len(images)), info))


def _malformed(
    description: Description, case_id: str, *, entry: object, info: DatasetInfo
) -> Problem:
    rule = (
        f'"dataset" must give every case "images", a path for each of {len(info.channels)} channels'
        f' ({", ".join(info.channels)}), and the path "label", got {entry!r}'
    )
    return Problem(
        case_id=case_id,
        rule=rule,
        path=str(description.path),
        remedy=f"correct the entry in {NAME}, {_EXCLUDE}",
    )


def _lost(case_id: str, path: Path) -> Problem:
    return Problem(
        case_id=case_id,
        rule=f'"dataset" of {NAME} names {path.name}, which is missing',
        path=str(path),
        remedy=f"restore the file or correct its path in {NAME}, {_EXCLUDE}",
    )


def channel_faults(numbers: Collection[int], info: DatasetInfo) -> tuple[list[int], list[int]]:
    """Channel numbers that are missing, and those that are too many.

    A photograph may have all of its channels in one file.
    """
    if info.rank == 2 and set(numbers) == {0}:
        return [], []
    wanted = range(len(info.channels))
    return [n for n in wanted if n not in numbers], sorted(set(numbers) - set(wanted))


def check_part(found: Part, part: str, *, info: DatasetInfo) -> Iterator[Problem]:
    """Every case needs its channels and no others, every label needs images."""
    yield from found.problems
    for case_id, images in found.images.items():
        yield from _check_channels(case_id, images, info=info)
    for case_id in found.labels.keys() - found.images.keys():
        path = found.labels[case_id]
        yield Problem(
            case_id=case_id,
            rule=f"every label needs images, those of {path.name} are not in images{part}",
            path=str(path),
            remedy="add the images, or rename or remove the label",
        )


def _check_channels(
    case_id: str, images: dict[int, Path], *, info: DatasetInfo
) -> Iterator[Problem]:
    missing, surplus = channel_faults(images, info)
    number, path = next(iter(images.items()))
    for n in missing:
        name = path.name.replace(f"{case_id}_{number:04d}", f"{case_id}_{n:04d}", 1)
        yield Problem(
            case_id=case_id,
            rule=f"every case needs a file of channel {n} ({info.channels[n]}), {name} is missing",
            path=str(path.with_name(name)),
            remedy=f"add the file, {_EXCLUDE}",
        )
    for n in surplus:
        count = len(info.channels)
        yield Problem(
            case_id=case_id,
            rule=f"{NAME} names {count} channels, {images[n].name} is one more",
            path=str(images[n]),
            remedy=f"correct channel_names in {NAME}, or remove the file",
        )


def check_unlabelled(train: Part, root: Path, *, ending: str) -> Iterator[Problem]:
    """Every training case needs a label."""
    for case_id in train.images.keys() - train.labels.keys():
        yield Problem(
            case_id=case_id,
            rule="every training case needs a label, this one has none",
            path=str(root / "labelsTr" / f"{case_id}{ending}"),
            remedy="add the label, set data.allow_unlabelled to take the case for prediction only,"
            f" {_EXCLUDE}",
        )


def check_overlap(train: Part, test: Part) -> Iterator[Problem]:
    """A case that is trained on must not be a test case."""
    for case_id in train.images.keys() & test.images.keys():
        yield Problem(
            case_id=case_id,
            rule="a case must be in imagesTr or in imagesTs, this one is in both",
            path=str(min(test.images[case_id].values())),
            remedy="remove or rename the case in one of the two",
        )


def make_cases(found: Part, split: str, *, unusable: Collection[str]) -> Iterator[CaseFiles]:
    """The cases of a part that have no problem; those without a label get a split of their own."""
    for case_id in found.images.keys() - set(unusable):
        images = found.images[case_id]
        label = found.labels.get(case_id)
        yield CaseFiles(
            case_id=case_id,
            group=case_id,
            stratum="none",
            images=tuple(images[n] for n in sorted(images)),
            label=label,
            split=split if label else UNLABELLED,
        )


def find_channels(path: Path, info: DatasetInfo) -> tuple[str, tuple[Path, ...]]:
    """Case id and files of the case that `path` belongs to: any channel's file, or .../CASE.

    Raises:
      ValueError: There are no files, files of two endings, or channels missing or too many.
    """
    endings = [e for e, rank in RANKS.items() if rank == info.rank]
    ending = next((e for e in endings if path.name.endswith(e)), "")
    match = _CHANNEL.fullmatch(path.name.removesuffix(ending)) if ending else None
    case_id = match["case"] if match else path.name
    found = {
        e: _siblings(path, case_id, ending=e, info=info) for e in ([ending] if match else endings)
    }
    found = {e: images for e, images in found.items() if images}
    if len(found) != 1:
        what = f"has files of {' and '.join(found)}" if found else "has no files"
        raise ValueError(
            f"input must be the file of any channel of a case, such as CASE_0000{endings[0]}, or"
            f" its path without that ending, and {str(path)!r} {what}: name one of the files"
        )
    ((ending, images),) = found.items()
    missing, surplus = channel_faults(images, info)
    for verb, numbers, remedy in (
        ("lacks", missing, "add the files"),
        ("has also", surplus, "predict with a model of these channels, or remove the files"),
    ):
        if numbers:
            names = some(f"{case_id}_{n:04d}{ending}" for n in numbers)
            raise ValueError(
                f"a case must have the channels {', '.join(info.channels)}, {str(path)!r} {verb}"
                f" {names}: {remedy}"
            )
    return case_id, tuple(images[n] for n in sorted(images))


def _siblings(path: Path, case_id: str, *, ending: str, info: DatasetInfo) -> dict[int, Path]:
    """Files of the channels of a case, and of one channel more, where there is one."""
    numbers = range(len(info.channels) + 1)
    paths = {n: path.with_name(f"{case_id}_{n:04d}{ending}") for n in numbers}
    return {n: p for n, p in paths.items() if p.is_file()}
