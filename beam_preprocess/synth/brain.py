"""A made-up brain: shares of tissue per voxel, from ellipsoids, sheets (sulci) and tubes (vessels).

All lengths are reference millimetres: those of a grid of 240 x 240 x 155 voxels of 1 mm, over which
other grids are stretched. Axes as in BraTS: x to the left, y to the back, z up; the origin is the
brain's middle.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beam_preprocess.synth.noise import Floats, inside, sheet, smooth_noise

REFERENCE_SHAPE = (240, 240, 155)
CENTRE = (115.5, 124.0, 67.0)
"""Middle of the brain in the reference grid, voxels: as in BraTS, not the middle of the grid."""
REACH_MM = 110.0
"""No brain is farther from its middle than this, along any axis."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The part of a volume that can hold brain.

    Attributes:
      shape: Of the whole volume, in voxels.
      box: Slices of the part.
      axes: x, y, z of the part's voxels, reference mm.
      voxel_mm: Longest edge of a voxel, reference mm.
    """

    shape: tuple[int, ...]
    box: tuple[slice, ...]
    axes: tuple[Floats, ...]
    voxel_mm: float

    def noise(self, rng: np.random.Generator, scale_mm: float) -> Floats:
        """[X, Y, Z] smooth noise over the part, mean 0, standard deviation 1."""
        return smooth_noise(rng, self.axes, scale=scale_mm, reach=REACH_MM)


@dataclass(frozen=True, kw_only=True)
class Brain:
    """What is where; all are [X, Y, Z] over `Grid.box`, shares between 0 and 1.

    Attributes:
      mask: True in the brain, False where the skull was stripped.
      site: Where a tumour may start: in a hemisphere, off its surface and off the midline.
      territory: 0 below the cerebrum, 1 and 2 in its halves; oedema keeps to one.
      grey, csf: Share of grey matter and of cerebrospinal fluid; the rest is white matter.
      vessel: Share of blood vessel.
      scar: Strength of harmless bright spots around the ventricles.
    """

    mask: NDArray[np.bool_]
    site: NDArray[np.bool_]
    territory: NDArray[np.int8]
    grey: Floats
    csf: Floats
    vessel: Floats
    scar: Floats


def make_grid(shape: tuple[int, ...]) -> Grid:
    """Stretches the reference head over a volume of `shape`."""
    boxes, axes = [], []
    for size, reference, centre in zip(shape, REFERENCE_SHAPE, CENTRE, strict=True):
        position = (np.arange(size) + 0.5) * (reference / size) - 0.5 - centre
        near = np.flatnonzero(np.abs(position) < 0.9 * REACH_MM)
        boxes.append(slice(near[0], near[-1] + 1))
        axes.append(position[boxes[-1]].astype(np.float32))
    voxel_mm = max(r / s for r, s in zip(REFERENCE_SHAPE, shape, strict=True))
    return Grid(shape=shape, box=tuple(boxes), axes=tuple(axes), voxel_mm=voxel_mm)


def make_brain(rng: np.random.Generator, grid: Grid) -> Brain:
    """Draws a brain: the same plan for all, bent, folded and sized at random."""
    x, y, z = _bent(rng, grid)
    bumps = grid.noise(rng, 14)
    cerebrum, cerebellum, stem = (d + np.float32(0.8) * bumps for d in _part_depths(x, y, z))
    below = np.maximum(cerebellum, stem)
    depth = np.maximum(cerebrum, below)
    sulcus = _sulcus_distance(rng, grid, x, cerebrum)
    folium = _folium_distance(y, z, cerebellum, stem)
    cleft = np.abs(cerebrum - below) * np.float32(0.7)
    fold = np.minimum(np.where(cerebrum > below, sulcus, folium), cleft)
    ventricle = _ventricle_distance(x, y, z, width_mm=float(rng.uniform(3.5, 7)))
    wet = np.minimum(fold, np.maximum(depth, 0) + bumps.clip(0))
    csf = np.maximum(sheet(wet, 0.7, grid.voxel_mm), inside(ventricle, grid.voxel_mm))
    cortex = inside(np.minimum(fold, depth) - 3.4, grid.voxel_mm)
    grey = np.maximum(cortex, _deep_grey(x, y, z, grid.voxel_mm))
    return Brain(
        mask=depth > 0,
        site=(cerebrum > 12) & (np.abs(x) > 14) & (cerebrum > below + 8),
        territory=np.where(cerebrum > below, np.where(x > 0, 2, 1), 0).astype(np.int8),
        grey=np.minimum(grey, 1 - csf),
        csf=csf,
        vessel=_vessels(rng, grid, fold, depth, np.hypot(x, np.clip(-z - 5, 0, None))),
        scar=inside(ventricle - 3, 6) * np.clip(grid.noise(rng, 8), 0, 1.5),
    )


def _bent(rng: np.random.Generator, grid: Grid) -> tuple[Floats, Floats, Floats]:
    """Coordinates [X, Y, Z] of every voxel in the plan, after a smooth bend of some millimetres."""
    stretch = rng.uniform(0.95, 1.05, 3).astype(np.float32)
    sparse = np.meshgrid(*grid.axes, indexing="ij", sparse=True)
    x, y, z = (
        p * s + np.float32(1.8) * grid.noise(rng, 45) for p, s in zip(sparse, stretch, strict=True)
    )
    return x, y, z


def _ellipsoid_depth(x: Floats, y: Floats, z: Floats, rest_mm: float) -> Floats:
    """Depth in a unit sphere of scaled coordinates, times its mean radius."""
    return (1 - np.sqrt(x * x + y * y + z * z)) * np.float32(rest_mm)


def _part_depths(x: Floats, y: Floats, z: Floats) -> tuple[Floats, Floats, Floats]:
    """Depths (below 0 outside) in cerebrum (narrow in front, flat below), cerebellum and stem."""
    width = 66 + 6 * np.clip(y / 60, -1.2, 0.6)
    height = np.where(z > 8, np.float32(60), np.float32(54) - 14 * np.clip(-y / 70, 0, 1))
    cerebrum = _ellipsoid_depth(x / width, y / 87, (z - 8) / height, 62)
    cerebellum = _ellipsoid_depth(x / 52, (y - 42) / 36, (z + 36) / 28, 36)
    stem = 14 - np.hypot(x, y - 14 + 0.2 * z) + 0.12 * (z + 66)
    return cerebrum, cerebellum, np.minimum(stem, 10 - z)


def _sulcus_distance(rng: np.random.Generator, grid: Grid, x: Floats, cerebrum: Floats) -> Floats:
    """Distance to the nearest sulcus (zero surfaces of a noise, to about 15 mm) or the midline."""
    floor_mm = 15 + 4 * grid.noise(rng, 20)
    folds = np.hypot(grid.noise(rng, 6) * 5, np.maximum(cerebrum - floor_mm, 0))
    midline = np.hypot(x, np.maximum(cerebrum - 32, 0))
    return np.minimum(folds, midline)


def _folium_distance(y: Floats, z: Floats, cerebellum: Floats, stem: Floats) -> Floats:
    """Distance to the nearest fissure of the cerebellum: sheets 5 mm apart, none in the stem."""
    sheets = np.abs((z - 0.5 * y) % 5 - 2.5) + 0.6
    return np.hypot(sheets, np.maximum(cerebellum - 16, 0) + np.clip(stem - cerebellum, 0, 10))


def _ventricle_distance(x: Floats, y: Floats, z: Floats, *, width_mm: float) -> Floats:
    """Signed distance to two horns, parting in front and behind, and a slit between them."""
    along = (y - 2) / 36
    middle = 1 + width_mm + 12 * np.abs(along) ** 1.5
    radius = width_mm * np.sqrt(np.clip(1 - along**2, 0, None)) * (1 + 0.2 * along)
    horns = np.hypot((np.abs(x) - middle) / 0.8, z - 14 + 9 * along**2) - radius
    slit = _ellipsoid_depth(x / 2.2, (y - 2) / 15, (z - 1) / 10, -2.2)
    return np.minimum(horns + 8 * np.clip(np.abs(along) - 1, 0, None), slit)


def _deep_grey(x: Floats, y: Floats, z: Floats, voxel_mm: float) -> Floats:
    """Share of grey matter of the thalami and the striata."""
    side = np.abs(x)
    thalamus = _ellipsoid_depth((side - 11) / 8, (y - 9) / 14, (z - 3) / 9, -10)
    striatum = _ellipsoid_depth((side - 23) / 7, (y + 10) / 20, (z - 4) / 12, -11)
    return np.float32(0.8) * inside(np.minimum(thalamus, striatum), max(voxel_mm, 3))


def _vessels(
    rng: np.random.Generator, grid: Grid, fold: Floats, depth: Floats, midline: Floats
) -> Floats:
    """Share of vessel: thin tubes where sulci meet the zeros of a noise, and a midline sinus."""
    across = np.abs(grid.noise(rng, 11)) * 8
    tube = np.hypot(np.minimum(fold, np.maximum(depth, 0) + 1), across)
    sinus = np.hypot(midline, depth - 2)
    pale = min(1.0, 2.0 / grid.voxel_mm)
    return np.maximum(
        inside(tube - 1.0, grid.voxel_mm) * pale**2, inside(sinus - 2.2, grid.voxel_mm) * pale
    )
