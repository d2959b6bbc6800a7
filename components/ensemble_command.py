"""`unet-tfx ensemble`: exported models -> one that averages their probabilities."""

import hashlib
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentParser

from beam_preprocess.atomic import write_text
from components.inference_options import add_inference_options, changed_inference
from components.origin import ORIGIN, Origin, make_origin, read_origin, write_origin
from trainer.config import InferenceConfig
from trainer.model_folder import (
    TRAINING_CASES,
    ServingSpec,
    find_training_cases,
    model_fingerprint,
    newest_version,
    read_metadata,
    require_alike,
)
from trainer.training_cases import (
    TrainingCases,
    join_training_cases,
    read_training_cases,
    training_cases_to_json,
)

_DESCRIPTION = """Makes one model of several exported ones, without training: it averages their
probabilities, one network after another. All must have the same network, dataset and normalisation,
such as the models of the folds of one run. A model alone is exported again, to be inferred with
other options. How a case is inferred is as the first model was exported, unless an option says
otherwise. Exit status: 0 done, 1 failed, 2 wrong usage."""


def make_parser() -> ArgumentParser:
    """The parser of `unet-tfx ensemble`."""
    parser = ArgumentParser(
        prog="unet-tfx ensemble",
        usage="unet-tfx ensemble MODEL [MODEL ...] --output DIR [--inference.FIELD VALUE ...]",
        description=_DESCRIPTION,
        allow_abbrev=False,
    )
    words = "exported model: a SavedModel of ours, or a folder of versions such as serving/"
    parser.add_argument("models", nargs="+", metavar="MODEL", help=words)
    words = "new folder: gets model/1, and training_cases.json where all models have one"
    parser.add_argument("--output", required=True, metavar="DIR", help=words)
    add_inference_options(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit status."""
    parser = make_parser()
    options = parser.parse_args(list(argv))
    output = Path(options.output)
    specs = _read_members([Path(path) for path in options.models])
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise ValueError(f"output must be a new or empty folder, got {options.output!r}")
    try:
        inference = changed_inference(options, next(iter(specs.values())))
    except ValueError as e:
        parser.error(str(e))
    cases, origin = joined_cases(list(specs)), joined_origin(list(specs))
    model = _export(specs, output, inference, origin=origin)
    if cases:
        write_text(output / TRAINING_CASES, training_cases_to_json(cases))
    print(_summary(specs, model, told=bool(cases), hashed=bool(origin)))
    return 0


def _read_members(paths: Sequence[Path]) -> dict[Path, ServingSpec]:
    """The SavedModel folders, and what each was exported with.

    Raises:
      ValueError: One is no model of ours or is given twice, or they do not fit.
    """
    found = [newest_version(path).resolve() for path in paths]
    for number, path in enumerate(found):
        if path in found[:number]:
            raise ValueError(f"models must be different, {str(path)!r} is named twice")
    specs = {path: read_metadata(path) for path in found}
    require_alike(specs)
    return specs


def joined_cases(models: Sequence[Path]) -> TrainingCases | None:
    """Whom any of the models was trained on; None where one of them has no file that tells.

    A list without the cases of one model would let them be taken for unseen.
    """
    files = [file for file in map(find_training_cases, models) if file]
    return (
        join_training_cases(map(read_training_cases, files)) if len(files) == len(models) else None
    )


def joined_origin(models: Sequence[Path]) -> Origin | None:
    """What the new model tells of its training by itself; None where one of the models does not.

    The ids beside models are hashed; the hashes of pushed ones stay, each with its salt.
    """
    told, members = [], []
    for model in models:
        origin = read_origin(model)
        if file := find_training_cases(model):
            told.append(read_training_cases(file))
        elif origin:
            members.append(origin)
        else:
            return None
    trained = join_training_cases(told)
    key = hashlib.sha256("".join(map(model_fingerprint, models)).encode()).hexdigest()
    names = [*trained.cases, *trained.groups]
    made = make_origin(key, "ensemble", folds=(), names=names, contents=trained.contents)
    return replace(made, members=tuple(members))


def _export(
    specs: Mapping[Path, ServingSpec],
    output: Path,
    inference: InferenceConfig,
    *,
    origin: Origin | None,
) -> Path:
    """Writes the model to `output`, whole or not at all. Returns its folder."""
    from trainer.ensemble import export_ensemble

    target = output / "model" / "1"
    temporary = output / f".tmp-{uuid.uuid4().hex}"
    try:
        export_ensemble(list(specs), str(temporary), inference=inference)
        if origin:
            write_origin(origin, temporary)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _summary(specs: Mapping[Path, ServingSpec], model: Path, *, told: bool, hashed: bool) -> str:
    """What was written, and what to do with it."""
    lines = [f"model     {model}, of {len(specs)} exported ones"]
    if told:
        lines.append(f"trained   on the cases in {model.parent.parent / TRAINING_CASES}")
    elif hashed:
        lines.append("trained   on the cases of the models, which it knows by hashes")
    else:
        silent = next(path for path in specs if joined_origin([path]) is None)
        lines.append(
            f"trained   not told: {silent} has no {TRAINING_CASES} beside it and no {ORIGIN} in it"
        )
    lines.append(f"use it    unet-tfx predict --model {model.parent} --input CASES --output LABELS")
    return "\n".join(lines)
