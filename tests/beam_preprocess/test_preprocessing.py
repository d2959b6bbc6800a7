"""Normalisation, against NumPy and by hand, eagerly and in a graph."""

import numpy as np
import pytest
import tensorflow as tf

from beam_preprocess.preprocessing import (
    class_indices,
    label_map,
    moments,
    preprocessing_fn,
    quantiles,
    quantise,
    raw_bytes,
    standardise,
)
from beam_preprocess.records import (
    decode_raw,
    encode_example,
    encode_raw,
    parse_normalised,
    raw_feature_spec,
)

PERCENTILES = (0.5, 99.5)
BRATS_LABELS = (0, 1, 2, 4)


def graph(function):
    """The function inside a tf.function that knows no spatial size."""

    def call(image, **options):
        shape = [None] * (image.ndim - 1) + [image.shape[-1]]
        spec = tf.TensorSpec(shape, tf.as_dtype(image.dtype))
        return tf.function(lambda x: function(x, **options), input_signature=[spec])(image)

    return call


def eager(function):
    return lambda image, **options: function(tf.constant(image), **options)


modes = pytest.mark.parametrize("mode", [eager, graph])


def numpy_reference(image):
    """The intensity pipeline of the reference systems, in the words of their preprocessors."""
    channels = []
    for v in np.moveaxis(image.astype(np.float32), -1, 0):
        v[v > 0.85 * np.max(v)] = 0.85 * np.max(v)
        with np.errstate(invalid="ignore"):
            channels.append((255 * v / np.max(v)).astype(np.int32).astype(np.uint8))
    return np.stack(channels, axis=-1)


def numpy_corrected(image, percentiles=PERCENTILES):
    result = np.zeros(image.shape, np.uint8)
    for channel in range(image.shape[-1]):
        v = image[..., channel].astype(np.float64)
        foreground = v[v != 0]
        if foreground.size:
            low, high = np.quantile(foreground, np.array(percentiles) / 100, method="inverted_cdf")
            unit = (np.clip(v, low, high) - low) / ((high - low) or 1)
            result[..., channel] = np.where(v != 0, np.rint(1 + 254 * unit), 0)
    return result


def scan(dtype, seed=0):
    """[9, 8, 7, 4]: a third background, intensities as skewed as those of a brain, one empty."""
    rng = np.random.default_rng(seed)
    image = rng.gamma(3, 100, (9, 8, 7, 4)) * (rng.random((9, 8, 7, 1)) > 0.3)
    image[..., 3] = 0
    return (image if dtype.startswith("float") else image.astype(np.int64)).astype(dtype)


def quantised(
    image, mode=eager, *, profile="corrected", foreground="nonzero", clip=PERCENTILES, already=False
):
    options = {"profile": profile, "foreground": foreground, "clip_percentiles": clip}
    result = mode(quantise)(image, quantised=already, **options)
    assert result.dtype == tf.uint8
    return result.numpy()


@modes
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
def test_reference_is_that_of_numpy(mode, dtype):
    image = scan(dtype)
    result = quantised(image, mode, profile="reference")
    np.testing.assert_array_equal(result, numpy_reference(image))
    assert result.max() == 255 and not result[..., 3].any()


def test_reference_by_hand():
    """Maximum 100, cap 85: v -> 255 v / 85 = 3 v, cut to an integer; -5 -> -15 -> 241."""
    image = np.array([[0, 1, 50, 84.9, 85, 99, 100, -5, 0.4]], np.float32)[..., np.newaxis]
    expected = [0, 3, 150, 254, 255, 255, 255, 241, 1]
    assert quantised(image, profile="reference")[0, :, 0].tolist() == expected


def test_reference_negative_values_wrap():
    """Maximum 300, cap 255: values stay, and -5 becomes 251."""
    image = np.array([[-5, -1, -256, 0, 7, 300]], np.int16)[..., np.newaxis]
    result = quantised(image, profile="reference")[0, :, 0].tolist()
    assert result == [251, 255, 0, 0, 7, 255]


@pytest.mark.parametrize("values", [[0, 0], [-3, 0]])
def test_reference_without_a_positive_value_is_empty(values):
    image = np.array([values], np.int16)[..., np.newaxis]
    assert not quantised(image, profile="reference").any()


def test_reference_for_every_maximum():
    """255 v / cap is close to an integer for many v: cap and quotient must be rounded as there."""
    for maximum in range(1, 1200, 7):
        image = np.arange(maximum + 1, dtype=np.int16)[np.newaxis, :, np.newaxis]
        result = quantised(image, profile="reference")
        np.testing.assert_array_equal(result, numpy_reference(image), err_msg=str(maximum))


