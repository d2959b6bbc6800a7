"""Options of the commands that take a run config: recipe, then YAML file, then dotted options."""

import difflib
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace

from beam_preprocess.validation import require
from pipeline.config import RunConfig
from pipeline.recipes import RECIPES
from pipeline.usage import UsageError
from trainer.tracking_config import require_libraries

NETWORK_SECTIONS = ("model", "trainer", "inference")
"""Sections of a config that may differ on the same records: the others decide what those are."""
_NO_FIELDS = {"h", "help", "recipe", "config", "print-config", "force"}
"""Options that are no fields of a config: a YAML file cannot hold them."""


def add_config_options(parser: ArgumentParser, recipe: str, *, skip: Collection[str] = ()) -> None:
    """Adds `--recipe`, `--config`, and a dotted option per field with the recipe's value.

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


def add_network_options(parser: ArgumentParser, values: Mapping[str, Any]) -> None:
    """Adds a dotted option per field of the `NETWORK_SECTIONS`, with its value in `values`."""
    skip = set(RunConfig.__dataclass_fields__) - set(NETWORK_SECTIONS)
    parser.add_class_arguments(RunConfig, None, skip=skip)
    parser.set_defaults({name: values[name] for name in NETWORK_SECTIONS})


def peek_recipe(argv: Sequence[str]) -> str:
    """The recipe that a command line names, before it is parsed.

    Raises:
      UsageError: It names none, or one that there is not.
    """
    given = next(reversed(_peek("--recipe", argv)), None)
    if given not in RECIPES:
        raise UsageError(f"--recipe must be one of {', '.join(RECIPES)}, got {given!r}")
    return given


def _peek(option: str, argv: Sequence[str]) -> list[str]:
    """What a command line gives for an option: `--option VALUE` or `--option=VALUE`."""
    return [
        following if word == option else word.removeprefix(f"{option}=")
        for word, following in zip(argv, [*argv[1:], ""], strict=False)
        if word.partition("=")[0] == option
    ]


def expand(words: Sequence[str], short: Mapping[str, str]) -> list[str]:
    """A command line with options in place of their short names: `--a=2`, `--a 2` -> `--b=2` ...

    Args:
      words: The command line.
      short: Short name -> name of the option.
    """
    parts = [word.partition("=") for word in words]
    return ["".join((short.get(name, name), *value)) for name, *value in parts]


def refuse_data_options(words: Sequence[str], *, but: Collection[str] = ()) -> None:
    """Raises UsageError where an option, except those of `but`, tells how records are made."""
    for name in (word.partition("=")[0] for word in words):
        if name.startswith(("--data.", "--preprocessing.")) and name not in but:
            raise UsageError(
                f"{name} must be left out, the records of a run are what they are: `unet-tfx run`"
                " makes others"
            )


def parse(parser: ArgumentParser, argv: Sequence[str]) -> Namespace:
    """Parses options; everything that is wrong with them is a UsageError.

    Raises:
      UsageError: Names the field, its value and what is allowed.
    """
    try:
        words, exclusions = _take_exclusions(argv)
        for path in filter(None, _peek("--config", words)):
            _check_file(path, parser)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            options = parser.parse_args(_config_first(words))
        if exclusions:
            options["data.exclude"] = {**options["data.exclude"], **exclusions}
        _check_section({k: v for k, v in options.as_dict().items() if k in _fields(parser)}, parser)
    except (ArgumentError, ValueError) as e:
        raise UsageError(_explain(str(e), parser)) from e
    return options


_EXCLUDE = "--data.exclude."


def _take_exclusions(argv: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Takes `--data.exclude.ID REASON` out of a command line: case id -> reason, as it was typed.

    jsonargparse would read a reason as YAML ("torn: twice" is no text there), and part an id at its
    dots.
    """
    rest: list[str] = []
    found: dict[str, str] = {}
    words = iter(argv)
    for word in words:
        if not word.startswith(_EXCLUDE):
            rest.append(word)
            continue
        case_id, has_value, reason = word.removeprefix(_EXCLUDE).partition("=")
        if not has_value:
            reason = next(words, "--")
        require(
            bool(case_id) and bool(reason) and not reason.startswith("--"),
            word.lstrip("-"),
            reason,
            "followed by the reason why the case is left out",
        )
        found[case_id] = reason
    return rest, found


def _config_first(argv: Sequence[str]) -> list[str]:
    """Moves `--config FILE` to the front, so that options override it wherever it stands.

    jsonargparse lets the later word win.
    """
    pairs = zip(["", *argv], argv, strict=False)
    last = [("--config" not in (before, word.partition("=")[0]), word) for before, word in pairs]
    return [word for _, word in sorted(last, key=lambda pair: pair[0])]


def _check_file(path: str, parser: ArgumentParser) -> None:
    """Raises ValueError unless a file is YAML that holds fields of the config."""
    try:
        values = yaml.safe_load(Path(path).expanduser().read_text(encoding="utf-8"))
        _check_section(values, parser)
    except (OSError, ValueError, yaml.YAMLError) as e:
        raise ValueError(f"--config {path}: {e}") from e


