"""Config dataclasses as dicts and JSON, and back: what crosses the border to a component."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from jsonargparse import ArgumentParser

Config = TypeVar("Config")


def to_json(config: object) -> str:
    """A config dataclass as JSON: equal configs give equal text."""
    return json.dumps(asdict(config), sort_keys=True)  # type: ignore[call-overload]


def from_json(cls: type[Config], text: str) -> Config:
    """Builds a config dataclass, nested ones too, from JSON."""
    return from_dict(cls, json.loads(text))


def from_dict(cls: type[Config], values: Mapping[str, Any]) -> Config:
    """Builds a config dataclass, nested ones too; lists become tuples where the type says so."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls, "config")
    return parser.instantiate_classes(parser.parse_object({"config": dict(values)})).config
