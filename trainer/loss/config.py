"""Config of the loss: its name, and for which networks there is a loss of that name.

The formulas are in `trainer.loss.losses` (profile `corrected`) and `trainer.loss.reference`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from beam_preprocess.validation import require, require_choices


@dataclass(frozen=True, kw_only=True)
class LossTraits:
    """What a loss can be used with.

    Attributes:
      softmax: Networks of two or more logits per voxel.
      one_logit: Networks of one sigmoid logit per voxel.
      background: Whether class 0 can be taken in or left out.
    """

    softmax: bool = True
    one_logit: bool = True
    background: bool = False


_SOFTMAX = LossTraits(one_logit=False)
_SOFTMAX_BACKGROUND = LossTraits(one_logit=False, background=True)
_ONE_LOGIT = LossTraits(softmax=False)

LOSSES: Mapping[str, Mapping[str, LossTraits]] = MappingProxyType(
    {
        "corrected": {
            "dice+ce": LossTraits(background=True),
            "dice": LossTraits(background=True),
            "ce": LossTraits(),
            "focal": LossTraits(),
            "dice+focal": LossTraits(background=True),
            "generalised-dice": LossTraits(background=True),
        },
        "reference": {
            # NVIDIA UNet_3D_Medical and its ports to Habana and Ascend
            "dice+ce": _SOFTMAX_BACKGROUND,
            "dice": _SOFTMAX_BACKGROUND,
            "ce": _SOFTMAX_BACKGROUND,
            # NVIDIA UNet_Medical (TF2)
            "ce+squared-dice": _SOFTMAX,
            # UNet DAGM TF2, and Cerebras modelzoo `unet/tf`
            "bce-sum": _ONE_LOGIT,
            "bce": _ONE_LOGIT,
            # NVIDIA UNet_Industrial
            "adaptive": _ONE_LOGIT,
            "sorensen": _ONE_LOGIT,
            "jaccard": _ONE_LOGIT,
            "x-entropy": _ONE_LOGIT,
            "l2": _ONE_LOGIT,
        },
    }
)
"""Profile -> name of a loss -> what it can be used with."""


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The loss of a training.

    Attributes:
      name: With profile `corrected` one of `dice+ce`, `dice`, `ce`, `focal`, `dice+focal`,
        `generalised-dice`, for any network. With profile `reference` one of `dice+ce`, `dice`,
        `ce`, `ce+squared-dice` for softmax networks, or of `bce-sum`, `bce`, `adaptive`,
        `sorensen`, `jaccard`, `x-entropy`, `l2` for one-logit networks.
      profile: `reference` repeats the published systems number for number.
      include_background: Whether class 0 is one of the classes that a dice is taken of. Corrected
        `ce` and `focal` always see every voxel; the `ce` of the reference leaves class 0 out too.
      focal_gamma: Exponent of the focal losses, 0 (cross-entropy) or above.
    """

    name: str = "dice+ce"
    profile: Literal["corrected", "reference"] = "corrected"
    include_background: bool = False
    focal_gamma: float = 2.0

    def __post_init__(self) -> None:
        require_choices(self, "trainer.loss")
        losses = LOSSES[self.profile]
        require(
            self.name in losses,
            "trainer.loss.name",
            self.name,
            f"{_one_of(losses)} with trainer.loss.profile {self.profile!r}",
        )
        require(
            losses[self.name].background or not self.include_background,
            "trainer.loss.include_background",
            self.include_background,
            f"False: {self.name!r} of profile {self.profile!r} leaves no choice",
        )
        gamma = self.focal_gamma
        require(0 <= gamma < math.inf, "trainer.loss.focal_gamma", gamma, "at least 0 and finite")

    def require_network(self, classes: int) -> None:
        """Checks that the loss suits a network of `classes` output channels.

        Args:
          classes: 1 is one sigmoid logit, all else softmax (0 as in `model.classes`).

        Raises:
          ValueError: It does not; the error names those that do.
        """
        kind, trait = ("one-logit", "one_logit") if classes == 1 else ("softmax", "softmax")
        fitting = [n for n, t in LOSSES[self.profile].items() if getattr(t, trait)]
        require(
            self.name in fitting,
            "trainer.loss.name",
            self.name,
            f"{_one_of(fitting)} for {kind} networks with trainer.loss.profile {self.profile!r},"
            f" the network has {classes} output channels (model.classes)",
        )


def _one_of(names: Mapping[str, LossTraits] | list[str]) -> str:
    return f"one of {', '.join(map(repr, names))}"
