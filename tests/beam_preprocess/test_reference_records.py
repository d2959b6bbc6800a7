"""Records of the reference systems: read as they were written, and what is told of damaged ones."""

import gzip
import hashlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from beam_preprocess.config import DataConfig
from beam_preprocess.datasets import get_dataset, get_reader
from beam_preprocess.datasets.reference_records import (
    BRATS_RECORDS,
    DAGM_RECORDS,
    BratsRecords,
    DagmRecords,
)
from beam_preprocess.preprocessing import quantise
from beam_preprocess.records import decode_raw, encode_example, encode_raw

from .whole_cohort import messages_of, read_by_id

GRID = (6, 5, 4)  # (y, x, z), 120 voxels
SQUARE = (8, 8)
CHANNELS = ("t1", "t1ce", "t2", "flair")
COPY = "copy the file again, or write it again with the reference preprocessor"
LEAVE_OUT = f"{COPY}, or leave the case out with data.exclude"
LEAVE_FILE_OUT = f"{COPY}, or leave the file out with data.exclude"


def write(path: Path, records: list[bytes]) -> Path:
    """With TensorFlow, as the reference systems do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


def volume(seed: int) -> np.ndarray:
    """uint8 [6, 5, 4, 4], background among it."""
    rng = np.random.default_rng(seed)
    return rng.integers(1, 256, (*GRID, 4), dtype=np.uint8) * (rng.random((*GRID, 4)) > 0.3)


def label(seed: int) -> np.ndarray:
    return np.random.default_rng(100 + seed).integers(0, 4, GRID, dtype=np.uint8)


def reference_moments(x: np.ndarray) -> dict[str, list[float]]:
    """As the preprocessors take them: over the voxels above 0 of each modality."""
    foreground = [x[..., c][x[..., c] > 0] for c in range(4)]
    return {
        "mean": [float(np.float32(v.mean())) for v in foreground],
        "stdev": [float(np.float32(v.std())) for v in foreground],
    }


def brats_record(seed: int, **changed) -> bytes:
    x = volume(seed)
    features = {"X": x.tobytes(), "Y": label(seed).tobytes(), **reference_moments(x)}
    features |= changed
    return encode_example({k: v for k, v in features.items() if v is not None})


def photo(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, SQUARE, dtype=np.uint8)


def soft_mask(seed: int) -> np.ndarray:
    return np.random.default_rng(100 + seed).choice([0, 0.25, 0.5, 0.75, 1], SQUARE)


def dagm_record(seed: int, **changed) -> bytes:
    image = photo(seed).astype(np.float32) / np.float32(127.5) - 1
    features = {"image": image.ravel().tolist(), "mask": soft_mask(seed).ravel().tolist()}
    return encode_example(features | changed)


@pytest.fixture
def brats_root(tmp_path) -> Path:
    """Two files of both endings, with two records and one."""
    root = tmp_path / "records"
    write(root / "volume-0.tfrecord", [brats_record(0), brats_record(1)])
    write(root / "volume-1.tfrecords", [brats_record(2)])
    return root


@pytest.fixture
def dagm_root(tmp_path) -> Path:
    root = tmp_path / "records"
    write(root / "train" / "train-000.tfrecords", [dagm_record(0), dagm_record(1)])
    write(root / "train" / "train-001.tfrecords", [dagm_record(2)])
    write(root / "test" / "test-000.tfrecords", [dagm_record(3)])
    return root


BRATS = BratsRecords(grid=GRID)
DAGM = DagmRecords(grid=SQUARE)


@pytest.mark.parametrize(
    ("name", "info", "grid"),
    [
        ("brats-records", BRATS_RECORDS, (240, 240, 155)),
        ("dagm-records", DAGM_RECORDS, (256, 256)),
    ],
)
def test_datasets_by_name(tmp_path, name, info, grid):
    dataset = get_dataset(DataConfig(dataset=name, root=str(tmp_path)))
    assert dataset.info == info and info.name == name
    assert dataset._grid == grid
    assert info.quantised and info.serving_dtypes == ("uint8",)
    assert type(get_reader(info)) is type(dataset)


def test_brats_records_are_listed(brats_root):
    for name in ("Thumbs.db", "README.md"):
        (brats_root / name).touch()
    listing = BRATS.list_cases(brats_root)
    assert listing.problems == ()
    assert [p.name for p in listing.ignored] == ["README.md", "Thumbs.db"]
    assert [(c.case_id, c.index, c.images[0].name) for c in listing.cases] == [
        ("volume-0_000", 0, "volume-0.tfrecord"),
        ("volume-0_001", 1, "volume-0.tfrecord"),
        ("volume-1_000", 0, "volume-1.tfrecords"),
    ]
    case = listing.cases[1]
    assert (case.group, case.stratum, case.split) == ("volume-0_001", "none", "cv")
    assert case.label == case.images[0]


def test_listing_leaps_over_the_records(brats_root):
    """The volumes are destroyed, the lengths are not: listing does not notice, reading does."""
    path = brats_root / "volume-1.tfrecords"
    content = path.read_bytes()
    path.write_bytes(content[:12] + bytes(len(content) - 12))
    assert len(BRATS.list_cases(brats_root).cases) == 3
    assert messages_of(BRATS, brats_root) == [
        "volume-1_000: volume-1.tfrecords is damaged: the checksum of record 0 does not fit"
        f" ({path}): {LEAVE_OUT}"
    ]


@pytest.mark.parametrize(("case_id", "seed"), [("volume-0_001", 1), ("volume-1_000", 2)])
def test_brats_record_is_read(brats_root, case_id, seed):
    """Voxel (x, y, z) of the case is (y, x, z) of the record."""
    case = read_by_id(BRATS, brats_root, case_id)
    assert case.image.shape == (5, 6, 4, 4) and case.label.shape == (5, 6, 4)
    assert (case.image.dtype, case.label.dtype) == (np.uint8, np.uint8)
    assert (case.image[3, 1, 2] == volume(seed)[1, 3, 2]).all()
    np.testing.assert_array_equal(case.image, volume(seed).transpose(1, 0, 2, 3))
    np.testing.assert_array_equal(case.label, label(seed).transpose(1, 0, 2))
    np.testing.assert_array_equal(case.affine, np.eye(4))
    assert case.spacing == (1, 1, 1)
    name = f"{case.files.images[0].name} record {case.files.index}"
    assert case.sources == {name: hashlib.sha256(brats_record(seed)).hexdigest()}


def test_brats_record_goes_through_a_raw_record(brats_root):
    case = read_by_id(BRATS, brats_root, "volume-0_001")
    record = decode_raw(encode_raw(case, foreground=BRATS_RECORDS.foreground))
    inside = tuple(slice(*edges) for edges in record.box)
    np.testing.assert_array_equal(record.image, case.image[inside])
    np.testing.assert_array_equal(record.label, case.label[inside])
    assert record.full_shape == (5, 6, 4) and record.sources == case.sources


def test_a_neighbour_does_not_change_the_source(brats_root):
    before = read_by_id(BRATS, brats_root, "volume-0_001").sources
    write(brats_root / "volume-0.tfrecord", [brats_record(7), brats_record(1), brats_record(8)])
    assert read_by_id(BRATS, brats_root, "volume-0_001").sources == before


def test_superset_of_features_is_read(brats_root):
    """Normalised records of our own have more than these four features."""
    write(brats_root / "volume-1.tfrecords", [brats_record(2, case_id="BraTS2021_00002")])
    assert messages_of(BRATS, brats_root) == []


@pytest.mark.parametrize("error", [0.9995, 1.0005])
def test_moments_may_be_rounded(brats_root, error):
    moments = {k: [v * error for v in vs] for k, vs in reference_moments(volume(2)).items()}
    write(brats_root / "volume-1.tfrecords", [brats_record(2, **moments)])
    assert messages_of(BRATS, brats_root) == []


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


FILES = {  # what is done to volume-1.tfrecords, the rule
    "cut within a record": (truncated, "is cut short: a record starts at byte 0, {size} are there"),
    "cut within a length": (
        lambda path: path.write_bytes(path.read_bytes() + b"\x01\x02"),
        "is cut short: a record starts at byte {last}, {size} are there",
    ),
    "empty": (lambda path: path.write_bytes(b""), "has no record"),
    "compressed": (
        lambda path: path.write_bytes(gzip.compress(path.read_bytes())),
        "is compressed, and the reference systems write plain records",
    ),
    "no TFRecord file": (
        lambda path: path.write_text("<html>502 Bad Gateway</html>"),
        "is no TFRecord file: the checksum of a record's length does not fit",
    ),
    "damaged length": (
        lambda path: path.write_bytes(path.read_bytes() + bytes(20)),
        "is damaged at byte {last}: the checksum of a record's length does not fit",
    ),
}


@pytest.mark.parametrize("damage", FILES)
def test_damaged_file_is_told(brats_root, damage):
    change, rule = FILES[damage]
    path = brats_root / "volume-1.tfrecords"
    whole = path.stat().st_size
    change(path)
    rule = rule.format(size=path.stat().st_size, last=whole)
    assert messages_of(BRATS, brats_root) == [
        f"volume-1: volume-1.tfrecords {rule} ({path}): {LEAVE_FILE_OUT}"
    ]


RECORD = "volume-1.tfrecords record 0"
RECORDS = {  # changed features, the rule, the remedy
    "other grid": (
        {"Y": bytes(100)},
        f"Y must have 120 bytes (grid (6, 5, 4)), {RECORD} has 100 bytes",
        LEAVE_OUT,
    ),
    "fewer channels": (
        {"X": bytes(240)},
        f"X must have 480 bytes (grid (6, 5, 4)), {RECORD} has 240 bytes",
        LEAVE_OUT,
    ),
    "labels as integers": (
        {"Y": [0] * 120},
        f"Y must have 120 bytes (grid (6, 5, 4)), {RECORD} has 120 values",
        LEAVE_OUT,
    ),
    "one mean": (
        {"mean": [1.0]},
        f"mean must have 4 floats, {RECORD} has 1 values",
        LEAVE_OUT,
    ),
    "label 4": (
        {"Y": bytes([4, *bytes(119)])},
        "label values must be among [0, 1, 2, 3], volume-1.tfrecords has [4]",
        "repair the file, or leave the case out with data.exclude",
    ),
    "no stdev": (
        {"stdev": None},
        f"a record must have the features X, Y, mean, stdev, {RECORD} has X, Y, mean",
        LEAVE_OUT,
    ),
}


@pytest.mark.parametrize("damage", RECORDS)
def test_damaged_brats_record_is_told(brats_root, damage):
    changed, rule, remedy = RECORDS[damage]
    path = write(brats_root / "volume-1.tfrecords", [brats_record(2, **changed)])
    assert messages_of(BRATS, brats_root) == [f"volume-1_000: {rule} ({path}): {remedy}"]


def test_moments_of_other_voxels_are_told(brats_root):
    """With the background in, say, as another preprocessor might take them."""
    moments = reference_moments(volume(2))
    t2 = volume(2)[..., 2]
    moments["mean"][2] = float(t2.mean())
    path = write(brats_root / "volume-1.tfrecords", [brats_record(2, **moments)])
    inside = t2[t2 > 0]
    assert messages_of(BRATS, brats_root) == [
        "volume-1_000: mean and stdev must be those of the voxels of X above 0, in channel t2"
        f" {inside.mean():.4f} and {inside.std():.4f}, {RECORD} has {t2.mean():.4f} and"
        f" {inside.std():.4f}: it is damaged, or of another preprocessor ({path}): {LEAVE_OUT}"
    ]


def test_nan_moments_are_told(brats_root):
    moments = reference_moments(volume(2)) | {"stdev": [float("nan")] * 4}
    write(brats_root / "volume-1.tfrecords", [brats_record(2, **moments)])
    found = messages_of(BRATS, brats_root)
    assert len(found) == 4 and all("and nan: it is damaged" in m for m in found)


def test_empty_channel_is_told(brats_root):
    x = volume(2)
    x[..., 3] = 0
    moments = reference_moments(volume(2))
    path = write(brats_root / "volume-1.tfrecords", [brats_record(2, X=x.tobytes(), **moments)])
    assert messages_of(BRATS, brats_root) == [
        "volume-1_000: channel flair: an image must have voxels other than 0, volume-1.tfrecords"
        f" has none of 120 ({path}): repair the file, or leave the case out with data.exclude"
    ]


@pytest.mark.parametrize("record", [b"\xff\xff\xff", b""])
def test_record_that_is_no_example_is_told(brats_root, record):
    write(brats_root / "volume-1.tfrecords", [record])
    (message,) = messages_of(BRATS, brats_root)
    words = "tf.train.Example" if record else "the features X, Y, mean, stdev"
    assert f"a record must {'be a' if record else 'have'} {words}, {RECORD}" in message


def test_all_problems_of_a_record_at_once(brats_root):
    changed = {"mean": [1.0] * 4, "Y": bytes([4] * 120)}
    write(brats_root / "volume-0.tfrecord", [brats_record(0, **changed), brats_record(1)])
    write(brats_root / "volume-1.tfrecords", [brats_record(2, X=bytes(9), Y=bytes(9))])
    found = messages_of(BRATS, brats_root)
    assert [m.split(":")[0] for m in found] == ["volume-0_000"] * 5 + ["volume-1_000"] * 2


def test_files_of_one_stem_are_told(brats_root):
    write(brats_root / "volume-1.tfrecord", [brats_record(2)])
    assert messages_of(BRATS, brats_root) == [
        "volume-1: names of record files must differ before the ending, found 2"
        f" ({brats_root / name}): remove or rename all but one of the files"
        for name in ("volume-1.tfrecord", "volume-1.tfrecords")
    ]


def test_dagm_records_are_listed(dagm_root):
    (dagm_root / "train" / "Thumbs.db").touch()
    (dagm_root / "params.yaml").touch()
    listing = DAGM.list_cases(dagm_root)
    assert listing.problems == ()
    assert [p.name for p in listing.ignored] == ["params.yaml", "Thumbs.db"]
    assert [(c.case_id, c.index, c.split) for c in listing.cases] == [
        ("test-000_000", 0, "test"),
        ("train-000_000", 0, "cv"),
        ("train-000_001", 1, "cv"),
        ("train-001_000", 0, "cv"),
    ]


def test_dagm_record_is_read(dagm_root):
    case = read_by_id(DAGM, dagm_root, "train-000_001")
    assert case.image.shape == (8, 8, 1) and case.image.dtype == np.uint8
    np.testing.assert_array_equal(case.image[..., 0], photo(1))
    np.testing.assert_array_equal(case.label, np.where(soft_mask(1) >= 0.5, 255, 0))
    assert case.label.dtype == np.uint8
    digest = hashlib.sha256(dagm_record(1)).hexdigest()
    assert case.sources == {"train-000.tfrecords record 1": digest}


def test_every_level_comes_back(dagm_root):
    """All 256 levels through x / 127.5 - 1 in float32, and what lies between two is rounded."""
    levels = np.arange(256, dtype=np.uint8)
    stored = levels.astype(np.float32) / np.float32(127.5) - 1
    for offset in (0, 0.4 / 127.5, -0.4 / 127.5):
        values = (stored + np.float32(offset)).clip(-1, 1).tolist()
        record = encode_example({"image": values, "mask": [0.0] * 256})
        write(dagm_root / "test" / "test-000.tfrecords", [record])
        case = read_by_id(DagmRecords(grid=(16, 16)), dagm_root, "test-000_000")
        np.testing.assert_array_equal(case.image.ravel(), levels)


@pytest.mark.parametrize("seed", [1, None])
def test_dagm_record_goes_through_a_raw_record(dagm_root, seed):
    """With a defect and without one."""
    record = dagm_record(1) if seed else dagm_record(1, mask=[0.0] * 64)
    write(dagm_root / "train" / "train-001.tfrecords", [record])
    case = read_by_id(DAGM, dagm_root, "train-001_000")
    raw = decode_raw(encode_raw(case, foreground=DAGM_RECORDS.foreground))
    np.testing.assert_array_equal(raw.image, case.image)
    np.testing.assert_array_equal(raw.label, case.label)
    assert raw.label.any() == bool(seed) and raw.sources == case.sources


@pytest.mark.parametrize(
    ("name", "part", "target"),
    [
        ("traintrain-001.tfrecords", "train", "train-001.tfrecords"),
        ("testtest-001.tfrecords", "test", "test-001.tfrecords"),
        ("train-007.tfrecord", "train", "train-007.tfrecord"),
    ],
)
def test_misplaced_files_are_told(dagm_root, name, part, target):
    """The converter's bug, and files that lie flat."""
    path = write(dagm_root / name, [dagm_record(4)])
    assert messages_of(DAGM, dagm_root) == [
        f"{path.stem}: record files must lie in {part}/, {name} lies beside it ({path}): move the"
        f" file to {part}/{target} (the converter misplaces all but the first)"
    ]


