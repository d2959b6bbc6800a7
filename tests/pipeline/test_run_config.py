"""The config of a run's folder: what is read of it, and folders whose file is none."""

from pathlib import Path

import pytest

from pipeline.config_text import config_text
from pipeline.recipes import RECIPES
from pipeline.run_config import read_config, read_dataset, read_evaluation, read_values
from pipeline.usage import UsageError
from trainer.config import EvaluationConfig

READERS = [read_config, read_dataset, read_evaluation, read_values]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    text = config_text(RECIPES["brats-demo"]()).replace("empty: brats", "empty: nan")
    (tmp_path / "config.yaml").write_text(text)
    return tmp_path


def test_what_a_run_was_set_to(run: Path) -> None:
    config = read_config(run)
    assert config.evaluation == read_evaluation(run) == EvaluationConfig(empty="nan")
    assert read_dataset(run) == config.data.dataset == "brats"
    assert read_values(run)["evaluation"]["empty"] == "nan"


def test_part_of_a_config_of_another_version(tmp_path: Path) -> None:
    """What a command needs of it is enough."""
    (tmp_path / "config.yaml").write_text("data:\n  dataset: dagm\nevaluation:\n  empty: nan\n")
    assert read_dataset(tmp_path) == "dagm"
    assert read_evaluation(tmp_path).empty == "nan"
    with pytest.raises(UsageError, match="must hold the config of a run"):
        read_config(tmp_path)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("text", [None, "", "[]", "a: [", "evaluation: 3", "model: {}", "data: 3"])
def test_file_that_is_none(tmp_path: Path, read, text: str | None) -> None:
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"config.yaml must hold the config of a run"):
        read(tmp_path)
