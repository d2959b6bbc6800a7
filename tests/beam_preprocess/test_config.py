"""The configs of the data layer name the field that is wrong."""

import pytest

from beam_preprocess.config import DataConfig, PreprocessingConfig
from beam_preprocess.validation import require, require_positive


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"dataset": "bratz"},
            "data.dataset must be one of brats, dagm, nnunet, decathlon, isbi2012, severstal,"
            " folders, brats-records, dagm-records, or the import path of a class, got 'bratz'",
        ),
        ({"folds": 1}, "data.folds must be between 2 and 20, got 1"),
        ({"folds": 21}, "data.folds must be between 2 and 20, got 21"),
        ({"cases_per_shard": 0}, "data.cases_per_shard must be above 0, got 0"),
        (
            {"dataset": "dagm", "classes": (1, 11)},
            "data.classes must be numbers between 1 and 10, got (1, 11)",
        ),
        (
            {"dataset": "dagm", "classes": (0,)},
            "data.classes must be numbers between 1 and 10, got (0,)",
        ),
        (
            {"classes": (1,)},
            "data.classes must be empty for dataset 'brats', which has no classes, got (1,)",
        ),
    ],
)
def test_data_config_out_of_range(values, message):
    with pytest.raises(ValueError) as error:
        DataConfig(**{"dataset": "brats", **values})
    assert str(error.value) == message


@pytest.mark.parametrize("folds", [2, 20])
def test_folds_at_the_limits(folds):
    config = DataConfig(dataset="dagm", folds=folds, classes=(1, 10), cases_per_shard=1)
    assert config.folds == folds


@pytest.mark.parametrize("clip", [(-0.1, 99), (1, 100.1), (50, 50), (99, 1), (float("nan"), 99)])
def test_clip_percentiles_out_of_range(clip):
    with pytest.raises(ValueError) as error:
        PreprocessingConfig(clip_percentiles=clip)
    assert str(error.value) == (
        "preprocessing.clip_percentiles must be two rising percentages between 0 and 100,"
        f" got {clip}"
    )


def test_unknown_profile():
    message = "preprocessing.profile must be one of 'corrected', 'reference', got 'legacy'"
    with pytest.raises(ValueError, match=f"^{message}$"):
        PreprocessingConfig(profile="legacy")


def test_clip_percentiles_at_the_limits():
    assert PreprocessingConfig(clip_percentiles=(0, 100)).clip_percentiles == (0, 100)


def test_require():
    require(True, "a.b", 1, "anything")
    with pytest.raises(ValueError, match=r"^a.b must be even, got '1'$"):
        require(False, "a.b", "1", "even")


def test_require_positive_names_the_first_that_is_not():
    config = DataConfig(dataset="brats", fold_seed=0)
    require_positive(config, "data", ["folds", "cases_per_shard"])
    with pytest.raises(ValueError, match=r"^data.fold_seed must be above 0, got 0$"):
        require_positive(config, "data", ["folds", "fold_seed"])
