"""An ensemble of exported models, exported as one: no training, the weights are in the models."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras

from trainer.config import InferenceConfig
from trainer.model_folder import ServingSpec
from trainer.serving import LoadedModel, export
from trainer.state import POLICIES
from trainer.unet import build_unet


def export_ensemble(
    models: Sequence[str | Path], folder: str, *, inference: InferenceConfig | None = None
) -> ServingSpec:
    """Exports a model whose probabilities are the mean of those of several exported models.

    Args:
      models: SavedModel folders, or folders of versions; each may be an ensemble itself, whose
        networks then count as much as the others.
      folder: Of the new SavedModel.
      inference: How the ensemble infers; None is as the first model does.

    Returns:
      What the ensemble was exported with.

    Raises:
      ValueError: There is no model, one is damaged, or their networks, datasets or normalisations
        differ.
    """
    if not models:
        raise ValueError("an ensemble must have a model or more, got none")
    loaded = [LoadedModel(path) for path in models]
    spec = replace(loaded[0].spec, inference=inference or loaded[0].spec.inference)
    for model in loaded[1:]:
        _check_fits(model, spec, str(loaded[0].path))
    networks = [network for model in loaded for network in load_networks(model)]
    export(networks, spec, folder)
    return spec


def _check_fits(model: LoadedModel, spec: ServingSpec, first: str) -> None:
    """Only inference may differ among the members: the ensemble has one for all."""
    other = replace(model.spec, inference=spec.inference)
    differ = [name for name in vars(spec) if getattr(spec, name) != getattr(other, name)]
    if differ:
        name = differ[0]
        raise ValueError(
            f"models of an ensemble must have the same {name}, {str(model.path)!r} has"
            f" {getattr(other, name)!r} and {first!r} {getattr(spec, name)!r}"
        )


def load_networks(model: LoadedModel) -> list[keras.Model]:
    """The networks of an exported model, with their weights.

    Raises:
      ValueError: Its variables are not those of the network that its metadata describes.
    """
    spec, networks = model.spec, []
    for state in model.states:
        network = build_unet(spec.model, dtype_policy=POLICIES[spec.precision])
        shapes = [tuple(v.shape) for v in network.variables]
        if shapes != [v.shape for v in state]:
            raise ValueError(
                f"the model in {str(model.path)!r} must have the {len(shapes)} variables of its"
                f" network, it has {len(state)}, or of other shapes: export it again"
            )
        for variable, value in zip(network.variables, state, strict=True):
            variable.assign(value)
        networks.append(network)
    return networks
