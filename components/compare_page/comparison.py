"""Two runs over the same cases: what can be compared, paired differences, and what is chance.

Of each score there is one question: is B other than A? It is answered by Wilcoxon's signed-rank
test. Many scores are many questions, so that the p values are corrected for all of them together
by Holm's method (Holm 1979, A simple sequentially rejective multiple test procedure): where it
says so at 5 %, the chance that any such difference is none is at most 5 %.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import copysign, isnan
from typing import Any

from trainer.config import EvaluationConfig
from trainer.metrics.case_scores import CaseScores
from trainer.metrics.cases import Cases
from trainer.metrics.comparison import Comparison, compare_all, pair_values
from trainer.metrics.config import StatisticsConfig
from trainer.metrics.definitions import DEFINITIONS
from trainer.metrics.summary import Summary, summarise

LEVEL = 0.05
"""Corrected p below which a difference is called one."""
_PLACES = ("output",)
"""Fields of the config that say where, not how."""
NO_DIFFERENCE, NOT_TESTED = "no difference shown", "not tested"
_SAME_FIELDS = ("empty", "metrics")
Pair = tuple[str, float, float]
"""Case id, value in A, value in B."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a comparison needs of a run.

    Attributes:
      name: Its folder.
      dataset: Name of its dataset.
      evaluation: How cases were scored.
      profile: Of the preprocessing.
      config: The whole config.
      contents: Case id -> hash of the content of its files.
      folds: Its scored cases, fold by fold.
    """

    name: str
    dataset: str
    evaluation: EvaluationConfig
    profile: str
    config: Mapping[str, Any]
    contents: Mapping[str, str]
    folds: Sequence[Sequence[CaseScores]]

    @property
    def cases(self) -> dict[str, CaseScores]:
        """Case id -> its scores, of all folds."""
        return {case.case_id: case for fold in self.folds for case in fold}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One score of one region in both runs.

    Attributes:
      region, score: Its name.
      a, b: Over the cases that both have a value of.
      comparison: Case by case, B - A.
      p: Holm's; None where nothing could be tested.
      differences: Case id -> B - A.
      verdict: `B is better`, `A is better`, `they differ` (where mean and most cases point in
        different directions), or one of the texts below `LEVEL`.
    """

    region: str
    score: str
    a: Summary
    b: Summary
    comparison: Comparison
    differences: Mapping[str, float]
    p: float | None
    verdict: str


@dataclass(frozen=True, kw_only=True)
class RunComparison:
    """Two runs side by side.

    Attributes:
      a, b: The runs.
      shared: Ids of the cases that both scored, from the same files.
      only_a, only_b: Cases that one run scored.
      changed: Cases of the same id whose files differ: left out.
      caveats: Sentences on what cannot be compared, or only with care.
      settings: Name of a field of the config -> its values in A and B, of those that differ.
      lines: One per region and score.
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
    """Compares two runs, over the cases that both scored from the same files.

    Raises:
      ValueError: They have no such case.
    """
    both = sorted({*a.cases} & {*b.cases})
    changed = tuple(c for c in both if _differ(a.contents.get(c), b.contents.get(c)))
    shared = tuple(c for c in both if c not in changed)
    if not shared:
        raise ValueError(_nothing_shared(a, b, changed))
    settings = config_differences(a.config, b.config)
    lines, questions = _lines(a, b, shared)
    return RunComparison(
        a=a,
        b=b,
        shared=shared,
        only_a=tuple(sorted({*a.cases} - {*b.cases})),
        only_b=tuple(sorted({*b.cases} - {*a.cases})),
        changed=changed,
        caveats=(*_caveats(a, b, shared, changed), *_caveats_of_pairs(lines)),
        settings=settings,
        lines=lines,
        questions=questions,
    )


def _differ(one: str | None, other: str | None) -> bool:
    """Whether two hashes say that files differ; a missing one says nothing."""
    return one is not None and other is not None and one != other


def _nothing_shared(a: Run, b: Run, changed: Sequence[str]) -> str:
    if changed:
        return (
            f"{a.name} and {b.name} have no case of the same content: the files of all"
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
        found.append(f"{len(changed):,} cases of the same id have other files: they are left out.")
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


def _caveats_of_pairs(lines: Sequence[Line]) -> list[str]:
    """Of scores that one run alone has; the numbers are those of the score with most."""
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


def _lines(a: Run, b: Run, shared: Sequence[str]) -> tuple[tuple[Line, ...], int]:
    config = b.evaluation.statistics
    of_a, of_b = ({c: run.cases[c].regions for c in shared} for run in (a, b))
    found = [
        (region, score, comparison, _paired(of_a, of_b, region=region, score=score))
        for region, scores in compare_all(of_a, of_b, config).items()
        for score, comparison in scores.items()
    ]
    questions = {
        (score, tuple(values)): c.p for _, score, c, values in found if _is_tested(score, c)
    }  # WT and WholeTumor are the same voxels: one question
    corrected = dict(zip(questions, holm([*questions.values()]), strict=True))
    lines = tuple(
        _line(
            region,
            score,
            comparison,
            values,
            p=corrected.get((score, tuple(values))),
            config=config,
        )
        for region, score, comparison, values in found
    )
    return lines, len(questions)


def _line(
    region: str,
    score: str,
    comparison: Comparison,
    values: Sequence[Pair],
    *,
    p: float | None,
    config: StatisticsConfig,
) -> Line:
    return Line(
        region=region,
        score=score,
        a=summarise([one for _, one, _ in values], config),
        b=summarise([other for _, _, other in values], config),
        comparison=comparison,
        differences={case_id: other - one for case_id, one, other in values},
        p=p,
        verdict=_verdict(score, comparison, p),
    )


def _is_tested(score: str, comparison: Comparison) -> bool:
    best = DEFINITIONS[score].best if score in DEFINITIONS else "none"
    return best in ("high", "low") and not isnan(comparison.p)


def _paired(a: Cases, b: Cases, *, region: str, score: str) -> list[Pair]:
    """Case id, value in A and value in B, of the cases that are compared."""
    pairs = pair_values(a, b, region=region, score=score)
    return [(case_id, *values) for case_id, values in pairs.items()]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's corrected p values, in the order of the p values.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, least = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = least
    return corrected


def _verdict(score: str, comparison: Comparison, p: float | None) -> str:
    """Which run is better: the one to which mean and most of the cases point, where p is small."""
    if p is None:
        return NOT_TESTED
    if p >= LEVEL:
        return NO_DIFFERENCE
    mean = comparison.difference.mean or 0.0
    signs = {copysign(1, v) for v in (mean, comparison.higher - comparison.lower) if v}
    if len(signs) != 1:
        return "they differ"
    better_b = (signs == {1.0}) == (DEFINITIONS[score].best == "high")
    return "B is better" if better_b else "A is better"
