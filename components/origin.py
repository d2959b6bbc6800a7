"""What a pushed model tells of itself beside the graph: which run made it, whom it was trained on.

Ids of patients do not belong in what is served, and yet the next run has to know which of its
held-out cases the deployed model has seen: a score on those would be flattery. So their SHA-256
hashes are stored, with a salt of each model's own. Whoever has both the model and a list of ids can
tell which of them are in it, and who has the model alone can try ids that are easy to guess: that
is a pseudonym, not anonymity.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from beam_preprocess.atomic import write_text
from trainer.model_folder import ServingSpec

ORIGIN = "assets.extra/origin.json"
"""In the folder of a SavedModel."""
NEWEST = "newest"
"""In place of a version: the one that is the newest when the node runs."""
NOTHING = ""
"""In place of a version: nothing is deployed."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a model comes from.

    Attributes:
      key: Hash of all that decided the model: data, code, config.
      mode: `best-fold`, `ensemble` or `refit`.
      image_threshold: Probability from which on an image is taken for defective, chosen by the
        images of the cross-validation; None where images have no score as a whole.
      folds: The folds whose models are in it; none are in a refit.
      salt: Of the hashes.
      trained_on: Hashes of the ids of all cases and groups that it was trained on, sorted.
      contents: Hash of what a case shows (`content_hash`), hashed again with the salt -> hash of
        its id; of the cases of which that is known.
      members: Of a model that was joined of pushed ones, their origins: nobody can join their
        hashes, whose salts differ.
    """

    key: str
    mode: str
    image_threshold: float | None = None
    folds: tuple[int, ...]
    salt: str
    trained_on: tuple[str, ...]
    contents: Mapping[str, str] = field(default_factory=dict)
    members: tuple["Origin", ...] = ()

    def hide(self, name: str) -> str:
        """The hash by which the origin knows a name."""
        return _hash(self.salt, name)


def make_origin(
    key: str,
    mode: str,
    *,
    folds: Sequence[int],
    names: Iterable[str],
    contents: Mapping[str, str] | None = None,
) -> Origin:
    """The origin of a model.

    Args:
      key, mode, folds: See `Origin`.
      names: Ids of the cases and groups that the model was trained on.
      contents: Hash of an image -> id of its case, where that is known.
    """
    salt = secrets.token_hex(16)
    hashes = {_hash(salt, name) for name in names}
    return Origin(
        key=key,
        mode=mode,
        folds=tuple(folds),
        salt=salt,
        trained_on=tuple(sorted(hashes)),
        contents={_hash(salt, c): _hash(salt, name) for c, name in (contents or {}).items()},
    )


def _hash(salt: str, name: str) -> str:
    return hashlib.sha256(f"{salt}/{name}".encode()).hexdigest()


def write_origin(origin: Origin, model: Path) -> None:
    """Writes `origin` into the folder of a SavedModel, atomically."""
    write_text(model / ORIGIN, json.dumps(asdict(origin), indent=1))


def read_origin(model: Path) -> Origin | None:
    """The origin of a SavedModel; None where it does not tell, or the file is damaged."""
    try:
        return _from_values(json.loads((model / ORIGIN).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def image_threshold(model: Path, spec: ServingSpec) -> float:
    """Probability from which on a model takes an image for defective.

    Args:
      model: The SavedModel, whose origin tells what was chosen by the cross-validation.
      spec: What it was exported with: its threshold of a pixel counts where nothing was chosen.
    """
    origin = read_origin(model)
    chosen = origin.image_threshold if origin else None
    return spec.inference.threshold if chosen is None else chosen


def _from_values(values: Mapping[str, Any]) -> Origin:
    tuples = {name: tuple(values[name]) for name in ("folds", "trained_on")}
    tuples["members"] = tuple(map(_from_values, values.get("members", ())))
    return Origin(**{**values, **tuples})


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A pushed version: its number, and the key of its origin (empty where it does not tell)."""

    version: str
    key: str


def list_deployments(serving: Path) -> tuple[Deployment, ...]:
    """The versions in `serving`, the newest first; its names are numbers."""
    names = [p.name for p in serving.glob("*") if p.name.isdigit() and p.is_dir()]
    return tuple(
        Deployment(version=name, key=origin.key if origin else "")
        for name in sorted(names, key=int, reverse=True)
        for origin in [read_origin(serving / name)]
    )


def version_to_beat(deployments: Sequence[Deployment], key: str) -> str:
    """The newest version that is another model than that of `key`, or `NOTHING`.

    A run that pushed its model and is started again would compare the model with itself: the
    version that was deployed before it is what it is compared with, as the first time.
    """
    return next((d.version for d in deployments if d.key != key), NOTHING)
