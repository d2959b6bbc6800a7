"""The config of the last run in a run folder, read from its file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from jsonargparse import ArgumentError

from beam_preprocess.config_io import from_dict
from pipeline.config import RunConfig
from pipeline.run_folder import CONFIG_FILE
from pipeline.usage import UsageError
from trainer.config import EvaluationConfig

Part = TypeVar("Part")


def read_config(run: Path) -> RunConfig:
    """All of it. Raises UsageError where it cannot be read."""
    return _read(run, lambda values: from_dict(RunConfig, values))


def read_evaluation(run: Path) -> EvaluationConfig:
    """How cases were scored. Raises UsageError where it cannot be read."""
    return _read(run, lambda values: from_dict(EvaluationConfig, values["evaluation"]))


def read_dataset(run: Path) -> str:
    """Name of the dataset. Raises UsageError where it cannot be read."""
    return _read(run, lambda values: str(values["data"]["dataset"]))


def read_values(run: Path) -> dict[str, Any]:
    """All of it as plain values, of which `evaluation` is sure to be one.

    Raises:
      UsageError: It cannot be read.
    """
    read_evaluation(run)
    return _read(run, dict)


def _read(run: Path, take: Callable[[Any], Part]) -> Part:
    path = run / CONFIG_FILE
    try:
        return take(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ArgumentError, OSError, ValueError, TypeError, LookupError, yaml.YAMLError) as e:
        raise UsageError(f"{path} must hold the config of a run: {e}") from e
