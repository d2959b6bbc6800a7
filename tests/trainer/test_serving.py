"""The exported model: what it computes, in which grid, from which folder, with which errors."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from beam_preprocess import preprocessing
from beam_preprocess.case import Case, CaseFiles
from beam_preprocess.datasets.brats import BRATS
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.records import encode_raw, raw_feature_spec
from trainer.config import InferenceConfig
from trainer.inference.predict import predict_probabilities
from trainer.model_config import ModelConfig
from trainer.model_folder import METADATA, ServingSpec
from trainer.serving import LoadedModel, Servable, export, foreground_bounds
from trainer.unet import build_unet

SCAN_MODEL = ModelConfig(rank=3, in_channels=2, classes=3, filters=(2, 4))
SCAN_SPEC = ServingSpec(
    dataset=replace(BRATS, channels=("t1", "flair"), label_values=(0, 1, 4)),
    profile="corrected",
    clip_percentiles=(0.5, 99.5),
    inference=InferenceConfig(window=(8, 8, 8), overlap=0.25),
    model=SCAN_MODEL,
)
PHOTO_MODEL = ModelConfig(rank=2, in_channels=1, classes=1, filters=(2, 4))
PHOTO_SPEC = ServingSpec(
    dataset=DAGM,
    profile="corrected",
    clip_percentiles=(0.5, 99.5),
    inference=InferenceConfig(window=(8, 8), threshold=0.4),
    model=PHOTO_MODEL,
)
MIXED_SPEC = replace(  # photographs of any type, as folders of images have them
    PHOTO_SPEC, dataset=replace(DAGM, quantised=False, serving_dtypes=("float32", "uint8"))
)
RICH_SPEC = replace(  # BOX has 9 x 8 x 7 voxels, 10 x 8 x 8 padded: two windows of 8 x 8 x 8
    SCAN_SPEC,
    dataset=replace(SCAN_SPEC.dataset, serving_dtypes=("float32",)),
    inference=InferenceConfig(
        window=(8, 8, 8),
        mode="whole",
        whole_limit=600,
        mirror=(0, 2),
        keep_largest=((1,), (4,)),
        min_component=2,
    ),
)
BOX = (slice(2, 11), slice(1, 9), slice(3, 10))


def scan(dtype: str = "int16") -> np.ndarray:
    """[12, 11, 10, 2] with a zero border round BOX; the channels alone fill less of it."""
    image = np.zeros((12, 11, 10, 2), dtype)
    image[BOX] = np.random.default_rng(0).integers(1, 1000, (9, 8, 7, 2))
    image[2, :, :, 0] = image[:, 8, :, 1] = 0
    image[5, 5, 5] = 0
    return image


def photo() -> np.ndarray:
    image = np.random.default_rng(1).integers(0, 256, (9, 14, 1)).astype(np.uint8)
    image[0] = image[:, -3:] = 0
    return image


@pytest.fixture(scope="module")
def scan_network() -> keras.Model:
    return build_unet(SCAN_MODEL, seed=5)


@pytest.fixture(scope="module")
def scan_folder(scan_network: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scan-model")
    export([scan_network], SCAN_SPEC, str(folder))
    return folder


@pytest.fixture(scope="module")
def scan_model(scan_folder: Path) -> LoadedModel:
    return LoadedModel(scan_folder)


def rich_networks() -> list[keras.Model]:
    return [build_unet(SCAN_MODEL, seed=n) for n in (2, 8)]  # labels of several components


@pytest.fixture(scope="module")
def rich_model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("rich-model")
    export(rich_networks(), RICH_SPEC, str(folder))
    return LoadedModel(folder)


@pytest.fixture(scope="module")
def photo_network() -> keras.Model:
    return build_unet(PHOTO_MODEL, seed=5)


@pytest.fixture(scope="module")
def photo_model(
    photo_network: keras.Model, tmp_path_factory: pytest.TempPathFactory
) -> LoadedModel:
    folder = tmp_path_factory.mktemp("photo-model")
    export([photo_network], PHOTO_SPEC, str(folder))
    return LoadedModel(str(folder))


@pytest.fixture(scope="module")
def mixed_model(
    photo_network: keras.Model, tmp_path_factory: pytest.TempPathFactory
) -> LoadedModel:
    folder = tmp_path_factory.mktemp("mixed-model")
    export([photo_network], MIXED_SPEC, str(folder))
    return LoadedModel(str(folder))


def step_by_step(network: keras.Model, model: ModelConfig, spec: ServingSpec, crop: np.ndarray):
    """Probabilities of a case that has no border."""
    options = {"profile": spec.profile, "foreground": spec.dataset.foreground}
    x = preprocessing.quantise(
        tf.constant(crop),
        clip_percentiles=spec.clip_percentiles,
        quantised=spec.dataset.quantised,
        **options,
    )
    mean, stdev = preprocessing.moments(x, **options)
    z = preprocessing.standardise(x, mean, stdev, foreground=spec.dataset.foreground)
    return predict_probabilities([network], z, model, spec.inference).numpy()


def test_scan_is_segmented_in_its_own_grid_and_label_values(
    scan_model: LoadedModel, scan_network: keras.Model
) -> None:
    label, probabilities = scan_model.predict_probabilities(scan())
    assert label.shape == (12, 11, 10) and label.dtype == np.uint8
    expected = np.zeros((12, 11, 10, 3), np.float32)
    expected[..., 0] = 1
    expected[BOX] = step_by_step(scan_network, SCAN_MODEL, SCAN_SPEC, scan("float32")[BOX])
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    np.testing.assert_array_equal(label, np.array([0, 1, 4])[probabilities.argmax(-1)])
    np.testing.assert_array_equal(scan_model.predict(scan()), label)
    assert len(np.unique(label[BOX])) > 1


def test_border_does_not_change_the_prediction(scan_model: LoadedModel) -> None:
    np.testing.assert_array_equal(scan_model.predict(scan())[BOX], scan_model.predict(scan()[BOX]))


def test_photograph_is_segmented_whole_with_its_threshold(
    photo_model: LoadedModel, photo_network: keras.Model
) -> None:
    label, probabilities = photo_model.predict_probabilities(photo())
    expected = step_by_step(photo_network, PHOTO_MODEL, PHOTO_SPEC, photo())
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    np.testing.assert_array_equal(label, np.where(probabilities[..., 0] >= 0.4, 255, 0))
    np.testing.assert_array_equal(photo_model.predict(photo()), label)
    assert probabilities.shape == (9, 14, 1) and set(np.unique(label)) == {0, 255}


def test_empty_scan_is_the_whole_grid(scan_model: LoadedModel, scan_network: keras.Model) -> None:
    label, probabilities = scan_model.predict_probabilities(np.zeros_like(scan()))
    zeros = tf.zeros((12, 11, 10, 2))
    expected = predict_probabilities([scan_network], zeros, SCAN_MODEL, SCAN_SPEC.inference)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    np.testing.assert_array_equal(label, np.array([0, 1, 4])[probabilities.argmax(-1)])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", ">i2"])
def test_type_of_the_intensities_does_not_matter(scan_model: LoadedModel, dtype: str) -> None:
    expected = scan_model.predict(scan("int16"))
    np.testing.assert_array_equal(scan_model.predict(scan(dtype)), expected)


def test_model_without_a_signature_of_8_bits_takes_8_bits(scan_model: LoadedModel) -> None:
    image = np.minimum(scan(), 255).astype(np.uint8)
    expected = scan_model.predict_probabilities(image.astype(np.float32))
    for found, wanted in zip(scan_model.predict_probabilities(image), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(scan_model.predict(image), expected[0])


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_model_of_8_bits_refuses_other_types(photo_model: LoadedModel, dtype: str) -> None:
    message = rf"^the model takes 8-bit images \(uint8\), got {dtype}$"
    for predict in (photo_model.predict, photo_model.predict_probabilities):
        with pytest.raises(ValueError, match=message):
            predict(photo().astype(dtype))


def test_photographs_of_8_bits_keep_their_values_and_others_are_scaled(
    mixed_model: LoadedModel, photo_network: keras.Model
) -> None:
    image = photo() // 4  # dark, so that scaling makes a difference
    for given, seen in (
        (image, image),
        (image.astype(np.uint16), image.astype(np.float32)),
        (image.astype(np.float64), image.astype(np.float32)),
    ):
        label, probabilities = mixed_model.predict_probabilities(given)
        expected = step_by_step(photo_network, PHOTO_MODEL, MIXED_SPEC, seen)
        np.testing.assert_allclose(probabilities, expected, atol=1e-5)
        np.testing.assert_array_equal(mixed_model.predict(given), label)
    scaled = mixed_model.predict_probabilities(image.astype(np.float32))[1]
    kept = mixed_model.predict_probabilities(image)[1]
    assert np.abs(scaled - kept).max() > 1e-3


def test_signatures(scan_model: LoadedModel, photo_model: LoadedModel) -> None:
    found = tf.saved_model.load(str(scan_model.path)).signatures
    labels, probabilities = ("serving_default", "serving_int16"), ("probabilities",)
    assert set(found) == {*labels, *probabilities, "probabilities_int16"}
    [argument] = found["serving_int16"].structured_input_signature[1].values()
    assert argument.name == "image" and argument.dtype == tf.int16
    assert argument.shape.as_list() == [None, None, None, 2]
    assert set(found["serving_default"].structured_outputs) == {"label"}
    assert found["serving_default"].structured_outputs["label"].dtype == tf.uint8
    assert set(found["probabilities"].structured_outputs) == {"label", "probabilities"}
    photo_signatures = tf.saved_model.load(str(photo_model.path)).signatures
    assert set(photo_signatures) == {"serving_default", "probabilities"}


@pytest.mark.parametrize("shape", [(9, 8, 7), (3, 12, 9), (1, 1, 1)])
def test_any_grid_is_taken(scan_model: LoadedModel, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(2).integers(0, 9, (*shape, 2)).astype(np.int16)
    label = scan_model.predict(image)
    assert label.shape == shape and set(np.unique(label)) <= {0, 1, 4}


@pytest.mark.parametrize("shape", [(4, 4, 4, 3), (4, 4, 4)])
def test_wrong_number_of_channels_is_an_error(
    scan_model: LoadedModel, shape: tuple[int, ...]
) -> None:
    message = (
        rf"^the model takes 2 channels \['t1', 'flair'\], got an image of shape \({shape[0]}, .*\)$"
    )
    for predict in (scan_model.predict, scan_model.predict_probabilities):
        with pytest.raises(ValueError, match=message):
            predict(np.ones(shape, np.int16))


@pytest.mark.slow
def test_fresh_process_without_our_code_gives_the_same(
    scan_folder: Path, scan_model: LoadedModel, rich_model: LoadedModel, tmp_path: Path
) -> None:
    """As TensorFlow Serving does: the SavedModel is all there is."""
    np.save(tmp_path / "image.npy", scan("float32"))
    script = (
        "import sys, numpy as np, tensorflow as tf\n"
        "image = tf.constant(np.load('image.npy'))\n"
        "for number, folder in enumerate(sys.argv[1:]):\n"
        "    signatures = tf.saved_model.load(folder).signatures\n"
        "    label = signatures['serving_default'](image=image)['label']\n"
        "    both = signatures['probabilities'](image=image)\n"
        "    np.savez(f'{number}.npz', alone=label, **both)\n"
    )
    command = [sys.executable, "-c", script, str(scan_folder), str(rich_model.path)]
    subprocess.run(command, check=True, cwd=tmp_path)
    for number, model in enumerate([scan_model, rich_model]):
        label, probabilities = model.predict_probabilities(scan())
        with np.load(tmp_path / f"{number}.npz") as found:
            np.testing.assert_array_equal(found["alone"], label)
            np.testing.assert_array_equal(found["label"], label)
            np.testing.assert_allclose(found["probabilities"], probabilities, atol=1e-6)


def test_same_eagerly_in_a_graph_and_from_the_saved_model(rich_model: LoadedModel) -> None:
    servable = Servable(rich_networks(), RICH_SPEC)
    image = tf.constant(scan("float32"))
    in_graph = tf.function(servable.predict)(image)
    tf.config.run_functions_eagerly(True)
    try:
        eagerly = servable.predict(image)
    finally:
        tf.config.run_functions_eagerly(False)
    label, probabilities = rich_model.predict_probabilities(scan())
    for found in (in_graph, eagerly):
        np.testing.assert_array_equal(found[0], label)
        np.testing.assert_allclose(found[1], probabilities, atol=1e-6)


def test_dropped_components_are_dropped_in_the_served_labels_alone(
    rich_model: LoadedModel,
) -> None:
    """The largest component of each label stays; the probabilities are the network's."""
    label, probabilities = rich_model.predict_probabilities(scan())
    best = np.array([0, 1, 4])[probabilities.argmax(-1)]
    for value in (1, 4):
        assert ndimage.label(best == value, np.ones((3, 3, 3)))[1] > 1
        assert ndimage.label(label == value, np.ones((3, 3, 3)))[1] == 1
        assert not ((label == value) & (best != value)).any()
    np.testing.assert_array_equal(rich_model.predict(scan()), label)
    assert set(np.unique(label)) == {0, 1, 4}


