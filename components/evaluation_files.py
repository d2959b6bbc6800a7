"""The files of an evaluation: scores of every case for machines and as a table, and their sum."""

import csv
import importlib.metadata
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

from beam_preprocess.atomic import write_text
from components.file_names import CASES_CSV, CASES_JSON, EVALUATION, SCORES
from trainer.metrics.case_scores import CaseScores, cases_from_json, cases_to_json
from trainer.metrics.cohort_scores import CohortScores, cohort_to_dict
from trainer.metrics.definitions import IMAGES

REFERENCE = "reference"
"""Takes the place of a region in the lines of scores of the references."""
_VERSIONS = ("unet-tfx", "tensorflow", "keras", "numpy", "scipy", "surface-distance", "nibabel")
_REMEDY = "restore the record files that CaseGen wrote, or run it again"
_COUNTS = ("intersection", "truth", "prediction")


def read_cases(folder: str | Path) -> list[CaseScores]:
    """Reads the cases of an evaluation, in the order of their ids."""
    return cases_from_json((Path(folder) / CASES_JSON).read_text(encoding="utf-8"))


def write_cases(cases: Sequence[CaseScores], folder: str | Path) -> None:
    """Writes `cases.json`."""
    write_text(Path(folder) / CASES_JSON, cases_to_json(cases))


def write_evaluation(folder: Path, facts: Mapping[str, Any]) -> None:
    """Writes `evaluation.json`: what was scored on what, and how."""
    write_text(folder / EVALUATION, json.dumps(facts, indent=1))


def versions() -> dict[str, str]:
    """The packages that decide scores -> their versions."""
    return {name: importlib.metadata.version(name) for name in _VERSIONS}


def write_scores(
    folder: Path,
    split: str,
    cases: Sequence[CaseScores],
    scores: CohortScores,
    *,
    slices: Mapping[str, Mapping[str, CohortScores]] | None = None,
) -> None:
    """Writes `cases.csv` and `scores.json`, the last file of an evaluation.

    Args:
      folder: Gets the files.
      split: Whose cases they are.
      cases: That were scored.
      scores: Their sum.
      slices: Column -> its value -> sum of the cases that have it; None where others slice them.
    """
    write_text(folder / CASES_CSV, cases_to_csv(cases))
    content = {"split": split, "n": len(cases), "scores": cohort_to_dict(scores)}
    if slices is not None:
        content["slices"] = {
            column: {value: cohort_to_dict(scores) for value, scores in values.items()}
            for column, values in slices.items()
        }
    write_text(folder / SCORES, json.dumps(content, indent=1, allow_nan=False))


def check_counts(expected: Iterable[str], cases: Sequence[CaseScores]) -> None:
    """Raises RuntimeError unless `cases` are those with the expected ids, each scored once."""
    ids = Counter(c.case_id for c in cases)
    if twice := sorted(case_id for case_id, n in ids.items() if n > 1):
        raise RuntimeError(
            f"every case must be scored once, scored more often: {twice[:5]}: {_REMEDY}"
        )
    scored, listed = set(ids), set(expected)
    if scored != listed:
        raise RuntimeError(
            f"every held-out case must be scored: {len(listed)} listed, {len(scored)} scored,"
            f" missing {sorted(listed - scored)[:5]}, unexpected {sorted(scored - listed)[:5]}:"
            f" {_REMEDY}"
        )


def cases_to_csv(cases: Sequence[CaseScores]) -> str:
    """One line per case, region and score, with the columns of the case and its counts of voxels.

    NaN is an empty cell. Scores of images are of the region `images`, those of the references of
    `reference`, without counts. The counts of `mean` are the sums over the labels.
    """
    columns = list(dict.fromkeys(name for c in cases for name in c.columns))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["case_id", *columns, "region", "score", "value", *_COUNTS])
    for case in sorted(cases, key=lambda c: c.case_id):
        known = [case.case_id, *(case.columns.get(name, "") for name in columns)]
        writer.writerows([*known, *line] for line in _lines(case))
    return text.getvalue()


def _lines(case: CaseScores) -> Iterator[list[object]]:
    for region, scores in case.regions.items():
        counts = [getattr(scores.counts, name) for name in _COUNTS]
        for score, value in scores.values.items():
            yield [region, score, _cell(value), *counts]
    if case.image is not None:
        yield [IMAGES, "score", _cell(case.image.score), "", "", ""]
        yield [IMAGES, "defective", int(case.image.defective), "", "", ""]
    for score, value in case.reference.items():
        yield [REFERENCE, score, _cell(value), "", "", ""]


def _cell(value: float) -> object:
    return "" if isnan(value) else value