@modes
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
@pytest.mark.parametrize("clip", [PERCENTILES, (0, 100), (10, 60)])
def test_corrected_is_that_of_numpy(mode, dtype, clip):
    image = scan(dtype)
    result = quantised(image, mode, clip=clip)
    difference = result.astype(int) - numpy_corrected(image, clip)
    assert np.abs(difference).max() <= 1  # float32 may round a half the other way
    assert (difference != 0).mean() < 0.01
    assert np.array_equal(result == 0, image == 0)
    assert result[..., :3].max() == 255 and result[image != 0].min() == 1


def test_corrected_by_hand():
    """Foreground 10, 20, 30, 40, 50 of which 20 and 40 clip: 20 -> 1, 30 -> 128, 40 -> 255."""
    image = np.array([[0, 10, 20, 30, 40, 50]], np.int16)[..., np.newaxis]
    result = quantised(image, clip=(30, 70))[0, :, 0].tolist()
    assert result == [0, 1, 1, 128, 255, 255]


def test_corrected_keeps_negative_foreground():
    image = np.array([[0, -100, 0, 154, 27]], np.int16)[..., np.newaxis]
    assert quantised(image, clip=(0, 100))[0, :, 0].tolist() == [0, 1, 0, 255, 128]


def test_corrected_of_one_value_is_foreground():
    image = np.array([[0, 7, 7]], np.float32)[..., np.newaxis]
    assert quantised(image)[0, :, 0].tolist() == [0, 1, 1]


def test_channels_do_not_mix():
    image = scan("int16")
    scaled = image * np.array([1, 3, 7, 1], np.int16)
    np.testing.assert_array_equal(
        quantised(scaled)[..., 1:2], quantised(np.ascontiguousarray(scaled[..., 1:2]))
    )


@pytest.mark.parametrize("profile", ["corrected", "reference"])
def test_photographs_stay_as_they_are(profile):
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    np.testing.assert_array_equal(quantised(image, profile=profile, foreground="all"), image)


def test_corrected_of_all_pixels_uses_zero_too():
    image = np.array([[0, 50, 100]], np.int16)[..., np.newaxis]
    result = quantised(image, foreground="all", clip=(0, 100))
    assert result[0, :, 0].tolist() == [0, 128, 255]


@modes
@pytest.mark.parametrize("profile", ["corrected", "reference"])
@pytest.mark.parametrize("foreground", ["nonzero", "all"])
def test_quantised_images_stay_as_they_are(mode, profile, foreground):
    image = scan("uint8")
    result = quantised(image, mode, profile=profile, foreground=foreground, already=True)
    np.testing.assert_array_equal(result, image)


@modes
def test_quantised_images_must_be_of_8_bits(mode):
    message = "intensities that are quantised must be uint8, got int16"
    with pytest.raises(ValueError, match=message):
        quantised(scan("int16"), mode, already=True)


FRACTIONS = [0.0, 0.005, 0.25, 0.5, 0.75, 0.995, 1.0]


@pytest.mark.parametrize("profile", ["corrected", "reference"])
@pytest.mark.parametrize("foreground", ["nonzero", "all"])
@pytest.mark.parametrize(
    ("dtype", "low", "high"), [("int16", -32768, 32768), ("uint16", 0, 65536), ("int16", -3, 4)]
)
def test_integers_are_as_their_reals(dtype, low, high, profile, foreground):
    """Records hold integers, whose levels are counted; a served model takes reals, in bins."""
    image = np.random.default_rng(0).integers(low, high, (20, 19, 18, 2)).astype(dtype)
    options = {"profile": profile, "foreground": foreground}
    expected = quantised(image.astype(np.float32), **options)
    np.testing.assert_array_equal(quantised(image, **options), expected)
    assert np.unique(expected).size > 4


@pytest.mark.parametrize("n", [1, 2, 3, 10, 199, 200, 201, 5000])
@pytest.mark.parametrize("kind", ["integers", "reals", "ties", "outliers"])
def test_quantiles_are_those_of_numpy(n, kind):
    rng = np.random.default_rng(n)
    values = {
        "integers": rng.integers(-500, 3000, n),
        "reals": rng.normal(0, 1, n),
        "ties": rng.integers(0, 3, n) * 10,
        "outliers": np.append(rng.integers(0, 1000, n - 1), 1_000_000),
    }[kind].astype(np.float32)
    expected = np.quantile(values, FRACTIONS, method="inverted_cdf")
    tolerance = float(np.ptp(values)) / 2**24 if kind == "reals" else 0
    np.testing.assert_allclose(quantiles(values, FRACTIONS), expected, rtol=0, atol=tolerance)


