"""Scores of records with a model that is not one, and label maps against the raw files."""

import json
from dataclasses import replace
from math import nan
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from beam_preprocess.case import Case
from beam_preprocess.config_io import from_json
from beam_preprocess.datasets.brats import BRATS, Brats
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.datasets.severstal import SEVERSTAL
from beam_preprocess.records import RawRecord, decode_raw, encode_raw
from components.case_scoring import (
    Scoring,
    check_slices,
    score_record,
    scoring_to_json,
    write_case,
)
from components.evaluation_files import write_cases
from trainer.config import EvaluationConfig, InferenceConfig
from trainer.metrics.config import MetricsConfig, StatisticsConfig
from trainer.metrics.definitions import DEFINITIONS
from trainer.metrics.images import reaches
from trainer.overlap import Overlap

CONFIG = EvaluationConfig()
# label 1: truth 2, prediction 1, both 1; label 2: 1, 2, 1; label 4: 2, 1, 1
TRUTH = np.array([[[1], [1], [2]], [[0], [4], [4]]], np.uint8)
PREDICTION = np.array([[[1], [2], [2]], [[0], [0], [4]]], np.uint8)

MASK = np.array([[255, 255, 0], [0, 0, 0]], np.uint8)
FOUND = np.array([[255, 0, 255], [255, 0, 0]], np.uint8)
PROBABILITY = np.array([[0.9, 0.4, 0.6], [0.7, 0.3, 0.2]], np.float32)


