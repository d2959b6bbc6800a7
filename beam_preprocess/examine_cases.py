"""All cases of a cohort, examined in processes side by side, in bounded memory.

A process hands back problems and statistics, never arrays, and only a few cases are under way at
any time. No case is lost: one whose reading crashes gets an error of its own.
"""

import multiprocessing
import signal
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from beam_preprocess.case import CaseFiles, Dataset, Problem
from beam_preprocess.examine import Statistics, examine_case

_TASKS_PER_WORKER = 2
"""One under way and one that waits, so that no worker is idle between two cases."""
_REMEDY = (
    "look whether the file is in order; if it is, this is a defect of the reader: report it, and"
    " leave the case out with data.exclude meanwhile"
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is left of a case that was examined: see `Examination`."""

    problems: tuple[Problem, ...]
    statistics: Statistics | None


def examine_cases(
    cases: Sequence[CaseFiles], dataset: Dataset, *, workers: int
) -> Iterator[Finding]:
    """Examines cases, and gives their findings in the order of the cases.

    Args:
      cases: Of a cohort.
      dataset: Their reader.
      workers: Number of processes; 1 for this one alone, which a crash of a reader ends.
    """
    if workers == 1:
        return (_examine(files, dataset) for files in cases)
    return _examine_side_by_side(deque(cases), dataset, min(workers, len(cases)))


def _examine(files: CaseFiles, dataset: Dataset) -> Finding:
    try:
        examined = examine_case(files, dataset)
    except Exception as e:  # whatever a reader did not foresee must not cost the other cases
        return _crashed(files, f"{type(e).__name__}: {e}")
    return Finding(problems=examined.problems, statistics=examined.statistics)


def _crashed(files: CaseFiles, how: str) -> Finding:
    rule = f"reading a case must end with a case or with what is wrong with it, it ended with {how}"
    path = str(files.images[0])
    problem = Problem(case_id=files.case_id, rule=rule, path=path, remedy=_REMEDY)
    return Finding(problems=(problem,), statistics=None)


def _examine_side_by_side(
    waiting: deque[CaseFiles], dataset: Dataset, workers: int
) -> Iterator[Finding]:
    """A process that is killed takes its pool along: the cases under way are then read one by one,
    which tells whose fault it was, and the others in a new pool.
    """
    pending: deque[tuple[CaseFiles, Future[Finding]]] = deque()
    while waiting:
        pool = _make_pool(workers)
        try:
            while waiting or pending:
                while waiting and len(pending) < _TASKS_PER_WORKER * workers:
                    pending.append((waiting[0], _submit(pool, waiting[0], dataset)))
                    waiting.popleft()
                finding = pending[0][1].result()
                pending.popleft()
                yield finding
        except BrokenProcessPool:
            while pending:
                yield _examine_alone(pending.popleft()[0], dataset)
        finally:
            pool.shutdown(cancel_futures=True)


def _examine_alone(files: CaseFiles, dataset: Dataset) -> Finding:
    with _make_pool(1) as pool:
        try:
            return _submit(pool, files, dataset).result()
        except BrokenProcessPool:
            return _crashed(files, "the end of its process (killed, or out of memory)")


def _make_pool(workers: int) -> ProcessPoolExecutor:
    """New processes, not copies of this one: a copy of a process with threads may hang."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)


def _submit(pool: ProcessPoolExecutor, files: CaseFiles, dataset: Dataset) -> Future[Finding]:
    """Hands a case to the pool, which may start a process: Ctrl-C waits, in that process too."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(_examine, files, dataset)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    """Ctrl-C ends a worker without a word: the main process has the last one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    warnings.simplefilter("ignore")
