"""The dataset of one's own in docs/datasets.md, as written there."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from beam_preprocess.config import DataConfig
from beam_preprocess.datasets import get_dataset, get_reader

DOCS = Path(__file__).parents[2] / "docs" / "datasets.md"


@pytest.fixture
def config(tmp_path, monkeypatch) -> DataConfig:
    """Five pairs, and the module of the docs on the Python path."""
    (code,) = re.findall(r"```python\n(.+?)```", DOCS.read_text(encoding="utf-8"), re.S)
    (tmp_path / "my_pairs.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    root = tmp_path / "data"
    root.mkdir()
    rng = np.random.default_rng(0)
    for number in range(5):
        np.save(root / f"p{number}.npy", rng.integers(0, 4000, (16, 20)).astype(np.uint16))
        np.save(root / f"p{number}.mask.npy", rng.integers(0, 2, (16, 20)))
    yield DataConfig(dataset="my_pairs.Pairs", root=str(root), folds=2)
    sys.modules.pop("my_pairs", None)


def test_goes_through_to_records(config, check_data):
    checked = check_data(config)
    assert checked.messages == [] and checked.cohort.listed == 5
    assert len(checked.written) == 4


def test_problems_are_told(config, check_data):
    root = Path(config.root)
    (root / "p1.mask.npy").unlink()
    np.save(root / "p2.mask.npy", np.zeros((3, 3)))
    messages = check_data(config).messages
    assert [m.split(" (")[0] for m in messages] == [
        "p1: every image needs a mask p1.mask.npy",
        "p2: image and mask must have one shape, got",
    ]


def test_reader_for_prediction(config):
    info = get_dataset(config).info
    case = get_reader(info).read_image(Path(config.root) / "p0.npy")
    assert case.image.shape == (16, 20, 1) and case.label is None
    files = get_reader(info).list_cases(Path(config.root)).cases[0]
    unlabelled = get_reader(info).read_case(replace(files, label=None))
    assert unlabelled.label is None
    np.testing.assert_array_equal(unlabelled.image, case.image)


@pytest.mark.parametrize("name", ["my_pairs.Pears", "my_bears.Pairs"])
def test_class_that_is_not_there(config, name):
    with pytest.raises(
        ValueError, match=f"import path of a class that reads a dataset, got '{name}'"
    ):
        get_dataset(DataConfig(dataset=name))