@pytest.mark.parametrize(
    ("mode", "axes", "flipped"),
    [("window", (0, 1, 2), (1, 2)), ("window", (2, 0, 1), (0,)), ("whole", (1, 0, 2), (0, 2))],
)
def test_axes_in_another_order_or_direction(
    mode: str, axes: tuple[int, ...], flipped: tuple[int, ...]
) -> None:
    """By a network of single voxels: the answer lies where the voxels lie, whatever the grid."""
    inputs = keras.Input((None, None, None, 2))
    outputs = keras.layers.Conv3D(3, 1, bias_initializer="random_normal")(inputs)
    inference = replace(SCAN_SPEC.inference, mode=mode, mirror=(0,), min_component=3)
    spec = replace(SCAN_SPEC, inference=inference)
    servable = Servable([keras.Model(inputs, outputs)], spec)
    image = scan("float32")
    label, probabilities = (t.numpy() for t in servable.predict(tf.constant(image)))
    turned = np.flip(image.transpose(*axes, 3), flipped)
    found = servable.predict(tf.constant(turned))
    np.testing.assert_array_equal(found[0], np.flip(label.transpose(axes), flipped))
    expected = np.flip(probabilities.transpose(*axes, 3), flipped)
    np.testing.assert_allclose(found[1], expected, atol=1e-5)
    assert len(np.unique(label[BOX])) > 1


