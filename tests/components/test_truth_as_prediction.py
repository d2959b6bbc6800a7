"""The truth as prediction is perfect: through the exported model, in every mode and geometry.

The network is a convolution of 1 x 1 x 1 that copies the label from the image: channel k of a scan
is bright where the class is k, a photograph is bright where there is a defect.
"""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from beam_preprocess.case import Case, CaseFiles
from beam_preprocess.datasets.brats import BRATS, Brats
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.records import RawRecord, decode_raw, encode_raw
from components.case_scoring import Scoring, score_record, write_case
from trainer.config import EvaluationConfig, InferenceConfig
from trainer.metrics.case_scores import CaseScores
from trainer.metrics.definitions import DEFINITIONS
from trainer.model_config import ModelConfig
from trainer.model_folder import ServingSpec

pytestmark = pytest.mark.slow

AFFINES = {
    "plain": np.diag([1.0, 1.0, 1.0, 1.0]),
    "flipped": np.array([[-1.0, 0, 0, 90], [0, -1, 0, 120], [0, 0, 1, -70], [0, 0, 0, 1]]),
    "anisotropic": np.diag([0.9, 0.9, 3.0, 1.0]),
    "axes exchanged": np.array([[0, 0, -2.0, 9], [0.5, 0, 0, 3], [0, 1.25, 0, 0], [0, 0, 0, 1]]),
    "oblique": np.array([[0.8, -0.6, 0, 5], [0.6, 0.8, 0, -7], [0, 0, 1.5, 2], [0, 0, 0, 1]]),
}
# the box of the foreground has 14 x 16 x 11 voxels: it is padded for whole, cut for windows of 8
SCAN_MODES = {
    "whole": {"window": (8, 8, 8), "mode": "whole"},
    "whole in parts": {"window": (8, 8, 8), "mode": "whole", "whole_limit": 1000},
    "windows": {"window": (8, 8, 8)},
    "windows side by side": {"window": (8, 8, 8), "overlap": 0.0, "weights": "constant"},
    "one window": {"window": (16, 16, 16)},
    "mirrored": {"window": (8, 8, 8), "mirror": (0, 1, 2)},
    "ensemble": {"window": (8, 8, 8), "mode": "whole"},
    "post-processed": {
        **{"window": (8, 8, 8), "mode": "whole"},
        **{"keep_largest": ((1, 2, 4),), "min_component": 5},
    },
}
PHOTO_MODES = {
    "whole": {"window": (8, 8), "mode": "whole"},
    "windows": {"window": (8, 8)},
    "mirrored": {"window": (8, 8), "mirror": (0, 1)},
    "ensemble": {"window": (16, 16)},
    "post-processed": {"window": (8, 8), "keep_largest": ((255,),), "min_component": 3},
}


def copying_network(rank: int, channels: int):
    """Logits are the standardised channels, ten times as large."""
    import keras

    layer = {2: keras.layers.Conv2D, 3: keras.layers.Conv3D}[rank](channels, 1, use_bias=False)
    image = keras.Input((None,) * rank + (channels,))
    network = keras.Model(image, layer(image))
    layer.set_weights([10 * np.eye(channels).reshape((1,) * rank + (channels, channels))])
    return network


def load_model(mode: str, folder: Path, info, settings):
    """A model of such settings, from its SavedModel."""
    from trainer.serving import LoadedModel, export

    rank, channels = info.rank, len(info.channels)
    spec = ServingSpec(
        dataset=info,
        profile="corrected",
        clip_percentiles=(0.5, 99.5),
        inference=InferenceConfig(**settings),
        model=ModelConfig(rank=rank, in_channels=channels, classes=channels, filters=(2, 4)),
    )
    networks = [copying_network(rank, channels) for _ in range(3 if mode == "ensemble" else 1)]
    export(networks, spec, str(folder))
    return LoadedModel(folder)


def write_scan(root: Path, affine: np.ndarray) -> None:
    """A case of BraTS, empty around its middle: one tumour of boxes, one label in the other."""
    rng = np.random.default_rng(0)
    inside = np.s_[3:17, 5:21, 2:13]
    label = np.zeros((20, 22, 17), np.uint8)
    label[5:15, 7:18, 3:11] = 2
    label[6:12, 8:16, 4:9] = 1
    label[8:11, 10:15, 5:8] = 4
    folder = root / "BraTS2021_00001"
    folder.mkdir(parents=True)
    for value, name in zip(BRATS.label_values, BRATS.channels, strict=True):
        image = np.zeros(label.shape, np.int16)
        image[inside] = rng.integers(100, 300, image[inside].shape)
        image[inside][label[inside] == value] = 1000
        nib.save(nib.Nifti1Image(image, affine), folder / f"{folder.name}_{name}.nii.gz")
    nib.save(nib.Nifti1Image(label, affine), folder / f"{folder.name}_seg.nii.gz")


def read_scan(root: Path) -> RawRecord:
    reader = Brats()
    (files,) = reader.list_cases(root).cases
    return decode_raw(encode_raw(reader.read_case(files), foreground=BRATS.foreground))


def assert_perfect(scores: CaseScores) -> None:
    best = {"high": 1.0, "zero": 0.0, "low": 0.0}
    for region, found in scores.regions.items():
        assert "dice" in found.values and found.counts.truth > 0, region
        for name, value in found.values.items():
            if (kind := DEFINITIONS[name].best) != "none":
                assert value == best[kind], (region, name)


@pytest.mark.parametrize("mode", SCAN_MODES)
def test_scans(mode, tmp_path):
    model = load_model(mode, tmp_path / "model", BRATS, SCAN_MODES[mode])
    scoring = Scoring(info=BRATS, config=EvaluationConfig())
    for name, affine in AFFINES.items():
        root = tmp_path / name
        write_scan(root, affine)
        record = read_scan(root)
        assert record.image.shape == (14, 16, 11, 4) != record.full_shape
        scores, prediction = score_record(model, record, scoring)
        assert_perfect(scores)
        write_case(record, prediction, BRATS, root)
        truth = nib.load(next(root.glob("*/*_seg.nii.gz")))
        written = nib.load(root / "predictions" / f"{record.case_id}.nii.gz")
        np.testing.assert_array_equal(np.asarray(written.dataobj), np.asarray(truth.dataobj))
        np.testing.assert_array_equal(written.affine, truth.affine)


@pytest.mark.parametrize("mode", PHOTO_MODES)
def test_photographs(mode, tmp_path):
    mask = np.zeros((13, 18), np.uint8)
    mask[3:9, 4:15] = 255
    shades = np.random.default_rng(1).integers(20, 60, mask.shape)
    image = np.where(mask, 230, shades).astype(np.uint8)[..., None]
    files = CaseFiles(case_id="photo-1", group="g", stratum="s", images=(), label=None)
    case = Case(
        files=files, image=image, label=mask, affine=np.eye(4), spacing=(1.0, 1.0), sources={}
    )
    record = decode_raw(encode_raw(case, foreground=DAGM.foreground))
    model = load_model(mode, tmp_path / "model", DAGM, PHOTO_MODES[mode])
    scores, prediction = score_record(model, record, Scoring(info=DAGM, config=EvaluationConfig()))
    assert_perfect(scores)
    assert scores.image is not None and scores.image.defective and scores.image.score > 0.99
    write_case(record, prediction, DAGM, tmp_path)
    with Image.open(tmp_path / "predictions" / "photo-1.png") as written:
        np.testing.assert_array_equal(np.asarray(written), mask)
