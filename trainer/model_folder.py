"""The folder of an exported model: where it is among versions, and what is told beside it."""

import hashlib
import json
from argparse import ArgumentError
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal

from beam_preprocess.atomic import write_text
from beam_preprocess.case import DatasetInfo
from beam_preprocess.config_io import from_dict
from trainer.config import InferenceConfig
from trainer.model_config import ModelConfig

METADATA = "assets.extra/unet_tfx.json"
TRAINING_CASES = "training_cases.json"
"""Which cases and groups a model was trained on. It lies beside the SavedModel's folder, never in
it: ids of patients do not belong in what is served.
"""


@dataclass(frozen=True, kw_only=True)
class ServingSpec:
    """What the graph around the network has to know; it is stored with the model.

    Attributes:
      dataset: The dataset whose layout and conventions the model follows.
      profile, clip_percentiles: See `PreprocessingConfig`.
      inference: How a case is shown to the network, and what is done with the answer.
      model: The network; of an ensemble, each of them.
      precision: See `TrainerConfig`.

    Raises:
      ValueError: `inference` names a label value that the dataset does not have.
    """

    dataset: DatasetInfo
    profile: str
    clip_percentiles: tuple[float, float]
    inference: InferenceConfig
    model: ModelConfig
    precision: Literal["float32", "bfloat16", "float16"] = "float32"

    def __post_init__(self) -> None:
        self.inference.require_labels(self.dataset.label_values)


def newest_version(path: Path) -> Path:
    """`path` where it is a SavedModel, or its newest numbered sub-folder that is one.

    Raises:
      ValueError: There is none, or it was not exported by us.
    """
    versions = [p for p in path.glob("*") if p.name.isdigit()] if path.is_dir() else []
    candidates = [path, *sorted(versions, key=lambda p: int(p.name), reverse=True)]
    for candidate in candidates:
        if (candidate / "saved_model.pb").is_file() and (candidate / METADATA).is_file():
            return candidate
    raise ValueError(
        f"model must be a folder that unet-tfx pushed (with saved_model.pb and {METADATA}),"
        f" got {str(path)!r}"
    )


def write_metadata(spec: ServingSpec, model: Path) -> None:
    """Writes `spec` beside the SavedModel in `model`, atomically."""
    write_text(model / METADATA, json.dumps(asdict(spec), indent=2))


def read_metadata(model: Path) -> ServingSpec:
    """The `ServingSpec` that the model in the folder `model` was exported with.

    Raises:
      ValueError: The file is damaged.
    """
    try:
        return from_dict(ServingSpec, json.loads((model / METADATA).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, IndexError, ArgumentError) as e:
        raise damaged(model, e) from e


def model_fingerprint(model: Path) -> str:
    """Hash of all that decides what the SavedModel in the folder `model` answers."""
    digest = hashlib.sha256()
    below = sorted(p for p in (model / "variables").glob("*") if p.is_file())
    for path in (model / "saved_model.pb", model / METADATA, *below):
        digest.update(f"{path.relative_to(model)}\n".encode())
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def find_training_cases(model: Path) -> Path | None:
    """The file that tells whom the SavedModel in the folder `model` was trained on, if it is there.

    The Trainer leaves it beside the SavedModel, `unet-tfx train` beside the folder of its versions.
    """
    places = [model.parent, *([model.parent.parent] if model.name.isdigit() else [])]
    return next((p / TRAINING_CASES for p in places if (p / TRAINING_CASES).is_file()), None)


def require_alike(specs: Mapping[Path, ServingSpec]) -> None:
    """Raises ValueError where models differ in more than their inference, with the first field."""
    first, *others = specs
    for other in others:
        theirs = replace(specs[other], inference=specs[first].inference)
        if differ := next(_differences(specs[first], theirs), None):
            name, ours, value = differ
            raise ValueError(
                f"models of an ensemble must have the same {name}, {str(other)!r} has {value!r}"
                f" and {str(first)!r} {ours!r}"
            )


def _differences(one: Any, other: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The fields that differ, those of configs in configs with a dotted name: name, one, other."""
    for name in (field.name for field in fields(one)):
        ours, theirs = getattr(one, name), getattr(other, name)
        if ours != theirs and is_dataclass(ours):
            yield from _differences(ours, theirs, f"{prefix}{name}.")
        elif ours != theirs:
            yield f"{prefix}{name}", ours, theirs


def damaged(model: Path, error: Exception) -> ValueError:
    """What to raise where reading the model in the folder `model` raised `error`."""
    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    return ValueError(
        f"the model in {str(model)!r} is incomplete or damaged: copy it again, all files of the"
        f" folder ({reason})"
    )
