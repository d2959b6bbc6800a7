"""What a case is: its files, its arrays, its dataset, and what can be wrong with it.

Axes: images are [X, Y, Z, C] (3D, NIfTI's own axis order) or [H, W, C] (2D); labels lack C.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

TEST = "test"
"""Split of labelled cases that are no part of cross-validation."""
UNLABELLED = "unlabelled"
"""Split of cases without a label: for prediction only, neither trained on nor scored."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is ordinary for the cases of a dataset; what lies outside stops a run before training.

    Attributes:
      spacing_mm: Smallest and largest voxel size.
      size: Smallest and largest number of voxels of an axis.
      foreground: Smallest and largest share of foreground in the grid, of every channel.
      intensity: Smallest and largest mean intensity of the foreground, in stored units.
    """

    spacing_mm: tuple[float, float]
    size: tuple[int, int]
    foreground: tuple[float, float]
    intensity: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What all cases of a dataset share. Plain values only: it travels as JSON, and with a model.

    Attributes:
      name: Name of the dataset, as in `data.dataset`.
      rank: Spatial dimensions, 2 or 3.
      channels: Channel names in record order.
      label_values: The dataset's own label value of every class index; index 0 is background.
      label_names: Name of every foreground label value.
      regions: Overlapping regions to score: name -> the label values whose union it is.
      foreground: `nonzero` where voxel value 0 means "no tissue", `all` where every pixel counts.
      serving_dtypes: Types that the served model takes intensities in; the first is the default.
      label_suffixes: Endings of the files that label maps are written to.
      task: `regions` scores label by label, every case; `defects` scores the masks of defective
        images, and the images themselves.
      limits: What is ordinary for the dataset's cases.
      label_aliases: Label values that mean the same as one of `label_values`: value -> that one.
      quantised: Whether intensities are in 8 bits already, as a normalised record holds them; then
        they stay as they are.
    """

    name: str
    rank: int
    channels: tuple[str, ...]
    label_values: tuple[int, ...]
    label_names: dict[int, str]
    regions: dict[str, tuple[int, ...]]
    foreground: str
    serving_dtypes: tuple[str, ...]
    label_suffixes: tuple[str, ...]
    task: str
    limits: Limits
    label_aliases: dict[int, int] = field(default_factory=dict)
    quantised: bool = False

    def __post_init__(self) -> None:
        """JSON makes text of numbers that are keys, and lists of tuples: both are mended here."""
        for name in ("label_names", "label_aliases"):
            object.__setattr__(self, name, {int(k): v for k, v in getattr(self, name).items()})
        regions = {name: tuple(values) for name, values in self.regions.items()}
        object.__setattr__(self, "regions", regions)


@dataclass(frozen=True, kw_only=True)
class CaseFiles:
    """A listed case: paths and what the listing tells, no voxel read.

    Attributes:
      case_id: Unique within the dataset.
      group: Patient (or object): all cases of a group are in one fold.
      stratum: What folds are balanced over (grade, class and defect).
      images: One path per channel, or a single one.
      label: Path of the label; None for "no foreground at all" (a defect-free photograph), and for
        cases of the split `unlabelled`.
      split: `cv` for cross-validation, `test` for labelled cases kept out of it, `unlabelled`.
      index: Which one it is in files that hold many cases (a page, a record); 0 in others.
    """

    case_id: str
    group: str
    stratum: str
    images: tuple[Path, ...]
    label: Path | None
    split: str = "cv"
    index: int = 0

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files of the case, the label last."""
        return self.images if self.label is None else (*self.images, self.label)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A case in memory, in its original grid, intensities and label values.

    Attributes:
      files: Where it came from.
      image: [X, Y, Z, C] or [H, W, C], dtype as stored.
      label: [X, Y, Z] or [H, W] uint8, or None.
      affine: [4, 4] float64, voxel to world in mm; identity for photographs.
      spacing: Voxel size per spatial axis, in mm (1 for photographs).
      sources: File name -> sha256 of every file that was read.
    """

    files: CaseFiles
    image: NDArray[np.generic]
    label: NDArray[np.uint8] | None
    affine: NDArray[np.float64]
    spacing: tuple[float, ...]
    sources: dict[str, str]


