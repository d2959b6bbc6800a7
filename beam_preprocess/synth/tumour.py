"""A made-up glioma: a necrotic core in an enhancing rim in oedema, somewhere in a hemisphere."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beam_preprocess.synth.brain import Brain, Grid
from beam_preprocess.synth.noise import Floats, inside

NECROSIS, OEDEMA, ENHANCING = 1, 2, 4
ATTEMPTS = 50


@dataclass(frozen=True, kw_only=True)
class Tumour:
    """What is where; all are [X, Y, Z] over `Grid.box`, shares between 0 and 1.

    Attributes:
      enhancing: Whether the rim takes up contrast agent; if not, it is labelled as core.
      label: uint8, values of BraTS: 0, 1 necrosis, 2 oedema, 4 enhancing.
      oedema: Share of oedema; its border is softer than the label's.
      necrosis: Share of necrotic core.
      rim: Share of solid tumour around the necrosis.
    """

    enhancing: bool
    label: NDArray[np.uint8]
    oedema: Floats
    necrosis: Floats
    rim: Floats


def make_tumour(rng: np.random.Generator, grid: Grid, brain: Brain, *, enhancing: bool) -> Tumour:
    """Draws a tumour that shows every label it should: oedema, core and, if `enhancing`, the rim.

    Raises:
      RuntimeError: None of 50 draws did, not known to happen from 16 voxels per axis on.
    """
    wanted = {NECROSIS, OEDEMA, ENHANCING} if enhancing else {NECROSIS, OEDEMA}
    for _ in range(ATTEMPTS):
        tumour = _draw(rng, grid, brain, enhancing)
        if wanted <= set(np.unique(tumour.label)):
            return tumour
    raise RuntimeError(
        f"none of {ATTEMPTS} tumours shows all labels {sorted(wanted)} "
        f"on a grid of shape {grid.shape}: choose a larger shape or another seed"
    )


def _draw(rng: np.random.Generator, grid: Grid, brain: Brain, enhancing: bool) -> Tumour:
    """One tumour; the parts are at least about a voxel thick."""
    thick = 0.8 * grid.voxel_mm
    centre = np.argwhere(brain.site)[rng.integers(np.count_nonzero(brain.site))]
    core_mm = max(float(np.exp(rng.uniform(np.log(4), np.log(19)))), thick)
    rim_mm = max(float(rng.uniform(2.0, 6.0)), thick)
    margin_mm = max(float(rng.uniform(5.0, 20.0)), 1.2 * thick)
    distance = _ellipsoid_distance(rng, grid, centre)
    ragged = distance * (1 + 0.16 * grid.noise(rng, 9))
    core = ragged - core_mm
    solid = core - rim_mm * np.clip(1 + 0.35 * grid.noise(rng, 7), 0.4, 2)
    uneven = np.clip(1 + 0.22 * grid.noise(rng, 16), 0.5, 2)
    swollen = distance * uneven - (core_mm + rim_mm + margin_mm)
    # Oedema follows white matter: it spares cortex and fluid, which gives it its fingers.
    elsewhere = brain.territory != brain.territory[tuple(centre)]
    oedema = swollen + 7 * brain.grey + 20 * brain.csf + np.float32(40) * elsewhere
    return Tumour(
        enhancing=enhancing,
        label=_label(brain.mask, oedema, core, solid, enhancing),
        oedema=inside(oedema, max(3.0, grid.voxel_mm)),
        necrosis=inside(core, grid.voxel_mm),
        rim=np.clip(inside(solid, grid.voxel_mm) - inside(core, grid.voxel_mm), 0, 1),
    )


def _ellipsoid_distance(rng: np.random.Generator, grid: Grid, centre: NDArray[np.intp]) -> Floats:
    """[X, Y, Z] distance to the voxel `centre`, reference mm, stretched along random axes."""
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    stretch = np.exp(rng.normal(0, 0.2, 3))
    bend = (turn / (stretch / np.prod(stretch) ** (1 / 3))).T.astype(np.float32)
    offsets = [axis - axis[c] for axis, c in zip(grid.axes, centre, strict=True)]
    x, y, z = np.meshgrid(*offsets, indexing="ij", sparse=True)
    return np.sqrt(sum((a * x + b * y + c * z) ** 2 for a, b, c in bend))


def _label(
    mask: NDArray[np.bool_], oedema: Floats, core: Floats, solid: Floats, enhancing: bool
) -> NDArray[np.uint8]:
    """[X, Y, Z] label from the signed distances; the inner part wins, nothing leaves the brain."""
    label = np.where(oedema < 0, OEDEMA, 0)
    label = np.where(solid < 0, ENHANCING if enhancing else NECROSIS, label)
    label = np.where(core < 0, NECROSIS, label)
    return np.where(mask, label, 0).astype(np.uint8)
