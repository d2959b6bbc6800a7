"""Options of the commands that take a run config: recipe, then YAML file, then dotted options."""

import difflib
import warnings
from collections.abc import Collection, Sequence
from dataclasses import asdict

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from pipeline.config import RunConfig
from pipeline.recipes import RECIPES


class UsageError(ValueError):
    """A command line or config file that cannot be used as it is."""


def add_config_options(parser: ArgumentParser, recipe: str, *, skip: Collection[str] = ()) -> None:
    """Adds `--recipe`, `--config`, and one dotted option per field, with the recipe's values as
    defaults.

    Args:
      parser: Gets the options.
      recipe: Name of the recipe.
      skip: Top-level fields of the run config that get no option.
    """
    parser.add_argument(
        "--recipe", choices=list(RECIPES), default=recipe, help="the complete config to start from"
    )
    parser.add_argument("--config", action="config", help="YAML file that changes the recipe")
    parser.add_class_arguments(RunConfig, None, skip=set(skip))
    values = asdict(RECIPES[recipe]())
    parser.set_defaults({name: value for name, value in values.items() if name not in skip})


def peek_recipe(argv: Sequence[str]) -> str:
    """The recipe that a command line names, before it is parsed.

    Raises:
      UsageError: It names none, or one that there is not.
    """
    given = None
    for word, following in zip(argv, [*argv[1:], ""], strict=False):
        if word == "--recipe":
            given = following
        elif word.startswith("--recipe="):
            given = word.removeprefix("--recipe=")
    if given not in RECIPES:
        raise UsageError(f"--recipe must be one of {', '.join(RECIPES)}, got {given!r}")
    return given


def parse(parser: ArgumentParser, argv: Sequence[str]) -> Namespace:
    """Parses options; everything that is wrong with them is a UsageError.

    Raises:
      UsageError: Names the field, its value and what is allowed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return parser.parse_args(_config_first(argv))
    except ArgumentError as e:
        raise UsageError(_explain(str(e), parser)) from e


def _config_first(argv: Sequence[str]) -> list[str]:
    """Moves `--config FILE` to the front: jsonargparse lets the later word win, and an option is to
    override the file wherever it stands.
    """
    pairs = zip(["", *argv], argv, strict=False)
    last = [("--config" not in (before, word.partition("=")[0]), word) for before, word in pairs]
    return [word for _, word in sorted(last, key=lambda pair: pair[0])]


def _known(parser: ArgumentParser) -> list[str]:
    return [o.lstrip("-") for a in parser._actions for o in a.option_strings]


def _explain(message: str, parser: ArgumentParser) -> str:
    """Adds the names that a mistyped one may stand for."""
    if "nrecognized" not in message and "does not accept" not in message:
        return message
    known = _known(parser)
    words = [w.strip("\"',:").lstrip("-") for w in message.replace("=", " ").split()]
    ends = {name.rpartition(".")[2]: name for name in known} | {name: name for name in known}
    near = [
        ends[m]
        for w in words
        if w not in ends
        for m in difflib.get_close_matches(w, ends, n=2, cutoff=0.75)
    ]
    hint = f"did you mean {' or '.join(dict.fromkeys(near))}? " if near else ""
    return f"{message}: {hint}`{parser.prog} --help` lists all fields"


def build_config(parser: ArgumentParser, options: Namespace) -> RunConfig:
    """Builds the run config. Raises UsageError where a value breaks a rule of the config."""
    values = options.clone()
    names = RunConfig.__dataclass_fields__
    for key in [k for k in vars(values) if k not in names]:
        del values[key]
    try:
        return RunConfig(**vars(parser.instantiate(values)))
    except ValueError as e:
        raise UsageError(str(e)) from e
