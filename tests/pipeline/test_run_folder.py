"""The run folder: what makes one, one run at a time, and metadata that fit the artifacts."""

import sqlite3

import pytest

from pipeline.run_folder import (
    RunError,
    check_metadata,
    hold,
    is_run_folder,
    require_run_folder,
)
from pipeline.usage import UsageError


def test_fresh_folder_is_made(tmp_path):
    with hold(tmp_path / "new" / "run"):
        assert (tmp_path / "new" / "run").is_dir()


def test_one_run_at_a_time(tmp_path):
    with (
        hold(tmp_path),
        pytest.raises(RunError, match="one run at a time, another one is running"),
        hold(tmp_path),
    ):
        pass
    with hold(tmp_path):  # it is free again
        pass


def test_artifacts_without_metadata(tmp_path):
    (tmp_path / "artifacts" / "CaseGen").mkdir(parents=True)
    with pytest.raises(RunError, match=r"metadata.sqlite is missing.* remove it and artifacts/"):
        check_metadata(tmp_path)


@pytest.mark.parametrize(
    "content", [b"no database, whatever its name says" * 40, b"SQLite format 3\0"]
)
def test_damaged_metadata(tmp_path, content):
    (tmp_path / "metadata.sqlite").write_bytes(content)
    with pytest.raises(RunError, match=r"metadata.sqlite is damaged \(.*\): restore it, or remove"):
        check_metadata(tmp_path)


def test_good_metadata(tmp_path):
    (tmp_path / "artifacts" / "CaseGen").mkdir(parents=True)
    with sqlite3.connect(tmp_path / "metadata.sqlite") as database:
        database.execute("CREATE TABLE t (a INT)")
    check_metadata(tmp_path)


def test_run_folder_has_metadata_and_config(tmp_path):
    for name in ("metadata.sqlite", "config.yaml"):
        assert not is_run_folder(tmp_path)
        with pytest.raises(UsageError, match="^RUN_B must be a run folder, which holds metadata.s"):
            require_run_folder(str(tmp_path), "RUN_B")
        (tmp_path / name).touch()
    assert is_run_folder(str(tmp_path))
    require_run_folder(tmp_path, "RUN")
