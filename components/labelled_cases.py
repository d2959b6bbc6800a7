"""Labelled cases to score a model on: those of a run's records, or of raw files."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from beam_preprocess.case import (
    UNLABELLED,
    CaseFiles,
    DataError,
    Dataset,
    DatasetInfo,
    errors,
)
from beam_preprocess.case_table import apply_case_table, further_columns
from beam_preprocess.cohort_check import list_without_folds
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets import get_dataset
from beam_preprocess.examine import examine_case
from beam_preprocess.record_files import read_records
from beam_preprocess.records import RawRecord, decode_raw, encode_raw
from components.bad_cases import bad_cases
from components.case_scoring import Columns
from components.file_names import COHORT, read_json
from components.split_scoring import (
    cases_of,
    contents_of,
    groups_of,
    read_columns,
    split_files,
)

Source = tuple[str, Callable[[], RawRecord]]
"""Id of a case, and a function that reads it."""


@dataclass(frozen=True, kw_only=True)
class LabelledCases:
    """Cases to score a model on.

    Attributes:
      info: The dataset.
      split: Name of their split.
      groups: Case id -> patient (group).
      columns: Case id -> what the case table says of it.
      sources: One per case.
      content_of: Case id -> hash of its image, which may have to be read; empty where it is not
        known, None where the image cannot be read.
      trained_on: Whether models of the run were trained on cases of the split: folds are.
      failures: Case id -> what is wrong with it, of cases that cannot even be listed.
    """

    info: DatasetInfo
    split: str
    groups: Mapping[str, str]
    columns: Mapping[str, Columns]
    sources: Iterable[Source]
    content_of: Callable[[str], str | None]
    trained_on: bool
    failures: Mapping[str, str]


def cases_of_run(examples: Path, info: DatasetInfo, split: str) -> LabelledCases:
    """The cases of a split of a run; without a name those of `test`.

    Args:
      examples: CaseGen's artifact.
      info: The dataset.
      split: `fold-0` ... or `test`; empty for `test`.

    Raises:
      ValueError: There is no such split, or its cases have no labels.
    """
    known = [s for s in read_json(str(examples), COHORT)["splits"] if s != UNLABELLED]
    if (name := split or "test") not in known:
        raise ValueError(f"--split must be one of {', '.join(known)}, got {name!r}")
    group_of = groups_of(examples)
    return LabelledCases(
        info=info,
        split=name,
        groups={case_id: group_of[case_id] for case_id in cases_of(examples, name)},
        columns=read_columns(examples),
        sources=_sources_of_run(examples, name),
        content_of=contents_of(examples).get,
        trained_on=name.startswith("fold-"),
        failures={},
    )


def cases_of_folder(config: DataConfig, split: str) -> LabelledCases:
    """The labelled cases of a folder in the layout of a dataset.

    Args:
      config: Where they are, and what the layout does not tell.
      split: `cv` or `test`, as the layout has it; empty for all.

    Raises:
      DataError: The files under `config.root` do not tell what is in them, no case can be listed,
        or the case table is wrong.
      ValueError: There is no labelled case, or none in the split.
    """
    config = replace(config, allow_unlabelled=True)
    dataset = get_dataset(config)
    cohort = list_without_folds(dataset, config)
    listed = {name: list(c) for name, c in cohort.splits.items() if name != UNLABELLED}
    chosen = [c for name, cases in listed.items() if split in ("", name) for c in cases]
    failures = bad_cases(errors(cohort.problems))
    if not chosen and failures:
        raise DataError(errors(cohort.problems))
    if not chosen:
        words = f"split {split!r} must have" if split else "there must be"
        raise ValueError(f"{words} labelled cases in {config.root}, found {_count(listed)}")
    known = {c.case_id for cases in cohort.splits.values() for c in cases}
    known |= {*cohort.excluded, *failures}
    cases, problems = apply_case_table(chosen, config.case_table, known=known)
    if problems:
        raise DataError(problems)
    return LabelledCases(
        info=dataset.info,
        split=split or "all",
        groups={c.case_id: c.group for c in cases},
        columns=further_columns(config.case_table, cases),
        sources=[(c.case_id, partial(_read, c, dataset)) for c in cases],
        content_of=partial(_content, {c.case_id: c for c in cases}, dataset),
        trained_on=False,
        failures=failures,
    )


def _sources_of_run(examples: Path, split: str) -> Iterator[Source]:
    """The cases of all record files; of a damaged file those before the damage, and an error."""
    for file in split_files(examples, split):
        try:
            for serialized in read_records(file):
                record = decode_raw(serialized)
                yield record.case_id, partial(_same, record)
        except ValueError as e:
            yield file.name, partial(_fail, e)


def _same(record: RawRecord) -> RawRecord:
    return record


def _fail(error: Exception) -> RawRecord:
    raise error


def _count(listed: Mapping[str, Sequence[CaseFiles]]) -> str:
    return ", ".join(f"{len(cases)} in {name}" for name, cases in listed.items()) or "none"


def _read(files: CaseFiles, dataset: Dataset) -> RawRecord:
    """Reads a case as CaseGen does. Raises DataError with all that is wrong with it."""
    examined = examine_case(files, dataset)
    if examined.case is None:
        raise DataError(errors(examined.problems))
    return decode_raw(encode_raw(examined.case, foreground=dataset.info.foreground))


def _content(files: Mapping[str, CaseFiles], dataset: Dataset, case_id: str) -> str | None:
    statistics = examine_case(files[case_id], dataset).statistics
    return None if statistics is None else str(statistics["content"])
