"""Lists of the Medical Segmentation Decathlon's dataset.json: which files are which case.

"training" holds {"image": ..., "label": ...}, "test" the path of an image, or the same as training
where the labels are there. Paths start from the folder of the dataset.json.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from beam_preprocess.case import TEST, UNLABELLED, CaseFiles, Problem
from beam_preprocess.datasets import dataset_json
from beam_preprocess.datasets.dataset_json import NAME, Description
from beam_preprocess.datasets.listing import is_stray
from beam_preprocess.datasets.volumes import without_suffix

LISTS = {"training": "cv", "test": TEST}
"""Lists in dataset.json -> the split of their labelled cases."""
_COUNTS = {"training": "numTraining", "test": "numTest"}
_EXCLUDE = "or leave the case out with data.exclude"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry of a list: files of a case, and which list it is."""

    image: Path
    label: Path | None
    part: str

    @property
    def case_id(self) -> str:
        """The name of the image."""
        return without_suffix(self.image.name)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Image and label."""
        return (self.image,) if self.label is None else (self.image, self.label)


def read_entries(description: Description) -> tuple[list[Entry], list[Problem]]:
    """The entries of both lists, and a problem for each that names no image."""
    root = description.path.parent
    entries, problems = [], []
    for part in LISTS:
        for entry in description.content.get(part, []):
            values = {"image": entry} if isinstance(entry, str) else entry
            if not _is_entry(values):
                rule = f'every entry of "{part}" must name "image" and "label", got {entry!r}'
                remedy = f"correct or remove the entry in {NAME}"
                problems.append(dataset_json.problem(description.path, rule, remedy))
                continue
            label = values.get("label")
            entries.append(
                Entry(
                    image=root / values["image"], label=root / label if label else None, part=part
                )
            )
    return entries, problems


def _is_entry(values: object) -> bool:
    if not isinstance(values, dict) or not isinstance(values.get("image"), str):
        return False
    return bool(values["image"]) and isinstance(values.get("label") or "", str)


def check_counts(description: Description) -> Iterator[Problem]:
    """The lists must be as long as numTraining and numTest tell."""
    for part, key in _COUNTS.items():
        listed = len(description.content.get(part, []))
        yield from dataset_json.check_count(description, key, found=listed)


def check_files(entries: Sequence[Entry]) -> Iterator[Problem]:
    """Every file that is listed must be there."""
    for entry in entries:
        is_split = entry.image.with_name(f"{entry.case_id}_0000.nii.gz").is_file()
        hint = "; a file per channel is nnU-Net's format: data.dataset nnunet" if is_split else ""
        for path in entry.paths:
            if not path.is_file():
                yield Problem(
                    case_id=entry.case_id,
                    rule=f'"{entry.part}" of {NAME} lists {path.name}, which is missing',
                    path=str(path),
                    remedy="restore the file, or remove the entry and correct"
                    f" {_COUNTS[entry.part]}, {_EXCLUDE}{hint}",
                )


def check_repeated(entries: Sequence[Entry]) -> Iterator[Problem]:
    """No case must be listed twice, and no label for two cases."""
    counts = Counter(e.case_id for e in entries)
    labels = Counter(e.label for e in entries if e.label)
    for entry in entries:
        if counts[entry.case_id] > 1:
            rule = f"a case must be listed once, this one is listed {counts[entry.case_id]} times"
        elif entry.label and labels[entry.label] > 1:
            rule = f"a label must be that of one case, {entry.label.name} is listed for several"
        else:
            continue
        path = str(entry.label or entry.image)
        remedy = f"correct the entries in {NAME}, {_EXCLUDE}"
        yield Problem(case_id=entry.case_id, rule=rule, path=path, remedy=remedy)


def check_unlisted(root: Path, entries: Sequence[Entry]) -> Iterator[Problem]:
    """Every file of the folders must be listed."""
    listed = {path for entry in entries for path in entry.paths}
    for folder in (root / name for name in dataset_json.FOLDERS):
        for path in folder.iterdir() if folder.is_dir() else ():
            if path not in listed and not is_stray(path):
                yield Problem(
                    case_id=without_suffix(path.name),
                    rule=f"files of {folder.name} must be in a list of {NAME}, {path.name} is not",
                    path=str(path),
                    remedy=f"add the file to {NAME}, or remove it",
                )


def check_unlabelled(description: Description, entries: Sequence[Entry]) -> Iterator[Problem]:
    """Every training case must have a label."""
    for entry in entries:
        if entry.part == "training" and entry.label is None:
            yield Problem(
                case_id=entry.case_id,
                rule='every entry of "training" needs a label, this one has none',
                path=str(description.path),
                remedy='add "label", set data.allow_unlabelled to take the case for prediction'
                f" only, {_EXCLUDE}",
            )


def make_case(entry: Entry) -> CaseFiles:
    """The case of an entry; without a label it is for prediction only."""
    return CaseFiles(
        case_id=entry.case_id,
        group=entry.case_id,
        stratum="none",
        images=(entry.image,),
        label=entry.label,
        split=LISTS[entry.part] if entry.label else UNLABELLED,
    )
