"""The dataset layouts that can be read, one file each.

A layout of your own is a class like these (see docs/datasets.md), named by its import path in
`data.dataset`.
"""

import importlib
from typing import Any

from beam_preprocess.case import Dataset, DatasetInfo
from beam_preprocess.config import DATASETS, DataConfig


def get_dataset(config: DataConfig) -> Dataset:
    """Returns the reader of the cohort of `config`.

    Raises:
      DataError: The files under `config.root` do not tell what is in them.
      ValueError: `config.dataset` names no class.
    """
    cls = _class(config.dataset)
    return cls(cls.describe(config), config)


def get_reader(info: DatasetInfo) -> Dataset:
    """Returns the reader of a dataset's cases for prediction: they need no label."""
    return _class(info.name)(info, DataConfig(dataset=info.name, allow_unlabelled=True))


def _class(name: str) -> Any:
    module, _, attribute = DATASETS.get(name, name).rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as e:
        raise ValueError(
            f"data.dataset must be one of {', '.join(DATASETS)}, or the import path of a class that"
            f" reads a dataset, got {name!r}: {e}"
        ) from e
