"""Which of the folders below a path is the model."""

from pathlib import Path

import pytest

from trainer.model_folder import METADATA, newest_version, read_metadata


def fake_model(folder: Path, *, pushed_by_us: bool = True) -> Path:
    (folder / METADATA).parent.mkdir(parents=True)
    (folder / "saved_model.pb").touch()
    if pushed_by_us:
        (folder / METADATA).touch()
    return folder


def test_newest_version_is_the_largest_number(tmp_path: Path) -> None:
    for name in ("9", "10", "2"):
        fake_model(tmp_path / name)
    assert newest_version(tmp_path) == tmp_path / "10"
    assert newest_version(tmp_path / "9") == tmp_path / "9"


def test_folders_that_are_no_model_of_ours_are_passed_over(tmp_path: Path) -> None:
    fake_model(tmp_path / "3")
    fake_model(tmp_path / "4", pushed_by_us=False)
    (tmp_path / "5").mkdir()
    fake_model(tmp_path / "best")
    (tmp_path / "7").touch()
    assert newest_version(tmp_path) == tmp_path / "3"


@pytest.mark.parametrize("kind", ["missing", "empty", "file", "foreign"])
def test_folder_without_a_model_is_an_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "empty":
        path.mkdir()
    if kind == "file":
        path.touch()
    if kind == "foreign":
        fake_model(path, pushed_by_us=False)
    message = (
        r"^model must be a folder that unet-tfx pushed \(with saved_model\.pb and "
        rf"assets\.extra/unet_tfx\.json\), got '{path}'$"
    )
    with pytest.raises(ValueError, match=message):
        newest_version(path)


def test_metadata_is_read_as_a_dict(tmp_path: Path) -> None:
    (fake_model(tmp_path / "1") / METADATA).write_text('{"dataset": "brats"}', encoding="utf-8")
    assert read_metadata(tmp_path / "1") == {"dataset": "brats"}
