"""What is scored beside the overlap of voxels, and how cases are summed up."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import hypot

from beam_preprocess.validation import require, require_positive

BRATS_PENALTY_MM = 374.0
"""A little more than the diagonal of BraTS's grid, 240 x 240 x 155 mm."""


@dataclass(frozen=True, kw_only=True)
class MetricsConfig:
    """Scores of one case.

    The defaults are those of BraTS 2023 for gliomas. Its meningiomas have a `lesion_dilation` of 1,
    its metastases 1 and a `lesion_ignored_mm3` of 2.

    Attributes:
      surface_tolerance_mm: Distance up to which two surfaces agree, for the surface dice. 1 mm is
        one voxel of BraTS: a border that is off by a voxel is no fault that a reader could see.
      hd95_penalty_mm: HD95 where only one of truth and prediction is empty, in mm (photographs:
        pixels). None: BraTS's 374 mm, in a scan with a longer diagonal that diagonal; of a
        photograph its diagonal. So that nothing found is never better than something far off.
      lesion_wise: Whether each lesion is scored by itself, too.
      lesion_dilation: Voxels by which each lesion of the truth grows before lesions that meet are
        taken for one; a prediction that it then touches has found it.
      lesion_ignored_mm3: Lesions of the truth up to this volume are not scored.
    """

    surface_tolerance_mm: float = 1.0
    hd95_penalty_mm: float | None = None
    lesion_wise: bool = True
    lesion_dilation: int = 3
    lesion_ignored_mm3: float = 50.0

    def __post_init__(self) -> None:
        section = "evaluation.metrics"
        given = [] if self.hd95_penalty_mm is None else ["hd95_penalty_mm"]
        require_positive(self, section, ["surface_tolerance_mm", "lesion_dilation", *given])
        ignored = self.lesion_ignored_mm3
        require(ignored >= 0, f"{section}.lesion_ignored_mm3", ignored, "0 or more")

    @property
    def penalty_mm(self) -> float:
        """`hd95_penalty_mm`, or BraTS's."""
        return BRATS_PENALTY_MM if self.hd95_penalty_mm is None else self.hd95_penalty_mm

    def for_grid(self, shape: Sequence[int], spacing: Sequence[float]) -> "MetricsConfig":
        """The same with a penalty that no distance in a grid exceeds, unless one was given.

        >>> MetricsConfig().for_grid((512, 512), (1, 1)).penalty_mm  # 512 times the root of 2
        724.0773439350247

        Args:
          shape: Voxels of the whole case along each axis.
          spacing: Size of a voxel along each axis, in mm (1 for photographs).
        """
        if self.hd95_penalty_mm is not None:
            return self
        diagonal = hypot(*(n * size for n, size in zip(shape, spacing, strict=True)))
        least = BRATS_PENALTY_MM if len(shape) == 3 else 0.0
        return replace(self, hd95_penalty_mm=max(least, diagonal))


def level_words(level: float) -> str:
    """A level as people read it, with all of its digits.

    >>> level_words(0.95), level_words(0.975)
    ('95 %', '97.5 %')
    """
    return f"{100 * level:g} %"


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
