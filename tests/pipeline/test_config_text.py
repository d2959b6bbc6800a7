"""A config as YAML text, and back."""

from dataclasses import replace

import pytest
import yaml

from beam_preprocess.config_io import from_dict
from pipeline.config import RunConfig
from pipeline.config_text import config_text
from pipeline.recipes import RECIPES, brats


@pytest.mark.parametrize("recipe", RECIPES)
def test_text_holds_the_whole_config(recipe):
    config = RECIPES[recipe]()
    assert from_dict(RunConfig, yaml.safe_load(config_text(config))) == config


def test_text_has_the_sections_in_the_order_of_the_config():
    values = yaml.safe_load(config_text(brats()))
    assert list(values) == [
        *("name", "output", "data", "model", "trainer", "inference", "gate"),
        *("preprocessing", "evaluation", "pipeline"),
    ]
    assert [r["score"] for r in values["gate"]["rules"]] == ["WT/dice", "TC/dice", "ET/dice"]


def test_text_knows_no_tuples():
    text = config_text(brats())
    assert "!!python" not in text
    assert yaml.safe_load(text)["trainer"]["crop"] == [128, 128, 128]
    assert yaml.safe_load(text)["preprocessing"]["clip_percentiles"] == [0.5, 99.5]


@pytest.mark.parametrize("reason", ["torn: twice", "no T1 # yet", "null", "1.5", "- a", "größe"])
def test_texts_that_look_like_something_else(reason):
    config = brats()
    config = replace(config, data=replace(config.data, exclude={"case": reason}))
    assert from_dict(RunConfig, yaml.safe_load(config_text(config))) == config
