"""Free rotation, magnification and elastic deformation of a crop in one resampling.

A voxel p of the crop takes its value from c + M (p + d(p) - c) of the case, with c the crop's
centre, M the matrix of rotation and magnification, and d the elastic displacement. What lies around
the crop in its case turns into it; only outside of the case there is 0.

Rotation is one of physical space: in voxels M is D^-1 R D / f, with D the voxel size, R the
rotation and f the magnification. With slices of 5 mm and pixels of 1 mm, one voxel across turns
into a fifth of a voxel along.

Shapes: S is the spatial shape of the case, c the crop's, C channels, R = len(S), K control points
per axis.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import tensorflow as tf

from trainer.augment.config import AugmentConfig
from trainer.augment.crop import box_of, marks
from trainer.augment.draws import happens, log_uniform, seed_of, split, uniform
from trainer.augment.filters import along_axes, spline_matrix

_CELLS = 4
"""Cells of the elastic grid along each axis of the crop."""


@dataclass(frozen=True, kw_only=True)
class Warp:
    """Where the voxels of a crop come from.

    Attributes:
      wanted: Bool scalar, false where nothing was drawn: the crop is cut out as it is.
      matrix: M, float32 [R, R].
      control: Displacement at the control points in voxels, float32 [R, *K].
    """

    wanted: tf.Tensor
    matrix: tf.Tensor
    control: tf.Tensor


def draw_warp(
    size: Sequence[int], spacing: tf.Tensor, config: AugmentConfig, seed: tf.Tensor
) -> Warp:
    """Draws rotation, magnification and deformation, each with its probability and seed.

    Args:
      size: c.
      spacing: Size of a voxel per axis, float32 [R], in any unit.
      config: Probabilities and ranges.
      seed: int32 [2].
    """
    seeds = (split(seed_of(seed, name), 2) for name in ("rotate", "scale", "elastic"))
    chances, own = zip(*seeds, strict=True)
    rotate = happens(chances[0], config.rotate_probability)
    scale = happens(chances[1], config.scale_probability)
    elastic = happens(chances[2], config.elastic_probability)
    angle = tf.where(rotate, config.rotate_degrees, 0.0)
    factor = tf.where(scale, log_uniform(own[1], config.scale_range), 1.0)
    share = tf.where(elastic, config.elastic_share, 0.0)
    matrix = rotation_matrix(_angles(len(size), angle, own[0]))
    return Warp(
        wanted=rotate | scale | elastic,
        matrix=matrix * (spacing / spacing[:, None]) / factor,
        control=_control_points(size, share, own[2]),
    )


def _angles(rank: int, degrees: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """One angle in the plane, three in space, in radians."""
    radians = degrees * (math.pi / 180)
    return radians * uniform(seed, [1 if rank == 2 else 3], (-1.0, 1.0))


def rotation_matrix(angles: tf.Tensor) -> tf.Tensor:
    """Rotation by one angle [1] in the plane, or about x, then y, then z [3]: [R, R]."""
    cos, sin = tf.unstack(tf.cos(angles)), tf.unstack(tf.sin(angles))
    if len(cos) == 1:
        return tf.stack([tf.stack([cos[0], -sin[0]]), tf.stack([sin[0], cos[0]])])
    matrix = tf.eye(3)
    for axis in range(3):
        one, other = (axis + 1) % 3, (axis + 2) % 3
        rows = tf.unstack(matrix)
        first, second = rows[one], rows[other]
        rows[one] = cos[axis] * first - sin[axis] * second
        rows[other] = sin[axis] * first + cos[axis] * second
        matrix = tf.stack(rows)
    return matrix


def _control_points(size: Sequence[int], share: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    points = [_CELLS + 3] * len(size)
    distance = tf.reshape(tf.constant(size, tf.float32) / _CELLS, [-1, *(1 for _ in size)])
    return share * distance * uniform(seed, [len(size), *points], (-1.0, 1.0))


def sources(warp: Warp, start: tf.Tensor, size: Sequence[int]) -> list[tf.Tensor]:
    """Where the voxels of a crop come from, in voxels of the case: R times float32 [*c]."""
    splines = [spline_matrix(n, _CELLS) for n in size]
    offsets = []
    for axis, control in enumerate(tf.unstack(warp.control)):
        index = tf.range(size[axis], dtype=tf.float32) - (size[axis] - 1) / 2
        shape = [1] * axis + [-1] + [1] * (len(size) - 1 - axis)
        offsets.append(along_axes(control, splines) + tf.reshape(index, shape))
    # one product: of a sum of terms, a graph is free to change the order, and with it the rounding
    flat = tf.matmul(warp.matrix, tf.reshape(tf.stack(offsets), [len(size), -1]))
    centre = tf.cast(start, tf.float32) + (tf.constant(size, tf.float32) - 1) / 2
    return tf.unstack(tf.reshape(flat + centre[:, None], [len(size), *size]))


def resample(
    x: tf.Tensor,
    label: tf.Tensor,
    coordinates: Sequence[tf.Tensor],
    *,
    prepare: Callable[[tf.Tensor], tf.Tensor],
) -> tuple[tf.Tensor, tf.Tensor]:
    """Takes a crop from any places of a case: linear for the image, nearest for the label.

    Args:
      x: [*S, C].
      label: [*S].
      coordinates: R times [*c], in voxels of the case; 0 lies outside of it.
      prepare: Makes the part of `x` that is needed float32.

    Returns:
      image: float32 [*c, C].
      marks: [*c, 2]: label, and 1 where it is of the case.
    """
    low, count = _region(tf.shape(x)[:-1], coordinates)
    image = _with_border(prepare(box_of(x, low, count)))
    marked = _with_border(marks(tf.slice(label, low, count)))
    # the border holds 0: a place further out is moved onto it
    places = [
        tf.clip_by_value(p - tf.cast(a, tf.float32) + 1, 0.0, tf.cast(n, tf.float32) + 1)
        for p, a, n in zip(coordinates, tf.unstack(low), tf.unstack(count), strict=True)
    ]

    def slab(slices: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, tf.Tensor]:
        return linear(image, slices), nearest(marked, slices)

    inner = list(coordinates[0].shape[1:])
    signature = (
        tf.TensorSpec([*inner, image.shape[-1]], tf.float32),
        tf.TensorSpec([*inner, 2], label.dtype),
    )
    # slab by slab, what is computed stays in the processor's cache: twice as fast
    return tf.map_fn(slab, tuple(places), fn_output_signature=signature, parallel_iterations=1)


def _region(shape: tf.Tensor, coordinates: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Corner and size of the part of the case that holds all neighbours: int32 [R]."""
    low = tf.stack([tf.floor(tf.reduce_min(p)) for p in coordinates])
    high = tf.stack([tf.floor(tf.reduce_max(p)) + 2 for p in coordinates])
    low = tf.clip_by_value(tf.cast(low, tf.int32), 0, shape)
    high = tf.clip_by_value(tf.cast(high, tf.int32), low, tf.maximum(shape, low))
    return low, high - low


