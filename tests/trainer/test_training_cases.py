"""Whom models were trained on: written, read back and joined."""

import json

import pytest

from trainer.training_cases import (
    TrainingCases,
    join_training_cases,
    read_training_cases,
    training_cases_to_json,
)

ONE = TrainingCases(cases=("a", "b"), groups=("A", "B"), contents={"#a": "a", "#b": "b"})
OTHER = TrainingCases(cases=("b", "c"), groups=("B", "C"), contents={"#other-b": "b"})


def test_read_back(tmp_path):
    (tmp_path / "told.json").write_text(training_cases_to_json(ONE))
    assert read_training_cases(tmp_path / "told.json") == ONE


def test_file_without_images(tmp_path):
    (tmp_path / "told.json").write_text(json.dumps({"cases": ["a"], "groups": ["A"]}))
    assert read_training_cases(tmp_path / "told.json") == TrainingCases(cases=("a",), groups=("A",))


@pytest.mark.parametrize("text", ["", "[]", '{"cases": []}', '{"cases": 1, "groups": []}'])
def test_damaged_file(tmp_path, text):
    (tmp_path / "told.json").write_text(text)
    with pytest.raises(ValueError, match=r"told.json' is damaged: train the model again"):
        read_training_cases(tmp_path / "told.json")


def test_union_keeps_every_image():
    """Two cases of one name are two images."""
    assert join_training_cases([ONE, OTHER]) == TrainingCases(
        cases=("a", "b", "c"),
        groups=("A", "B", "C"),
        contents={"#a": "a", "#b": "b", "#other-b": "b"},
    )
    assert join_training_cases([]) == TrainingCases(cases=(), groups=())