def test_misnamed_files_are_told(dagm_root):
    path = write(dagm_root / "train" / "test-000.tfrecords", [dagm_record(4)])
    assert messages_of(DAGM, dagm_root) == [
        "test-000: record files in train/ must be named train-000.tfrecords and so on, found"
        f" test-000.tfrecords ({path}): rename the file, or move it out of the folder"
    ]


FLOATS = {  # changed features, the rule
    "other size": (
        {"image": [0.5] * 63},
        "image must have 64 values (grid (8, 8)), {record} has 63",
    ),
    "levels of 0 to 255": (
        {"image": [float(v) for v in photo(2).ravel()]},
        "image must have values in -1 to 1, {record} has {low} to {high}",
    ),
    "mask of 255": (
        {"mask": [0.0, 255.0] * 32},
        "mask must have values in 0 to 1, {record} has 0 to 255",
    ),
    "NaN": (
        {"image": [float("nan"), 0.5] * 32},
        "image must have finite values, {record} has 32 NaN or infinite of 64",
    ),
    "one value": (
        {"image": [0.25] * 64},
        "an image must have more than one value, train-001.tfrecords is 159 everywhere",
    ),
}


@pytest.mark.parametrize("damage", FLOATS)
def test_damaged_dagm_record_is_told(dagm_root, damage):
    changed, rule = FLOATS[damage]
    path = write(dagm_root / "train" / "train-001.tfrecords", [dagm_record(2, **changed)])
    names = {"record": "train-001.tfrecords record 0", "low": photo(2).min()}
    rule = rule.format(**names, high=photo(2).max())
    (message,) = messages_of(DAGM, dagm_root)
    assert message.startswith(f"train-001_000: {rule} ({path}): ")