def test_quantiles_of_nothing_are_zero():
    assert quantiles(tf.zeros([0]), [0.0, 0.5]).numpy().tolist() == [0, 0]


def test_quantiles_far_outliers_cost_the_documented_error():
    """Range 1e9: values that are closer than 1e9 / 2^24 = 60 may fall into one bin."""
    values = np.append(np.arange(1000), 1e9).astype(np.float32)
    (median,) = quantiles(values, [0.5]).numpy()
    assert 500 <= median <= 560


@modes
@pytest.mark.parametrize("foreground", ["nonzero", "all"])
def test_moments_are_those_of_numpy(mode, foreground):
    x = scan("uint8")
    mean, stdev = mode(moments)(x, profile="corrected", foreground=foreground)
    assert mean.dtype == stdev.dtype == tf.float32
    mean, stdev = mean.numpy(), stdev.numpy()
    for channel in range(3):
        values = x[..., channel].astype(np.float64).ravel()
        values = values[values > 0] if foreground == "nonzero" else values
        assert mean[channel] == pytest.approx(values.mean(), rel=1e-6)
        assert stdev[channel] == pytest.approx(values.std(), rel=1e-6)
    assert (mean[3], stdev[3]) == (0, 0)


def test_moments_by_hand():
    """Values 2, 4, 6: mean 4, population variance 8 / 3."""
    x = np.array([[0, 2], [4, 6]], np.uint8)[..., np.newaxis]
    mean, stdev = moments(tf.constant(x), profile="reference", foreground="nonzero")
    assert mean.numpy() == 4 and stdev.numpy() == pytest.approx(np.sqrt(8 / 3))


def test_moments_of_reference_photographs_give_minus_one_to_one():
    x = tf.constant([[[0], [255]]], tf.uint8)
    mean, stdev = moments(x, profile="reference", foreground="all")
    assert (mean.numpy(), stdev.numpy()) == (127.5, 127.5)
    z = standardise(x, mean, stdev, foreground="all")
    np.testing.assert_allclose(z.numpy().ravel(), [-1, 1], rtol=1e-6)


@modes
def test_standardise(mode):
    """Channel 0: (x - 4) / 2; channel 1 has no spread; zero is background or a value."""
    x = np.array([[[0, 5], [4, 5], [10, 0]]], np.uint8)
    mean, stdev = tf.constant([4.0, 5.0]), tf.constant([2.0, 0.0])
    z = mode(standardise)(x, mean=mean, stdev=stdev, foreground="nonzero")
    np.testing.assert_allclose(z, [[[0, 0], [0, 0], [3, 0]]], atol=1e-6)
    z = mode(standardise)(x[..., :1], mean=mean[:1], stdev=stdev[:1], foreground="all")
    np.testing.assert_allclose(z, [[[-2], [0], [3]]], atol=1e-6)


def test_standardised_foreground_has_mean_zero_and_deviation_one():
    x = quantised(scan("int16"))
    mean, stdev = moments(tf.constant(x), profile="corrected", foreground="nonzero")
    z = standardise(tf.constant(x), mean, stdev, foreground="nonzero").numpy()
    for channel in range(3):
        values = z[..., channel][x[..., channel] > 0]
        assert values.mean() == pytest.approx(0, abs=1e-5)
        assert values.std() == pytest.approx(1, abs=1e-5)
    assert not z[x == 0].any() and not z[..., 3].any()


@modes
@pytest.mark.parametrize(
    ("values", "expected"),
    [(BRATS_LABELS, [0, 1, 2, 3]), ((0, 255), [0, 1]), ((0, 9, 3), [0, 1, 2])],
)
def test_class_indices_and_back(mode, values, expected):
    label = np.array([values], np.uint8)
    classes = mode(class_indices)(label, label_values=values, aliases={})
    assert classes.dtype == tf.uint8 and classes.numpy().tolist() == [expected]
    back = mode(label_map)(classes.numpy(), label_values=values)
    assert back.dtype == tf.uint8 and back.numpy().tolist() == label.tolist()


