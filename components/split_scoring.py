"""Scores of the cases of a split with one model, and whether the model may be scored on them."""

import logging
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from beam_preprocess.record_files import read_records
from beam_preprocess.records import RawRecord, decode_raw
from components.case_scoring import Columns, Scoring, score_record, write_case
from components.evaluation_files import check_counts
from components.file_names import COHORT, COHORT_STATISTICS, read_json
from components.model import Model
from components.sizes import with_size_bin
from trainer.metrics.case_scores import CaseScores
from trainer.model_folder import TRAINING_CASES

_log = logging.getLogger(__name__)


def score_split(
    examples: Path, split: str, *, model: Model, scoring: Scoring, output: Path | None = None
) -> list[CaseScores]:
    """Scores every case of a split, one after the other.

    Whether the model was trained on some of them is not looked at: see `check_unseen`.

    Args:
      examples: CaseGen's artifact.
      split: `fold-0` ..., or `test`.
      model: A `trainer.serving.LoadedModel`.
      scoring: How.
      output: Folder for label maps and pictures; None for none.

    Raises:
      ValueError: There is no such split.
      RuntimeError: A case is missing.
    """
    expected = cases_of(examples, split)
    columns = read_columns(examples)
    scored: list[CaseScores] = []
    for number, record in enumerate(split_records(examples, split), 1):
        own = columns.get(record.case_id)
        scores, prediction = score_record(model, record, scoring, columns=own)
        if output is not None:
            write_case(record, prediction, scoring.info, output)
        scored.append(with_size_bin(scores, scoring.config, rank=scoring.info.rank))
        _log.info("%s: scored %s, %d of %d", split, record.case_id, number, len(expected))
    check_counts(expected, scored)
    return scored


def cases_of(examples: Path, split: str) -> list[str]:
    """Ids of the cases of a split. Raises ValueError where there is no such split."""
    splits = read_json(str(examples), COHORT)["splits"]
    if split not in splits:
        raise ValueError(f"split must be one of {', '.join(splits)}, got {split!r}")
    return list(splits[split])


def split_files(examples: Path, split: str) -> list[Path]:
    """The record files of a split."""
    return sorted((examples / f"Split-{split}").glob("*.gz"))


def split_records(examples: Path, split: str) -> Iterator[RawRecord]:
    """Yields the raw records of a split, one at a time."""
    for file in split_files(examples, split):
        for serialized in read_records(file):
            yield decode_raw(serialized)


def read_columns(examples: Path) -> dict[str, Columns]:
    """Case id -> what the case table says of the case, as CaseGen wrote it."""
    return read_json(str(examples), COHORT).get("columns", {})


def groups_of(examples: Path) -> dict[str, str]:
    """Case id -> its patient (group)."""
    return {s["case_id"]: s["group"] for s in _statistics(examples)}


def contents_of(examples: Path) -> dict[str, str]:
    """Case id -> hash of its image; empty where the run did not write it."""
    return {s["case_id"]: s.get("content", "") for s in _statistics(examples)}


def _statistics(examples: Path) -> list[dict[str, Any]]:
    return read_json(str(examples), COHORT_STATISTICS)["case_statistics"]


def check_unseen(examples: str, model: str, split: str) -> None:
    """Checks that the model was trained on no case of the split, and on no group of one.

    Args:
      examples: Folder of the examples artifact, which tells who is in the split.
      model: Folder of the model artifact, which tells whom the model was trained on.
      split: The split to be scored.

    Raises:
      ValueError: Somebody is in both, there is no such split, or the model does not tell.
    """
    try:
        trained = read_json(model, TRAINING_CASES)
    except FileNotFoundError as e:
        raise ValueError(
            f"a model must tell what it was trained on, {model} has no {TRAINING_CASES}:"
            " train it again"
        ) from e
    cases, group_of = cases_of(Path(examples), split), groups_of(Path(examples))
    groups = {group_of[case_id] for case_id in cases}
    remedy = "run CaseGen and the Trainer again"
    check_disjoint(cases, groups, trained=trained, where=split, remedy=remedy)


def check_disjoint(
    cases: Collection[str],
    groups: Collection[str],
    *,
    trained: Mapping[str, Any],
    where: str,
    remedy: str,
) -> None:
    """Raises ValueError where a case or a group is among those that were trained on.

    Args:
      cases, groups: To be scored.
      trained: `cases` and `groups` of the training.
      where: What they are of, in words.
      remedy: What to do then.
    """
    for name, ours, known in (
        ("case", cases, trained["cases"]),
        ("patient (group)", groups, trained["groups"]),
    ):
        if shared := {*ours}.intersection(known):
            raise ValueError(
                f"no {name} of {where} may be in the training data of the model that is scored on"
                f" it, {len(shared)} are: {sorted(shared)[:5]}: {remedy}"
            )