def test_records_of_the_other_kind_are_told(brats_root, tmp_path):
    path = write(brats_root / "volume-1.tfrecords", [dagm_record(0)])
    assert messages_of(BRATS, brats_root) == [
        f"volume-1_000: a record must have the features X, Y, mean, stdev, {RECORD} has image,"
        f" mask: it is one of dataset dagm-records ({path}): set data.dataset to dagm-records"
    ]
    root = tmp_path / "dagm"
    path = write(root / "train" / "train-000.tfrecords", [brats_record(0)])
    assert messages_of(DAGM, root) == [
        "train-000_000: a record must have the features image, mask, train-000.tfrecords record 0"
        f" has X, Y, mean, stdev: it is one of dataset brats-records ({path}): set data.dataset to"
        " brats-records"
    ]


def test_layouts_of_the_other_kind_are_told(tmp_path):
    write(tmp_path / "a" / "train" / "train-000.tfrecords", [dagm_record(0)])
    write(tmp_path / "b" / "volume-0.tfrecord", [brats_record(0)])
    assert messages_of(BRATS, tmp_path / "a") == [
        "a: the folder holds train/*.tfrecords, which is how records of dataset dagm-records lie"
        f" ({tmp_path / 'a'}): set data.dataset to dagm-records"
    ]
    assert messages_of(DAGM, tmp_path / "b") == [
        "b: the folder holds *.tfrecord, which is how records of dataset brats-records lie"
        f" ({tmp_path / 'b'}): set data.dataset to brats-records"
    ]


