"""Configs survive the way through JSON, and errors name the field."""

import argparse
import json
from dataclasses import dataclass, field

import pytest

from beam_preprocess.config import DataConfig, PreprocessingConfig
from beam_preprocess.config_io import from_dict, from_json, to_json

DAGM = DataConfig(
    dataset="dagm",
    root="/data/with space",
    folds=3,
    fold_seed=7,
    classes=(1, 10),
    exclude={"a": "b"},
)


@dataclass(frozen=True, kw_only=True)
class Nested:
    data: DataConfig
    preprocessing: PreprocessingConfig = field(default_factory=PreprocessingConfig)
    name: str = "x"


@pytest.mark.parametrize(
    "config",
    [
        DAGM,
        DataConfig(dataset="brats"),
        PreprocessingConfig(profile="reference", clip_percentiles=(1.0, 99.0)),
        Nested(data=DAGM, name="y"),
    ],
)
def test_round_trip(config):
    text = to_json(config)
    assert from_json(type(config), text) == config
    assert to_json(from_json(type(config), text)) == text


@pytest.mark.parametrize("word", ["", "null", "no", "1", "1e3", "[a]", "{a: b}", "a: b", " x "])
def test_words_that_yaml_would_read_otherwise_stay_words(word):
    config = DataConfig(dataset="brats", root=word, exclude={"0001": word})
    assert from_json(DataConfig, to_json(config)) == config


def test_equal_configs_give_equal_text():
    a = DataConfig(dataset="brats", exclude={"a": "1", "b": "2"})
    b = DataConfig(exclude={"b": "2", "a": "1"}, dataset="brats")
    assert to_json(a) == to_json(b)
    assert list(json.loads(to_json(a))) == sorted(json.loads(to_json(a)))


def test_lists_become_tuples_and_the_rest_defaults():
    config = from_dict(Nested, {"data": {"dataset": "dagm", "classes": [2, 3]}})
    assert config == Nested(data=DataConfig(dataset="dagm", classes=(2, 3)))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"dataset": "brats", "folds": "many"}, ["folds", "int", "many"]),
        ({"dataset": "brats", "fold": 5}, ["does not accept", "'fold'"]),
        ({"folds": 5}, ["required", "dataset"]),
    ],
)
def test_errors_name_the_field(values, words):
    with pytest.raises(argparse.ArgumentError) as error:
        from_dict(DataConfig, values)
    assert all(word in str(error.value) for word in words)


def test_values_out_of_range_raise_the_error_of_the_config():
    with pytest.raises(ValueError, match=r"^data.folds must be between 2 and 20, got 1$"):
        from_dict(DataConfig, {"dataset": "brats", "folds": 1})
    with pytest.raises(ValueError, match=r"^data.dataset must be one of brats, .* got 'bratz'$"):
        from_dict(DataConfig, {"dataset": "bratz"})
