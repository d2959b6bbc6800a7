"""Checks that every config dataclass makes on construction, with one grammar for their errors."""

from collections.abc import Iterable


def require(ok: bool, field: str, value: object, allowed: str) -> None:
    """Raises ValueError that names the field, its value and what is allowed, unless `ok`."""
    if not ok:
        raise ValueError(f"{field} must be {allowed}, got {value!r}")


def require_positive(config: object, section: str, fields: Iterable[str]) -> None:
    """Raises ValueError for the first of the named fields of `config` that is not above zero."""
    for name in fields:
        value = getattr(config, name)
        require(value > 0, f"{section}.{name}", value, "above 0")
