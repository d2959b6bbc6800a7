"""One labelled record and a model -> all scores of the case, its label map and its picture.

What is scored is what is served: the model takes the raw intensities of the record and returns
label values, in one TensorFlow graph.
"""

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beam_preprocess.case import DatasetInfo, canonical_label
from beam_preprocess.case_table import column_names
from beam_preprocess.crop import uncrop
from beam_preprocess.datasets.photographs import write_mask
from beam_preprocess.nifti import write_nifti
from beam_preprocess.records import RawRecord
from beam_preprocess.validation import require
from components.file_names import PICTURES, PREDICTIONS
from components.model import Model
from components.pictures import write_picture
from components.sizes import labelled_size
from trainer.config import EvaluationConfig
from trainer.metrics.case_scores import CaseScores, ImageScore
from trainer.metrics.images import reaches
from trainer.metrics.reference import reference_scores
from trainer.metrics.region_scores import score_case

_CLASS = re.compile(r"(?P<name>.+)-(defective|clean)")
"""The stratum of a photograph of DAGM."""
Columns = Mapping[str, str]
"""Name of a column of the case table -> what it says of a case."""


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How the cases of a dataset are scored.

    Attributes:
      info: The dataset.
      config: Empty cases, distances, lesions.
      profile: `reference` adds the scores of the references.
    """

    info: DatasetInfo
    config: EvaluationConfig
    profile: str = "corrected"


def score_record(
    model: Model, record: RawRecord, scoring: Scoring, *, columns: Columns | None = None
) -> tuple[CaseScores, NDArray[np.uint8]]:
    """Scores one labelled record.

    Args:
      model: Of the same dataset.
      record: Raw record.
      scoring: How.
      columns: Of the case, from the case table; they take the place of ours of the same name.

    Returns:
      The scores, and the predicted label values [*crop].

    Raises:
      ValueError: The record has no label.
    """
    if record.label is None:
        raise ValueError(f"case {record.case_id} must have a label to be scored, it has none")
    info, config = scoring.info, scoring.config
    truth = canonical_label(record.label, info)
    prediction, probabilities = _predict(model, record, scoring)
    regions = score_case(
        truth,
        prediction,
        info,
        spacing=record.spacing,
        empty=config.empty,
        config=config.metrics.for_grid(record.full_shape, record.spacing),
    )
    scores = CaseScores(
        case_id=record.case_id,
        size=labelled_size(record, truth, info),
        columns=_columns(record, scoring) | dict(columns or {}),
        regions=regions,
        image=_image_score(truth, prediction, probabilities, model=model, info=info),
        reference=_reference(truth, probabilities, record, scoring),
    )
    return scores, prediction


def _predict(
    model: Model, record: RawRecord, scoring: Scoring
) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
    """Label values, and probabilities where a score is made of them."""
    if scoring.info.task == "defects" or scoring.profile == "reference":
        return model.predict_probabilities(record.image)
    return model.predict(record.image), None


def _image_score(
    truth: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    probabilities: NDArray[np.float32] | None,
    *,
    model: Model,
    info: DatasetInfo,
) -> ImageScore | None:
    if info.task != "defects" or probabilities is None:
        return None
    background = info.label_values[0]
    foreground = _foreground(probabilities, model.spec.inference.threshold)
    remain = ~foreground | (prediction != background)
    score = np.max(probabilities[..., -1], where=remain, initial=0)
    return ImageScore(score=float(score), defective=bool(np.any(truth != background)))


def _foreground(probabilities: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Pixels [*S] that are foreground before components are dropped, as in `to_classes`."""
    if probabilities.shape[-1] == 1:
        return reaches(probabilities[..., 0], threshold)
    return np.argmax(probabilities, axis=-1) != 0


def _reference(
    truth: NDArray[np.uint8],
    probabilities: NDArray[np.float32] | None,
    record: RawRecord,
    scoring: Scoring,
) -> dict[str, float]:
    if scoring.profile != "reference" or probabilities is None:
        return {}
    return reference_scores(
        truth, probabilities, scoring.info, box=record.box, full_shape=record.full_shape
    )


def _columns(record: RawRecord, scoring: Scoring) -> dict[str, str]:
    """What every case is sliced by: `stratum`, and of DAGM `class`; see `sizes` for `size`."""
    columns = {"stratum": record.stratum}
    of_class = _CLASS.fullmatch(record.stratum) if scoring.info.task == "defects" else None
    return columns | ({"class": of_class["name"]} if of_class else {})


def scoring_to_json(config: EvaluationConfig) -> str:
    """What of an evaluation decides the scores of a case: a node of other statistics is cached."""
    return json.dumps({"empty": config.empty, "metrics": asdict(config.metrics)}, sort_keys=True)


def own_columns(info: DatasetInfo) -> tuple[str, ...]:
    """The columns of the cases of a dataset that need no case table."""
    return ("stratum", "size", *(("class",) if info.task == "defects" else ()))


def check_slices(config: EvaluationConfig, info: DatasetInfo, case_table: str) -> None:
    """Raises ValueError unless cases will have the columns that scores are to be sliced by.

    A table that cannot be read here, on the machine that compiles, is left to the run.
    """
    try:
        known = [*own_columns(info), *(column_names(case_table) if case_table else [])]
    except (OSError, ValueError, csv.Error):
        return
    wrong = [name for name in config.slices if name not in known]
    allowed = f"columns of the cases ({', '.join(known)}), of which data.case_table may have more"
    require(not wrong, "evaluation.slices", wrong, allowed)


def write_case(
    record: RawRecord, prediction: NDArray[np.uint8], info: DatasetInfo, folder: Path
) -> None:
    """Writes what a case is looked at by: its label map and a picture, into folders of `folder`.

    The label map has the original grid, the affine and the label values of the dataset: NIfTI for
    volumes, PNG for photographs.
    """
    full = uncrop(prediction, record.box, record.full_shape).astype(np.uint8, copy=False)
    predictions = folder / PREDICTIONS
    if info.rank == 3:
        write_nifti(full, record.affine, predictions / f"{record.case_id}.nii.gz")
    else:
        write_mask(full, predictions / f"{record.case_id}.png")
    picture = folder / PICTURES / f"{record.case_id}.png"
    write_picture(record, prediction, info=info, path=picture)
