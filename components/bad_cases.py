"""What is wrong with a case, in words, where one bad case must not stop the others."""

from collections.abc import Iterable

from beam_preprocess.case import DataError, Problem

BAD_CASE = (ValueError, OSError, RuntimeError, MemoryError)
"""What reading a case, segmenting it and writing the result raise for what is wrong with it alone.

A full disk is among them: every case after it then fails with the same words.
"""


def why_bad(error: Exception) -> str:
    """Why a case could not be used, and what to do, in a line."""
    if isinstance(error, DataError):
        return "; ".join(map(_words, error.problems))
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def bad_cases(problems: Iterable[Problem]) -> dict[str, str]:
    """Case id -> all that is wrong with it."""
    found: dict[str, list[str]] = {}
    for problem in problems:
        found.setdefault(problem.case_id, []).append(_words(problem))
    return {name: "; ".join(words) for name, words in found.items()}


def _words(problem: Problem) -> str:
    """Rule, file and remedy, less what only a run can do."""
    remedy = problem.remedy.partition(", or leave the case out")[0]
    return f"{problem.rule} ({problem.path}): {remedy}"
