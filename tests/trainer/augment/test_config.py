"""Which options of the augmentation go together."""

from dataclasses import fields, replace

import pytest

from beam_preprocess.config_io import from_json, to_json
from trainer.augment.config import AugmentConfig

FULL = AugmentConfig(profile="full")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("profile", "reference", "one of 'basic', 'full', 'reference-3d', .*, got 'reference'"),
        ("brightness", 1.0, "at least 0 and below 1, got 1.0"),
        ("contrast", -0.1, "at least 0 and below 1, got -0.1"),
        ("gamma_probability", 1.1, "between 0 and 1, got 1.1"),
        ("elastic_probability", -0.1, "between 0 and 1, got -0.1"),
        ("rotate_degrees", 181.0, "between 0 and 180, got 181.0"),
        ("elastic_share", 0.4, "at least 0 and below 0.4, got 0.4"),
        ("noise_stdev", -1.0, "at least 0, got -1.0"),
        ("low_resolution", 0.0, "above 0 and at most 1, got 0.0"),
        ("scale_range", (1.4, 0.7), r"two numbers above 0, .*, got \(1.4, 0.7\)"),
        ("blur_sigma", (0.0, 1.0), r"two numbers above 0, .*, got \(0.0, 1.0\)"),
    ],
)
def test_error_names_field_value_and_what_is_allowed(
    field: str, value: object, message: str
) -> None:
    with pytest.raises(ValueError, match=rf"^trainer\.augment\.{field} must be {message}$"):
        replace(FULL, **{field: value})


@pytest.mark.parametrize(
    ("profile", "field", "value", "takers"),
    [
        ("basic", "gamma_probability", 0.5, "full"),
        ("basic", "scale_range", (0.9, 1.1), "full"),
        ("reference-3d", "flips", False, "full, or basic"),
        ("reference-dagm", "elastic_share", 0.1, "full"),
    ],
)
def test_an_option_without_effect_is_refused(
    profile: str, field: str, value: object, takers: str
) -> None:
    with pytest.raises(ValueError, match=rf"{field} must be left at .* \(profile {takers} takes"):
        AugmentConfig(profile=profile, **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (AugmentConfig(), False),
        (FULL, True),
        (replace(FULL, enabled=False), False),
        (replace(FULL, rotate_probability=0, scale_probability=0), True),
        (replace(FULL, rotate_probability=0, scale_probability=0, elastic_probability=0), False),
    ],
)
def test_resamples_where_something_is_interpolated(config: AugmentConfig, expected: bool) -> None:
    assert config.resamples == expected


def test_everything_can_be_off_one_by_one() -> None:
    off = {f.name: 0.0 for f in fields(FULL) if f.name.endswith("_probability")}
    config = replace(FULL, flips=False, rotations=False, brightness=0.0, **off)
    assert len(off) == 8 and not config.resamples


@pytest.mark.parametrize(
    "config", [AugmentConfig(), replace(FULL, gamma_range=(0.5, 2.0)), AugmentConfig(enabled=False)]
)
def test_config_survives_json(config: AugmentConfig) -> None:
    assert from_json(AugmentConfig, to_json(config)) == config
