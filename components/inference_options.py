"""Options `--inference.*` of commands that take a pushed model: they change the model's own."""

from dataclasses import asdict
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from beam_preprocess.config_io import from_dict
from trainer.config import InferenceConfig
from trainer.model_folder import ServingSpec


def add_inference_options(parser: ArgumentParser) -> None:
    """Adds an option for every field of `InferenceConfig`; without it the model's own value holds.

    In a help text their defaults are null.
    """
    words = "size of the window of mode `window` per spatial axis, in voxels"
    parser.add_argument("--inference.window", type=tuple[int, ...] | None, help=words)
    names = set(InferenceConfig.__dataclass_fields__) - {"window"}  # which has no default
    parser.add_class_arguments(InferenceConfig, "inference", skip={"window"})
    parser.set_defaults({f"inference.{name}": None for name in names})


def changed_inference(options: Namespace, spec: ServingSpec) -> InferenceConfig:
    """The settings that a model was exported with, and those that were given in place of them.

    Raises:
      ValueError: A value cannot be used, or does not suit the model.
    """
    given: dict[str, Any] = options.inference.as_dict()
    changed = {name: value for name, value in given.items() if value is not None}
    inference = from_dict(InferenceConfig, asdict(spec.inference) | changed)
    inference.require_labels(spec.dataset.label_values)
    if inference.mode == "window":
        spec.model.output_size(inference.window)
    else:
        spec.model.largest_cube(inference.whole_limit)
    return inference
