"""What is wrong with a case in words: rule, file and remedy, on one line."""

import pytest

from beam_preprocess.case import DataError, Problem
from components.bad_cases import bad_cases, why_bad

TORN = Problem(case_id="a", rule="a.png is torn", path="/d/a.png")
GREY = Problem(case_id="a", rule="a.png must be grey", path="/d/a.png", remedy="convert it")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (DataError([TORN]), "a.png is torn (/d/a.png): repair the file"),
        (ValueError("too large\nand a trace"), "too large"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_error_in_words(error: Exception, words: str) -> None:
    assert why_bad(error) == words


def test_all_that_is_wrong_with_a_case() -> None:
    assert bad_cases([TORN, GREY]) == {
        "a": "a.png is torn (/d/a.png): repair the file; a.png must be grey (/d/a.png): convert it"
    }
