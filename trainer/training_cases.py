"""Whom a model was trained on, as the file beside a Trainer's model tells it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class TrainingCases:
    """The cases of a training.

    Attributes:
      cases, groups: Their ids, sorted, and those of their patients.
      contents: Hash of an image -> id of its case, of the cases whose records tell it.
    """

    cases: tuple[str, ...]
    groups: tuple[str, ...]
    contents: Mapping[str, str] = field(default_factory=dict)


def training_cases_to_json(told: TrainingCases) -> str:
    """For `read_training_cases`."""
    return json.dumps(asdict(told), indent=1)


def read_training_cases(file: Path) -> TrainingCases:
    """Reads the file beside a model.

    Raises:
      ValueError: It is damaged.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        cases, groups = tuple(values["cases"]), tuple(values["groups"])
        return TrainingCases(cases=cases, groups=groups, contents=dict(values.get("contents", {})))
    except (ValueError, TypeError, KeyError, AttributeError) as e:
        raise ValueError(f"{str(file)!r} is damaged: train the model again ({e})") from e


def join_training_cases(parts: Iterable[TrainingCases]) -> TrainingCases:
    """All that any of several models was trained on."""
    told = list(parts)
    return TrainingCases(
        cases=tuple(sorted({name for t in told for name in t.cases})),
        groups=tuple(sorted({name for t in told for name in t.groups})),
        contents={content: case for t in told for content, case in t.contents.items()},
    )
