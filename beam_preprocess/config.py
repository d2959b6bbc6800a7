"""Config of the data layer: where cases are, how they are split, how they become records."""

from dataclasses import dataclass, field
from typing import Literal

from beam_preprocess.validation import require, require_choices, require_positive

MAX_FOLDS = 20
"""Folds are nodes of the DAG, each with named inputs: the component specs list this many."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The cohort: which dataset, where it is, which cases, in which folds.

    Attributes:
      dataset: Layout of the files under `root`.
      root: Folder of the dataset: for BraTS the parent of the case folders (or of HGG/ and LGG/),
        for DAGM the parent of Class1/, Class2/, ...
      folds: Number of cross-validation folds k, 2 to 20.
      fold_seed: Seed of the assignment of patients to folds.
      classes: DAGM only: numbers of the classes to use, 1 to 10; empty uses all that are there.
      exclude: Cases to leave out: case id -> reason. The report counts them.
      cases_per_shard: Records per raw record file.
    """

    dataset: Literal["brats", "dagm"]
    root: str = ""
    folds: int = 5
    fold_seed: int = 0
    classes: tuple[int, ...] = ()
    exclude: dict[str, str] = field(default_factory=dict)
    cases_per_shard: int = 8

    def __post_init__(self) -> None:
        require_choices(self, "data")
        require(
            2 <= self.folds <= MAX_FOLDS, "data.folds", self.folds, f"between 2 and {MAX_FOLDS}"
        )
        require_positive(self, "data", ["cases_per_shard"])
        require(
            all(1 <= c <= 10 for c in self.classes),
            "data.classes",
            self.classes,
            "numbers between 1 and 10",
        )
        require(
            not self.classes or self.dataset == "dagm",
            "data.classes",
            self.classes,
            f"empty for dataset {self.dataset!r}, which has no classes",
        )


@dataclass(frozen=True, kw_only=True)
class PreprocessingConfig:
    """How raw intensities become the 8-bit images of the normalised record.

    Attributes:
      profile: `corrected` clips BraTS intensities to percentiles of the foreground and rounds to
        1..255, and takes mean and standard deviation of every photograph itself. `reference` does
        what the NVIDIA, Habana and Ascend preprocessors do (BraTS: clip at 85 % of the maximum,
        truncate) and what the Cerebras one does (DAGM: x / 127.5 - 1).
      clip_percentiles: Lower and upper clip of profile `corrected`: percentiles of the foreground.
    """

    profile: Literal["corrected", "reference"] = "corrected"
    clip_percentiles: tuple[float, float] = (0.5, 99.5)

    def __post_init__(self) -> None:
        require_choices(self, "preprocessing")
        low, high = self.clip_percentiles
        require(
            0 <= low < high <= 100,
            "preprocessing.clip_percentiles",
            self.clip_percentiles,
            "two rising percentages between 0 and 100",
        )
