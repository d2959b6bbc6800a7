"""Scores of an exported model on labelled cases: those of a run's records, or of raw files.

A case that cannot be read or scored is told at the end, and does not stop the others.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from beam_preprocess.case import (
    UNLABELLED,
    CaseFiles,
    DataError,
    Dataset,
    DatasetInfo,
    Problem,
    errors,
)
from beam_preprocess.case_table import apply_case_table, further_columns
from beam_preprocess.cohort_check import list_without_folds
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets import get_dataset
from beam_preprocess.examine import examine_case
from beam_preprocess.record_files import read_records
from beam_preprocess.records import RawRecord, decode_raw, encode_raw
from components.case_scoring import Columns, Scoring, score_record, write_case
from components.evaluation_files import write_cases, write_scores
from components.file_names import COHORT, read_json
from components.sizes import with_size_bin
from components.split_scoring import (
    cases_of,
    check_disjoint,
    groups_of,
    read_columns,
    split_files,
)
from trainer.metrics.case_scores import CaseScores
from trainer.metrics.cohort_scores import CohortScores, score_cohort
from trainer.model_folder import TRAINING_CASES

if TYPE_CHECKING:
    from trainer.serving import LoadedModel

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
      trained_on: Whether models of the run were trained on cases of the split: folds are.
      failures: Case id -> what is wrong with it, of cases that cannot even be listed.
    """

    info: DatasetInfo
    split: str
    groups: Mapping[str, str]
    columns: Mapping[str, Columns]
    sources: Iterable[Source]
    trained_on: bool
    failures: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What came out.

    Attributes:
      cases: Those that were scored.
      scores: Their sum; None without a case.
      failures: Case id -> why it has no scores.
    """

    cases: tuple[CaseScores, ...]
    scores: CohortScores | None
    failures: dict[str, str]


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
    failures = _listing_failures(cohort.problems)
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


def _listing_failures(problems: Iterable[Problem]) -> dict[str, str]:
    """What is wrong with cases that cannot even be listed: case id -> rules."""
    failures: dict[str, str] = {}
    for problem in errors(problems):
        before = failures.get(problem.case_id)
        failures[problem.case_id] = f"{before}; {problem.rule}" if before else problem.rule
    return failures


def _count(listed: Mapping[str, Sequence[CaseFiles]]) -> str:
    return ", ".join(f"{len(cases)} in {name}" for name, cases in listed.items()) or "none"


def _read(files: CaseFiles, dataset: Dataset) -> RawRecord:
    """Reads a case as CaseGen does. Raises DataError with all that is wrong with it."""
    examined = examine_case(files, dataset)
    if examined.case is None:
        raise DataError(errors(examined.problems))
    return decode_raw(encode_raw(examined.case, foreground=dataset.info.foreground))


def open_model(path: Path) -> "LoadedModel":
    """Loads an exported model. Raises ValueError where it is none of ours, or damaged."""
    from trainer.serving import LoadedModel

    return LoadedModel(path)


def check_model(model: "LoadedModel", cases: LabelledCases) -> str:
    """Checks that a model suits the cases, and was not trained on one of them.

    A model tells whom it was trained on by a file beside it. A pushed model has none: ids of
    patients do not go out with it.

    Returns:
      A sentence that says what is known of its training.

    Raises:
      ValueError: It is of another dataset, it was trained on a case or a patient, or the cases are
        a fold, which models of the run were trained on, and it does not tell.
    """
    _check_same_dataset(model.spec.dataset, cases.info)
    if told := _find_training_cases(model.path):
        trained = read_json(str(told), TRAINING_CASES)
        check_disjoint(
            cases.groups.keys(),
            {*cases.groups.values()},
            trained=trained,
            where=f"split {cases.split}",
            remedy="score it on other cases",
        )
        return "none of these cases or patients was in the training of the model"
    if cases.trained_on:
        raise ValueError(
            f"a model must tell that it was not trained on {cases.split}, as other models of the"
            f" run were; {str(model.path)!r} does not, which pushed models never do: score it on"
            " the split test or on other data, or take the model of the fold's Trainer or of"
            " `unet-tfx train`"
        )
    return (
        "the model does not tell which cases it was trained on, as no pushed model does: that none"
        " of these was among them could not be checked"
    )


def _find_training_cases(model: Path) -> Path | None:
    """The folder with the model's training cases: above it, or above its folder of versions."""
    places = (model.parent, model.parent.parent)
    return next((p for p in places if (p / TRAINING_CASES).is_file()), None)


def _check_same_dataset(ours: DatasetInfo, found: DatasetInfo) -> None:
    known = _in_values_of(ours, found)
    for name in ("rank", "channels", "label_values", "label_names", "regions", "task"):
        expected, value = getattr(ours, name), getattr(known, name)
        if expected != value:
            raise ValueError(
                f"the cases must be of the dataset of the model, whose {name} is {expected!r}, got"
                f" {value!r}"
            )


def _in_values_of(ours: DatasetInfo, found: DatasetInfo) -> DatasetInfo:
    """`found` with the label values that they stand for in `ours`: BraTS has two for one label."""

    def meant(value: int) -> int:
        return ours.label_aliases.get(value, value)

    return replace(
        found,
        label_values=tuple(map(meant, found.label_values)),
        label_names={meant(v): name for v, name in found.label_names.items()},
        regions={name: tuple(map(meant, values)) for name, values in found.regions.items()},
    )


def evaluate(
    model: "LoadedModel", cases: LabelledCases, scoring: Scoring, output: Path
) -> Evaluated:
    """Scores the cases and writes what the Evaluator writes: scores, label maps, pictures.

    Args:
      model: Checked by `check_model`.
      cases: What is scored.
      scoring: How.
      output: Folder for the files.
    """
    scored: list[CaseScores] = []
    failures = dict(cases.failures)
    for case_id, read in cases.sources:
        try:
            record = read()
            own = cases.columns.get(case_id)
            scores, prediction = score_record(model, record, scoring, columns=own)
            write_case(record, prediction, scoring.info, output)
        except Exception as e:  # whatever it is, it must not cost the other cases
            failures[case_id] = _words(e)
            continue
        scored.append(with_size_bin(scores, scoring.config, rank=scoring.info.rank))
    missing = {*cases.groups} - {c.case_id for c in scored} - {*failures}
    failures |= dict.fromkeys(sorted(missing), "there is no record of it")
    if not scored:
        return Evaluated(cases=(), scores=None, failures=failures)
    thresholds = [model.spec.inference.threshold]
    summed = score_cohort([scored], scoring.config.statistics, thresholds=thresholds)
    write_cases(scored, output)
    write_scores(output, cases.split, scored, summed)
    return Evaluated(cases=tuple(scored), scores=summed, failures=failures)


def _words(error: Exception) -> str:
    if isinstance(error, DataError):
        return "; ".join(p.rule for p in error.problems)
    first = next(iter(str(error).splitlines()), "")
    return first or type(error).__name__
