"""Exported models taken apart and put together anew, without training: the weights are in them.

Several become one that averages them, or one infers otherwise than it was exported to.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras

from trainer.config import InferenceConfig
from trainer.model_folder import ServingSpec, require_alike
from trainer.serving import LoadedModel, Servable, export, make_signatures
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
    require_alike({model.path: model.spec for model in loaded})
    spec = replace(loaded[0].spec, inference=inference or loaded[0].spec.inference)
    networks = [network for model in loaded for network in load_networks(model)]
    export(networks, spec, folder)
    return spec


class RebuiltModel(LoadedModel):
    """An exported model that infers otherwise: its networks in a new graph.

    Args:
      path: Of the model, or of a folder of versions.
      inference: How it infers.

    Raises:
      ValueError: There is no model of ours, it is incomplete or damaged, or `inference` names a
        label value that its dataset does not have.
    """

    def __init__(self, path: str | Path, inference: InferenceConfig):
        super().__init__(path)
        self.spec = replace(self.spec, inference=inference)
        self._signatures = make_signatures(Servable(load_networks(self), self.spec), self.spec)


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
