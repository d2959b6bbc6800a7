"""Folders of tiny records of all three layouts: found, folded and normalised."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from beam_preprocess.preprocessing import standardise
from beam_preprocess.records import encode_example, parse_normalised
from trainer.reference.records import find_records, fold_files, normalised_records, select_fold

GRID = (4, 3, 2)
X = np.arange(96, dtype=np.uint8).reshape(*GRID, 4)
Y = np.arange(24, dtype=np.uint8).reshape(GRID) % 4
VOLUME = encode_example(
    {
        "X": X.tobytes(),
        "Y": Y.tobytes(),
        "mean": [1.0, 2.0, 3.0, 4.0],
        "stdev": [0.5, 0.5, 0.5, 0.5],
    }
)
PHOTOGRAPH = encode_example(
    {"image": [-1.0, -0.999, 0.0, 1.0], "mask": [0.0, 0.25, 0.5, 1.0]},
)
Writer = Callable[[Path, list[bytes]], Path]


def parse(record: bytes, *, rank: int, channels: int) -> dict[str, tf.Tensor]:
    return parse_normalised(tf.constant(record), rank=rank, channels=channels)


@pytest.mark.parametrize("suffix", ["tfrecord", "tfrecords"])
def test_volumes_lie_in_the_folder_itself(tmp_path: Path, write_file: Writer, suffix: str) -> None:
    for number in (0, 1, 10):
        write_file(tmp_path / f"volume-{number}.{suffix}", [VOLUME])
    (tmp_path / "notes.csv").write_text("1")
    found = find_records(tmp_path)
    assert (found.layout, found.rank) == ("volumes", 3)
    assert [p.stem for p in found.files["all"]] == ["volume-0", "volume-1", "volume-10"]


def test_photographs_have_their_own_test_part(tmp_path: Path, write_file: Writer) -> None:
    train = write_file(tmp_path / "train/train-000.tfrecords", [PHOTOGRAPH])
    test = write_file(tmp_path / "test/test-000.tfrecords", [PHOTOGRAPH])
    found = find_records(tmp_path)
    assert (found.layout, found.rank) == ("photographs", 2)
    for fold in (0, 3):
        chosen = select_fold(found, fold, num_folds=5)
        assert (chosen.train, chosen.held_out) == ((train,), (test,))


def test_our_records_have_their_folds(
    tmp_path: Path, write_file: Writer, make_record: Callable[..., bytes]
) -> None:
    record = make_record("case", np.ones((4, 4, 4, 2), np.uint8), np.zeros((4, 4, 4), np.uint8))
    files = [write_file(tmp_path / f"Split-fold-{n}/x-0.gz", [record]) for n in range(3)]
    write_file(tmp_path / "Split-test/x-0.gz", [record])
    found = find_records(tmp_path)
    assert (found.layout, found.rank) == ("splits", 3)
    chosen = select_fold(found, 1, num_folds=3)
    assert chosen.held_out == (files[1],)
    assert chosen.train == (files[0], files[2])
    with pytest.raises(ValueError, match="--num_folds must be 3, as many as the records in"):
        select_fold(found, 1, num_folds=5)
    assert list(normalised_records(files[0])) == [record]


def test_folds_are_blocks_of_sorted_files() -> None:
    """84 files in 5 folds, facts 12.2; the file of three volumes is in the last."""
    files = [Path(f"volume-{n}.tfrecord") for n in reversed(range(84))]
    folds = fold_files(files, 5)
    assert [len(fold) for fold in folds] == [17, 17, 17, 17, 16]
    assert sum(folds, []) == sorted(files)
    assert Path("volume-83.tfrecord") in folds[4]
    assert [p.stem for p in folds[0][:3]] == ["volume-0", "volume-1", "volume-10"]


def test_a_fold_of_volumes_is_held_out(tmp_path: Path, write_file: Writer) -> None:
    files = [write_file(tmp_path / f"volume-{n}.tfrecord", [VOLUME]) for n in range(3)]
    chosen = select_fold(find_records(tmp_path), 1, num_folds=2)
    assert (chosen.train, chosen.held_out) == (tuple(files[:2]), (files[2],))


def test_more_folds_than_files_are_an_error() -> None:
    with pytest.raises(
        ValueError, match=r"--num_folds must be at most the number of .* \(1\), got 2"
    ):
        fold_files([Path("volume-0.tfrecord")], 2)


def test_a_part_without_files_is_an_error(tmp_path: Path, write_file: Writer) -> None:
    write_file(tmp_path / "train/train-000.tfrecords", [PHOTOGRAPH])
    with pytest.raises(ValueError, match="must both be there, found 1 and 0 files in"):
        select_fold(find_records(tmp_path), 0, num_folds=5)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "--data_dir must hold volume-.*found none of them in"),
        ({"volume-0.tfrecord": [PHOTOGRAPH]}, "features X, Y, mean, stdev, the first has image,"),
        ({"train/train-000.tfrecords": [VOLUME]}, "features image, mask, the first has X, Y,"),
        ({"volume-0.tfrecord": []}, "record files must hold a record, those in .* are empty"),
        (
            {"volume-0.tfrecord": [VOLUME], "volume-0.tfrecords": [VOLUME]},
            "must differ before their ending, found volume-0 twice in",
        ),
        ({"Split-fold-0/x.gz": [VOLUME]}, "--data_dir must be of normalised records of ours, got"),
    ],
)
def test_what_is_no_folder_of_records(
    tmp_path: Path, write_file: Writer, files: dict[str, list[bytes]], message: str
) -> None:
    for name, records in files.items():
        write_file(tmp_path / name, records)
    with pytest.raises(ValueError, match=message):
        find_records(tmp_path)


def test_a_volume_becomes_a_normalised_record(tmp_path: Path, write_file: Writer) -> None:
    path = write_file(tmp_path / "volume-7.tfrecord", [VOLUME, VOLUME])
    records = list(normalised_records(path, grid=GRID))
    made = parse(records[1], rank=3, channels=4)
    assert made["case_id"] == made["group"] == b"volume-7_001"
    np.testing.assert_array_equal(made["X"], X)
    np.testing.assert_array_equal(made["Y"], Y)
    assert made["mean"].numpy().tolist() == [1, 2, 3, 4]
    assert made["stdev"].numpy().tolist() == [0.5] * 4
    assert made["box"].numpy().tolist() == [0, 4, 0, 3, 0, 2]
    assert made["full_shape"].numpy().tolist() == list(GRID)
    np.testing.assert_array_equal(np.frombuffer(made["affine"].numpy()).reshape(4, 4), np.eye(4))


def test_a_photograph_becomes_a_normalised_record(tmp_path: Path, write_file: Writer) -> None:
    path = write_file(tmp_path / "train-000.tfrecords", [PHOTOGRAPH])
    (record,) = normalised_records(path, grid=(2, 2))
    made = parse(record, rank=2, channels=1)
    # (-0.999 + 1) * 127.5 = 0.13, (0 + 1) * 127.5 = 127.5: rounded to the even 128
    assert made["X"].numpy().ravel().tolist() == [0, 0, 128, 255]
    assert made["Y"].numpy().ravel().tolist() == [0, 0, 1, 1]
    image = standardise(made["X"], made["mean"], made["stdev"], foreground="all")
    stored = [-1.0, -0.999, 0.0, 1.0]
    np.testing.assert_allclose(image.numpy().ravel(), stored, atol=0.5 / 127.5 + 1e-6)


@pytest.mark.parametrize(
    ("record", "grid", "message"),
    [
        (VOLUME, (4, 3, 3), r"must be \(144, 36, 4\), got \(96, 24, 4\)"),
        (PHOTOGRAPH, (2, 3), r"values of image and mask must be 6 each, got \(4, 4\)"),
        (encode_example({"image": [0.0]}), (1, 1), "'mask'"),
    ],
)
def test_a_record_of_another_size_names_its_case(
    tmp_path: Path, write_file: Writer, record: bytes, grid: tuple[int, ...], message: str
) -> None:
    path = write_file(tmp_path / "some-3.tfrecord", [record])
    with pytest.raises(ValueError, match=f"case some-3_000 of .* is no record of a.*{message}"):
        list(normalised_records(path, grid=grid))