class FakeModel:
    """Returns what it was given, and keeps what it saw."""

    def __init__(self, label: np.ndarray, probability: np.ndarray | None = None):
        self.label, self.probability = label, probability
        self.spec = SimpleNamespace(inference=InferenceConfig(window=(8, 8), threshold=0.5))
        self.seen: list[np.ndarray] = []

    def predict(self, image: np.ndarray) -> np.ndarray:
        self.seen.append(image)
        return self.label

    def predict_probabilities(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert self.probability is not None
        self.seen.append(image)
        return self.label, self.probability


@pytest.fixture
def make_record(make_case):
    def make(image: np.ndarray, label: np.ndarray | None, case_id: str = "case", **place):
        foreground = "nonzero" if image.ndim == 4 else "all"
        case = replace(make_case(image, label, case_id), **place)
        return decode_raw(encode_raw(case, foreground=foreground))

    return make


@pytest.fixture
def scan(make_record):
    return make_record(np.arange(1, 25, dtype=np.int16).reshape(2, 3, 1, 4), TRUTH, "scan-1")


@pytest.fixture
def photograph(make_record):
    return make_record(np.full((2, 3, 1), 90, np.uint8), MASK, "photo-1")


def score(model, record, info=BRATS, *, config=CONFIG, profile="corrected", columns=None):
    scoring = Scoring(info=info, config=config, profile=profile)
    return score_record(model, record, scoring, columns=columns)[0]


def dice(scores) -> dict[str, float]:
    return {name: s.values["dice"] for name, s in scores.regions.items()}


def test_regions_with_the_counts_behind_them(scan):
    model = FakeModel(PREDICTION)
    scores, prediction = score_record(model, scan, Scoring(info=BRATS, config=CONFIG))
    assert prediction is PREDICTION
    assert dice(scores) == pytest.approx(
        {
            "TumorCore": 2 / 3,
            "PeritumoralEdema": 2 / 3,
            "EnhancingTumor": 2 / 3,
            "ET": 2 / 3,
            "TC": 4 / 6,
            "WT": 8 / 9,
            "WholeTumor": 8 / 9,
            "mean": 2 / 3,
        }
    )
    assert scores.case_id == "scan-1"
    assert scores.regions["TC"].counts == Overlap(intersection=2, truth=4, prediction=2)
    assert (scores.image, scores.reference) == (None, {})


def test_model_sees_the_stored_intensities(scan):
    model = FakeModel(PREDICTION)
    score(model, scan)
    np.testing.assert_array_equal(model.seen, [scan.image])
    assert model.seen[0].dtype == np.int16


@pytest.mark.parametrize(("empty", "value"), [("brats", 1.0), ("reference", 0.0), ("nan", nan)])
def test_scan_without_enhancing_tumour(make_record, empty, value):
    truth = np.where(TRUTH == 4, 2, TRUTH)
    record = make_record(np.ones((2, 3, 1, 4), np.int16), truth)
    scores = score(FakeModel(truth), record, config=EvaluationConfig(empty=empty))
    assert dice(scores)["ET"] == pytest.approx(value, nan_ok=True)
    assert dice(scores)["mean"] == pytest.approx(np.nanmean([1, 1, value]))


def test_settings_of_metrics_reach_the_scores(make_record):
    """Enhancing tumour is made up: its HD95 is the penalty."""
    truth = np.where(TRUTH == 4, 2, TRUTH)
    record = make_record(np.ones((2, 3, 1, 4), np.int16), truth)
    metrics = MetricsConfig(hd95_penalty_mm=99, lesion_wise=False)
    values = score(FakeModel(TRUTH), record, config=EvaluationConfig(metrics=metrics)).regions["ET"]
    assert values.values["hd95"] == 99
    assert "lesion_dice" not in values.values


def test_penalty_is_the_diagonal_of_the_whole_photograph(make_record):
    """Nothing found in 300 x 400 pixels: 500, more than between any two pixels."""
    mask = np.zeros((300, 400), np.uint8)
    mask[0, 0] = 255
    record = make_record(np.full((300, 400, 1), 90, np.uint8), mask)
    nothing = FakeModel(np.zeros_like(mask), np.zeros((300, 400, 1), np.float32))
    corner = FakeModel(mask[::-1, ::-1], np.zeros((300, 400, 1), np.float32))
    missed, far = (score(model, record, DAGM).regions["defect"] for model in (nothing, corner))
    assert missed.values["hd95"] == 500
    assert 498 < far.values["hd95"] < 500


def test_penalty_is_that_of_the_grid_not_of_the_crop(make_record):
    """300 x 1 x 1 voxels of 2 mm, of which one is kept."""
    image, truth = np.zeros((300, 1, 1, 4), np.int16), np.zeros((300, 1, 1), np.uint8)
    image[0], truth[0] = 1, 1
    record = make_record(image, truth, spacing=(2.0, 1.0, 1.0))
    assert record.image.shape == (1, 1, 1, 4)
    scores = score(FakeModel(np.zeros((1, 1, 1), np.uint8)), record)
    diagonal = (600**2 + 1 + 1) ** 0.5
    assert scores.regions["WT"].values["hd95"] == pytest.approx(diagonal)


def test_defects(photograph):
    """Truth 2 pixels, prediction 3, both 1: dice 2/5, IoU 1/4. The largest probability is 0.9."""
    model = FakeModel(FOUND, np.stack([1 - PROBABILITY, PROBABILITY], axis=-1))
    scores = score(model, photograph, DAGM)
    assert scores.image is not None
    assert (scores.image.score, scores.image.defective) == (pytest.approx(0.9), True)
    values = scores.regions["defect"].values
    assert (values["dice"], values["iou"]) == (pytest.approx(2 / 5), pytest.approx(1 / 4))
    assert scores.regions["defect"].counts == Overlap(intersection=1, truth=2, prediction=3)
    assert list(scores.regions) == ["defect"]


@pytest.mark.parametrize("logits", [1, 2])
@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (FOUND, 0.9),
        ([[0, 0, 255], [255, 0, 0]], 0.7),  # the pixel of 0.9 was a component that is dropped
        ([[0, 0, 0], [0, 0, 0]], 0.4),  # nothing is left: the largest that never was foreground
    ],
)
def test_an_image_is_scored_by_the_pixels_that_are_served(photograph, logits, label, expected):
    several = np.stack([1 - PROBABILITY, PROBABILITY], axis=-1)
    model = FakeModel(np.array(label, np.uint8), several[..., -logits:])
    assert score(model, photograph, DAGM).image.score == pytest.approx(expected)


def test_an_image_of_which_all_is_dropped(photograph):
    sure = np.full((2, 3, 1), 0.9, np.float32)
    scores = score(FakeModel(np.zeros((2, 3), np.uint8), sure), photograph, DAGM)
    assert scores.image.score == 0


