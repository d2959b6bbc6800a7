"""Whether a model has seen a case: whom it was trained on, as far as it tells.

Names alone do not decide. Two cohorts may both have a `case_001`, and a copy under another name is
the same image: where the hashes of the images are known on both sides, they do.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from components.origin import Origin, read_origin
from trainer.model_folder import find_training_cases
from trainer.training_cases import TrainingCases, read_training_cases

IMAGE = "its image was in the training"
CASE = "a case of that name was in the training"
PATIENT = "a case of its patient (group) {group!r} was in the training"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Whom a network was trained on: names as they are, or their hashes.

    Attributes:
      cases, groups: Of the training; an origin does not tell one from the other.
      contents: Hash of an image -> its case, where that is known.
      origin: Hashes the names as those above are; None where they are as they are.
    """

    cases: frozenset[str]
    groups: frozenset[str]
    contents: Mapping[str, str]
    origin: Origin | None = None

    @cached_property
    def _with_content(self) -> frozenset[str]:
        return frozenset(self.contents.values())

    def _hide(self, name: str) -> str:
        return self.origin.hide(name) if self.origin else name

    def is_namesake(self, case_id: str, content: str) -> bool:
        """Whether another case of that name was trained on: the images of both are known, and
        differ.
        """
        known = self._hide(case_id) in self._with_content
        return known and bool(content) and self._hide(content) not in self.contents

    def why(self, case_id: str, group: str, content: str) -> str:
        """Why a case counts as seen; empty where it does not.

        Args:
          case_id: Of the case.
          group: Its patient. Where there is no patient that is the case itself, and a case of that
            name that shows something else makes nobody seen.
          content: Hash of its image; empty where it is not known.
        """
        if content and self._hide(content) in self.contents:
            return IMAGE
        other = self.is_namesake(case_id, content)
        if self._hide(case_id) in self.cases and not other:
            return CASE
        if self._hide(group) in self.groups and not (other and group == case_id):
            return PATIENT.format(group=group)
        return ""


def read_seen(model: Path) -> tuple[Seen, ...]:
    """What a SavedModel tells of its training, one of each network that tells it by itself.

    The file beside it is asked first, then the origin inside. Nothing where there is neither.

    Raises:
      ValueError: The file is damaged.
    """
    if file := find_training_cases(model):
        return (_of_training(read_training_cases(file)),)
    origin = read_origin(model)
    return tuple(_of_origin(origin)) if origin else ()


def _of_training(told: TrainingCases) -> Seen:
    return Seen(
        cases=frozenset(told.cases), groups=frozenset(told.groups), contents=dict(told.contents)
    )


def _of_origin(origin: Origin) -> Iterator[Seen]:
    names = frozenset(origin.trained_on)
    yield Seen(cases=names, groups=names, contents=dict(origin.contents), origin=origin)
    for member in origin.members:
        yield from _of_origin(member)


def why_seen(seen: Sequence[Seen], case_id: str, *, group: str, content: str) -> str:
    """Why a case counts as seen by one of the networks, in words; empty where it does not.

    Args:
      seen: Of the model.
      case_id, group, content: See `Seen.why`.
    """
    reasons = (one.why(case_id, group, content) for one in seen)
    return next(filter(None, reasons), "")