@pytest.mark.parametrize("dataset", [BRATS, DAGM])
def test_missing_root_is_told(tmp_path, dataset):
    (problem,) = dataset.list_cases(tmp_path / "nowhere").problems
    assert "does not exist" in problem.rule


def test_records_are_no_files_for_prediction(tmp_path):
    for info, name in ((BRATS_RECORDS, "brats"), (DAGM_RECORDS, "dagm")):
        with pytest.raises(ValueError, match=f"not a file for prediction, .*: use dataset {name}"):
            get_reader(info).read_image(tmp_path / "volume-0.tfrecord")


def test_write_label(brats_root, tmp_path):
    case = read_by_id(BRATS, brats_root, "volume-1_000")
    for suffix in BRATS_RECORDS.label_suffixes:
        path = tmp_path / "new" / f"label{suffix}"
        BRATS.write_label(case.label, case, path)
        written = nib.load(path)
        np.testing.assert_array_equal(np.asarray(written.dataobj), case.label)
        np.testing.assert_array_equal(written.affine, np.eye(4))
    mask = np.where(soft_mask(0) >= 0.5, 255, 0).astype(np.uint8)
    DAGM.write_label(mask, case, tmp_path / "mask.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "mask.png")), mask)


def load(folder: Path, name: str) -> np.ndarray:
    """int16 [X, Y, Z]."""
    return nib.load(next(folder.glob(f"*_{name}.nii*"))).get_fdata().astype(np.int16)


def reference_preprocessor(folder: Path) -> bytes:
    """What `preprocess_data` of NVIDIA's UNet_3D_Medical makes of a case folder."""
    channels = []
    for name in CHANNELS:
        v = load(folder, name).transpose(1, 0, 2).astype(np.float32)
        v[v > 0.85 * v.max()] = 0.85 * v.max()
        channels.append((255 * v / v.max()).astype(np.uint8))
    x = np.stack(channels, axis=-1)
    y = load(folder, "seg").transpose(1, 0, 2).astype(np.uint8)
    y[y == 4] = 3
    return encode_example({"X": x.tobytes(), "Y": y.tobytes(), **reference_moments(x)})


@pytest.mark.realdata
def test_record_of_a_real_case(real_data, tmp_path):
    """It is what our own preprocessing in profile `reference` makes of the scan, voxel by voxel."""
    folder = next((real_data / "brats").glob("*/*_seg.nii*")).parent
    record = reference_preprocessor(folder)
    write(tmp_path / "volume-0.tfrecord", [record, record])
    dataset = BratsRecords()
    listing = dataset.list_cases(tmp_path)
    assert [c.case_id for c in listing.cases] == ["volume-0_000", "volume-0_001"]
    case = dataset.read_case(listing.cases[1])
    assert case.image.nbytes == 35_712_000 and case.label.nbytes == 8_928_000
    expected = quantise(
        tf.stack([load(folder, name) for name in CHANNELS], axis=-1),
        profile="reference",
        foreground="nonzero",
        clip_percentiles=(),
        quantised=False,
    )
    np.testing.assert_array_equal(case.image, expected.numpy())
    label = load(folder, "seg")
    np.testing.assert_array_equal(case.label, np.where(label == 4, 3, label))
    raw = decode_raw(encode_raw(case, foreground=BRATS_RECORDS.foreground))
    assert raw.full_shape == (240, 240, 155) and raw.image.dtype == np.uint8
