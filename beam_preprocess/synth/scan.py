"""How a scanner shows a made-up brain and tumour: contrasts, bias field, noise, gain."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beam_preprocess.synth.brain import Brain, Grid
from beam_preprocess.synth.noise import Floats
from beam_preprocess.synth.tumour import Tumour


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """How bright everything is in one modality, relative to white matter.

    Attributes:
      gain: Usual intensity of white matter, as stored; scanners differ by some 30 %.
      scar: Bright spots around the ventricles that are no tumour.
      solid: Tumour tissue that takes up no contrast agent.
      enhancing: Tumour tissue that does.
    """

    gain: float
    grey: float
    csf: float
    vessel: float
    scar: float
    oedema: float
    necrosis: float
    solid: float
    enhancing: float


# fmt: off
CONTRASTS = {
    "t1": Contrast(gain=950, grey=0.78, csf=0.50, vessel=1.00, scar=0.95,
                   oedema=0.84, necrosis=0.62, solid=0.78, enhancing=0.92),
    "t1ce": Contrast(gain=2000, grey=0.76, csf=0.45, vessel=2.60, scar=0.95,
                     oedema=0.84, necrosis=0.64, solid=0.80, enhancing=2.20),
    "t2": Contrast(gain=450, grey=1.35, csf=3.60, vessel=1.20, scar=1.35,
                   oedema=2.10, necrosis=2.75, solid=2.20, enhancing=2.15),
    "flair": Contrast(gain=1000, grey=1.20, csf=0.40, vessel=1.00, scar=1.60,
                      oedema=1.95, necrosis=1.70, solid=1.65, enhancing=1.95),
}
"""By modality, in the order of the channels of a record; ratios are about those of BraTS 2021."""
# fmt: on


def scan(
    rng: np.random.Generator, grid: Grid, brain: Brain, tumour: Tumour, contrast: Contrast
) -> NDArray[np.int16]:
    """Renders one modality: [X, Y, Z] int16 of the whole volume, 0 outside the brain, > 0 in it."""
    level = contrast.gain * np.exp(rng.normal(0, 0.3))
    bias = np.exp(np.float32(rng.uniform(0.05, 0.15)) * grid.noise(rng, 55))
    signal = _with_tumour(rng, grid, tumour, contrast, _healthy(brain, contrast)) * bias
    grain = rng.standard_normal(signal.shape, dtype=np.float32)
    signal += grain * np.float32(rng.uniform(0.02, 0.06))
    intensity = np.rint(signal * np.float32(level)).clip(1, 32767).astype(np.int16)
    volume = np.zeros(grid.shape, np.int16, order="F")
    volume[grid.box] = np.where(brain.mask, intensity, 0)
    return volume


def _healthy(brain: Brain, contrast: Contrast) -> Floats:
    """[X, Y, Z] signal of the brain alone; white matter is 1."""
    signal = 1 + (contrast.grey - 1) * brain.grey + (contrast.csf - 1) * brain.csf
    signal += (contrast.scar - 1) * brain.scar * (1 - brain.csf)
    return signal + (contrast.vessel - signal) * brain.vessel


def _with_tumour(
    rng: np.random.Generator, grid: Grid, tumour: Tumour, contrast: Contrast, healthy: Floats
) -> Floats:
    """[X, Y, Z] signal with the tumour, paler or stronger than usual and uneven within itself.

    Oedema adds to what is there, so anatomy shows through it; solid tumour and necrosis replace it.
    """
    strength = np.float32(rng.uniform(0.5, 1.1))
    uneven = strength * np.clip(1 + 0.22 * grid.noise(rng, 8), 0.3, 1.7)
    signal = healthy + (contrast.oedema - 1) * uneven * tumour.oedema
    solid = contrast.enhancing if tumour.enhancing else contrast.solid
    for share, value in ((tumour.rim, solid), (tumour.necrosis, contrast.necrosis)):
        signal = signal + (1 + (value - 1) * uneven - signal) * share
    return signal
