"""The argument parser of `python -m trainer`, made of the table of flags, and its help.

By argparse and not by our config library: the flags and their names are the references'.
"""

import argparse
import difflib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from trainer.reference.flags import FLAGS, ORIGINS, Flag
from trainer.reference.options import REFERENCES, Reference

PROGRAM = "python -m trainer"
_METAVARS: Mapping[Any, str] = MappingProxyType({Path: "PATH", str: "NAME", int: "N", float: "X"})
_DEFAULT_OF: Mapping[str, str] = MappingProxyType({"dtype": "precision"})
"""Name of a value -> the field of `Reference` with its default, where that is named otherwise."""


class _Parser(argparse.ArgumentParser):
    """Ends a wrong command line with one line; argparse would print all flags before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (--help lists all flags)\n")


def make_parser() -> argparse.ArgumentParser:
    """The parser; what a command line does not give is None, whatever its default."""
    parser = _Parser(
        prog=PROGRAM,
        usage=f"{PROGRAM} --exec_mode MODE --data_dir DIR --model_dir DIR [flags]",
        description="Trains, evaluates and predicts with the flags of the reference systems, on"
        " their records or ours, without a pipeline.",
        epilog=f"In parentheses defaults, in brackets who has the flag: {ORIGINS}.",
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=28, width=100),
    )
    for heading, flags in FLAGS.items():
        group = parser.add_argument_group(heading)
        for flag in flags:
            _add_flag(group, flag)
    return parser


def _add_flag(group: "argparse._ArgumentGroup", flag: Flag) -> None:
    options: dict[str, Any] = {"dest": flag.dest, "default": None, "help": _help(flag)}
    if flag.type is None:
        options |= {"action": "store_const", "const": True}
    else:
        options |= {"type": flag.type, "metavar": _METAVARS.get(flag.type, "N")}
        options |= {"choices": flag.choices or None, "nargs": "+" if flag.many else None}
    group.add_argument(*flag.names.split(), **options)


def _help(flag: Flag) -> str:
    choices = f": {', '.join(flag.choices)}" if flag.choices else ""
    return f"{flag.does}{choices}{_default_text(flag)} [{flag.origin}]"


def _default_text(flag: Flag) -> str:
    """The default as the help shows it: of all references, or the usual one and exceptions."""
    if flag.default is not None:
        return f" ({flag.default})"
    name = _DEFAULT_OF.get(flag.dest, flag.dest)
    if name not in {field.name for field in fields(Reference)}:
        return ""
    values = {key: getattr(reference, name) for key, reference in REFERENCES.items()}
    usual = next(iter(values.values()))
    exceptions = [f"{key} {_plain(v)}" for key, v in values.items() if v != usual]
    return f" ({', '.join([_plain(usual), *exceptions])})"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def describe_unknown(word: str) -> str:
    """A sentence on a word that is no flag, with the flag that is most like it."""
    names = [name for flags in FLAGS.values() for flag in flags for name in flag.names.split()]
    near = difflib.get_close_matches(word.partition("=")[0], names, n=1)
    return f"{word} is no flag" + (f": did you mean {near[0]}?" if near else "")
