"""The fingerprint of a folder follows paths and contents, and nothing else."""

import json
import os
import shutil

import pytest

from beam_preprocess import fingerprint
from beam_preprocess.fingerprint import fingerprint_folder


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "x.png").write_bytes(b"11")
    (folder / "y.png").write_bytes(b"22")
    return folder


@pytest.fixture
def hash_of(tmp_path):
    """The fingerprint of a folder, without memory of earlier ones."""
    numbers = iter(range(100))
    return lambda folder: fingerprint_folder(folder, tmp_path / f"memory-{next(numbers)}.json")


def rename(root):
    (root / "y.png").rename(root / "z.png")


def rename_bar(root):
    (root / "y|1.png").rename(root / "y|2.png")


def change_same_size(root):
    (root / "y.png").write_bytes(b"23")


def swap_contents(root):
    (root / "y.png").write_bytes(b"11")
    (root / "a" / "x.png").write_bytes(b"22")


def add_empty_file(root):
    (root / "new").touch()


def remove(root):
    (root / "y.png").unlink()


@pytest.mark.parametrize(
    "change", [rename, rename_bar, change_same_size, swap_contents, add_empty_file, remove]
)
def test_change_of_a_file_changes_it(root, hash_of, change):
    (root / "y|1.png").write_bytes(b"33")
    before = hash_of(root)
    change(root)
    assert hash_of(root) != before


def test_it_does_not_depend_on_place_time_or_stray_files(root, hash_of, tmp_path):
    before = hash_of(root)
    copy = tmp_path / "elsewhere"
    shutil.copytree(root, copy)
    os.utime(copy / "y.png", (1, 1))
    (copy / "a" / "Thumbs.db").write_bytes(b"thumbs")
    (copy / ".DS_Store").write_bytes(b"ds")
    (copy / "empty").mkdir()
    assert hash_of(copy) == before


def test_missing_folder_is_as_an_empty_one(tmp_path, hash_of):
    (tmp_path / "empty").mkdir()
    assert hash_of(tmp_path / "missing") == hash_of(tmp_path / "empty")


def test_unchanged_files_are_not_read_again(root, tmp_path, monkeypatch):
    read = []
    hash_file = fingerprint._hash_file
    monkeypatch.setattr(fingerprint, "_hash_file", lambda p: read.append(p.name) or hash_file(p))
    memory = tmp_path / "memory.json"
    first = fingerprint_folder(root, memory)
    assert sorted(read) == ["x.png", "y.png"] and len(json.loads(memory.read_text())) == 2
    read.clear()
    assert fingerprint_folder(root, memory) == first and read == []
    (root / "y.png").write_bytes(b"222")
    assert fingerprint_folder(root, memory) != first and read == ["y.png"]
    (root / "y.png").write_bytes(b"22")
    os.utime(root / "y.png", ns=(1, 1))
    assert fingerprint_folder(root, memory) == first and read == ["y.png", "y.png"]


def test_long_file_is_hashed_whole(root, hash_of):
    """A file is read in pieces of 1 MiB: the last byte of the second piece counts."""
    content = bytearray((1 << 20) + 2)
    (root / "y.png").write_bytes(content)
    before = hash_of(root)
    content[-1] = 1
    (root / "y.png").write_bytes(content)
    assert hash_of(root) != before


def test_files_behind_a_linked_folder_count(tmp_path):
    target, root = tmp_path / "elsewhere", tmp_path / "root"
    target.mkdir()
    root.mkdir()
    (target / "scan.nii").write_bytes(b"before")
    (root / "case").symlink_to(target)
    before = fingerprint_folder(root, tmp_path / "memory.json")
    (target / "scan.nii").write_bytes(b"after it")
    assert fingerprint_folder(root, tmp_path / "memory.json") != before


def test_links_in_circles_end(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "scan.nii").write_bytes(b"scan")
    plain = fingerprint_folder(root, tmp_path / "memory.json")
    (root / "a").symlink_to(root)
    (root / "b").symlink_to(root)
    assert fingerprint_folder(root, tmp_path / "memory.json") == plain


def test_damaged_memory_is_forgotten(tmp_path):
    root, memory = tmp_path / "root", tmp_path / "memory.json"
    root.mkdir()
    (root / "scan.nii").write_bytes(b"scan")
    fresh = fingerprint_folder(root, memory)
    memory.write_text('{"scan')
    assert fingerprint_folder(root, memory) == fresh
    memory.write_text("[]")
    assert fingerprint_folder(root, memory) == fresh


def test_file_name_that_is_no_utf8(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / b"caf\xe9.txt".decode("utf-8", "surrogateescape")).write_bytes(b"x")
    assert len(fingerprint_folder(root, tmp_path / "memory.json")) == 64
