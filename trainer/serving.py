"""The exported model: raw case in, label map in the original grid and label values out.

One graph holds everything: crop to the foreground, intensity normalisation, sliding window, the way
back to the full grid. The Evaluator scores this graph, `predict` and TensorFlow Serving run it.

Signatures: `serving_default` and, for every other type that the dataset's intensities may have,
`serving_<dtype>`: `image` [*S, C] -> `label` uint8 [*S]; `probabilities` adds float32 [*S, K].
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from beam_preprocess import preprocessing
from beam_preprocess.atomic import write_text
from trainer.config import InferenceConfig
from trainer.inference import append, predict_probabilities, to_classes
from trainer.model_config import ModelConfig
from trainer.model_folder import METADATA, newest_version, read_metadata


@dataclass(frozen=True, kw_only=True)
class ServingSpec:
    """What the graph around the network has to know; it is stored with the model.

    Attributes:
      dataset: Name of the dataset whose layout and conventions the model follows.
      channels: Channel names in the order of the last axis.
      label_values: Label value of every class index.
      foreground: `nonzero` or `all`, see `DatasetInfo`.
      dtypes: Types that intensities are taken in; the first is that of `serving_default`.
      profile, clip_percentiles: See `PreprocessingConfig`.
      inference: Window, overlap, threshold.
    """

    dataset: str
    channels: tuple[str, ...]
    label_values: tuple[int, ...]
    foreground: str
    dtypes: tuple[str, ...]
    profile: str
    clip_percentiles: tuple[float, float]
    inference: InferenceConfig


class Servable(tf.Module):
    """A network with all that leads from a raw case to its label map."""

    def __init__(self, network: keras.Model, model_config: ModelConfig, spec: ServingSpec):
        super().__init__()
        self._network, self._model_config, self._spec = network, model_config, spec
        self._state = [v.value for v in network.variables]

    @tf.function(autograph=False)
    def predict(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Segments one raw case.

        Args:
          image: [*S, C] original intensities; uint8 or float32.

        Returns:
          label: uint8 [*S], the dataset's own label values.
          probabilities: float32 [*S, K]; certain background outside the foreground's box.
        """
        spec = self._spec
        start, stop = foreground_bounds(image, spec.foreground)
        cropped = tf.slice(image, append(start, 0), append(stop - start, -1))
        cropped = tf.ensure_shape(cropped, [None] * start.shape[0] + [image.shape[-1]])
        standardised = self._normalise(cropped)
        probabilities = predict_probabilities(
            self._call, standardised, self._model_config, spec.inference
        )
        classes = to_classes(probabilities, threshold=spec.inference.threshold)
        label = preprocessing.label_map(classes, spec.label_values)
        after = tf.shape(image)[:-1] - stop
        paddings = tf.stack([start, after], axis=1)
        return tf.pad(label, paddings), _uncrop_probabilities(probabilities, paddings)

    def _normalise(self, image: tf.Tensor) -> tf.Tensor:
        profile, foreground = self._spec.profile, self._spec.foreground
        x = preprocessing.quantise(
            image,
            profile=profile,
            foreground=foreground,
            clip_percentiles=self._spec.clip_percentiles,
        )
        mean, stdev = preprocessing.moments(x, profile=profile, foreground=foreground)
        return preprocessing.standardise(x, mean, stdev, foreground=foreground)

    def _call(self, batch: tf.Tensor) -> tf.Tensor:
        return self._network(batch, training=False)


def foreground_bounds(image: tf.Tensor, foreground: str) -> tuple[tf.Tensor, tf.Tensor]:
    """First and last + 1 voxel of the foreground's box, per spatial axis: two int32 [rank].

    The whole grid where `foreground` is `all`, or where the image has no voxel other than 0.
    """
    full = tf.shape(image)[:-1]
    if foreground == "all":
        return tf.zeros_like(full), full
    mask = tf.reduce_any(image != 0, axis=-1)
    rank = len(image.shape) - 1
    starts, stops = [], []
    for axis in range(rank):
        hit = tf.reduce_any(mask, axis=[a for a in range(rank) if a != axis])
        starts.append(tf.argmax(hit, output_type=tf.int32))
        stops.append(full[axis] - tf.argmax(hit[::-1], output_type=tf.int32))
    return tf.stack(starts), tf.stack(stops)


