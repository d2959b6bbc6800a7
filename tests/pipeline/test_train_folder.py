"""The folder of a training: who may take it."""

import json
from pathlib import Path

import pytest

from pipeline.train_folder import check_output, claim
from pipeline.usage import UsageError

DECIDES = {"fold": "fold-0", "code": "a", "trainer": {"seed": 0, "loss": {"name": "dice"}}}


def test_folder_is_claimed_once_and_again_by_the_same(tmp_path: Path) -> None:
    claim(tmp_path, DECIDES)
    claim(tmp_path, {"data": "d"})
    claim(tmp_path, DECIDES)
    assert json.loads((tmp_path / "training.json").read_text()) == DECIDES | {"data": "d"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fold": "all"}, "with --fold 'fold-0', this one has 'all': give another folder"),
        ({"code": "b"}, "by another version of unet-tfx, whose state may not fit"),
        ({"data": "e"}, "on other records: give another folder"),
        (
            {"trainer": {"seed": 0, "loss": {"name": "ce"}}},
            "with --trainer.loss.name 'dice', this one has 'ce'",
        ),
    ],
)
def test_folder_of_another_training_is_refused(tmp_path: Path, change, message: str) -> None:
    claim(tmp_path, DECIDES | {"data": "d"})
    before = (tmp_path / "training.json").read_text()
    with pytest.raises(UsageError) as e:
        claim(tmp_path, DECIDES | change)
    assert message in str(e.value)
    assert (tmp_path / "training.json").read_text() == before


def test_output_may_be_new_or_empty_or_ours(tmp_path: Path) -> None:
    check_output(str(tmp_path / "new"), tmp_path / "run")
    (tmp_path / "ours").mkdir()
    check_output(str(tmp_path / "ours"), tmp_path / "run")
    claim(tmp_path / "ours", DECIDES)
    (tmp_path / "ours" / "checkpoints").mkdir()
    check_output(str(tmp_path / "ours"), tmp_path / "run")
