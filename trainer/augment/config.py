"""Config of the random changes that training crops go through."""

from dataclasses import dataclass, fields
from typing import Literal

from beam_preprocess.validation import require, require_choices

BASIC = ("flips", "rotations", "brightness")
"""Fields that count in the profiles `basic` and `full`."""


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Random changes of training crops. Every draw is a function of (seed, case, epoch).

    `basic` mirrors, turns and scales intensities. `full` adds the transforms below it, by default
    with the probabilities and ranges of nnU-Net v2 (Isensee et al. 2021; elastic is off there, and
    is a free-form deformation here, as in TorchIO). A probability of 0 leaves a transform out.

    The reference profiles do what the reference systems do, and take no other option. In
    `reference-3d` (NVIDIA UNet3D, Habana, Ascend) crops never reach the last place along an axis,
    the second axis is mirrored, and about 1 is added to voxels above the mean. In `reference-dagm`
    (DAGM UNet, Cerebras, NVIDIA Industrial) crops are mirrored left to right and turned by 0, 90 or
    180 degrees. In `reference-medical` (NVIDIA UNet Medical) both axes are mirrored, up to 30 % of
    every side is cut off and the rest resized, and intensities are shifted by up to 0.2 within -1
    to 1. That some of these systems draw every decision from one random stream, so that mirroring
    and turning go together, is not reproduced.

    Attributes:
      profile: The set of changes: `basic`, `full`, or that of a reference system.
      enabled: Off leaves the crops as they are cut.
      flips: Mirror every spatial axis with probability 1/2.
      rotations: Turn by 0, 90, 180 or 270 degrees in the plane of the first two axes.
      brightness: Largest change b: intensities of a channel are multiplied by 1 - b to 1 + b.
      rotate_probability: Of turning freely, in 3D about each of the three axes.
      rotate_degrees: Largest angle. nnU-Net takes 180 for 2D.
      scale_probability: Of magnifying all axes by one factor.
      scale_range: Smallest and largest factor; below 1 structures shrink.
      elastic_probability: Of an elastic deformation.
      elastic_share: Largest displacement of a control point, as a share of the distance to the next
        one, a quarter of the crop. Below 0.4 nothing folds.
      noise_probability: Of Gaussian noise.
      noise_stdev: Its largest standard deviation; that of the image is 1.
      blur_probability: Of a Gaussian blur, which every channel then gets with probability 1/2.
      blur_sigma: Smallest and largest standard deviation of the blur in voxels.
      contrast_probability: Of a change of contrast.
      contrast: Largest change c: distances to a channel's mean are multiplied by 1 - c to 1 + c.
      low_resolution_probability: Of a coarser resolution, which every channel then gets with
        probability 1/2.
      low_resolution: Smallest share of the voxels along an axis that are kept.
      gamma_probability: Of a gamma curve that keeps mean and standard deviation; a quarter of them
        on the inverted image.
      gamma_range: Smallest and largest exponent.
    """

    profile: Literal["basic", "full", "reference-3d", "reference-dagm", "reference-medical"] = (
        "basic"
    )
    enabled: bool = True
    flips: bool = True
    rotations: bool = True
    brightness: float = 0.1
    rotate_probability: float = 0.2
    rotate_degrees: float = 30.0
    scale_probability: float = 0.2
    scale_range: tuple[float, float] = (0.7, 1.4)
    elastic_probability: float = 0.1
    elastic_share: float = 0.2
    noise_probability: float = 0.1
    noise_stdev: float = 0.1
    blur_probability: float = 0.2
    blur_sigma: tuple[float, float] = (0.5, 1.0)
    contrast_probability: float = 0.15
    contrast: float = 0.25
    low_resolution_probability: float = 0.25
    low_resolution: float = 0.5
    gamma_probability: float = 0.4
    gamma_range: tuple[float, float] = (0.7, 1.5)

    def __post_init__(self) -> None:
        require_choices(self, "trainer.augment")
        self._require_probabilities()
        self._require_ranges()
        self._require_limits()
        self._require_effect()

    @property
    def resamples(self) -> bool:
        """Whether crops may be interpolated."""
        chances = (self.rotate_probability, self.scale_probability, self.elastic_probability)
        return self.enabled and self.profile == "full" and max(chances) > 0

    def _require_probabilities(self) -> None:
        for name in (f.name for f in fields(self) if f.name.endswith("_probability")):
            value = getattr(self, name)
            require(0 <= value <= 1, f"trainer.augment.{name}", value, "between 0 and 1")

    def _require_ranges(self) -> None:
        for name in ("scale_range", "blur_sigma", "gamma_range"):
            value = getattr(self, name)
            require(
                len(value) == 2 and 0 < value[0] <= value[1],
                f"trainer.augment.{name}",
                value,
                "two numbers above 0, the smaller one first",
            )

    def _require_limits(self) -> None:
        for name in ("brightness", "contrast"):
            value = getattr(self, name)
            require(0 <= value < 1, f"trainer.augment.{name}", value, "at least 0 and below 1")
        for name, ok, allowed in (
            ("rotate_degrees", 0 <= self.rotate_degrees <= 180, "between 0 and 180"),
            ("elastic_share", 0 <= self.elastic_share < 0.4, "at least 0 and below 0.4"),
            ("noise_stdev", self.noise_stdev >= 0, "at least 0"),
            ("low_resolution", 0 < self.low_resolution <= 1, "above 0 and at most 1"),
        ):
            require(ok, f"trainer.augment.{name}", getattr(self, name), allowed)

    def _require_effect(self) -> None:
        """What is set has to do something: a profile takes no option of another one."""
        if self.profile == "full":
            return
        taken = {"profile", "enabled", *(BASIC if self.profile == "basic" else ())}
        for field in (f for f in fields(self) if f.name not in taken):
            value = getattr(self, field.name)
            remedy = f"left at {field.default!r} with trainer.augment.profile {self.profile!r}"
            other = "full, or basic" if field.name in BASIC else "full"
            require(
                value == field.default,
                f"trainer.augment.{field.name}",
                value,
                f"{remedy} (profile {other} takes it)",
            )