def test_memory_that_does_not_suffice(scan_model: LoadedModel, monkeypatch) -> None:
    def fail(image: tf.Tensor) -> dict[str, tf.Tensor]:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nmore")

    monkeypatch.setattr(scan_model, "_signatures", {"serving_int16": fail})
    message = r"shape \(12, 11, 10, 2\): lower inference.whole_limit .* \(OOM when allocating\)$"
    with pytest.raises(RuntimeError, match=message):
        scan_model.predict(scan())


def test_predict_takes_tensors_of_known_shape(scan_network, scan_model: LoadedModel) -> None:
    """A border of zeros makes the crop smaller than the image whose shape is known."""
    servable = Servable([scan_network], SCAN_SPEC)
    label, probabilities = servable.predict(tf.constant(scan("float32")))
    assert probabilities.shape == (12, 11, 10, 3)
    np.testing.assert_array_equal(label, scan_model.predict(scan()))


@pytest.mark.parametrize(
    ("where", "bounds"),
    [
        ([], ([0, 0], [4, 5])),
        ([(0, 0), (3, 4)], ([0, 0], [4, 5])),
        ([(1, 3)], ([1, 3], [2, 4])),
        ([(2, 1), (1, 3)], ([1, 1], [3, 4])),
    ],
)
def test_foreground_bounds(where: list[tuple[int, int]], bounds: tuple) -> None:
    image = np.zeros((4, 5, 2), np.float32)
    for number, voxel in enumerate(where):
        image[(*voxel, number % 2)] = -1.0
    found = foreground_bounds(tf.constant(image), "nonzero")
    assert tuple(b.numpy().tolist() for b in found) == bounds
    whole = foreground_bounds(tf.constant(image), "all")
    assert tuple(b.numpy().tolist() for b in whole) == ([0, 0], [4, 5])


