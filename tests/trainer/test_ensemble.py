"""Exported models -> one exported model, whose probabilities are the mean of theirs."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from beam_preprocess.datasets.dagm import DAGM
from trainer.config import InferenceConfig
from trainer.ensemble import RebuiltModel, export_ensemble, load_networks
from trainer.model_config import ModelConfig
from trainer.model_folder import ServingSpec, read_metadata, write_metadata
from trainer.serving import LoadedModel, Servable, export
from trainer.state import POLICIES
from trainer.unet import build_unet

SPEC = ServingSpec(
    dataset=DAGM,
    profile="corrected",
    clip_percentiles=(0.5, 99.5),
    inference=InferenceConfig(window=(8, 8)),
    model=ModelConfig(rank=2, in_channels=1, classes=2, filters=(2, 4), norm="batch"),
    precision="bfloat16",
)
IMAGE = np.random.default_rng(1).integers(0, 256, (9, 14, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models, as the Trainers of two folds leave them."""
    folders = [tmp_path_factory.mktemp("fold") for _ in range(2)]
    for seed, folder in enumerate(folders):
        network = build_unet(SPEC.model, seed=seed, dtype_policy=POLICIES[SPEC.precision])
        moving = network.get_layer("encoder1_conv1_norm").moving_mean
        moving.assign(moving + seed + 1)
        head = network.get_layer("head").kernel
        head.assign(head * 50)
        export([network], SPEC, str(folder))
    return folders


@pytest.fixture(scope="module")
def ensemble(folds: list[Path], tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("ensemble")
    assert export_ensemble(folds, str(folder)) == SPEC
    return LoadedModel(folder)


def test_probabilities_are_the_mean_of_the_members(
    ensemble: LoadedModel, folds: list[Path]
) -> None:
    members = [LoadedModel(folder).predict_probabilities(IMAGE)[1] for folder in folds]
    assert np.abs(members[0] - members[1]).max() > 1e-2
    label, found = ensemble.predict_probabilities(IMAGE)
    np.testing.assert_allclose(found, np.mean(members, axis=0), atol=1e-6)
    np.testing.assert_array_equal(label, np.array([0, 255])[found.argmax(-1)])
    np.testing.assert_array_equal(ensemble.predict(IMAGE), label)


def test_networks_of_an_exported_model_are_those_that_were_exported(folds: list[Path]) -> None:
    model = LoadedModel(folds[1])
    [network] = load_networks(model)
    assert network.get_layer("encoder0_conv2_act").compute_dtype == "bfloat16"
    for variable, value in zip(network.variables, model.states[0], strict=True):
        np.testing.assert_array_equal(variable, value)
    expected = build_unet(SPEC.model, seed=1).get_layer("encoder0_conv1").kernel
    np.testing.assert_array_equal(network.get_layer("encoder0_conv1").kernel, expected)


@pytest.mark.slow
def test_ensemble_has_all_networks_and_may_be_a_member_itself(
    ensemble: LoadedModel, folds: list[Path], tmp_path: Path
) -> None:
    inference = InferenceConfig(window=(16, 16), mode="whole", min_component=4)
    spec = export_ensemble([ensemble.path, folds[0]], str(tmp_path), inference=inference)
    assert spec == replace(SPEC, inference=inference) == read_metadata(tmp_path)
    networks = load_networks(LoadedModel(tmp_path))
    assert len(networks) == 3
    x = tf.random.stateless_normal([1, 8, 8, 1], seed=(0, 0))
    for found, expected in ((networks[2], folds[0]), (networks[1], folds[1])):
        [network] = load_networks(LoadedModel(expected))
        np.testing.assert_array_equal(found(x), network(x))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("profile", {"profile": "reference"}),
        ("model.conv_bias", {"model": replace(SPEC.model, conv_bias=False)}),
    ],
)
def test_members_must_be_of_one_kind(
    folds: list[Path], tmp_path: Path, name: str, change: dict
) -> None:
    other = Path(shutil.copytree(folds[1], tmp_path / "other"))
    write_metadata(replace(SPEC, **change), other)
    message = (
        rf"^models of an ensemble must have the same {name}, '{other}' has .* and '{folds[0]}'"
    )
    with pytest.raises(ValueError, match=message):
        export_ensemble([folds[0], other], str(tmp_path / "ensemble"))
    assert not (tmp_path / "ensemble").exists()


def test_variables_must_be_those_of_the_network(folds: list[Path], tmp_path: Path) -> None:
    other = Path(shutil.copytree(folds[1], tmp_path / "other"))
    write_metadata(replace(SPEC, model=replace(SPEC.model, filters=(2, 4, 8))), other)
    message = rf"^the model in '{other}' must have the \d+ variables of its network, it has \d+,"
    with pytest.raises(ValueError, match=message):
        export_ensemble([other], str(tmp_path / "ensemble"))


def test_rebuilt_model_infers_otherwise(ensemble: LoadedModel) -> None:
    inference = InferenceConfig(window=(16, 16), mode="whole", mirror=(1,), min_component=4)
    spec = replace(SPEC, inference=inference)
    servable = Servable(load_networks(ensemble), spec)
    expected = servable.predict(tf.constant(IMAGE))
    rebuilt = RebuiltModel(ensemble.path, inference)
    assert rebuilt.spec == spec
    label, probabilities = rebuilt.predict_probabilities(IMAGE)
    np.testing.assert_allclose(probabilities, expected[1], atol=1e-6)
    np.testing.assert_array_equal(label, expected[0])
    np.testing.assert_array_equal(rebuilt.predict(IMAGE), label)
    assert np.abs(probabilities - ensemble.predict_probabilities(IMAGE)[1]).max() > 1e-4
    with pytest.raises(ValueError, match="takes 8-bit images"):
        rebuilt.predict(IMAGE.astype(np.int16))


def test_ensemble_of_nothing() -> None:
    with pytest.raises(ValueError, match="^an ensemble must have a model or more, got none$"):
        export_ensemble([], "nowhere")
