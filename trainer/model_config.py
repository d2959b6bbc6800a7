"""Config of the network: what `build_unet` needs, and the shape arithmetic that follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from beam_preprocess.validation import require, require_choices, require_positive


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A UNet: encoder levels of two 3-wide convolutions, a bottleneck, and a decoder with skips.

    Level 0 is full resolution, the last level is the bottleneck; each level halves the sizes.

    Attributes:
      rank: Spatial dimensions: 2 for images, 3 for volumes.
      in_channels: Channels of the input (modalities, or 1 for a grey photograph); 0 takes those of
        the dataset.
      classes: Channels of the output: 1 is one sigmoid logit, more are softmax classes; 0 takes one
        softmax class per label value of the dataset.
      filters: Channels of each encoder level, full resolution first, bottleneck last.
      norm: Normalisation between a convolution and its activation.
      group_norm_groups: Groups of norm `group`; must divide the channels of every level.
      activation: Activation after each convolution; `leaky_relu` has slope 0.01.
      conv_bias: Whether the 3-wide convolutions have a bias (up-sampling and head always do).
      padding: `same` keeps sizes; `valid` loses a pixel per side and convolution, crops skips.
      downsample: Halving by a max-pool, or by stride 2 of the first convolution of the next level.
      upsample: Doubling by a transposed convolution, or by nearest neighbour and a convolution.
      up_kernel: Kernel size of the up-sampling convolution.
      up_activation: Whether the activation follows the up-sampling.
      halve_decoder: Whether each level hands half of its channels to the up-sampling after it.
      residual: Whether each level's two convolutions have a shortcut around them, added before the
        last activation.
      deep_supervision: Further outputs in training, at 1/2, 1/4 ... of the resolution, from decoder
        levels above the bottleneck; padding `same` only.
      head_kernel: Kernel size of the convolution that makes the logits.
      dropout: Share of bottleneck activations dropped in training.
      initializer: Distribution of the initial kernels.
    """

    rank: Literal[2, 3]
    in_channels: int
    classes: int
    filters: tuple[int, ...]
    norm: Literal["none", "instance", "group", "batch"] = "instance"
    group_norm_groups: int = 16
    activation: Literal["relu", "leaky_relu"] = "leaky_relu"
    conv_bias: bool = True
    padding: Literal["same", "valid"] = "same"
    downsample: Literal["stride", "max-pool"] = "stride"
    upsample: Literal["transpose", "nearest-conv"] = "transpose"
    up_kernel: int = 2
    up_activation: bool = False
    halve_decoder: bool = False
    residual: bool = False
    deep_supervision: int = 0
    head_kernel: int = 1
    dropout: float = 0.0
    initializer: Literal["glorot_uniform", "he_normal", "he_uniform"] = "glorot_uniform"

    def __post_init__(self) -> None:
        require_choices(self, "model")
        require_positive(self, "model", ["group_norm_groups"])
        for name in ("in_channels", "classes"):
            value = getattr(self, name)
            require(value >= 0, f"model.{name}", value, "above 0, or 0 for what the dataset has")
        self._require_filters()
        require(self.up_kernel >= 2, "model.up_kernel", self.up_kernel, "at least 2, the stride")
        odd = self.head_kernel > 0 and self.head_kernel % 2 == 1
        require(odd, "model.head_kernel", self.head_kernel, "odd and above 0")
        require(0 <= self.dropout < 1, "model.dropout", self.dropout, "at least 0 and below 1")
        require(
            self.padding == "same" or self.downsample == "max-pool",
            "model.downsample",
            self.downsample,
            "'max-pool' where model.padding is 'valid'",
        )
        self._require_outputs()

    def _require_filters(self) -> None:
        many = len(self.filters) >= 2 and min(self.filters) > 0
        require(many, "model.filters", self.filters, "two or more numbers above 0")
        step = self.group_norm_groups if self.norm == "group" else 1
        step *= 2 if self.halve_decoder else 1
        require(
            all(f % step == 0 for f in self.filters),
            "model.filters",
            self.filters,
            f"multiples of {step} (by model.group_norm_groups and model.halve_decoder)",
        )

    def _require_outputs(self) -> None:
        name, count = "model.deep_supervision", self.deep_supervision
        most = len(self.filters) - 2
        allowed = f"0 to {most}, by the {most + 2} levels of model.filters"
        require(0 <= count <= most, name, count, allowed)
        same = self.padding == "same" or count == 0
        require(same, name, count, "0 where model.padding is 'valid'")

    @property
    def downscale(self) -> int:
        """How many times finer the input is than the bottleneck: 2 ** (levels - 1)."""
        return 2 ** (len(self.filters) - 1)

    @property
    def margin(self) -> int:
        """How much smaller the output is than the input along each axis, both sides together.

        Two valid convolutions lose 4 at every level, a loss weighs 2 ** level in input pixels, and
        the bottleneck is passed once: 4 (D - 1) + 4 D + 4 (D - 1) with D = `downscale`, and the
        head. For five levels and head 1: 572 -> 388, margin 184 (U-Net, arXiv:1505.04597, fig. 1).
        """
        return 0 if self.padding == "same" else 12 * self.downscale - 9 + self.head_kernel

    def output_size(self, input_size: Sequence[int]) -> tuple[int, ...]:
        """Spatial size of the logits of an input of spatial size `input_size`, in pixels or voxels.

        Raises:
          ValueError: if a size cannot be halved at every level or leaves nothing of the output.
        """
        rank_fits = len(input_size) == self.rank
        require(rank_fits, "input size", tuple(input_size), f"{self.rank} sizes (model.rank)")
        for axis, size in enumerate(input_size):
            self._require_size(axis, size)
        return tuple(size - self.margin for size in input_size)

    def input_size(self, output_size: int) -> int:
        """Smallest size along an axis, in voxels, whose logits cover `output_size`, 1 or more.

        A number, or an integer tensor or array of them.
        """
        size = output_size + self.margin
        return size + (self._rest - size) % self.downscale

    def largest_cube(self, voxels: int) -> int:
        """Side of the largest cube (2D: square) of at most so many voxels that the network takes.

        Raises:
          ValueError: The smallest one has more.
        """
        side = round(voxels ** (1 / self.rank))
        side -= int(side**self.rank > voxels)
        side -= (side - self._rest) % self.downscale
        least = self.input_size(1)
        allowed = f"at least {least**self.rank}, the smallest input of the network"
        require(side >= least, "voxels at once", voxels, allowed)
        return side

    @property
    def _rest(self) -> int:
        """Sizes of inputs are this modulo `downscale`.

        Before the last halving a valid network has lost 4 (D - 1): sizes are -4 modulo D.
        """
        return 0 if self.padding == "same" else -4 % self.downscale

    def _require_size(self, axis: int, size: int) -> None:
        """Raises ValueError unless every max-pool or stride meets an even size along this axis."""
        step, rest, least = self.downscale, self._rest, self.input_size(1)
        below = size - (size - rest) % step
        nearest = [n for n in (below, below + step) if n >= least] or [least]
        plus = f" plus {rest}" if rest else ""
        near = ", ".join(map(str, nearest))
        require(
            size in nearest,
            f"input size[{axis}]",
            size,
            f"a multiple of {step}{plus}, at least {least} (nearest: {near})",
        )

    def skip_crop(self, level: int) -> int:
        """Pixels to cut from each side of the skip of encoder `level`, so that it fits the decoder.

        The level above the bottleneck is 8 larger (two convolutions at twice the scale), and each
        level up doubles the difference and adds 16: 4, 16, 40, 88 per side for five levels.
        """
        depth = len(self.filters) - 1 - level
        return 0 if self.padding == "same" else 6 * 2**depth - 8

    def decoder_filters(self, level: int) -> tuple[int, int, int]:
        """Channels at decoder `level` after up-sampling, first and second convolution."""
        own = self.filters[level]
        if not self.halve_decoder:
            return own, own, own
        return self.filters[level + 1] // 2, own, own // 2 if level > 0 else own
