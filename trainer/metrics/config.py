"""What is scored beside the overlap of voxels, and how cases are summed up."""

from dataclasses import dataclass

from beam_preprocess.validation import require, require_positive


@dataclass(frozen=True, kw_only=True)
class MetricsConfig:
    """Scores of one case.

    The defaults are those of BraTS 2023 for gliomas. Its meningiomas have a `lesion_dilation` of 1,
    its metastases 1 and a `lesion_ignored_mm3` of 2.

    Attributes:
      surface_tolerance_mm: Distance up to which two surfaces agree, for the surface dice. 1 mm is
        one voxel of BraTS: a border that is off by a voxel is no fault that a reader could see.
      hd95_penalty_mm: HD95 where only one of truth and prediction is empty. 374 mm is BraTS's, a
        little more than the diagonal of its grid; set it to that of yours where that is larger.
      lesion_wise: Whether each lesion is scored by itself, too.
      lesion_dilation: Voxels by which each lesion of the truth grows before lesions that meet are
        taken for one; a prediction that it then touches has found it.
      lesion_ignored_mm3: Lesions of the truth up to this volume are not scored.
    """

    surface_tolerance_mm: float = 1.0
    hd95_penalty_mm: float = 374.0
    lesion_wise: bool = True
    lesion_dilation: int = 3
    lesion_ignored_mm3: float = 50.0

    def __post_init__(self) -> None:
        section = "evaluation.metrics"
        require_positive(self, section, ["surface_tolerance_mm", "hd95_penalty_mm"])
        require_positive(self, section, ["lesion_dilation"])
        ignored = self.lesion_ignored_mm3
        require(ignored >= 0, f"{section}.lesion_ignored_mm3", ignored, "0 or more")


@dataclass(frozen=True, kw_only=True)
class StatisticsConfig:
    """Intervals around means.

    Attributes:
      level: Confidence level of the intervals, between 0 and 1.
      resamples: Draws of the bootstrap. With 2000 an end of the interval is off by about a fiftieth
        of the interval's width.
      seed: Of the draws: the same cases have the same interval.
    """

    level: float = 0.95
    resamples: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        section = "evaluation.statistics"
        require(0 < self.level < 1, f"{section}.level", self.level, "between 0 and 1")
        require_positive(self, section, ["resamples"])
        require(self.seed >= 0, f"{section}.seed", self.seed, "0 or more")
