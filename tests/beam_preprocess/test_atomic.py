"""Files appear whole or not at all."""

import pytest

from beam_preprocess.atomic import atomic_path, write_text


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_target_appears_only_at_the_end(tmp_path):
    target = tmp_path / "new" / "case.nii.gz"
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"whole")
        assert not target.exists()
        assert temporary.parent == target.parent and temporary.name.endswith("case.nii.gz")
    assert target.read_bytes() == b"whole"
    assert names(target.parent) == ["case.nii.gz"]


def test_error_leaves_the_old_file_and_no_temporary(tmp_path):
    target = tmp_path / "result.json"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="disk full"), atomic_path(target) as temporary:
        temporary.write_text("ha")
        raise RuntimeError("disk full")
    assert target.read_text() == "old" and names(tmp_path) == ["result.json"]


def test_error_before_anything_was_written(tmp_path):
    with pytest.raises(KeyError), atomic_path(tmp_path / "x"):
        raise KeyError("early")
    assert names(tmp_path) == []


def test_body_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "x"):
        pass
    assert names(tmp_path) == []


def test_write_text_replaces_and_is_utf8(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "first, and longer")
    write_text(path, "Läsion\n")
    assert path.read_bytes() == b"L\xc3\xa4sion\n" and names(tmp_path) == ["a.txt"]
