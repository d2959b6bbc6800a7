"""Options without a command line: what they check by themselves, and what follows from them."""

from dataclasses import replace
from pathlib import Path

import pytest

from trainer.presets import PRESETS
from trainer.reference.options import CLASSES, NETWORKS, REFERENCES, ReferenceOptions
from trainer.reference.parser import parse_options

OPTIONS = parse_options(["--exec_mode", "train", "--model_dir", "m", "--synth_data"])


@pytest.mark.parametrize("name", REFERENCES)
def test_the_defaults_of_every_reference_fit_together(name: str) -> None:
    line = ["--exec_mode", "train", "--model_dir", "m", "--synth_data", "--reference", name]
    options = parse_options(line)
    reference = REFERENCES[name]
    assert options.details is reference
    assert options.model == PRESETS[reference.network]
    assert options.model.rank == reference.rank == len(options.input_shape)
    assert options.model.output_size(options.input_shape) == options.input_shape
    assert options.model.classes == CLASSES[reference.rank]


def test_networks_fit_the_labels_of_the_records() -> None:
    assert "unet2d-medical" not in NETWORKS  # two softmax classes
    assert {PRESETS[name].classes for name in NETWORKS} == {1, 4}


def test_normalisation_replaces_that_of_the_preset() -> None:
    assert OPTIONS.model.norm == "instance"
    assert replace(OPTIONS, norm="batch").model == replace(PRESETS["unet3d"], norm="batch")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"exec_mode": "fit"},
            r"reference options.exec_mode must be one of 'train', .*, got 'fit'",
        ),
        ({"precision": "half"}, "reference options.precision must be one of 'float32', "),
        ({"fold": 5}, r"--fold must be 0 to 4 \(--num_folds 5\), or all, got 5"),
        ({"data_dir": Path("d")}, "--data_dir must be given, a folder of records, unless"),
        ({"synth_data": False}, "--data_dir must be given, a folder of records, unless"),
        ({"loss": "bce"}, "--loss must be one of dice, ce, dice.ce, got 'bce'"),
    ],
)
def test_options_check_themselves(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        replace(OPTIONS, **changes)


def test_options_are_frozen() -> None:
    with pytest.raises(AttributeError, match="cannot assign to field 'fold'"):
        OPTIONS.fold = 1  # type: ignore[misc]
    assert isinstance(OPTIONS, ReferenceOptions)
