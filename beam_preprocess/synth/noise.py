"""Smooth random fields, and the share of a voxel that a shape covers: what the synthetic images are made of."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

BSPLINE_STD = 0.69
"""Standard deviation, per axis, of cubic B-spline noise over unit white noise: 0.71 at knots, 0.68 between."""


def smooth_noise(
    rng: np.random.Generator, axes: Sequence[Floats], *, scale: float, reach: float
) -> Floats:
    """Draws a smooth field of mean 0 and standard deviation 1: cubic B-splines over white noise.

    The knots depend on `scale` and `reach` alone, so the same draw gives the same field on every grid.

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
    """Cubic B-spline through `values` at `position` (in knots; 1.25 lies between knots 1 and 4) along `dim`."""
    knot = np.floor(position).astype(int)
    f = position - knot
    weights = [(1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3]
    column = [1] * values.ndim
    column[dim] = -1
    total = np.float32(0)
    for k, weight in enumerate(weights):
        total = total + values.take(knot + k, axis=dim) * (weight / 6).reshape(column)
    return total.astype(np.float32, copy=False)


def inside(distance: Floats, width: float) -> Floats:
    """Share of a voxel within a shape: 1 half a `width` inside its border, 0.5 on it, 0 half one outside.

    Args:
      distance: Signed distance of the voxel's centre to the border, below 0 within the shape.
      width: Edge of the voxel (or width of a soft border), in the unit of `distance`.
    """
    return np.clip(np.float32(0.5) - distance / np.float32(width), 0, 1)


def sheet(distance: Floats, half_thickness: float, width: float) -> Floats:
    """Share of a voxel within a sheet: `distance` to its middle is 0 or more. Thinner than a voxel, it pales."""
    return inside(distance - half_thickness, width) - inside(distance + half_thickness, width)