@modes
@pytest.mark.parametrize(
    ("values", "aliases", "label", "expected"),
    [
        (BRATS_LABELS, {3: 4}, [0, 1, 2, 3, 4], [0, 1, 2, 3, 3]),
        ((0, 1, 2, 3), {4: 3}, [0, 1, 2, 3, 4], [0, 1, 2, 3, 3]),
        ((0, 255), {1: 255, 9: 0}, [0, 1, 9, 255], [0, 1, 0, 1]),
    ],
)
def test_aliases_are_the_class_that_they_stand_for(mode, values, aliases, label, expected):
    label = np.array(label, np.uint8)
    classes = mode(class_indices)(label, label_values=values, aliases=aliases)
    assert classes.numpy().tolist() == expected


@modes
@pytest.mark.parametrize("shape", [(1, 1), (2, 3, 4), (127, 1), (128, 1), (40, 41, 42, 3), (0, 2)])
def test_raw_bytes_are_those_of_numpy(mode, shape):
    x = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert mode(raw_bytes)(x).numpy() == x.tobytes()


CONFIG = {
    "profile": "corrected",
    "clip_percentiles": [0.5, 99.5],
    "foreground": "nonzero",
    "quantised": False,
    "label_values": list(BRATS_LABELS),
    "label_aliases": {"3": 4},  # as JSON has it
    "channels": 4,
}
PHOTOGRAPHS = CONFIG | {
    "foreground": "all",
    "label_values": [0, 255],
    "label_aliases": {},
    "channels": 1,
}


def normalise(cases, config, mode, *, rank):
    """Runs preprocessing_fn on a batch of cases -> their raw and their normalised records."""
    serialized = [encode_raw(case, foreground=config["foreground"]) for case in cases]
    inputs = tf.io.parse_example(serialized, raw_feature_spec(rank))
    outputs = mode(lambda batch: preprocessing_fn(batch, config))(inputs)
    records = []
    for row in range(len(cases)):
        features = {}
        for name, batch in outputs.items():
            value = batch[row].numpy()
            features[name] = value.tolist() if isinstance(value, np.ndarray) else value
        example = encode_example(features)
        records.append(parse_normalised(example, rank=rank, channels=config["channels"]))
    return [decode_raw(s) for s in serialized], records


batch_modes = pytest.mark.parametrize("mode", [lambda f: f, tf.function], ids=["eager", "graph"])


def scans(make_case):
    """Cases of unequal size and type; the label of each is 4 where its FLAIR is high."""
    cases = []
    for seed, dtype in enumerate(
        ["int16", "float32", "uint8", ">i2", "int32", "float64", "uint16"]
    ):
        image = np.abs(np.random.default_rng(seed).normal(100, 40, (6 + seed, 7, 8, 4)))
        image[:2] = 0
        image = image.astype(dtype)
        label = np.where(image[..., 3] > 120, 4, (image[..., 3] > 90).astype(int))
        cases.append(make_case(image, label.astype(np.uint8), case_id=f"case-{seed}"))
    return cases


@batch_modes
@pytest.mark.parametrize("profile", ["corrected", "reference"])
def test_preprocessing_fn_on_unequal_scans(make_case, mode, profile):
    cases = scans(make_case)
    raws, records = normalise(cases, CONFIG | {"profile": profile}, mode, rank=3)
    for raw, record in zip(raws, records, strict=True):
        image = raw.image.astype(raw.image.dtype.newbyteorder("="))
        x = quantised(image, profile=profile)
        np.testing.assert_array_equal(record["X"], x)
        np.testing.assert_array_equal(record["Y"], np.where(raw.label == 4, 3, raw.label))
        means = [x[..., c][x[..., c] > 0].mean() for c in range(4)]
        np.testing.assert_allclose(record["mean"], means, rtol=1e-5)
        stdevs = [x[..., c][x[..., c] > 0].std() for c in range(4)]
        np.testing.assert_allclose(record["stdev"], stdevs, rtol=1e-5)
        assert record["shape"].numpy().tolist() == list(image.shape)
        assert record["case_id"].numpy().decode() == raw.case_id
        assert record["box"].numpy().reshape(-1, 2).tolist() == [list(b) for b in raw.box]
        assert record["full_shape"].numpy().tolist() == list(raw.full_shape)
        assert record["affine"].numpy() == raw.affine.tobytes()
        assert record["spacing"].numpy().tolist() == list(raw.spacing)
    assert {r["case_id"].numpy() for r in records} == {b"case-%d" % n for n in range(7)}