def test_an_image_is_found_where_its_label_map_has_a_defect(photograph):
    """From 0.6 on there are components of 2 pixels and 1, or one of 4; fewer than 3 are dropped."""
    from trainer.inference.components import postprocess

    config = InferenceConfig(window=(8, 8), threshold=0.6, min_component=3)
    bridge = PROBABILITY.copy()
    bridge[0, 1] = 0.6
    for probability, found in ((PROBABILITY, False), (bridge, True)):
        label = np.where(reaches(probability, 0.6), np.uint8(255), np.uint8(0))
        served = postprocess(label, config, background=0).numpy()
        model = FakeModel(served, probability[..., np.newaxis])
        model.spec = SimpleNamespace(inference=config)
        image = score(model, photograph, DAGM).image
        assert served.any() == reaches(image.score, 0.6) == found


def test_clean_image_has_a_score_and_no_dice(make_record):
    record = make_record(np.full((2, 3, 1), 90, np.uint8), np.zeros((2, 3), np.uint8))
    scores = score(FakeModel(FOUND, PROBABILITY[..., np.newaxis]), record, DAGM)
    assert scores.image is not None and not scores.image.defective
    assert scores.regions["defect"].values == {}
    assert scores.regions["defect"].counts == Overlap(intersection=0, truth=0, prediction=3)
    assert scores.size == 0


def test_label_values_of_another_year_count_as_what_they_mean(make_record):
    """BraTS stores enhancing tumour as 3 or as 4; the model gives 4."""
    truth = np.where(TRUTH == 4, 3, TRUTH).astype(np.uint8)
    record = make_record(np.ones((2, 3, 1, 4), np.int16), truth)
    scores = score(FakeModel(PREDICTION), record)
    assert scores.regions["ET"].counts == Overlap(intersection=1, truth=2, prediction=1)
    assert dice(scores)["TC"] == pytest.approx(4 / 6)


def test_photographs_of_several_classes(make_record):
    """Truth 1 1 0 / 3 4 0, prediction 1 0 0 / 3 3 0."""
    truth = np.array([[1, 1, 0], [3, 4, 0]], np.uint8)
    prediction = np.array([[1, 0, 0], [3, 3, 0]], np.uint8)
    record = make_record(np.full((2, 3, 1), 90, np.uint8), truth)
    assert dice(score(FakeModel(prediction), record, SEVERSTAL)) == pytest.approx(
        {
            "defect_1": 2 / 3,
            "defect_2": 1.0,  # nothing to find, and nothing found
            "defect_3": 2 / 3,
            "defect_4": 0.0,
            "defect": 6 / 7,
            "mean": (2 / 3 + 1 + 2 / 3) / 4,
        }
    )


@pytest.mark.parametrize("info", [BRATS, DAGM], ids=lambda info: info.name)
def test_record_without_label(make_record, info):
    record = make_record(np.ones((2, 3, 1, 4), np.int16), None, "scan-7")
    model = FakeModel(PREDICTION)
    with pytest.raises(ValueError, match="^case scan-7 must have a label to be scored, it has n"):
        score(model, record, info)
    assert model.seen == []


@pytest.mark.parametrize(
    ("spacing", "size"),
    [((1.0, 1.0, 1.0), 0.005), ((1.0, 1.0, 2.0), 0.01), ((10.0, 5.0, 1.0), 0.25)],
)
def test_size_of_scans_is_what_is_labelled_in_ml(make_record, spacing, size):
    """5 voxels. Bins are made by who reads the scores."""
    record = make_record(np.ones((2, 3, 1, 4), np.int16), TRUTH, spacing=spacing)
    found = score(FakeModel(TRUTH), record)
    assert (found.size, found.columns) == (pytest.approx(size), {"stratum": "s"})


def test_size_of_photographs_is_percent_and_they_are_sliced_by_class(photograph):
    """2 of 6 pixels."""
    model = FakeModel(FOUND, PROBABILITY[..., np.newaxis])
    graded = replace(photograph, stratum="Class3-defective")
    assert score(model, graded, DAGM).columns == {
        "stratum": "Class3-defective",
        "class": "Class3",
    }
    assert score(model, photograph, DAGM).size == pytest.approx(100 / 3)
    assert "class" not in score(model, photograph, DAGM).columns


def test_columns_of_the_case_table_come_last_and_count(scan):
    columns = {"site": "Ulm", "size": "large"}
    found = score(FakeModel(TRUTH), scan, columns=columns).columns
    assert found == {"stratum": "s", "size": "large", "site": "Ulm"}


