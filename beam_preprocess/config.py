"""Config of the data layer: where cases are, how they are split, how they become records."""

from dataclasses import dataclass, field
from typing import Literal

from beam_preprocess.validation import require, require_choices, require_positive

_WITH_LABELS = ("brats", "folders")
_WITH_CHANNELS = ("folders",)
MAX_FOLDS = 20
"""Folds are nodes of the DAG, each with named inputs: the component specs list this many."""


DATASETS = {
    "brats": "beam_preprocess.datasets.brats.Brats",
    "dagm": "beam_preprocess.datasets.dagm.Dagm",
    "nnunet": "beam_preprocess.datasets.nnunet.NnUnet",
    "decathlon": "beam_preprocess.datasets.decathlon.Decathlon",
    "isbi2012": "beam_preprocess.datasets.isbi2012.Isbi2012",
    "severstal": "beam_preprocess.datasets.severstal.Severstal",
    "folders": "beam_preprocess.datasets.folders.Folders",
    "brats-records": "beam_preprocess.datasets.reference_records.BratsRecords",
    "dagm-records": "beam_preprocess.datasets.reference_records.DagmRecords",
}
"""Value of `data.dataset` -> the class that reads it. Any other class goes by its import path."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The cohort: which dataset, where it is, which cases, in which folds.

    Attributes:
      dataset: Layout of the files under `root`: brats, dagm, nnunet, decathlon, isbi2012,
        severstal, folders, brats-records, dagm-records, or the import path of a class of your own.
      root: Folder of the dataset: for BraTS the parent of the case folders (or of HGG/ and LGG/),
        for DAGM the parent of Class1/, Class2/, ..., for nnU-Net that of dataset.json.
      folds: Number of cross-validation folds k, 2 to 20.
      fold_seed: Seed of the assignment of patients to folds.
      classes: DAGM only: numbers of the classes to use, 1 to 10; empty uses all that are there.
      labels: Name -> value of labels that the files do not tell: of dataset folders all of them, of
        brats that of EnhancingTumor where it is not the usual one of the file names (3 or 4).
      channels: Dataset folders only: names of the channels of an image; empty for one, grey.
      case_table: CSV file with a column case_id and the columns patient or stratum or both, which
        say what the layout does not: cases of a patient stay together, strata are balanced. By
        further columns scores can be sliced (evaluation.slices).
      splits: splits_final.json of nnU-Net, whose folds are used instead of our own.
      allow_unlabelled: Whether cases without a label are taken, for prediction only. They are an
        error otherwise, unless the layout keeps them in a place of their own.
      exclude: Cases to leave out: case id -> reason. The report counts them.
      cases_per_shard: Records per raw record file.
    """

    dataset: str
    root: str = ""
    folds: int = 5
    fold_seed: int = 0
    classes: tuple[int, ...] = ()
    labels: dict[str, int] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    case_table: str = ""
    splits: str = ""
    allow_unlabelled: bool = False
    exclude: dict[str, str] = field(default_factory=dict)
    cases_per_shard: int = 8

    def __post_init__(self) -> None:
        require(
            self.dataset in DATASETS or "." in self.dataset,
            "data.dataset",
            self.dataset,
            f"one of {', '.join(DATASETS)}, or the import path of a class",
        )
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
        for name, used in (("labels", _WITH_LABELS), ("channels", _WITH_CHANNELS)):
            value = getattr(self, name)
            require(
                not value or self.dataset in used or self.dataset not in DATASETS,
                f"data.{name}",
                value,
                f"empty for dataset {self.dataset!r}, whose files tell them",
            )
        require(
            all(1 <= v <= 255 for v in self.labels.values()),
            "data.labels",
            self.labels,
            "names and their values, between 1 and 255",
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
