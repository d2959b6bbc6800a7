"""Two runs over the same cases: what can be compared, what to mind, and which settings differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.compare_page.lines import Line, compare_scores
from trainer.config import EvaluationConfig
from trainer.metrics.alike import count_alike
from trainer.metrics.case_scores import CaseScores
from trainer.metrics.definitions import MEAN

_PLACES = ("output",)
"""Fields of the config that say where, not how."""
_SAME_FIELDS = ("empty", "metrics")


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a comparison needs of a run.

    Attributes:
      name: Its folder.
      dataset: Name of its dataset.
      rank: Axes of its cases.
      evaluation: How cases were scored.
      profile: Of the preprocessing.
      threshold: Probability from which on an image is taken for defective, where its other folds
        cannot choose one.
      config: The whole config.
      contents: Case id -> hash of its image.
      groups: Case id -> its patient or object.
      folds: Its scored cases, fold by fold.
    """

    name: str
    dataset: str
    rank: int
    evaluation: EvaluationConfig
    profile: str
    threshold: float
    config: Mapping[str, Any]
    contents: Mapping[str, str]
    groups: Mapping[str, str]
    folds: Sequence[Sequence[CaseScores]]

    @property
    def cases(self) -> dict[str, CaseScores]:
        """Case id -> its scores, of all folds."""
        return {case.case_id: case for fold in self.folds for case in fold}


@dataclass(frozen=True, kw_only=True)
class RunComparison:
    """Two runs side by side.

    Attributes:
      a, b: The runs.
      shared: Ids of the cases that both scored, on the same image with the same truth.
      only_a, only_b: Cases that one run scored.
      changed: Cases of the same id whose image or truth differs: left out.
      caveats: Sentences on what cannot be compared, or only with care.
      settings: Name of a field of the config -> its values in A and B, of those that differ.
      lines: One per region and score, of whole images, and of the reference systems.
      questions: How many scores were tested.
    """

    a: Run
    b: Run
    shared: tuple[str, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    changed: tuple[str, ...]
    caveats: tuple[str, ...]
    settings: Mapping[str, tuple[Any, Any]]
    lines: tuple[Line, ...]
    questions: int


def compare_runs(a: Run, b: Run) -> RunComparison:
    """Compares two runs, over the cases that both scored on the same image with the same truth.

    Raises:
      ValueError: They have no such case.
    """
    of_a, of_b = a.cases, b.cases
    both = sorted({*of_a} & {*of_b})
    changed = tuple(
        c
        for c in both
        if _differ(a.contents.get(c), b.contents.get(c)) or _relabelled(of_a[c], of_b[c])
    )
    shared = tuple(c for c in both if c not in changed)
    if not shared:
        raise ValueError(_nothing_shared(a, b, changed))
    settings = config_differences(a.config, b.config)
    lines, questions = compare_scores(
        a.folds,
        b.folds,
        {*shared},
        b.evaluation.statistics,
        thresholds=(a.threshold, b.threshold),
    )
    return RunComparison(
        a=a,
        b=b,
        shared=shared,
        only_a=tuple(sorted({*a.cases} - {*b.cases})),
        only_b=tuple(sorted({*b.cases} - {*a.cases})),
        changed=changed,
        caveats=(
            *_caveats(a, b, shared, changed),
            *_alike(b, shared),
            *_unpaired(lines),
        ),
        settings=settings,
        lines=lines,
        questions=questions,
    )


def _differ(one: str | None, other: str | None) -> bool:
    """Whether two hashes say that files differ; a missing one says nothing."""
    return one is not None and other is not None and one != other


def _relabelled(one: CaseScores, other: CaseScores) -> bool:
    """Whether the truth differs, by its voxels in a label or region of both.

    Scores keep no more of the truth: what moved and stayed as large is not seen. The mean is no
    region, and runs over other labels may have it of others.
    """
    regions = {*one.regions} & {*other.regions} - {MEAN}
    voxels = any(one.regions[r].counts.truth != other.regions[r].counts.truth for r in regions)
    if one.image is None or other.image is None:
        return voxels
    return voxels or one.image.defective != other.image.defective


def _nothing_shared(a: Run, b: Run, changed: Sequence[str]) -> str:
    if changed:
        return (
            f"{a.name} and {b.name} have no case with the same image and truth: those of all"
            f" {len(changed)} cases that both scored have changed: compare runs on the same files"
        )
    return (
        f"{a.name} (dataset {a.dataset}) and {b.name} (dataset {b.dataset}) scored no case in"
        " common: their scores cannot be paired; compare runs on the same cohort"
    )


def _caveats(a: Run, b: Run, shared: Sequence[str], changed: Sequence[str]) -> list[str]:
    found = []
    if a.dataset != b.dataset:
        found.append(f"The runs read different datasets, {a.dataset} and {b.dataset}.")
    apart = len({*a.cases} ^ {*b.cases})
    if apart:
        found.append(
            f"{apart:,} cases were scored by one run alone: they are left out, and the means are"
            f" those of the {len(shared):,} cases of both."
        )
    if changed:
        found.append(
            f"{len(changed):,} cases of the same id have another image or truth: they are left out."
        )
    for name in _SAME_FIELDS:
        if getattr(a.evaluation, name) != getattr(b.evaluation, name):
            found.append(
                f"evaluation.{name} differs: the runs do not score in the same way, and differences"
                " may come from that alone."
            )
    if a.profile != b.profile:
        found.append(
            f"The profiles differ, {a.profile} and {b.profile}: intensities are not prepared in the"
            " same way."
        )
    if _fold_of(a, shared) != _fold_of(b, shared):
        found.append("The folds differ: a case was scored by models that other cases had trained.")
    return found


def _alike(run: Run, shared: Sequence[str]) -> list[str]:
    """That cases of a patient are no independent ones, where a patient has several."""
    alike = count_alike(run.groups, shared)
    if not alike:
        return []
    return [
        f"{alike}: tests and intervals take each case for an independent one, so that p is too"
        " small and intervals are too narrow."
    ]


def _unpaired(lines: Sequence[Line]) -> list[str]:
    """On scores that one run alone has; the numbers are those of the score with most such cases."""
    found = []
    if filled := max((line.comparison.rightly_empty for line in lines), default=0):
        found.append(
            f"In up to {filled:,} cases one run has no value, as there is nothing to find and it"
            " found nothing, where the other found something: it counts as the best value there."
        )
    if unpaired := max((line.comparison.unpaired for line in lines), default=0):
        found.append(f"Up to {unpaired:,} cases have a score in one run alone: they are left out.")
    return found


def _fold_of(run: Run, shared: Sequence[str]) -> dict[str, int]:
    fold_of = {case.case_id: i for i, fold in enumerate(run.folds) for case in fold}
    return {case_id: fold_of[case_id] for case_id in shared}


def config_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Dotted name of a field -> its values in two configs, of fields that differ; None for none."""
    flat_a, flat_b = flatten(a), flatten(b)
    names = [name for name in dict.fromkeys([*flat_a, *flat_b]) if name not in _PLACES]
    return {
        name: (flat_a.get(name), flat_b.get(name))
        for name in names
        if flat_a.get(name) != flat_b.get(name)
    }


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`; lists stay whole."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        flat |= (
            flatten(value, f"{name}.") if isinstance(value, Mapping) and value else {name: value}
        )
    return flat
