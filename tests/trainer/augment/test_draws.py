"""Seeds and draws: equal for equal seeds, and as often as they should be."""

from itertools import product

import numpy as np
import tensorflow as tf

from trainer.augment.draws import example_seed, happens, log_uniform, seed_of


def over_seeds(fn, count: int) -> np.ndarray:
    """Results of `fn(seed)` for many seeds, from inside tf.data."""
    seeds = tf.data.Dataset.range(count).map(lambda n: tf.stack([tf.cast(n, tf.int32), 7]))
    return np.stack(list(seeds.map(fn).as_numpy_iterator()))


def test_example_seed_differs_by_run_case_and_epoch() -> None:
    cases = [f"BraTS2021_{n:05d}" for n in range(20)]
    seeds = {
        tuple(example_seed(run, tf.constant(case), tf.constant(epoch)).numpy().tolist())
        for run, case, epoch in product((0, 1), cases, range(5))
    }
    assert len(seeds) == 2 * 20 * 5


def test_example_seed_is_the_same_eagerly_and_in_tf_data() -> None:
    epochs = tf.data.Dataset.range(5)
    mapped = list(epochs.map(lambda e: example_seed(3, tf.constant("c"), e)).as_numpy_iterator())
    eagerly = [example_seed(3, tf.constant("c"), tf.constant(e, tf.int64)) for e in range(5)]
    np.testing.assert_array_equal(mapped, eagerly)
    assert mapped[0].dtype == np.int32 and mapped[0].shape == (2,)


def test_every_transform_has_a_seed_of_its_own() -> None:
    seed = tf.constant([3, 4])
    names = ("crop", "flips", "rotations", "brightness", "rotate", "scale", "elastic", "gamma")
    seeds = {tuple(seed_of(seed, name).numpy().tolist()) for name in names}
    assert len(seeds) == len(names)
    np.testing.assert_array_equal(seed_of(seed, "crop"), seed_of(tf.constant([3, 4]), "crop"))


def test_happens_as_often_as_its_probability() -> None:
    """1000 seeds at 0.3: 300, standard deviation 14."""
    assert 240 < over_seeds(lambda s: happens(s, 0.3), 1000).sum() < 360
    assert not over_seeds(lambda s: happens(s, 0.0), 100).any()
    assert over_seeds(lambda s: happens(s, 1.0), 100).all()


def test_factors_are_uniform_in_their_logarithm() -> None:
    """Between 1/4 and 4, below 1 half of the time; uniform factors would be in 1 of 5."""
    factors = over_seeds(lambda s: log_uniform(s, (0.25, 4.0)), 500)
    assert factors.min() >= 0.2499 and factors.max() <= 4.001
    assert 200 < (factors < 1).sum() < 300
