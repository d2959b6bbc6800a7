"""Problems in words, and the error that holds them all."""

import pickle

from beam_preprocess.case import DataError, Problem

FIRST = Problem(case_id="a", rule="x must be 1, got 2", path="/a", remedy="make it 1")
SECOND = Problem(case_id="b", rule="y must be 3, got 4", path="/b")


def test_problem_in_words():
    assert str(FIRST) == "a: x must be 1, got 2 (/a): make it 1"
    assert str(SECOND).endswith("(/b): repair the file, or leave the case out with data.exclude")


def test_error_lists_every_problem_once_in_order():
    assert str(DataError([SECOND, FIRST, SECOND])) == (
        "2 problem(s) in the data:\n"
        "  1. a: x must be 1, got 2 (/a): make it 1\n"
        "  2. b: y must be 3, got 4 (/b): repair the file, or leave the case out with data.exclude"
    )


def test_error_survives_pickling():
    """Beam moves errors between processes."""
    error = pickle.loads(pickle.dumps(DataError([SECOND, FIRST])))
    assert isinstance(error, DataError) and error.problems == [FIRST, SECOND]
