"""Prediction of many cases: what is done is skipped, and a bad case does not stop the others."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from beam_preprocess.case import Case
from components.bad_cases import BAD_CASE, bad_cases, why_bad
from components.predict_inputs import PredictionInput, PredictionInputs
from components.predict_results import ResultFolder, Stamps, take_stamps

Segment = Callable[[Case, PredictionInput], None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of many cases.

    Attributes:
      predicted, before: Cases that were segmented now, and that had been.
      failed: Case -> why it could not be, and what to do.
    """

    predicted: int
    before: int
    failed: Mapping[str, str]


def predict_many(
    inputs: PredictionInputs, results: ResultFolder, make_segment: Callable[[], Segment]
) -> Outcome:
    """Segments all cases whose results are not there.

    Args:
      inputs: The cases, and what is wrong with others: they count as failed.
      results: Where the results go; claimed.
      make_segment: Loads the model, where there is anything to segment; gives what segments a case
        and writes its results.

    Raises:
      ValueError: Results are those of another case; or from `make_segment`.
    """
    done = results.done()
    todo = [case for case in inputs.cases if not results.has(case, done)]
    before, failed = len(inputs.cases) - len(todo), bad_cases(inputs.problems)
    if todo:
        segment = make_segment()
        with _Progress(total=len(inputs.cases), before=before) as progress:
            for case, stamps, pending in _read_ahead(todo):
                started = time.monotonic()
                reason = _try(case, pending, segment)
                seconds = time.monotonic() - started
                if reason:
                    failed[case.name] = reason
                else:
                    results.add(case, stamps, seconds)
                progress.step(case.name, seconds, reason)
    wrong = sum(case.name in failed for case in todo)
    return Outcome(predicted=len(todo) - wrong, before=before, failed=failed)


def _try(case: PredictionInput, pending: "Future[Case]", segment: Segment) -> str:
    """Segments a case. Returns why it could not be; nothing where it could."""
    try:
        segment(pending.result(), case)
    except BAD_CASE as e:
        return why_bad(e)
    return ""


def _read_ahead(
    cases: Sequence[PredictionInput],
) -> Iterator[tuple[PredictionInput, Stamps, "Future[Case]"]]:
    """The cases, each with what reading it will give: the next is read while one is segmented.

    The stamps of its files are taken before: a file that changes while it is read, or until the
    result is written, counts as changed the next time.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:

        def submit(case: PredictionInput) -> tuple[PredictionInput, Stamps, "Future[Case]"]:
            return case, take_stamps(case), pool.submit(case.read)

        ahead = submit(cases[0])
        for number in range(len(cases)):
            current = ahead
            if number + 1 < len(cases):
                ahead = submit(cases[number + 1])
            yield current


class _Progress:
    """On stderr: a bar where that is a terminal, else a line per case."""

    def __init__(self, *, total: int, before: int):
        self._total, self._number = total, before
        self._bar = tqdm(
            total=total,
            initial=before,
            unit="case",
            disable=None,
            leave=False,
            dynamic_ncols=True,
            file=sys.stderr,
        )

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.close()

    def step(self, name: str, seconds: float, reason: str) -> None:
        """Tells of a case: how long it took, or why it could not be segmented."""
        self._number += 1
        self._bar.update()
        what = f"could not be predicted: {reason}" if reason else f"{seconds:.1f} s"
        line = f"{self._number} of {self._total}  {name}  {what}"
        if self._bar.disable:
            print(line, file=sys.stderr, flush=True)
        elif reason:
            self._bar.write(line, file=sys.stderr)
