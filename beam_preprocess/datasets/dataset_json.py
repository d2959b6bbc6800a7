"""dataset.json, which nnU-Net and the Medical Segmentation Decathlon share: read and checked.

Two versions of it are about. The older one (Decathlon, nnU-Net 1) has `modality`, and `labels` from
value to name: {"0": "background", "1": "liver"}. The newer one (nnU-Net 2) has `channel_names`, and
`labels` from name to value, or to several values for a region: {"background": 0, "whole": [1, 2]}.
Each key is understood in either form, as many files mix them.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beam_preprocess.case import DataError, DatasetInfo, Limits, Problem
from beam_preprocess.datasets.listing import stray_paths, subfolders
from beam_preprocess.datasets.volumes import SUFFIXES

NAME = "dataset.json"
FOLDERS = ("imagesTr", "labelsTr", "imagesTs", "labelsTs")
BACKGROUND = "background"
_WHOLE_GRID = {"ct", "nonorm", "rescale_to_0_1", "rescale_0_1", "rgb_to_0_1"}
"""Channel names, in lower case, of which nnU-Net normalises all voxels, and 0 is a value as others.
"""
_LIMITS = {
    2: Limits(
        spacing_mm=(1.0, 1.0), size=(16, 16384), foreground=(0.001, 1.0), intensity=(-1e6, 1e6)
    ),
    3: Limits(
        spacing_mm=(0.05, 20.0), size=(1, 4096), foreground=(0.001, 1.0), intensity=(-1e6, 1e6)
    ),
}


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a dataset.json says, checked.

    Attributes:
      path: The file.
      channels: Channel names as they are written, in channel order.
      labels: Name -> its label values, several for a region; the background among them.
      content: All that is in the file.
    """

    path: Path
    channels: tuple[str, ...]
    labels: dict[str, tuple[int, ...]]
    content: dict[str, Any]


def load(root: Path) -> dict[str, Any]:
    """The content of `root`'s dataset.json.

    Raises:
      DataError: There is none, or it is no JSON object, or an object in it has a key twice.
    """
    path = root / NAME
    if not path.is_file():
        raise DataError([_missing(root)])
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(text, object_pairs_hook=_object)
    except (OSError, ValueError, RecursionError) as e:
        rule, remedy = f"{NAME} must be readable JSON: {e}", "correct or restore the file"
        raise DataError([problem(path, rule, remedy)]) from e
    if not isinstance(content, dict):
        rule = f"{NAME} must hold a JSON object, it holds a {type(content).__name__}"
        raise DataError([problem(path, rule, "correct or restore the file")])
    return content