def _check_section(values: object, parser: ArgumentParser, section: str = "") -> None:
    """Raises ValueError unless `values` are fields that the parser knows, none of them null
    but those that may be.

    jsonargparse lets null through, and anything in place of a section.
    """
    require(isinstance(values, dict), section or "a config", values, "fields and their values")
    assert isinstance(values, dict)
    fields = _fields(parser)
    for key, value in values.items():
        name = f"{section}.{key}" if section else str(key)
        if name not in fields:
            raise ValueError(f"there is no field '{name}'")
        if any(other.startswith(f"{name}.") for other in fields):
            _check_section(value, parser, name)
        else:
            _check_value(value, name, optional=name in _optional(parser))


def _check_value(value: object, name: str, *, optional: bool) -> None:
    """Raises ValueError where a field is null that may not be, or holds names that are no text."""
    require(optional or value is not None, name, None, "set to a value, or left out")
    for entry in value if isinstance(value, list) else []:
        wrong = (
            [key for key in entry if not isinstance(key, str)] if isinstance(entry, dict) else []
        )
        if wrong:
            raise ValueError(
                f"the names of fields in {name} must be text, got {wrong[0]}: YAML reads on, off,"
                " yes and no as true and false unless they stand in quotes"
            )


def _names(parser: ArgumentParser) -> set[str]:
    """All options, but those that jsonargparse adds to lists of dataclasses (gate.rules.help)."""
    names = {o.lstrip("-") for a in parser._actions for o in a.option_strings}
    return {n for n in names if not n.endswith(".help")}


def _optional(parser: ArgumentParser) -> set[str]:
    """The fields that may be null."""
    types = {n.dest: get_args(getattr(n, "_typehint", None)) for n in parser._actions}
    return {name for name, members in types.items() if type(None) in members}


def _fields(parser: ArgumentParser) -> set[str]:
    """The fields of the config, and its sections."""
    return _names(parser) - _NO_FIELDS


_UNKNOWN = re.compile(
    r"nrecognized arguments: -*(?P<option>[^\s=]+)"
    r"|there is no field '(?P<field>.+)'"
    r"|Group '(?P<group>.+)' does not accept option '(?P<key>.+)'"
)
"""What is said of an unknown option, of a field in a file, and (by jsonargparse) in JSON."""


_IN_LIST = re.compile(
    r'Parser key "(?P<list>[^"]+)":\s+Problem with given class_path \S+:\s+'
    r'(Parser key "(?P<field>[^"]+)"'
    r"|the following arguments are required: (?P<lacks>[^\n]+)"
    r"|Option '(?P<unknown>[^']+)' is not accepted)"
)
"""What is wrong in an entry of a list of dataclasses, such as gate.rules."""

_WRONG_TYPE = re.compile(
    r'Parser key "(?P<field>[^"]+)":\s+Expected a (?P<type>.+)\. Got value: (?P<value>.*)', re.S
)
_OPTIONAL_NUMBER = re.compile(
    r'Parser key "(?P<field>[^"]+)":\s+Does not validate against any of the Union subtypes\s+'
    r"Subtypes: \[<class 'float'>, <class 'NoneType'>\].+Given value: (?P<value>.*)",
    re.S,
)
_TYPES = {
    "<class 'int'>": "a whole number",
    "<class 'float'>": "a number",
    "<class 'bool'>": "true or false",
    "<class 'str'>": "text",
    "<class 'dict'>": "names and their values",
    "<class 'tuple'>": "a list",
    "tuple with 2 elements": "a list of 2",
}
"""How jsonargparse names a type, and how we do."""


def _explain(message: str, parser: ArgumentParser) -> str:
    """Says a type error in our words, and adds the names that an unknown one may stand for."""
    if entry := _IN_LIST.search(message):
        if entry["lacks"]:
            return f"each entry of {entry['list']} must have a value of {entry['lacks']}"
        if entry["unknown"]:
            return f"there is no field {entry['unknown']!r} in an entry of {entry['list']}"
        message = message.replace(f'"{entry["field"]}"', f'"{entry["list"]}.{entry["field"]}"')
    if wrong := _OPTIONAL_NUMBER.search(message):
        return f"{wrong['field']} must be a number or null, got {wrong['value']!r}"
    if wrong := _WRONG_TYPE.search(message):
        allowed = _TYPES.get(wrong["type"])
        if choices := re.fullmatch(r"typing\.Literal\[(.+)\]", wrong["type"]):
            allowed = f"one of {choices[1]}"
        return f"{wrong['field']} must be {allowed or wrong['type']}, got {wrong['value']!r}"
    match = _UNKNOWN.search(message)
    if not match:
        return message
    name = match["option"] or match["field"] or f"{match['group']}.{match['key']}"
    near = _near(name, sorted(_fields(parser) if match["field"] else _names(parser)))
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return f"{message}: {hint}`{parser.prog} --help` lists all fields"


def _near(name: str, known: Sequence[str]) -> list[str]:
    """At most two of the known names: those that are like `name`, or end like it."""
    ends = {k.rpartition(".")[2]: k for k in known}
    end = name.rpartition(".")[2]
    return difflib.get_close_matches(name, known, n=2, cutoff=0.75) or [
        ends[e] for e in difflib.get_close_matches(end, ends, n=2, cutoff=0.75)
    ]


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


def check_libraries(config: RunConfig) -> None:
    """Raises UsageError where a library is missing that the config asks for.

    The training itself would find it only after the hours that reading the data takes.
    """
    try:
        require_libraries(config.trainer.tracking)
    except ValueError as e:
        raise UsageError(str(e)) from e
