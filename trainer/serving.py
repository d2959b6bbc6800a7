"""The exported model: raw case in, label map in the original grid and label values out.

One graph holds everything: crop to the foreground, intensity normalisation, inference by one or
several networks, dropping of components, the way back to the full grid. The Evaluator scores this
graph, `predict` and TensorFlow Serving run it.

Signatures: `serving_default` and, for every other type that the dataset's intensities may have,
`serving_<dtype>`: `image` [*S, C] -> `label` uint8 [*S]; `probabilities` (and, for every other
type, `probabilities_<dtype>`) adds float32 [*S, K].
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from beam_preprocess import preprocessing
from trainer.inference.classes import to_classes
from trainer.inference.components import postprocess
from trainer.inference.predict import append, predict_probabilities
from trainer.model_folder import (
    ServingSpec,
    damaged,
    newest_version,
    read_metadata,
    write_metadata,
)


class Servable(tf.Module):
    """One or several networks with all that leads from a raw case to its label map.

    Args:
      networks: All of the config `spec.model`; their probabilities are averaged.
      spec: What the graph around them has to know.
    """

    def __init__(self, networks: Sequence[keras.Model], spec: ServingSpec):
        super().__init__()
        self._spec = spec
        self.states = [[v.value for v in network.variables] for network in networks]
        models = [partial(network, training=False) for network in networks]

        @tf.function(autograph=False)
        def probabilities(image: tf.Tensor) -> tf.Tensor:
            return predict_probabilities(models, image, spec.model, spec.inference)

        # Traced once for all signatures. As an attribute it would be traced again to be saved.
        self._probabilities = partial(probabilities)

    def predict(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Segments one raw case.

        Args:
          image: [*S, C] original intensities; uint8 or float32.

        Returns:
          label: uint8 [*S], the dataset's own label values, less the components that
            `inference.keep_largest` and `inference.min_component` drop.
          probabilities: float32 [*S, K]; certain background outside the foreground's box.
        """
        spec, label_values = self._spec, self._spec.dataset.label_values
        start, stop = foreground_bounds(image, spec.dataset.foreground)
        cropped = tf.slice(image, append(start, 0), append(stop - start, -1))
        cropped = tf.ensure_shape(cropped, [None] * start.shape[0] + [image.shape[-1]])
        standardised = self._normalise(cropped)
        probabilities = self._probabilities(standardised)
        classes = to_classes(probabilities, threshold=spec.inference.threshold)
        label = preprocessing.label_map(classes, label_values)
        label = postprocess(label, spec.inference, background=label_values[0])
        paddings = tf.stack([start, tf.shape(image)[:-1] - stop], axis=1)
        label = tf.pad(label, paddings, constant_values=label_values[0])
        return label, _uncrop_probabilities(probabilities, paddings)

    def _normalise(self, image: tf.Tensor) -> tf.Tensor:
        profile, foreground = self._spec.profile, self._spec.dataset.foreground
        x = preprocessing.quantise(
            image,
            profile=profile,
            foreground=foreground,
            clip_percentiles=self._spec.clip_percentiles,
            quantised=self._spec.dataset.quantised,
        )
        mean, stdev = preprocessing.moments(x, profile=profile, foreground=foreground)
        return preprocessing.standardise(x, mean, stdev, foreground=foreground)


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


def export(networks: Sequence[keras.Model], spec: ServingSpec, folder: str) -> None:
    """Writes the SavedModel to `folder`, with `spec` beside it.

    Args:
      networks: All of the config `spec.model`; of several the probabilities are averaged.
      spec: What is exported with them.
      folder: Of the SavedModel.
    """
    servable = Servable(networks, spec)
    tf.saved_model.save(servable, folder, signatures=make_signatures(servable, spec))
    write_metadata(spec, Path(folder))


def make_signatures(servable: Servable, spec: ServingSpec) -> dict[str, Any]:
    """The functions that a model is served by: name -> image [*S, C] -> dict of its outputs."""
    shape = [None] * spec.model.rank + [spec.model.in_channels]
    signatures = {}
    for dtype in spec.dataset.serving_dtypes:
        label, probabilities = signature_names(spec, dtype)
        signatures[label] = _signature(servable, shape, dtype)
        signatures[probabilities] = _signature(servable, shape, dtype, probabilities=True)
    return signatures


def signature_names(spec: ServingSpec, dtype: str) -> tuple[str, str]:
    """Names of the two signatures for a type: label alone, and label with probabilities."""
    if dtype == spec.dataset.serving_dtypes[0]:
        return "serving_default", "probabilities"
    return f"serving_{dtype}", f"probabilities_{dtype}"


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


_DAMAGE = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError),
    tf.errors.OpError,
)
"""What TensorFlow raises on files that are cut off, overwritten or missing."""


class LoadedModel:
    """An exported model, from its SavedModel folder or the newest one in a folder of versions.

    Attributes:
      path: The SavedModel folder.
      spec: What it was exported with.

    Raises:
      ValueError: There is no model of ours, or it is incomplete or damaged.
    """

    def __init__(self, path: str | Path):
        self.path = newest_version(Path(path))
        self.spec = read_metadata(self.path)
        try:
            self._model = tf.saved_model.load(str(self.path))
            dtypes = self.spec.dataset.serving_dtypes
            names = {n for dtype in dtypes for n in signature_names(self.spec, dtype)}
            self._signatures: Mapping[str, Any] = self._model.signatures
            if missing := names - set(self._signatures):
                raise ValueError(f"it lacks the signatures {sorted(missing)}")
        except _DAMAGE as e:
            raise damaged(self.path, e) from e

    def predict(self, image: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Segments one raw case: [*S, C] original intensities -> uint8 label values [*S]."""
        dtype = self._dtype_for(image)
        name, _ = signature_names(self.spec, dtype)
        return self._run(name, image, dtype)["label"].numpy()

    def predict_probabilities(
        self, image: NDArray[np.generic]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Segments one raw case: [*S, C] -> label values [*S] and probabilities [*S, K]."""
        dtype = self._dtype_for(image)
        _, name = signature_names(self.spec, dtype)
        result = self._run(name, image, dtype)
        return result["label"].numpy(), result["probabilities"].numpy()

    @property
    def states(self) -> list[list[NDArray[np.generic]]]:
        """The variables of every network, in the order of Keras's `variables`."""
        return [[v.numpy() for v in state] for state in self._model.states]

    def _dtype_for(self, image: NDArray[np.generic]) -> str:
        """The type that `image` is given to the graph in: its own, or the first that is wider."""
        dtypes = self.spec.dataset.serving_dtypes
        if image.dtype.name in dtypes:
            return image.dtype.name
        for dtype in dtypes:
            if dtype != "uint8":
                return dtype
        raise ValueError(f"the model takes 8-bit images (uint8), got {image.dtype}")

    def _run(self, signature: str, image: NDArray[np.generic], dtype: str) -> dict[str, tf.Tensor]:
        channels = self.spec.dataset.channels
        if image.shape[-1] != len(channels):
            raise ValueError(
                f"the model takes {len(channels)} channels {list(channels)},"
                f" got an image of shape {image.shape}"
            )
        try:
            return self._signatures[signature](image=tf.constant(image.astype(dtype)))
        except tf.errors.ResourceExhaustedError as e:
            raise RuntimeError(
                f"inference must fit in the device's memory, it does not for an image of shape"
                f" {image.shape}: lower inference.whole_limit (mode whole) or inference.window"
                f" ({str(e).splitlines()[0]})"
            ) from e
