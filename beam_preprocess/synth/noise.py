"""Smooth random fields, and the share of a voxel that a shape covers: what images are made of."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

BSPLINE_STD = 0.69
"""Per axis: deviation of cubic B-spline noise over white noise; 0.71 at knots, 0.68 between."""


def smooth_noise(
    rng: np.random.Generator, axes: Sequence[Floats], *, scale: float, reach: float
) -> Floats:
    """Draws a smooth field of mean 0 and standard deviation 1: cubic B-splines over white noise.

    The knots depend on `scale` and `reach` alone: one draw is the same field on every grid.

    Args:
      rng: The state moves on by one number per knot.
      axes: Coordinates of the grid along each of its axes, all within -reach to reach.
      scale: Distance of the knots, in the unit of `axes`: bumps are about twice as wide.
      reach: Half the edge of the cube that the knots span, in the unit of `axes`.

    Returns:
      [len(axis) for axis in axes] float32.
    """
    knots = int(np.ceil(2 * reach / scale)) + 4
    field = rng.standard_normal([knots] * len(axes), dtype=np.float32)
    for dim, axis in enumerate(axes):
        field = _interpolated(field, (axis + reach) / scale, dim)
    return field / np.float32(BSPLINE_STD ** len(axes))


def _interpolated(values: Floats, position: Floats, dim: int) -> Floats:
    """Cubic B-spline over `values` along `dim`: `position` 1.25 weighs knots 1, 2, 3 and 4."""
    floor = np.floor(position)
    f, knot = position - floor, floor.astype(int)
    weights = [(1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3]
    column = [1] * values.ndim
    column[dim] = -1
    terms = [
        values.take(knot + k, axis=dim) * (weight / 6).reshape(column)
        for k, weight in enumerate(weights)
    ]
    return terms[0] + terms[1] + terms[2] + terms[3]


def inside(distance: Floats, width: float) -> Floats:
    """Share of a voxel within a shape: 1 half a `width` inside, 0.5 on its border, 0 half one out.

    Args:
      distance: Signed distance of the voxel's centre to the border, below 0 within the shape.
      width: Edge of the voxel (or width of a soft border), in the unit of `distance`.
    """
    return np.clip(np.float32(0.5) - distance / np.float32(width), 0, 1)


def sheet(distance: Floats, half_thickness: float, width: float) -> Floats:
    """Share of a voxel within a sheet whose middle is `distance` >= 0 away; thin sheets pale."""
    return inside(distance - half_thickness, width) - inside(distance + half_thickness, width)
