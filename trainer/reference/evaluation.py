"""Held-out cases -> probabilities -> scores and prediction files, for `python -m trainer`.

Profile `corrected`: the box of the foreground by a sliding window, as a served model does, every
case counted, BraTS regions beside the labels of the references. Profile `reference`: what the
references score, number for number; see `trainer.reference.metrics`.

Shapes: S spatial shape of a record, C channels, K classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from beam_preprocess.atomic import atomic_path
from beam_preprocess.crop import uncrop
from beam_preprocess.datasets.photographs import write_mask
from beam_preprocess.nifti import write_nifti
from beam_preprocess.preprocessing import standardise
from beam_preprocess.records import parse_normalised
from trainer.batches import RecordInfo
from trainer.config import InferenceConfig
from trainer.inference.classes import to_classes, to_probabilities
from trainer.inference.predict import predict_probabilities
from trainer.metrics.ranking import rank_images
from trainer.overlap import dice, iou, overlap
from trainer.reference.metrics import (
    LABELS,
    confusion_scores,
    crop_and_pad,
    mean_of_batches,
    pixel_confusion,
    volume_scores,
)
from trainer.reference.metrics import to_classes as reference_classes
from trainer.reference.options import ReferenceOptions
from trainer.reference.records import normalised_records
from trainer.serving import foreground_bounds

REGIONS = {"ET": (3,), "TC": (1, 3), "WT": (1, 2, 3)}
"""BraTS regions -> classes of a record; class 3 is BraTS label 4."""
LABEL_VALUES = np.array([0, 1, 2, 4], np.uint8)
"""Class of a record -> label value of BraTS until 2022."""
Probabilities = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class HeldOutCase:
    """A case to score or to predict.

    Attributes:
      case_id: Of the record.
      image: float32 [*S, C], standardised.
      truth: uint8 [*S], class indices.
      box: First and last + 1 voxel of the record in the full grid, per axis.
      full_shape: Of the full grid.
      affine: float64 [4, 4], of the full grid.
    """

    case_id: str
    image: tf.Tensor
    truth: NDArray[np.uint8]
    box: tuple[tuple[int, int], ...]
    full_shape: tuple[int, ...]
    affine: NDArray[np.float64]


def held_out_cases(files: Sequence[Path], info: RecordInfo) -> Iterator[HeldOutCase]:
    """Yields the cases of record files, one at a time."""
    for record in (r for file in files for r in normalised_records(file)):
        features = parse_normalised(record, rank=info.rank, channels=info.channels)
        x, mean, stdev = (features[name] for name in ("X", "mean", "stdev"))
        edges = features["box"].numpy().reshape(-1, 2).tolist()
        yield HeldOutCase(
            case_id=features["case_id"].numpy().decode(),
            image=standardise(x, mean, stdev, foreground=info.foreground),
            truth=features["Y"].numpy(),
            box=tuple((start, stop) for start, stop in edges),
            full_shape=tuple(features["full_shape"].numpy().tolist()),
            affine=np.frombuffer(features["affine"].numpy(), "<f8").reshape(4, 4),
        )


class Evaluation:
    """Scores and writes what a network says of cases.

    Args:
      network: Images [1, *S, C] -> logits [1, *S, K].
      options: Profile, reference, and where predictions go.
    """

    def __init__(self, network: keras.Model, options: ReferenceOptions):
        self._options = options
        self._as_reference = options.profile == "reference"
        self._volumes = options.details.rank == 3
        window = InferenceConfig(window=options.input_shape)
        call = tf.function(lambda x: network(x, training=False), autograph=False)

        def whole(image: tf.Tensor) -> tf.Tensor:
            return to_probabilities(call(image[tf.newaxis]))[0]

        spec = tf.TensorSpec([None] * options.model.rank + [options.model.in_channels], tf.float32)

        @tf.function(input_signature=[spec], autograph=False)  # one trace for cases of all sizes
        def windows(image: tf.Tensor) -> tf.Tensor:
            return predict_probabilities([call], image, options.model, window)

        self._whole, self._windows = whole, windows

    def predict(self, case: HeldOutCase) -> Probabilities:
        """Probabilities [*S', K]: of the record's grid, or of what the reference takes of it."""
        if not self._as_reference:
            return self._in_foreground(case.image)
        image = tf.constant(crop_and_pad(case.image.numpy())) if self._volumes else case.image
        return self._whole(image).numpy()

    def _in_foreground(self, image: tf.Tensor) -> Probabilities:
        """Probabilities [*S, K] of a whole case, certain background outside the foreground's box.

        So does a served model; of 240 x 240 x 155 voxels a brain's box is about a third.
        """
        bounds = foreground_bounds(image, "nonzero" if self._volumes else "all")
        box = tuple(slice(*edges) for edges in np.transpose(bounds).tolist())
        inside = self._windows(image[box]).numpy()
        probabilities = np.zeros((*image.shape[:-1], inside.shape[-1]), np.float32)
        if inside.shape[-1] > 1:
            probabilities[..., 0] = 1
        probabilities[box] = inside
        return probabilities

    def classes(self, probabilities: Probabilities) -> NDArray[np.uint8]:
        """Class indices, by the rule of the reference or the largest probability."""
        rule = self._options.details.prediction
        if self._as_reference and self._volumes and rule != "threshold":
            return reference_classes(probabilities, rule)
        return to_classes(tf.constant(probabilities), threshold=0.5).numpy()

    def score(self, case: HeldOutCase, probabilities: Probabilities) -> dict[str, float]:
        """Scores of one case, NaN where it has none; of photographs what `fold_scores` needs."""
        if not self._volumes:
            return self._score_photograph(case, probabilities)
        classes = self.classes(probabilities)
        if self._as_reference:
            return volume_scores(crop_and_pad(case.truth).astype(np.uint8), classes)
        groups = {name: tuple(values) for name, values in LABELS.items()} | REGIONS
        scores = {
            name: dice(overlap(case.truth, classes, values), empty="brats")
            for name, values in groups.items()
        }
        mean = float(np.mean([scores[name] for name in LABELS]))
        return scores | {"MeanDice": mean, "WholeTumor": scores["WT"]}

    def _score_photograph(
        self, case: HeldOutCase, probabilities: Probabilities
    ) -> dict[str, float]:
        if self._as_reference:
            logits = np.log(probabilities[..., 0]) - np.log1p(-probabilities[..., 0])
            counts = pixel_confusion(case.truth.astype(np.float32), logits).ravel().tolist()
            return dict(zip(("TN", "FP", "FN", "TP"), map(float, counts), strict=True))
        counts = overlap(case.truth != 0, self.classes(probabilities) != 0, [1])
        scores = {
            "image_score": float(probabilities[..., 0].max()),
            "defect_pixels": float(counts.truth),
        }
        if not counts.truth:
            return scores
        found = {"defect_dice": dice(counts, empty="nan"), "defect_iou": iou(counts, empty="nan")}
        return scores | found

    def fold_scores(
        self, scores: Sequence[tuple[str, dict[str, float]]], *, files: int
    ) -> dict[str, float]:
        """The scores of a fold from those of its cases, in the order of the records.

        Args:
          scores: Id and scores of every case.
          files: Record files of the fold: as many batches the 3D references score.
        """
        cases = [values for _, values in scores]
        if self._volumes and self._as_reference:
            return mean_of_batches(
                cases,
                batches=files,
                batch_size=self._options.batch_size,
                drop_remainder=self._options.details.drop_remainder,
            )
        if self._volumes:
            means = {name: float(np.nanmean([c[name] for c in cases])) for name in cases[0]}
            return means | {"n_evaluated": float(len(cases))}
        if self._as_reference:
            total = np.sum([list(c.values()) for c in cases], axis=0).reshape(2, 2)
            return confusion_scores(total.astype(np.int64))
        return _photograph_means(cases)

    def write(self, case: HeldOutCase, probabilities: Probabilities, number: int) -> Path:
        """Writes a prediction. Returns its path.

        `corrected`: label values in the full grid, as NIfTI with the record's affine, or a PNG.
        `reference`: `vol_{number}.npy` int8, in what the reference evaluates.
        """
        classes = self.classes(probabilities)
        folder = self._options.model_dir
        if self._as_reference and self._volumes:
            path = folder / f"vol_{number}.npy"
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.save(file, classes.astype(np.int8))
            return path
        full = uncrop(classes, case.box, case.full_shape)
        path = folder / "predictions" / f"{case.case_id}{'.nii.gz' if self._volumes else '.png'}"
        if self._volumes:
            write_nifti(LABEL_VALUES[full], case.affine, path)
        else:
            write_mask(np.where(full != 0, 255, 0).astype(np.uint8), path)
        return path


def _photograph_means(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    """Dice and IoU over the defective images, and the AUROC of all."""
    defective = [s for s in scores if s["defect_pixels"]]
    means = {
        name: float(np.mean([s[name] for s in defective])) if defective else float("nan")
        for name in ("defect_dice", "defect_iou")
    }
    auroc, _ = rank_images(
        [s["defect_pixels"] > 0 for s in scores], [s["image_score"] for s in scores]
    )
    return means | {"image_auroc": auroc, "n_evaluated": float(len(scores))}