def normalised_record(image: np.ndarray, spec: ServingSpec) -> dict[str, np.ndarray]:
    """X, mean and stdev as CaseGen and Transform make them of a raw case."""
    rank = image.ndim - 1
    case = Case(
        files=CaseFiles(case_id="c", group="g", stratum="s", images=(), label=None),
        image=image,
        label=np.zeros(image.shape[:-1], np.uint8),
        affine=np.eye(4),
        spacing=(1.0,) * rank,
        sources={},
    )
    raw = encode_raw(case, foreground=spec.dataset.foreground)
    config = {
        "profile": spec.profile,
        "clip_percentiles": spec.clip_percentiles,
        "channels": len(spec.dataset.channels),
        "foreground": spec.dataset.foreground,
        "quantised": spec.dataset.quantised,
        "label_values": spec.dataset.label_values,
        "label_aliases": spec.dataset.label_aliases,
    }
    batch = tf.io.parse_example([raw], raw_feature_spec(rank))
    record = {k: v[0].numpy() for k, v in preprocessing.preprocessing_fn(batch, config).items()}
    x = np.frombuffer(record["X"], np.uint8).reshape(record["shape"])
    return {"X": x, "mean": record["mean"], "stdev": record["stdev"]}


@pytest.mark.parametrize("profile", ["corrected", "reference"])
@pytest.mark.parametrize("kind", ["scan", "8-bit scan", "photo", "mixed photo", "16-bit photo"])
def test_network_sees_what_training_stored(
    monkeypatch: pytest.MonkeyPatch, kind: str, profile: str
) -> None:
    """X, mean and stdev inside the served graph are those of the record, bit for bit."""
    quantised = replace(SCAN_SPEC.dataset, quantised=True, serving_dtypes=("uint8",))
    image, spec = {
        "scan": (scan(), SCAN_SPEC),
        "8-bit scan": (scan().astype(np.uint8), replace(SCAN_SPEC, dataset=quantised)),
        "photo": (photo(), PHOTO_SPEC),
        "mixed photo": (photo(), MIXED_SPEC),
        "16-bit photo": (photo().astype(np.uint16) * 9, MIXED_SPEC),
    }[kind]
    spec = replace(spec, profile=profile)
    record = normalised_record(image, spec)
    seen: list[dict[str, np.ndarray]] = []
    standardise = preprocessing.standardise

    def spy(x: tf.Tensor, mean: tf.Tensor, stdev: tf.Tensor, *, foreground: str) -> tf.Tensor:
        seen.append({"X": x.numpy(), "mean": mean.numpy(), "stdev": stdev.numpy()})
        return standardise(x, mean, stdev, foreground=foreground)

    monkeypatch.setattr(preprocessing, "standardise", spy)
    monkeypatch.setattr("trainer.serving.predict_probabilities", lambda _, z, *__: z)
    servable = Servable([], spec)
    tf.config.run_functions_eagerly(True)
    try:
        served = image if image.dtype == np.uint8 else image.astype(np.float32)
        _, z = servable.predict(tf.constant(served))
    finally:
        tf.config.run_functions_eagerly(False)
    assert len(seen) == 1 and set(seen[0]) == set(record)
    for name, value in record.items():
        np.testing.assert_array_equal(seen[0][name], value, strict=True)
    inside = z.numpy()[BOX] if "scan" in kind else z.numpy()
    expected = (record["X"] - record["mean"]) / record["stdev"]
    if "scan" in kind:
        expected = np.where(record["X"] > 0, expected, 0)
    np.testing.assert_allclose(inside, expected, rtol=1e-5, atol=1e-5)