@dataclass(frozen=True, kw_only=True, order=True)
class Problem:
    """One thing that is wrong with the data, in words for the person who has to repair it.

    Attributes:
      case_id: The case, or the dataset's folder where no single case is at fault.
      rule: What must hold, and both values.
      path: The file to look at.
      remedy: What to do.
      severity: An `error` stops a run, a `warning` is reported.
    """

    case_id: str
    rule: str
    path: str
    remedy: str = "repair the file, or leave the case out with data.exclude"
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.case_id}: {self.rule} ({self.path}): {self.remedy}"


def errors(problems: Iterable[Problem]) -> list[Problem]:
    """The problems that stop a run."""
    return [p for p in problems if p.severity == "error"]


def warnings(problems: Iterable[Problem]) -> list[Problem]:
    """The problems that are reported only."""
    return [p for p in problems if p.severity == "warning"]


class DataError(ValueError):
    """Bad input, all of it: one line per problem."""

    def __init__(self, problems: Iterable[Problem]):
        self.problems = sorted(set(problems))
        lines = "\n".join(f"  {i}. {p}" for i, p in enumerate(self.problems, 1))
        super().__init__(f"{len(self.problems)} problem(s) in the data:\n{lines}")

    def __reduce__(self) -> tuple[type, tuple[list[Problem]]]:
        return type(self), (self.problems,)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """All cases of a dataset, and what the listing alone found wrong.

    Attributes:
      cases: Sorted by case id.
      problems: What makes a case or the folder unusable.
      ignored: Paths that are no part of the dataset (`Thumbs.db` and such).
    """

    cases: tuple[CaseFiles, ...]
    problems: tuple[Problem, ...] = ()
    ignored: tuple[Path, ...] = field(default=())


def source_names(paths: Iterable[Path]) -> dict[Path, str]:
    """A name for every file: its own, or as many folders before it as tell the files apart.

    >>> list(source_names([Path("/d/imagesTr/a.nii"), Path("/d/labelsTr/a.nii")]).values())
    ['imagesTr/a.nii', 'labelsTr/a.nii']
    """
    paths = list(paths)
    names = ({p: "/".join(p.parts[-parts:]) for p in paths} for parts in count(1))
    return next(n for n in names if len(set(n.values())) == len(n))


def canonical_label(label: NDArray[np.uint8], info: DatasetInfo) -> NDArray[np.uint8]:
    """`label` with every alias replaced by the label value that it stands for."""
    if not info.label_aliases:
        return label
    table = np.arange(256, dtype=np.uint8)
    table[list(info.label_aliases)] = list(info.label_aliases.values())
    return table[label]


class Dataset(Protocol):
    """One layout of raw files: what `datasets.get_dataset` returns.

    Its class is made with `info`, to read and write single cases (prediction), and with `config`
    too, to list cohorts. Its static method `describe(config: DataConfig) -> DatasetInfo` finds out
    what the cases under `config.root` share, from a description that the dataset brings along or
    from file names, and raises DataError where it cannot.
    """

    info: DatasetInfo

    def list_cases(self, root: Path) -> Listing:
        """Lists the cases under `root`, no voxel read: sorted, the same on every machine."""

    def read_case(self, files: CaseFiles) -> Case:
        """Reads a case. Raises DataError with every problem that reading it shows."""

    def read_image(self, path: Path) -> Case:
        """Reads the image of one unlabelled case (a folder or a file), for prediction."""

    def write_label(self, label: NDArray[np.uint8], case: Case, path: Path) -> None:
        """Writes a label map of `case`'s grid to `path`, atomically, in the dataset's format."""
