"""Staging: a case is found by its content, however Beam laid out the files."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainer.staging import data_fingerprint, read_all, stage

IDS = ("b", "d", "a", "c", "e")


@pytest.fixture
def records(make_record: Callable[..., bytes]) -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    label = np.zeros((2, 3), np.uint8)
    return {
        i: make_record(i, rng.integers(1, 9, (2, 3, 1)).astype(np.uint8), label, group=f"g-{i}")
        for i in IDS
    }


@pytest.mark.parametrize("name", ["part-0", "part-0.gz"])
def test_case_is_one_plain_file_named_by_its_content(
    tmp_path: Path, records, write_file, name: str
) -> None:
    write_file(tmp_path / name, list(records.values()))
    cases = stage([str(tmp_path / "part-*")], tmp_path / "staged")
    assert [c.case_id for c in cases] == ["a", "b", "c", "d", "e"]
    assert [c.group for c in cases] == ["g-a", "g-b", "g-c", "g-d", "g-e"]
    for case in cases:
        content = records[case.case_id]
        assert case.sha256 == hashlib.sha256(content).hexdigest()
        assert Path(case.path) == tmp_path / "staged" / f"{case.sha256}.example"
        assert Path(case.path).read_bytes() == content
    assert len(list((tmp_path / "staged").iterdir())) == len(cases)  # nothing temporary is left


def test_layout_of_the_files_does_not_matter(tmp_path: Path, records, write_file) -> None:
    values = list(records.values())
    one, two = tmp_path / "one", tmp_path / "two"
    write_file(one / "part-0.gz", values)
    write_file(two / "z" / "part-0.gz", values[3:])
    write_file(two / "y" / "part-0", values[:1])
    write_file(two / "y" / "part-1", values[1:3])
    cases = stage([str(one / "*")], tmp_path / "staged")
    split = stage([str(two / "z" / "*"), str(two / "y" / "*")], tmp_path / "staged")
    assert split == cases
    assert data_fingerprint(split) == data_fingerprint(cases)


def test_folds_share_a_folder_and_nothing_is_written_twice(
    tmp_path: Path, records, write_file
) -> None:
    values = list(records.values())
    for number, part in enumerate((values[:2], values[2:])):
        write_file(tmp_path / f"fold-{number}", part)
    folder = tmp_path / "staged"
    first = stage([str(tmp_path / "fold-0")], folder)
    files = {p.name: p.stat().st_ino for p in folder.iterdir()}
    both = stage([str(tmp_path / "fold-*")], folder)
    assert set(first) <= set(both)
    assert {p.name: p.stat().st_ino for p in folder.iterdir()}.items() >= files.items()
    assert len(list(folder.iterdir())) == len(IDS)


def test_changed_record_is_another_case_file_and_fingerprint(
    tmp_path: Path, make_record, write_file
) -> None:
    cases = []
    for value in (1, 2):
        image = np.full((2, 3, 1), value, np.uint8)
        write_file(tmp_path / "part", [make_record("a", image, np.zeros((2, 3), np.uint8))])
        cases.append(stage([str(tmp_path / "part")], tmp_path / "staged"))
    assert cases[0][0].case_id == cases[1][0].case_id
    assert cases[0][0].path != cases[1][0].path
    assert data_fingerprint(cases[0]) != data_fingerprint(cases[1])


def test_fingerprint_does_not_depend_on_order_or_folder(
    tmp_path: Path, records, write_file
) -> None:
    path = write_file(tmp_path / "part", list(records.values()))
    cases = stage([str(path)], tmp_path / "here")
    moved = stage([str(path)], tmp_path / "there")
    assert data_fingerprint(cases) == data_fingerprint(cases[::-1]) == data_fingerprint(moved)
    assert data_fingerprint(cases) != data_fingerprint(cases[1:])


def test_case_that_is_there_twice_is_rejected(
    tmp_path: Path, records, make_record, write_file
) -> None:
    other = make_record("d", np.full((2, 3, 1), 200, np.uint8), np.zeros((2, 3), np.uint8))
    write_file(tmp_path / "part-0", list(records.values()))
    write_file(tmp_path / "part-1", [other])
    with pytest.raises(ValueError, match=r"^case d is there twice in \['.*/part-\*'\]$"):
        stage([str(tmp_path / "part-*")], tmp_path / "staged")


def test_identical_record_that_is_there_twice_is_rejected(
    tmp_path: Path, records, write_file
) -> None:
    write_file(tmp_path / "part", [records["a"], records["a"]])
    with pytest.raises(ValueError, match="case a is there twice"):
        stage([str(tmp_path / "part")], tmp_path / "staged")


def test_no_records_is_an_error(tmp_path: Path, write_file) -> None:
    message = r"^no records found in \['.*/part'\]: run the data steps first$"
    with pytest.raises(ValueError, match=message):
        stage([str(tmp_path / "part")], tmp_path / "staged")
    write_file(tmp_path / "part", [])
    with pytest.raises(ValueError, match=message):
        stage([str(tmp_path / "part")], tmp_path / "staged")


def test_records_are_read_in_the_order_of_the_paths(tmp_path: Path, write_file) -> None:
    write_file(tmp_path / "b" / "part-0.gz", [b"1", b"2"])
    write_file(tmp_path / "a" / "part-1", [b"4"])
    write_file(tmp_path / "a" / "part-0.gz", [b"3"])
    patterns = [str(tmp_path / "b" / "part-*"), str(tmp_path / "a" / "part-*")]
    assert list(read_all(patterns)) == [b"3", b"4", b"1", b"2"]


def test_order_of_the_features_in_a_record_does_not_matter(tmp_path):
    one, other = tf.train.Example(), tf.train.Example()
    names = ["case_id", "group"]
    for example, order in ((one, names), (other, names[::-1])):
        for name in order:
            example.features.feature[name].bytes_list.value.append(name.encode())
    paths = [tmp_path / "one", tmp_path / "other"]
    for path, example in zip(paths, (one, other), strict=True):
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(example.SerializeToString())
    staged = [stage([str(path)], tmp_path / "staged") for path in paths]
    assert staged[0] == staged[1]


def test_truncated_staged_case_is_staged_again(tmp_path):
    example = tf.train.Example()
    for name in ("case_id", "group"):
        example.features.feature[name].bytes_list.value.append(b"a")
    with tf.io.TFRecordWriter(str(tmp_path / "records")) as writer:
        writer.write(example.SerializeToString())
    (case,) = stage([str(tmp_path / "records")], tmp_path / "staged")
    whole = Path(case.path).read_bytes()
    Path(case.path).write_bytes(whole[:-3])
    stage([str(tmp_path / "records")], tmp_path / "staged")
    assert Path(case.path).read_bytes() == whole
