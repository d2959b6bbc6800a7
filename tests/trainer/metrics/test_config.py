"""What the options of scores and intervals may be."""

import pytest

from trainer.metrics.config import MetricsConfig, StatisticsConfig


def test_the_defaults_are_those_of_brats_2023_for_gliomas() -> None:
    config = MetricsConfig()
    assert (config.lesion_dilation, config.lesion_ignored_mm3, config.hd95_penalty_mm) == (
        3,
        50,
        374,
    )


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("surface_tolerance_mm", 0.0, "above 0"),
        ("hd95_penalty_mm", -1.0, "above 0"),
        ("lesion_dilation", 0, "above 0"),
        ("lesion_ignored_mm3", -1.0, "0 or more"),
    ],
)
def test_scores(field: str, value: float, rule: str) -> None:
    with pytest.raises(ValueError, match=f"^evaluation.metrics.{field} must be {rule}, got"):
        MetricsConfig(**{field: value})


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("level", 0.0, "between 0 and 1"),
        ("level", 1.0, "between 0 and 1"),
        ("resamples", 0, "above 0"),
        ("seed", -1, "0 or more"),
    ],
)
def test_intervals(field: str, value: float, rule: str) -> None:
    with pytest.raises(ValueError, match=f"^evaluation.statistics.{field} must be {rule}, got"):
        StatisticsConfig(**{field: value})
