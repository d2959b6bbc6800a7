"""Every recipe is a complete config that suits its dataset."""

import pytest

from beam_preprocess.datasets import get_dataset
from pipeline.recipes import RECIPES
from trainer.presets import PRESETS


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_is_named_as_it_is_asked_for(recipe):
    assert RECIPES[recipe]().name == recipe


FIXED = [name for name in RECIPES if name not in ("volumes", "images")]
"""Recipes whose dataset is known before any file is."""


@pytest.mark.parametrize("recipe", FIXED)
def test_network_suits_the_dataset(recipe):
    config = RECIPES[recipe]()
    info = get_dataset(config.data).info
    assert config.model.rank == info.rank == len(config.trainer.crop)
    assert config.model.in_channels == len(info.channels)
    assert config.model.classes in ({1, 2} if len(info.label_values) == 2 else {4})


@pytest.mark.parametrize("recipe", ["volumes", "images"])
def test_recipes_for_any_data_take_channels_and_classes_from_it(recipe):
    config = RECIPES[recipe]()
    assert (config.model.in_channels, config.model.classes) == (0, 0)
    assert config.model.rank == len(config.trainer.crop) == len(config.inference.window)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_score_that_chooses_has_a_rule(recipe):
    gate = RECIPES[recipe]().gate
    assert gate.select in {rule.score for rule in gate.rules}


@pytest.mark.parametrize("recipe", ["brats-demo", "dagm-demo"])
def test_demo_folders_are_those_of_the_makefile(recipe):
    config = RECIPES[recipe]()
    dataset = recipe.removesuffix("-demo")
    assert (config.output, config.data.root) == (f"demo/{dataset}", f"demo/data/{dataset}")


def test_networks_are_those_of_the_references():
    assert RECIPES["brats"]().model == PRESETS["unet3d"]
    assert RECIPES["dagm"]().model == PRESETS["unet2d-dagm"]


def test_steps_of_the_brats_recipe():
    """32000 crops, two a step."""
    assert RECIPES["brats"]().trainer.steps(1) == 16000