@batch_modes
@pytest.mark.parametrize("already", [True, False])
def test_preprocessing_fn_on_photographs(make_case, mode, already):
    rng = np.random.default_rng(0)
    cases = [
        make_case(
            rng.integers(0, 256, (5, width, 1), np.uint8),
            255 * rng.integers(0, 2, (5, width)).astype(np.uint8),
        )
        for width in (3, 4)
    ]
    _, records = normalise(cases, PHOTOGRAPHS | {"quantised": already}, mode, rank=2)
    for case, record in zip(cases, records, strict=True):
        np.testing.assert_array_equal(record["X"], case.image)
        np.testing.assert_array_equal(record["Y"], case.label // 255)
        assert record["mean"].numpy()[0] == pytest.approx(case.image.mean(), rel=1e-6)


@batch_modes
@pytest.mark.parametrize("profile", ["corrected", "reference"])
def test_preprocessing_fn_on_photographs_of_any_type(make_case, mode, profile):
    """Those of 8 bits stay as they are, beside others in one batch that are scaled."""
    rng = np.random.default_rng(0)
    cases = [
        make_case(rng.integers(0, 200, (6, 5, 3)).astype(dtype), np.zeros((6, 5), np.uint8))
        for dtype in ("uint8", "int16", "uint16", "int32", "float32", "float64", ">u2")
    ]
    config = PHOTOGRAPHS | {"profile": profile, "channels": 3}
    _, records = normalise(cases, config, mode, rank=2)
    np.testing.assert_array_equal(records[0]["X"], cases[0].image)
    for case, record in zip(cases[1:], records[1:], strict=True):
        image = case.image.astype(np.float32)
        expected = quantised(image, profile=profile, foreground="all")
        np.testing.assert_array_equal(record["X"], expected)
        assert expected.max() == 255 and (expected != image).any()
        assert record["X"].shape == (6, 5, 3)


def test_preprocessing_fn_scales_between_the_percentiles_of_all_pixels(make_case):
    """16 bits: 0, 1000, 2000 -> 0, 128, 255; 0 is a value like others."""
    image = np.array([[0, 1000, 2000]], np.uint16)[..., np.newaxis]
    config = PHOTOGRAPHS | {"clip_percentiles": [0, 100]}
    case = make_case(image, np.zeros((1, 3), np.uint8))
    _, [record] = normalise([case], config, lambda f: f, rank=2)
    assert record["X"].numpy().ravel().tolist() == [0, 128, 255]
    assert record["mean"].numpy()[0] == pytest.approx(383 / 3)


@batch_modes
@pytest.mark.parametrize("profile", ["corrected", "reference"])
def test_preprocessing_fn_on_scans_that_are_quantised(make_case, mode, profile):
    """They are no clearer for being scaled again; their background is still none."""
    image = scan("uint8")
    case = make_case(image, np.full(image.shape[:3], 3, np.uint8))
    config = CONFIG | {"profile": profile, "quantised": True}
    [raw], [record] = normalise([case], config, mode, rank=3)
    np.testing.assert_array_equal(record["X"], raw.image)
    assert set(record["Y"].numpy().ravel()) == {3}  # 3 is 4, whose class index is 3
    tissue = raw.image[..., 0][raw.image[..., 0] > 0]
    assert record["mean"].numpy()[0] == pytest.approx(tissue.mean(), rel=1e-6)


@batch_modes
def test_preprocessing_fn_on_labels_with_aliases(make_case, mode):
    labels = [np.full((2, 2, 2), value, np.uint8) for value in (0, 3, 4)]
    cases = [make_case(np.ones((2, 2, 2, 4), np.int16), label) for label in labels]
    _, records = normalise(cases, CONFIG, mode, rank=3)
    assert [set(r["Y"].numpy().ravel()) for r in records] == [{0}, {3}, {3}]


def test_normalised_features_are_those_of_the_transform(make_case):
    """Every feature comes out with a static rank, which the Transform component needs."""
    (case, *_) = scans(make_case)
    serialized = encode_raw(case, foreground="nonzero")
    inputs = tf.io.parse_example([serialized], raw_feature_spec(3))
    specs = {k: tf.TensorSpec([None, *v.shape[1:]], v.dtype) for k, v in inputs.items()}
    function = tf.function(lambda batch: preprocessing_fn(batch, CONFIG), input_signature=[specs])
    outputs = function.get_concrete_function().structured_outputs
    shapes = {name: tensor.shape.as_list() for name, tensor in outputs.items()}
    channels = {name: [None, 4] for name in ("mean", "stdev", "shape")}
    axes = {name: [None, 3] for name in ("full_shape", "spacing")}
    names = ("X", "Y", "case_id", "group", "stratum", "content", "affine")
    texts = {name: [None] for name in names}
    assert shapes == channels | axes | texts | {"box": [None, 6]}
