"""The dataset layouts that can be read, one file each."""

from beam_preprocess.case import Dataset
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets.brats import Brats
from beam_preprocess.datasets.dagm import Dagm


def get_dataset(config: DataConfig) -> Dataset:
    """Returns the reader of `config.dataset`."""
    if config.dataset == "brats":
        return Brats()
    return Dagm(classes=config.classes)
