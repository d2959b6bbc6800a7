"""Connected components in TensorFlow alone, and the rules by which some of them are dropped.

Voxels that touch by a face, an edge or a corner are connected: 26 neighbours in 3D, 8 in 2D.

Shapes: S spatial shape, M voxels of a mask, in the order of its rows.
"""

import tensorflow as tf

from trainer.config import InferenceConfig


def postprocess(label: tf.Tensor, config: InferenceConfig, *, background: int) -> tf.Tensor:
    """Drops components of a label map: first `keep_largest`, group by group, then `min_component`.

    Args:
      label: uint8 [*S], label values.
      config: The rules; without any the label map is returned as it is.
      background: Label value that dropped voxels get.
    """
    for group in config.keep_largest:
        member = tf.reduce_any([label == value for value in group], axis=0)
        label = tf.where(member & ~keep_largest(member), tf.cast(background, label.dtype), label)
    if config.min_component > 1:
        kept = keep_from(label != background, config.min_component)
        label = tf.where(kept, label, tf.cast(background, label.dtype))
    return label


def keep_largest(mask: tf.Tensor) -> tf.Tensor:
    """Largest component of a mask, bool [*S] -> [*S]; of several, the one that ends first."""
    places, roots = find_components(mask)
    sizes = tf.gather(_sizes(roots), roots)
    largest = tf.reduce_min(roots[sizes == tf.reduce_max(sizes)])
    return _scatter(roots == largest, places, mask)


def keep_from(mask: tf.Tensor, voxels: int) -> tf.Tensor:
    """The components of a mask that have at least so many voxels: bool [*S] -> [*S]."""
    places, roots = find_components(mask)
    return _scatter(tf.gather(_sizes(roots), roots) >= voxels, places, mask)


def _sizes(roots: tf.Tensor) -> tf.Tensor:
    """Voxels of the component of every root, 0 elsewhere: int32 [M] -> [M]."""
    return tf.math.unsorted_segment_sum(tf.ones_like(roots), roots, tf.shape(roots)[0])


def _scatter(chosen: tf.Tensor, places: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Which voxels of a mask are chosen: bool [M] -> [*S]."""
    shape = tf.shape(mask, out_type=places.dtype)
    return tf.scatter_nd(places, tf.cast(chosen, tf.int32), shape) > 0


def find_components(mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Which voxels of a mask are connected.

    Every voxel begins as a tree of its own. In each round every tree is hung below the largest root
    that it touches, if that is larger than its own, and all voxels are pointed at the root of their
    tree. A tree that is not hung is larger than all that it touches: some of them are hung below
    it, or all below larger ones, below which it is hung in the next round. So two rounds at least
    halve the number of trees that touch others, and 2 log2(M) + 1 rounds suffice for any shape.

    Args:
      mask: bool [*S].

    Returns:
      places: int64 [M, rank], the voxels of the mask, first axis slowest.
      roots: int32 [M]; the largest index of a voxel in the same component.
    """
    places = tf.where(mask)
    shape = tf.shape(mask, out_type=places.dtype)
    own = tf.range(tf.shape(places)[0])

    def hang(roots: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        volume = tf.scatter_nd(places, roots + 1, shape)
        touched = tf.gather_nd(_largest_near(volume), places) - 1
        below = tf.math.unsorted_segment_max(touched, roots, tf.shape(own)[0])
        new = _point_at_roots(tf.gather(below, roots))
        return new, tf.reduce_any(new != roots)

    roots, _ = tf.while_loop(lambda _, changed: changed, hang, [own, tf.constant(True)])
    return places, roots


def _largest_near(volume: tf.Tensor) -> tf.Tensor:
    """Largest value of every voxel and all its neighbours: int32 [*S] -> [*S], values 0 or more."""
    rank = len(volume.shape)
    for axis in range(rank):
        padded = tf.pad(volume, [[int(a == axis)] * 2 for a in range(rank)])
        through = [slice(None)] * axis
        before, after = (padded[tuple([*through, part])] for part in (slice(-2), slice(2, None)))
        volume = tf.maximum(volume, tf.maximum(before, after))
    return volume


def _point_at_roots(parents: tf.Tensor) -> tf.Tensor:
    """Parent of every voxel -> root of its tree, int32 [M]; each step halves the way there."""

    def jump(_: tf.Tensor, parents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return parents, tf.gather(parents, parents)

    _, roots = tf.while_loop(
        lambda before, after: tf.reduce_any(before != after),
        jump,
        [parents, tf.gather(parents, parents)],
    )
    return roots