def _with_border(volume: tf.Tensor) -> tf.Tensor:
    return tf.pad(volume, [[1, 1]] * (volume.shape.rank - 1) + [[0, 0]])


def nearest(volume: tf.Tensor, places: Sequence[tf.Tensor]) -> tf.Tensor:
    """The values of [*S, C] nearest to places within it (R times [*c]): [*c, C]."""
    index = _flat_index([tf.floor(p + 0.5) for p in places], tf.shape(volume))
    return tf.gather(_rows(volume), index)


def linear(volume: tf.Tensor, places: Sequence[tf.Tensor]) -> tf.Tensor:
    """[*S, C] interpolated linearly at places within it (R times [*c]): [*c, C].

    (1 - f) a + f b along one axis after the other: where f is 0, a is met exactly.
    """
    shape = tf.shape(volume)
    limits = tf.unstack(tf.cast(shape[:-1] - 2, tf.float32))
    corner = [tf.minimum(tf.floor(p), n) for p, n in zip(places, limits, strict=True)]
    fractions = [(p - c)[..., None] for p, c in zip(places, corner, strict=True)]
    strides = [*tf.unstack(tf.math.cumprod(shape[1:-1], reverse=True)), 1]
    rows = _rows(volume)

    def at(index: tf.Tensor, axis: int) -> tf.Tensor:
        if axis == len(places):
            return tf.gather(rows, index)
        here, there = at(index, axis + 1), at(index + strides[axis], axis + 1)
        return here + fractions[axis] * (there - here)

    return at(_flat_index(corner, shape), 0)


def _rows(volume: tf.Tensor) -> tf.Tensor:
    return tf.reshape(volume, [-1, volume.shape[-1]])


def _flat_index(index: Sequence[tf.Tensor], shape: tf.Tensor) -> tf.Tensor:
    """Number of the voxel in C order, from its index per axis: int32 of the same shape."""
    flat = tf.cast(index[0], tf.int32)
    for axis, i in enumerate(index[1:], start=1):
        flat = flat * shape[axis] + tf.cast(i, tf.int32)
    return flat
