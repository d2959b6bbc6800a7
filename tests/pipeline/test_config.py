"""The rules of a run config, those between its sections above all."""

import re
from dataclasses import FrozenInstanceError, replace

import pytest

from pipeline.config import PipelineConfig, RunConfig
from pipeline.recipes import RECIPES, brats, dagm
from trainer.loss.config import LossConfig
from trainer.presets import PRESETS


def with_crop(config: RunConfig, crop: tuple[int, ...]) -> RunConfig:
    return replace(config, trainer=replace(config.trainer, crop=crop))


def with_window(config: RunConfig, window: tuple[int, ...]) -> RunConfig:
    return replace(config, inference=replace(config.inference, window=window))


@pytest.mark.parametrize("name", ["a", "brats", "brats-2021", "a-", "x9"])
def test_names(name):
    assert replace(brats(), name=name).name == name


@pytest.mark.parametrize(
    "name", ["", "Brats", "brats_2021", "2021", "-brats", "a b", "größe", "a\n"]
)
def test_wrong_names(name):
    message = "^name must be lower-case letters, digits and hyphens, a letter first, got "
    with pytest.raises(ValueError, match=message) as raised:
        replace(brats(), name=name)
    assert str(raised.value).endswith(repr(name))


@pytest.mark.parametrize("output", ["runs/*", "runs/a?", "runs/[1]"])
def test_output_that_would_be_a_pattern(output):
    with pytest.raises(ValueError, match=r"^output must be a path without \* \? \[ \], got 'runs/"):
        replace(brats(), output=output)


def test_crop_that_cannot_be_halved_at_every_level():
    """Six levels halve five times: 32 divides 96 and 128, not 100."""
    message = (
        r"^trainer.crop \[100, 128, 128\] does not suit the network: "
        r"input size\[0\] must be a multiple of 32, at least 32 \(nearest: 96, 128\), got 100$"
    )
    with pytest.raises(ValueError, match=message):
        with_crop(brats(), (100, 128, 128))
    assert with_crop(brats(), (96, 32, 128)).trainer.crop == (96, 32, 128)


def test_crop_of_another_rank():
    message = r"^trainer.crop \[128, 128\] does not suit the network: input size must be 3 sizes"
    with pytest.raises(ValueError, match=message):
        with_crop(brats(), (128, 128))


def test_window_must_suit_the_network_too():
    """Four levels halve three times."""
    message = r"^inference.window \[512, 500\] does not suit .* \(nearest: 496, 504\), got 500$"
    with pytest.raises(ValueError, match=message):
        with_window(dagm(), (512, 500))


def test_limit_of_whole_images_must_let_the_smallest_input_through():
    """32^3 voxels. It does not matter to windows."""
    inference = replace(brats().inference, whole_limit=32767)
    assert replace(brats(), inference=inference).inference.mode == "window"
    message = (
        "^inference.whole_limit 32767 does not suit the network: voxels at once must be at least"
        " 32768, the smallest input of the network, got 32767$"
    )
    with pytest.raises(ValueError, match=message):
        replace(brats(), inference=replace(inference, mode="whole"))
    allowed = replace(inference, mode="whole", whole_limit=32768)
    assert replace(brats(), inference=allowed).inference == allowed


def test_crop_of_a_valid_network_has_its_own_sizes():
    """U-Net, figure 1: 572 fits, and so does 556; 568 does not."""
    config = replace(
        dagm(),
        model=PRESETS["unet2d-medical"],
        trainer=replace(dagm().trainer, crop=(572, 572)),
        inference=replace(dagm().inference, window=(572, 556)),
    )
    assert config.model.output_size(config.trainer.crop) == (388, 388)
    with pytest.raises(ValueError, match=r"^trainer.crop \[568, 572\] .*nearest: 556, 572"):
        with_crop(config, (568, 572))


@pytest.mark.parametrize(("recipe", "loss"), [(dagm, "dice+ce"), (brats, "bce")])
def test_loss_must_suit_the_network(recipe, loss):
    """In the reference profile: the corrected losses suit any network."""
    trainer = replace(recipe().trainer, loss=LossConfig(name=loss, profile="reference"))
    with pytest.raises(
        ValueError, match=rf"^trainer.loss.name must be .* got {re.escape(repr(loss))}$"
    ):
        replace(recipe(), trainer=trainer)


def test_configs_are_frozen_and_equal_by_value():
    config = brats()
    assert config == brats() != dagm()
    with pytest.raises(FrozenInstanceError):
        config.name = "other"


def test_bottleneck_of_two_voxels_is_refused_in_bfloat16():
    config = RECIPES["brats-demo"]()  # three levels: the bottleneck is a quarter of the crop
    narrow = replace(config.trainer, crop=(16, 16, 8))
    assert replace(config, trainer=narrow).trainer.crop == (16, 16, 8)
    with pytest.raises(ValueError, match=r"trainer.crop must be at least 12 .*got \[16, 16, 8\]"):
        replace(config, trainer=replace(narrow, precision="bfloat16"))


@pytest.mark.parametrize("node", ["CaseGen", "StatisticsGen", "Transform", "Evaluator"])
def test_beam_options_of_a_node(node):
    options = ["--runner=FlinkRunner", "--flink_master=localhost:8081"]
    assert PipelineConfig(beam_args={node: options}).beam_args == {node: options}


@pytest.mark.parametrize("node", ["Trainer", "Evaluator-fold-0", "casegen", ""])
def test_beam_options_of_something_else(node):
    message = (
        "pipeline.beam_args must be of a node that runs on Beam: "
        f"CaseGen, StatisticsGen, Transform, Evaluator, got {node!r}"
    )
    with pytest.raises(ValueError) as raised:
        PipelineConfig(beam_args={node: ["--runner=DirectRunner"]})
    assert str(raised.value) == message


def test_beam_options_that_are_none():
    """`--name value` in two words would be read by nobody."""
    message = r"^pipeline.beam_args.CaseGen must be options that start with --, got \['2', '-x'\]$"
    with pytest.raises(ValueError, match=message):
        PipelineConfig(beam_args={"CaseGen": ["--direct_num_workers", "2", "-x"]})
