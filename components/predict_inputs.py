"""The cases of a folder or of a list, for prediction: what each is called and how it is read."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from glob import escape
from pathlib import Path

from beam_preprocess.case import UNLABELLED, Case, CaseFiles, Dataset, Problem, errors
from beam_preprocess.datasets.brats import find_modalities
from beam_preprocess.datasets.listing import is_stray

LIST_SUFFIX = ".txt"
_FLAT = ("nnunet", "decathlon", "dagm", "isbi2012", "severstal", "folders")
"""Datasets whose cases are files: they may also lie in a folder without the layout around it."""
_ENDINGS = {
    2: (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"),
    3: (".nii.gz", ".nii"),
}
"""Rank -> endings of the images in such a folder."""
_CHANNEL = re.compile(r"_[0-9]{4}$")


@dataclass(frozen=True, kw_only=True)
class PredictionInput:
    """A case to segment.

    Attributes:
      name: Of its results, without their ending.
      source: Where it is, in words: equal for equal inputs alone, of a folder or of a list.
      files: What it is read from.
      read: Reads it. Raises ValueError where it cannot be read.
    """

    name: str
    source: str
    files: tuple[Path, ...]
    read: Callable[[], Case]


@dataclass(frozen=True, kw_only=True)
class PredictionInputs:
    """The cases that were found, by name, and what is wrong with others."""

    cases: tuple[PredictionInput, ...]
    problems: tuple[Problem, ...] = ()


def find_inputs(dataset: Dataset, source: Path) -> PredictionInputs:
    """Finds the cases of a folder or of a list.

    A folder has the layout of the dataset, or is one of single images: photographs, volumes, or
    nnU-Net's CASE_0000 and so on, such as its imagesTs. A list is a text file with a path per line,
    as `--input` takes them for one case; relative ones start from the current folder.

    Args:
      dataset: Reader of the model's dataset that takes cases without a label.
      source: The folder or the list.

    Raises:
      ValueError: There are no cases, or two of them have one name.
    """
    found = _in_folder(dataset, source) if source.is_dir() else _in_list(dataset, source)
    _require_different_names(found.cases)
    return found


def read_image(dataset: Dataset, path: Path) -> Case:
    """Reads one case by its path. Raises ValueError where it is missing or cannot be read."""
    require_input(path)
    return dataset.read_image(path)


def require_input(path: Path) -> None:
    """Raises ValueError where there is nothing of that name."""
    nnunet = path.parent.glob(f"{escape(path.name)}*")  # its CASE is no file
    if not path.exists() and not any(nnunet):
        raise ValueError(f"input must exist, got {str(path)!r}")


def _in_folder(dataset: Dataset, folder: Path) -> PredictionInputs:
    listing = dataset.list_cases(folder)
    if listing.cases:
        cases = tuple(_listed(dataset, files) for files in listing.cases)
        return PredictionInputs(cases=cases, problems=tuple(errors(listing.problems)))
    if flat := _flat(dataset, folder):
        return PredictionInputs(cases=flat)
    reasons = "".join(f"\n  {p.rule} ({p.path})" for p in listing.problems[:3])
    raise ValueError(
        f"input must hold cases of dataset {dataset.info.name!r}, none can be read in"
        f" {str(folder)!r} (to predict one case, output must end in"
        f" {' or '.join(dataset.info.label_suffixes)}){reasons}"
    )


def _listed(dataset: Dataset, files: CaseFiles) -> PredictionInput:
    """A case of a listing. Its label is not read: what is wrong with it is of no matter here."""
    unlabelled = replace(files, label=None, split=UNLABELLED)
    source = _source(files.case_id, files.images)
    return PredictionInput(
        name=files.case_id,
        source=f"{source}#{files.index}" if files.index else source,
        files=files.images,
        read=partial(dataset.read_case, unlabelled),
    )


def _flat(dataset: Dataset, folder: Path) -> tuple[PredictionInput, ...]:
    """The single images of a folder; none of datasets whose cases are folders, or unknown here."""
    info = dataset.info
    if info.name not in _FLAT:
        return ()
    paths = [p for p in sorted(folder.iterdir()) if p.is_file() and not is_stray(p)]
    paths = [p for p in paths if p.name.lower().endswith(_ENDINGS[info.rank])]
    if info.name == "nnunet":  # of the files of a case, the first stands for all
        paths = list({_name(p, dataset): p for p in reversed(paths)}.values())[::-1]
    return tuple(_single(dataset, path) for path in paths)


def _in_list(dataset: Dataset, file: Path) -> PredictionInputs:
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as e:
        raise ValueError(f"a list of cases must be text in UTF-8, {str(file)!r} is not") from e
    paths = [Path(line) for line in lines if line and not line.startswith("#")]
    if not paths:
        raise ValueError(f"a list of cases must name one per line, {str(file)!r} names none")
    return PredictionInputs(cases=tuple(_single(dataset, path) for path in paths))


def _single(dataset: Dataset, path: Path) -> PredictionInput:
    name = _name(path, dataset)
    files = tuple(_files_of(path, name, dataset))
    return PredictionInput(
        name=name,
        source=_source(name, files or (path,)),
        files=files,
        read=partial(read_image, dataset, path),
    )


def _source(name: str, files: Sequence[Path]) -> str:
    """The file of a case; of several files their folder, and the case's name where it differs."""
    first = files[0].resolve()
    if len(files) == 1:
        return str(first)
    return str(first.parent if first.parent.name == name else first.parent / name)


def _name(path: Path, dataset: Dataset) -> str:
    """The name of a folder, or of a file without its ending (of nnU-Net without its channel)."""
    name = path.resolve().name
    for ending in _ENDINGS[dataset.info.rank]:
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
            break
    return _CHANNEL.sub("", name) if dataset.info.name == "nnunet" else name


def _files_of(path: Path, name: str, dataset: Dataset) -> Sequence[Path]:
    """The modalities of BraTS, or all channels of a case of nnU-Net, or the files there are."""
    if path.is_dir() and dataset.info.name == "brats":
        return find_modalities(path.resolve())[0]
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.is_file())
    if dataset.info.name == "nnunet":
        return sorted(path.parent.glob(f"{escape(name)}_[0-9][0-9][0-9][0-9].*"))
    return [path]


def _require_different_names(cases: Iterable[PredictionInput]) -> None:
    known: dict[str, str] = {}
    for case in cases:
        if case.name in known:
            raise ValueError(
                f"cases must have different names, as their results are named after them,"
                f" {case.name!r} are {known[case.name]!r} and {case.source!r}: rename one, or"
                " predict them into two folders"
            )
        known[case.name] = case.source