def test_metadata_is_the_spec(scan_model: LoadedModel) -> None:
    assert scan_model.spec == SCAN_SPEC
    written = json.loads((scan_model.path / METADATA).read_text())
    assert written == json.loads(json.dumps(asdict(SCAN_SPEC)))
    assert written["dataset"]["label_aliases"] == {"3": 4}


def test_model_is_loaded_from_a_folder_of_versions(scan_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "1700000000").symlink_to(scan_folder)
    model = LoadedModel(str(tmp_path))
    assert model.path == tmp_path / "1700000000"
    assert model.predict(scan()).shape == (12, 11, 10)


DAMAGE = {
    "saved_model.pb": (0, 1, 0.5, 0.999),
    "variables/variables.index": (0, 0.5, None),
    "variables/variables.data-00000-of-00001": (0, 0.5, 0.999, None),
    METADATA: (0, 0.5, 0.999),
}
"""File -> what is left of it: a number of bytes, a share, or nothing at all."""


@pytest.mark.parametrize(("name", "kept"), [(n, k) for n, many in DAMAGE.items() for k in many])
def test_incomplete_model(scan_folder: Path, tmp_path: Path, name: str, kept: float | None) -> None:
    folder = Path(shutil.copytree(scan_folder, tmp_path / "17"))
    file = folder / name
    content = file.read_bytes()
    file.unlink()
    if kept is not None:
        file.write_bytes(content[: int(kept if kept in (0, 1) else kept * len(content))])
    with pytest.raises(ValueError) as raised:
        LoadedModel(tmp_path)
    start = f"the model in '{folder}' is incomplete or damaged: copy it again, all files of the"
    assert str(raised.value).startswith(start)
    assert len(str(raised.value).splitlines()) == 1 and raised.value.__cause__


def test_model_with_a_bit_flipped_in_its_weights(scan_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(scan_folder, tmp_path / "17"))
    file = folder / "variables" / "variables.data-00000-of-00001"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)
    with pytest.raises(ValueError, match="is incomplete or damaged: copy it again"):
        LoadedModel(folder)


def test_model_whose_metadata_is_of_another(
    scan_folder: Path, photo_model: LoadedModel, tmp_path: Path
) -> None:
    """It names signatures that the model lacks."""
    folder = Path(shutil.copytree(photo_model.path, tmp_path / "17"))
    shutil.copy(scan_folder / METADATA, folder / METADATA)
    lacks = r"lacks the signatures \['probabilities_int16', 'serving_int16'\]"
    with pytest.raises(ValueError, match=rf"is incomplete or damaged: .*{lacks}"):
        LoadedModel(folder)
