"""Cases to time with: made up, or of a folder of records."""

import numpy as np
import pytest

from beam_preprocess.records import decode_example
from trainer.benchmark.cases import (
    case_size,
    image_batch,
    record_info,
    recorded_cases,
    synthetic_cases,
    whole_image,
)
from trainer.model_config import ModelConfig

MODEL = ModelConfig(rank=2, in_channels=2, classes=3, filters=(2, 4))


def test_synthetic_case_is_noise_with_a_labelled_block_in_the_middle(tmp_path) -> None:
    cases = synthetic_cases(MODEL, (16, 8), tmp_path, count=2)
    assert [c.case_id for c in cases] == ["noise-0", "noise-1"]
    assert case_size(cases[0]) == (16, 8)
    with open(cases[0].path, "rb") as file:
        features = decode_example(file.read())
    x = np.frombuffer(features["X"][0], np.uint8).reshape(16, 8, 2)
    y = np.frombuffer(features["Y"][0], np.uint8).reshape(16, 8)
    assert x.min() >= 1 and len(np.unique(x)) > 50
    assert np.argwhere(y).min(0).tolist() == [6, 3] and np.argwhere(y).max(0).tolist() == [9, 4]
    assert y[6, 3:5].tolist() == [1, 2]  # the classes in turn


def test_one_logit_has_one_class_of_foreground(tmp_path) -> None:
    model = ModelConfig(rank=2, in_channels=1, classes=1, filters=(2, 4))
    (case,) = synthetic_cases(model, (8, 8), tmp_path, count=1)
    with open(case.path, "rb") as file:
        labels = np.frombuffer(decode_example(file.read())["Y"][0], np.uint8)
    assert np.unique(labels).tolist() == [0, 1]


def test_batch_is_the_corner_of_a_case_padded_where_it_is_small(tmp_path) -> None:
    (case,) = synthetic_cases(MODEL, (16, 8), tmp_path, count=1)
    info = record_info(MODEL)
    batch = image_batch(case, info, (4, 10), batch_size=3).numpy()
    image = whole_image(case, info).numpy()
    assert batch.shape == (3, 4, 10, 2)
    for one in batch:
        np.testing.assert_array_equal(one[:, :8], image[:4])
        assert not one[:, 8:].any()


def test_first_cases_of_all_files_are_taken(make_record, write_file, tmp_path) -> None:
    x, y = np.ones((6, 6, 2), np.uint8), np.zeros((6, 6), np.uint8)
    x[:3] = 3
    for fold in range(2):
        records = [make_record(f"case-{fold}{n}", x, y, foreground="all") for n in range(2)]
        write_file(tmp_path / f"Split-fold-{fold}" / "part.gz", records)
    cases = recorded_cases(tmp_path, MODEL, tmp_path / "staged", count=3)
    assert [c.case_id for c in cases] == ["case-00", "case-01", "case-10"]
    three = ModelConfig(rank=3, in_channels=4, classes=3, filters=(2, 4))
    with pytest.raises(ValueError, match="must have the 3 axes and 4 channels of the network"):
        recorded_cases(tmp_path, three, tmp_path / "staged", count=3)


def test_folder_without_records_is_told_by_its_option(tmp_path) -> None:
    with pytest.raises(ValueError, match="^--records must hold volume-"):
        recorded_cases(tmp_path, MODEL, tmp_path / "staged", count=1)
