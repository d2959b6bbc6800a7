"""Whether a config's network suits the dataset. Without TFX, whose import takes long."""

from dataclasses import replace

from beam_preprocess.case import DatasetInfo
from beam_preprocess.validation import require
from pipeline.config import RunConfig


def fit_network(config: RunConfig, info: DatasetInfo) -> RunConfig:
    """`config` with the channels and classes of the dataset where the network's are 0."""
    channels = config.model.in_channels or len(info.channels)
    classes = config.model.classes or len(info.label_values)
    return replace(config, model=replace(config.model, in_channels=channels, classes=classes))


def check_network(config: RunConfig, info: DatasetInfo) -> None:
    """Raises ValueError unless rank, channels, classes and labels are the dataset's."""
    model, labels = config.model, len(info.label_values)
    classes = (1, 2) if labels == 2 else (labels,)
    for name, value, allowed in (
        ("rank", model.rank, (info.rank,)),
        ("in_channels", model.in_channels, (len(info.channels),)),
        ("classes", model.classes, classes),
    ):
        words = " or ".join(map(str, allowed))
        require(value in allowed, f"model.{name}", value, f"{words} for dataset {info.name!r}")
    config.inference.require_labels(info.label_values)