def _missing(root: Path) -> Problem:
    rule = f"data.root must be a folder that holds {NAME}, and it holds none"
    inner = [f.name for f in subfolders(root) if (f / NAME).is_file()] if root.is_dir() else []
    where = f", such as {inner[0]} in it" if inner else ""
    return problem(root / NAME, rule, f"set data.root to the folder of one dataset{where}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; of two equal keys Python's parser would drop the first without a word."""
    repeated = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if repeated:
        raise ValueError(f"an object has the key {repeated[0]!r} more than once")
    return dict(pairs)


def problem(path: Path, rule: str, remedy: str) -> Problem:
    """A problem of a dataset.json, or of the dataset as a whole."""
    return Problem(case_id=path.absolute().parent.name, rule=rule, path=str(path), remedy=remedy)


def check_content(path: Path, content: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with channels and labels of a loaded dataset.json."""
    problems = []
    try:
        parse_channels(content)
    except ValueError as e:
        remedy = f'number the channels from 0, as in {{"0": "T2", "1": "ADC"}}, in {NAME}'
        problems.append(problem(path, str(e), remedy))
    try:
        labels = parse_labels(content.get("labels"))
    except ValueError as e:
        remedy = f'write labels as in {{"{BACKGROUND}": 0, "liver": 1}}, in {NAME}'
        return [*problems, problem(path, str(e), remedy)]
    return problems + [problem(path, *rule) for rule in _label_rules(labels)]


def parse_channels(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Channel names in channel order.

    >>> parse_channels({"modality": {"1": "ADC", "0": "T2"}})
    ('T2', 'ADC')

    Raises:
      ValueError: There are no channels, or they are not numbered 0, 1, ...
    """
    key = "channel_names" if "channel_names" in content else "modality"
    names = content.get(key)
    if not isinstance(names, dict) or not names:
        raise ValueError(
            f"channel_names (or modality) must map channel numbers to names, got {names!r}"
        )
    try:
        by_number = {int(number): str(name) for number, name in names.items()}
    except ValueError:
        by_number = {}
    if sorted(by_number) != list(range(len(names))):
        raise ValueError(
            f"the channels of {key} must be numbered 0 to {len(names) - 1}, got {list(names)}"
        )
    return tuple(by_number[number] for number in range(len(names)))


def parse_labels(labels: object) -> dict[str, tuple[int, ...]]:
    """Label name -> its values, in the order of the file.

    >>> parse_labels({"0": "background", "1": "liver"})
    {'background': (0,), 'liver': (1,)}
    >>> parse_labels({"background": 0, "whole": [2, 1], "core": [2]})
    {'background': (0,), 'whole': (1, 2), 'core': (2,)}

    Raises:
      ValueError: No label is named, one has no value between 0 and 255, or two have one name.
    """
    if not isinstance(labels, dict) or not labels:
        raise ValueError(f"labels must map label names to values, got {labels!r}")
    if all(str(k).isdecimal() and isinstance(v, str) for k, v in labels.items()):
        names = Counter(labels.values())
        if repeated := [name for name, count in names.items() if count > 1]:
            raise ValueError(f"a label name must have one value, {repeated[0]!r} has several")
        labels = {name: value for value, name in labels.items()}
    return {name: _values(name, value) for name, value in labels.items()}


def _values(name: str, value: object) -> tuple[int, ...]:
    """The values of a label, rising; text is understood, as nnU-Net does."""
    parts: list[Any] = value if isinstance(value, list) else [value]
    numbers = [int(p) if isinstance(p, str) and p.isdecimal() else p for p in parts]
    if not numbers or not all(type(n) is int and 0 <= n <= 255 for n in numbers):
        raise ValueError(
            f"a label must be a number from 0 to 255 or a list of them, {name!r} is {value!r}"
        )
    return tuple(sorted(set(numbers)))


def _label_rules(labels: Mapping[str, tuple[int, ...]]) -> list[tuple[str, str]]:
    """(rule, remedy) of all that is wrong with parsed labels."""
    rules = []
    zero = {n: v for n, v in labels.items() if 0 in v or n.lower() == BACKGROUND}
    if [(n.lower(), v) for n, v in zero.items()] != [(BACKGROUND, (0,))]:
        told = {n: v[0] if len(v) == 1 else list(v) for n, v in zero.items()}
        rule = f'labels must have "{BACKGROUND}" with value 0 and no other name for 0, got {told}'
        rules.append((rule, f'give 0 to "{BACKGROUND}" alone, in {NAME} and in the label files'))
    if "ignore" in labels:
        rule = f'the label "ignore" (value {labels["ignore"][0]}) is not supported'
        remedy = (
            "label those voxels as what they are in the label files, or as background, and remove"
            f' "ignore" from {NAME}; or leave the cases that have it out of the folder'
        )
        rules.append((rule, remedy))
    single = Counter(v for v in labels.values() if len(v) == 1)
    for (value,) in (v for v, count in single.items() if count > 1 and v != (0,)):
        names = [n for n, v in labels.items() if v == (value,)]
        rule = f"a label value must have one name, {value} has {names}"
        rules.append((rule, f"remove all but one of the names from {NAME}"))
    if len(labels) == len(zero) == 1:
        rule = f'labels must have a label beside "{BACKGROUND}", got {list(labels)}'
        rules.append((rule, f"add the labels of the label files to {NAME}"))
    return rules


def describe(root: Path, content: dict[str, Any]) -> Description:
    """The description of a content that `check_content` found nothing wrong with."""
    return Description(
        path=root / NAME,
        channels=parse_channels(content),
        labels=parse_labels(content["labels"]),
        content=content,
    )


def dataset_info(description: Description, *, name: str, rank: int) -> DatasetInfo:
    """What the cases of a described dataset share.

    Labels of several values are regions; label values without a name of their own are called
    `label_1`, `label_2`, ... 0 means "no tissue" in volumes unless a channel is named as one that
    is not so, such as CT.
    """
    labels = {n: v for n, v in description.labels.items() if v != (0,)}
    values = sorted({value for group in labels.values() for value in group})
    names = {v[0]: n for n, v in labels.items() if len(v) == 1}
    whole = rank == 2 or any(c.lower() in _WHOLE_GRID for c in description.channels)
    return DatasetInfo(
        name=name,
        rank=rank,
        channels=feature_names(description.channels),
        label_values=(0, *values),
        label_names={v: names.get(v, f"label_{v}") for v in values},
        regions={n: v for n, v in labels.items() if len(v) > 1},
        foreground="all" if whole else "nonzero",
        serving_dtypes=("float32", "int16") if rank == 3 else ("float32", "uint8"),
        label_suffixes=SUFFIXES if rank == 3 else (".png",),
        task="regions",
        limits=_LIMITS[rank],
    )


def feature_names(channels: Sequence[str]) -> tuple[str, ...]:
    """Channel names as names of features: unique, of lower-case letters, digits and underscores.

    >>> feature_names(["T1w", "T2-FLAIR", "CT", "CT"])
    ('t1w', 't2_flair', 'ct', 'ct_2')
    """
    names: list[str] = []
    for channel in channels:
        base = re.sub(r"[^a-z0-9]+", "_", channel.lower()).strip("_") or "channel"
        copies = (f"{base}_{number}" for number in range(2, len(channels) + 2))
        names.append(base if base not in names else next(c for c in copies if c not in names))
    return tuple(names)


def check_count(description: Description, key: str, *, found: int) -> list[Problem]:
    """The number of cases that `key` (numTraining, numTest) tells must be there."""
    told = description.content.get(key)
    if told in (None, found, str(found)):
        return []
    rule = f"{key} must be the number of cases, {NAME} says {told} and there are {found}"
    remedy = f"correct {key} in {NAME}, or restore the files that are missing"
    return [problem(description.path, rule, remedy)]


def ignored_paths(root: Path) -> tuple[Path, ...]:
    """What is no part of the dataset: all else that lies in the root, and stray files."""
    folders = [root / name for name in FOLDERS if (root / name).is_dir()]
    others = [p for p in root.iterdir() if p.name not in (NAME, *FOLDERS)]
    return tuple(sorted([*others, *stray_paths(folders)]))