def _uncrop_probabilities(probabilities: tf.Tensor, paddings: tf.Tensor) -> tf.Tensor:
    """Pads [*crop, K] to the full grid with certain background."""
    channels = tf.unstack(probabilities, axis=-1)
    background = 1.0 if len(channels) > 1 else 0.0
    padded = [
        tf.pad(c, paddings, constant_values=background if i == 0 else 0.0)
        for i, c in enumerate(channels)
    ]
    return tf.stack(padded, axis=-1)


def export(network: keras.Model, model_config: ModelConfig, spec: ServingSpec, folder: str) -> None:
    """Writes the SavedModel to `folder`, with `spec` beside it, and loads it again to be sure.

    Raises:
      RuntimeError: The written model lacks a signature.
    """
    servable = Servable(network, model_config, spec)
    shape = [None] * model_config.rank + [model_config.in_channels]
    signatures = {"serving_default": _signature(servable, shape, spec.dtypes[0])}
    for dtype in spec.dtypes[1:]:
        signatures[f"serving_{dtype}"] = _signature(servable, shape, dtype)
    signatures["probabilities"] = _signature(servable, shape, spec.dtypes[0], probabilities=True)
    tf.saved_model.save(servable, folder, signatures=signatures)
    write_text(Path(folder) / METADATA, json.dumps(asdict(spec), indent=2))
    missing = set(signatures) - set(tf.saved_model.load(folder).signatures)
    if missing:
        raise RuntimeError(f"the model in {folder} must have signatures {missing}, it has not")


def _signature(
    servable: Servable, shape: list[int | None], dtype: str, *, probabilities: bool = False
) -> Any:
    spec = tf.TensorSpec(shape, tf.as_dtype(dtype), name="image")

    @tf.function(input_signature=[spec], autograph=False)
    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        image = image if image.dtype == tf.uint8 else tf.cast(image, tf.float32)
        label, probability = servable.predict(image)
        return {"label": label} | ({"probabilities": probability} if probabilities else {})

    return serve


class LoadedModel:
    """An exported model, from its SavedModel folder or the newest one in a folder of versions.

    Attributes:
      path: The SavedModel folder.
      metadata: The `ServingSpec` it was exported with, as a dict.
    """

    def __init__(self, path: str | Path):
        self.path = newest_version(Path(path))
        self.metadata = read_metadata(self.path)
        self._model = tf.saved_model.load(str(self.path))

    def predict(self, image: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Segments one raw case: [*S, C] original intensities -> uint8 label values [*S]."""
        default, *others = self.metadata["dtypes"]
        dtype = next((d for d in others if d == image.dtype.name), default)
        name = "serving_default" if dtype == default else f"serving_{dtype}"
        return self._run(name, image, dtype)["label"].numpy()

    def predict_probabilities(
        self, image: NDArray[np.generic]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Segments one raw case: [*S, C] -> label values [*S] and probabilities [*S, K]."""
        result = self._run("probabilities", image, self.metadata["dtypes"][0])
        return result["label"].numpy(), result["probabilities"].numpy()

    def _run(self, signature: str, image: NDArray[np.generic], dtype: str) -> dict[str, tf.Tensor]:
        expected = len(self.metadata["channels"])
        if image.shape[-1] != expected:
            raise ValueError(
                f"the model takes {expected} channels {self.metadata['channels']},"
                f" got an image of shape {image.shape}"
            )
        if dtype == "uint8" and image.dtype != np.uint8:
            raise ValueError(f"the model takes 8-bit images (uint8), got {image.dtype}")
        return self._model.signatures[signature](image=tf.constant(image.astype(dtype)))
