"""Checks that every config dataclass makes on construction, with one grammar for their errors."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Literal, get_args, get_origin, get_type_hints


def require(ok: bool, field: str, value: object, allowed: str) -> None:
    """Raises ValueError that names the field, its value and what is allowed, unless `ok`."""
    if not ok:
        raise ValueError(f"{field} must be {allowed}, got {value!r}")


def require_choices(config: object, section: str) -> None:
    """Raises ValueError for the first `Literal` field whose value is none of its choices."""
    hints = get_type_hints(type(config))
    for name in (field.name for field in fields(config)):  # type: ignore[arg-type]
        if get_origin(hints[name]) is Literal:
            choices, value = get_args(hints[name]), getattr(config, name)
            allowed = f"one of {', '.join(map(repr, choices))}"
            require(value in choices, f"{section}.{name}", value, allowed)


def require_positive(config: object, section: str, fields: Iterable[str]) -> None:
    """Raises ValueError for the first of the named fields of `config` that is not above zero."""
    for name in fields:
        value = getattr(config, name)
        require(value > 0, f"{section}.{name}", value, "above 0")