def test_profile_reference_scores_scans_as_the_references_do(scan):
    """Rounded: where no class is above 1/2 there is background, whatever the label map says."""
    classes = np.searchsorted([0, 1, 2, 4], TRUTH)
    sure = np.where(np.eye(4)[classes] == 1, 0.7, 0.1).astype(np.float32)
    sure[1, 2, 0] = 0.1, 0.2, 0.25, 0.45
    scores = score(FakeModel(TRUTH, sure), scan, profile="reference")
    assert dice(scores)["EnhancingTumor"] == 1
    assert scores.reference["TumorCore"] == pytest.approx(1, abs=1e-5)
    assert scores.reference["EnhancingTumor"] == pytest.approx(2 / 3, abs=1e-5)
    assert scores.reference["WholeTumor"] == pytest.approx(8 / 9, abs=1e-5)


def test_profile_reference_scores_photographs_as_industrial_does(photograph):
    model = FakeModel(FOUND, PROBABILITY[..., np.newaxis])
    reference = score(model, photograph, DAGM, profile="reference").reference
    assert reference["IoU_THS_0.5"] == pytest.approx(2 / 5, abs=1e-4)
    assert reference["IoU_THS_0.5_always_empty"] == pytest.approx(0, abs=1e-5)


def test_scores_depend_on_nothing_but_these_settings():
    """A node gets these alone: other statistics, slices and bins find it in the cache."""
    base = EvaluationConfig()
    others = {"statistics": StatisticsConfig(level=0.9), "slices": (), "size_edges_ml": (5.0,)}
    assert scoring_to_json(replace(base, **others)) == scoring_to_json(base)
    changed = replace(base, empty="nan", metrics=MetricsConfig(lesion_wise=False))
    read = from_json(EvaluationConfig, scoring_to_json(changed))
    assert (read.empty, read.metrics) == (changed.empty, changed.metrics)


@pytest.mark.parametrize(
    ("info", "slices"), [(BRATS, ("stratum", "size", "site")), (DAGM, ("class",)), (BRATS, ())]
)
def test_slices_that_cases_have(tmp_path, info, slices):
    (tmp_path / "table.csv").write_text("case_id,patient,site\na,p,Ulm\n")
    check_slices(EvaluationConfig(slices=slices), info, str(tmp_path / "table.csv"))
    with pytest.raises(ValueError, match="evaluation.slices must be columns .*'scanner'"):
        config = EvaluationConfig(slices=(*slices, "scanner"))
        check_slices(config, info, str(tmp_path / "table.csv"))


def test_slices_where_the_table_is_not_at_hand(tmp_path):
    config = EvaluationConfig(slices=("site",))
    check_slices(config, BRATS, str(tmp_path / "table.csv"))
    with pytest.raises(ValueError, match=r"columns of the cases \(stratum, size\), .*\['site'\]"):
        check_slices(config, BRATS, "")


AFFINES = {
    "plain": np.diag([1.0, 1.0, 1.0, 1.0]),
    "flipped": np.array([[-1.0, 0, 0, 90], [0, -1, 0, 120], [0, 0, 1, -70], [0, 0, 0, 1]]),
    "anisotropic": np.diag([0.9, 0.9, 3.0, 1.0]),
    "axes exchanged": np.array([[0, 0, -2.0, 9], [0.5, 0, 0, 3], [0, 1.25, 0, 0], [0, 0, 0, 1]]),
}


def write_scan(root: Path, seed: int, affine: np.ndarray) -> None:
    """A case of BraTS, empty around its middle, with small labels of all kinds."""
    rng = np.random.default_rng(seed)
    shape, inside = (20, 22, 17), (slice(3, 17), slice(5, 21), slice(2, 12))
    label = np.zeros(shape, np.uint8)
    label[inside] = rng.choice([0, 1, 2, 4], (14, 16, 10), p=[0.7, 0.1, 0.1, 0.1])
    folder = root / "BraTS2021_00001"
    folder.mkdir(parents=True)
    for name in ("t1", "t1ce", "t2", "flair"):
        image = np.zeros(shape, np.int16)
        image[inside] = rng.integers(1, 1000, (14, 16, 10))
        nib.save(nib.Nifti1Image(image, affine), folder / f"{folder.name}_{name}.nii.gz")
    nib.save(nib.Nifti1Image(label, affine), folder / f"{folder.name}_seg.nii.gz")


