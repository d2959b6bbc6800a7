"""A run config as YAML: what `--print-config` shows, and `--config` reads back."""

from dataclasses import asdict

import yaml

from pipeline.config import RunConfig


def config_text(config: RunConfig) -> str:
    """The complete config as YAML."""
    return yaml.safe_dump(_plain(asdict(config)), sort_keys=False)


def _plain(value: object) -> object:
    """Tuples as lists: YAML knows no tuples."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
