"""The folder of a training by `unet-tfx train`: it belongs to one, which goes on in it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from beam_preprocess.atomic import write_text
from pipeline.usage import UsageError

TRAINING = "training.json"
"""In the folder of a training: everything that decides its weights."""


def check_output(given: str, run: Path) -> None:
    """Raises UsageError unless a training may be kept there: nothing else is in the folder."""
    output = Path(given)
    if not given or set(given) & set("*?[]"):
        raise UsageError(f"--output must be a folder, a path without * ? [ ], got {given!r}")
    if output.resolve().is_relative_to(run.resolve()):
        raise UsageError(
            f"--output must not be in RUN, whose files belong to its runs, got {given!r}"
        )
    names = {p.name for p in output.glob("*")} - {".lock"} if output.is_dir() else set()
    if (output.exists() and not output.is_dir()) or (names and TRAINING not in names):
        raise UsageError(
            f"--output must be a new folder or one of `unet-tfx train`, {given!r} holds something"
            " else: give another folder"
        )


def claim(output: Path, decides: Mapping[str, Any]) -> None:
    """Takes a folder for a training, or finds that it holds this very one.

    Args:
      output: The folder.
      decides: What decides the weights, as plain values: all of it, or a part.

    Raises:
      UsageError: It holds another training.
    """
    path = output / TRAINING
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    for section, value in decides.items():
        if section in known and known[section] != value:
            raise UsageError(
                f"--output {str(output)!r} holds a training {_difference(section, known, decides)}:"
                " give another folder"
            )
    write_text(path, json.dumps({**known, **decides}, indent=1) + "\n")


def _difference(section: str, known: Mapping[str, Any], decides: Mapping[str, Any]) -> str:
    """In which way a training differs from the one that a folder holds."""
    if section == "data":
        return "on other records"
    if section == "code":
        return "by another version of unet-tfx, whose state may not fit"
    there, here = (dict(_leaves(section, values[section])) for values in (known, decides))
    name = next((n for n in [*there, *here] if there.get(n) != here.get(n)), section)
    return f"with --{name} {there.get(name)!r}, this one has {here.get(name)!r}"


def _leaves(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Full names of the fields of a section, and their values."""
    if not isinstance(value, dict):
        yield name, value
        return
    for key, inner in value.items():
        yield from _leaves(f"{name}.{key}", inner)