def read_scan(root: Path) -> tuple[Case, RawRecord]:
    reader = Brats()
    (files,) = reader.list_cases(root).cases
    case = reader.read_case(files)
    return case, decode_raw(encode_raw(case, foreground="nonzero"))


@pytest.mark.parametrize("name", AFFINES)
def test_scores_from_the_written_label_map_are_those_in_the_json(tmp_path, name):
    """With nibabel and NumPy alone: dice of every label and region, and volumes in ml."""
    write_scan(tmp_path / "raw", 0, AFFINES[name])
    _, record = read_scan(tmp_path / "raw")
    assert record.image.shape[:-1] != record.full_shape
    wrong = np.roll(record.label, 1, axis=0)
    scores, prediction = score_record(FakeModel(wrong), record, Scoring(info=BRATS, config=CONFIG))
    write_case(record, prediction, BRATS, tmp_path / "out")
    write_cases([scores], tmp_path / "out")

    (row,) = json.loads((tmp_path / "out" / "cases.json").read_text())
    truth = nib.load(next(tmp_path.rglob("*_seg.nii.gz")))
    written = nib.load(tmp_path / "out" / "predictions" / f"{record.case_id}.nii.gz")
    assert written.shape == truth.shape
    np.testing.assert_array_equal(written.affine, truth.affine)
    voxel_ml = abs(np.linalg.det(truth.affine[:3, :3])) / 1000
    t, p = (np.asarray(image.dataobj) for image in (truth, written))
    groups = {"TumorCore": [1], "PeritumoralEdema": [2], "ET": [4], "TC": [1, 4], "WT": [1, 2, 4]}
    for region, values in groups.items():
        a, b = np.isin(t, values), np.isin(p, values)
        found = row["regions"][region]["values"]
        assert 0 < found["dice"] < 1
        assert found["dice"] == 2 * np.sum(a & b) / (np.sum(a) + np.sum(b))
        assert found["truth_ml"] == pytest.approx(np.sum(a) * voxel_ml)
        assert found["volume_difference_ml"] == pytest.approx((b.sum() - a.sum()) * voxel_ml)


def test_scores_of_a_photograph_from_its_mask(tmp_path, make_record):
    rng = np.random.default_rng(0)
    truth, found = (255 * rng.integers(0, 2, (2, 9, 7))).astype(np.uint8)
    record = make_record(rng.integers(0, 255, (9, 7, 1)).astype(np.uint8), truth, "photo-1")
    model = FakeModel(found, np.zeros((9, 7, 1), np.float32))
    scores, prediction = score_record(model, record, Scoring(info=DAGM, config=CONFIG))
    write_case(record, prediction, DAGM, tmp_path)
    write_cases([scores], tmp_path)
    (row,) = json.loads((tmp_path / "cases.json").read_text())
    with Image.open(tmp_path / "predictions" / "photo-1.png") as image:
        mask = np.asarray(image)
    assert set(np.unique(mask)) == {0, 255}
    shared = np.sum((mask == 255) & (truth == 255))
    expected = 2 * shared / (np.sum(mask == 255) + np.sum(truth == 255))
    assert row["regions"]["defect"]["values"]["dice"] == expected
    with Image.open(tmp_path / "pictures" / "photo-1.png") as picture:
        assert picture.height == 320


@settings(deadline=None, max_examples=12)
@given(name=st.sampled_from(sorted(AFFINES)), seed=st.integers(0, 1000))
def test_truth_as_prediction_is_perfect_in_every_geometry(tmp_path_factory, name, seed):
    root = tmp_path_factory.mktemp("raw")
    write_scan(root, seed, AFFINES[name])
    case, record = read_scan(root)
    scores, prediction = score_record(
        FakeModel(record.label), record, Scoring(info=BRATS, config=CONFIG)
    )
    best = {"high": 1.0, "zero": 0.0, "low": 0.0}
    for region, found in scores.regions.items():
        for score_name, value in found.values.items():
            if (kind := DEFINITIONS[score_name].best) != "none":
                assert value == best[kind], (region, score_name)
    write_case(record, prediction, BRATS, root)
    written = nib.load(root / "predictions" / f"{record.case_id}.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), case.label)
    np.testing.assert_array_equal(written.affine, case.affine)
