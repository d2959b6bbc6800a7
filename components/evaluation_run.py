"""Scores of an exported model on labelled cases that it has not seen.

A case that cannot be read or scored is told at the end, and does not stop the others.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beam_preprocess.case import DataError, DatasetInfo
from beam_preprocess.case_table import UNKNOWN
from beam_preprocess.records import RawRecord
from beam_preprocess.validation import require
from components.bad_cases import BAD_CASE, why_bad
from components.case_scoring import Scoring, own_columns, score_record, write_case
from components.evaluation_files import versions, write_cases, write_evaluation, write_scores
from components.labelled_cases import LabelledCases
from components.origin import image_threshold
from components.seen_cases import Seen, read_seen, why_seen
from components.sizes import with_size_bin
from trainer.metrics.case_scores import CaseScores
from trainer.metrics.cohort_scores import CohortScores, score_cohort, slice_folds
from trainer.model_folder import model_fingerprint

if TYPE_CHECKING:
    from trainer.serving import LoadedModel

_TOLD = 5
"""Cases that an error names."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Training:
    """What is known of a model's training, beside the cases to score it on.

    Attributes:
      seen: Whom it was trained on, as far as it tells.
      words: A sentence on it.
    """

    seen: tuple[Seen, ...]
    words: str


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What came out.

    Attributes:
      cases: Those that were scored.
      scores: Their sum; None without a case.
      slices: Column -> its value -> the sum of the cases that have it.
      failures: Case id -> why it has no scores.
    """

    cases: tuple[CaseScores, ...]
    scores: CohortScores | None
    slices: Mapping[str, Mapping[str, CohortScores]]
    failures: dict[str, str]


def open_model(path: Path) -> "LoadedModel":
    """Loads an exported model. Raises ValueError where it is none of ours, or damaged."""
    from trainer.serving import LoadedModel

    return LoadedModel(path)


def check_model(model: "LoadedModel", cases: LabelledCases) -> Training:
    """Checks that a model suits the cases, and was not trained on one of them.

    A model tells whom it was trained on by a file beside it, a pushed model by hashes inside. Of
    raw files, only those are read here whose name or patient the model knows: a copy of an image
    under another name is found when it is scored.

    Raises:
      ValueError: It is of another dataset, it was trained on a case or a patient, or the cases are
        a fold, which models of the run were trained on, and it does not tell.
    """
    _check_same_dataset(model, cases.info)
    seen = read_seen(model.path)
    if not seen and cases.trained_on:
        raise ValueError(
            f"a model must tell that it was not trained on {cases.split}, as other models of the"
            f" run were; {str(model.path)!r} does not: score it on the split test or on other data,"
            " or take the model of the fold's Trainer or of `unet-tfx train`"
        )
    namesakes, wrong = _look_up(seen, cases)
    if wrong:
        more = " or more" if len(wrong) == _TOLD else ""
        raise ValueError(
            "a model must not be scored on cases or patients that it was trained on,"
            f" {len(wrong)}{more} of split {cases.split} are: {', '.join(wrong)}: score it on other"
            " cases; if it is another patient of the same name, give the patient another one in"
            " data.case_table"
        )
    return Training(seen=seen, words=_training_words(seen, namesakes))


def _look_up(seen: Sequence[Seen], cases: LabelledCases) -> tuple[list[str], list[str]]:
    """Of the cases whose name or patient the model knows, those that show something else, and those
    that it was trained on, with the reason; after a few of these, no more are looked up.
    """
    namesakes, wrong = [], []
    for case_id, group in cases.groups.items():
        if not why_seen(seen, case_id, group=group, content=""):
            continue
        content = cases.content_of(case_id)
        if content is None:  # what cannot be read is not scored either
            continue
        if why := why_seen(seen, case_id, group=group, content=content):
            wrong.append(f"{case_id} ({why})")
        else:
            namesakes.append(case_id)
        if len(wrong) == _TOLD:
            break
    return namesakes, wrong


def _training_words(seen: Sequence[Seen], namesakes: Sequence[str]) -> str:
    """What is known of the training, where no case was refused."""
    if not seen:
        return (
            "the model does not tell which cases it was trained on: that none of these was among"
            " them could not be checked"
        )
    by = "name, patient and image" if all(one.contents for one in seen) else "name and patient"
    words = f"no case that was scored was in the training of the model, by {by}"
    if namesakes:
        more = f" and {len(namesakes) - _TOLD} more" if len(namesakes) > _TOLD else ""
        words += (
            f"; {len(namesakes)} have the name of one that was, and another image:"
            f" {', '.join(namesakes[:_TOLD])}{more}"
        )
    return words


def _check_same_dataset(model: "LoadedModel", found: DatasetInfo) -> None:
    ours = model.spec.dataset
    known = _in_values_of(ours, found)
    for name in ("rank", "channels", "label_values", "label_names", "regions", "task"):
        expected, value = getattr(ours, name), getattr(known, name)
        if expected != value:
            raise ValueError(
                f"the cases must be of the dataset of the model, {ours.name!r}, whose {name} is"
                f" {expected!r}, got {value!r} of dataset {found.name!r}: score"
                f" {str(model.path)!r} on other data, or another model on these"
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
    model: "LoadedModel",
    cases: LabelledCases,
    scoring: Scoring,
    output: Path,
    *,
    training: Training,
    about: Mapping[str, Any],
) -> Evaluated:
    """Scores the cases and writes what the Evaluator writes: scores, label maps, pictures.

    Args:
      model: Checked by `check_model`.
      cases: What is scored.
      scoring: How.
      output: Folder for the files.
      training: What `check_model` gave.
      about: What `evaluation.json` is to tell besides: where the cases come from.

    Raises:
      ValueError: A column to slice by is none of the cases.
    """
    config = scoring.config
    _check_slices(cases, config.slices)
    scored, failures = _score_cases(model, cases, scoring, output, training=training)
    if not scored:
        return Evaluated(cases=(), scores=None, slices={}, failures=failures)
    thresholds = [image_threshold(model.path, model.spec)]

    def sum_up(part: Sequence[CaseScores]) -> CohortScores:
        return score_cohort([part], config.statistics, thresholds=thresholds)

    summed, slices = sum_up(scored), _slice(scored, config.slices, sum_up)
    write_cases(scored, output)
    listed = {*cases.groups, *cases.failures}
    outcome = {"split": cases.split, "listed": len(listed), "scored": len(scored)}
    facts = {**about, **_facts(model, scoring, training), **outcome, "failures": failures}
    write_evaluation(output, facts)
    write_scores(output, cases.split, scored, summed, slices=slices)
    return Evaluated(cases=tuple(scored), scores=summed, slices=slices, failures=failures)


def _check_slices(cases: LabelledCases, columns: Sequence[str]) -> None:
    """Raises ValueError where scores are to be sliced by what is no column of the cases."""
    of_table = [name for case_id in cases.groups for name in cases.columns.get(case_id, {})]
    known = list(dict.fromkeys([*own_columns(cases.info), *of_table]))
    wrong = [name for name in columns if name not in known]
    require(not wrong, "evaluation.slices", wrong, f"columns of the cases ({', '.join(known)})")


def _slice(
    cases: Sequence[CaseScores],
    columns: Sequence[str],
    sum_up: Callable[[Sequence[CaseScores]], CohortScores],
) -> dict[str, dict[str, CohortScores]]:
    """Column -> its value -> the sum of the cases that have it; without a value it is `unknown`."""
    unknown = dict.fromkeys(columns, UNKNOWN)
    known = [replace(case, columns={**unknown, **case.columns}) for case in cases]
    return {
        column: {value: sum_up(part) for value, [part] in slice_folds([known], column).items()}
        for column in columns
    }


def _score_cases(
    model: "LoadedModel",
    cases: LabelledCases,
    scoring: Scoring,
    output: Path,
    *,
    training: Training,
) -> tuple[list[CaseScores], dict[str, str]]:
    """The scores of the cases, and of the others why they have none."""
    scored: list[CaseScores] = []
    failures = dict(cases.failures)
    for case_id, read in cases.sources:
        try:
            record = read()
            content = record.content or cases.content_of(record.case_id) or ""
            _require_unseen(record, content, training.seen)
            own = cases.columns.get(case_id)
            scores, prediction = score_record(model, record, scoring, columns=own)
            write_case(record, prediction, scoring.info, output)
        except BAD_CASE as e:
            failures[case_id] = why_bad(e)
            if not isinstance(e, DataError | SeenError):
                _log.warning("case %s could not be scored", case_id, exc_info=True)
            continue
        scored.append(with_size_bin(scores, scoring.config, rank=scoring.info.rank))
    missing = {*cases.groups} - {c.case_id for c in scored} - {*failures}
    why = (
        f"every case of split {cases.split} must have a record, it has none: restore the record"
        " files, or run CaseGen again"
    )
    return scored, failures | dict.fromkeys(sorted(missing), why)


class SeenError(ValueError):
    """A case that the model was trained on."""


def _require_unseen(record: RawRecord, content: str, seen: Sequence[Seen]) -> None:
    if why := why_seen(seen, record.case_id, group=record.group, content=content):
        raise SeenError(f"{why} of the model: a score on it would be flattery")


def _facts(model: "LoadedModel", scoring: Scoring, training: Training) -> dict[str, Any]:
    """What decided the scores."""
    told = {"path": str(model.path.resolve()), "fingerprint": model_fingerprint(model.path)}
    return {
        "model": told | {"training": training.words},
        "dataset": model.spec.dataset.name,
        "inference": asdict(model.spec.inference),
        "evaluation": asdict(scoring.config),
        "profile": scoring.profile,
        "versions": versions(),
    }
