"""What the options of scores and intervals may be."""

import pytest

from trainer.metrics.config import MetricsConfig, StatisticsConfig


def test_the_defaults_are_those_of_brats_2023_for_gliomas() -> None:
    config = MetricsConfig()
    assert (config.lesion_dilation, config.lesion_ignored_mm3, config.penalty_mm) == (3, 50, 374)


@pytest.mark.parametrize(
    ("shape", "spacing", "penalty"),
    [
        ((240, 240, 155), (1, 1, 1), 374),  # the diagonal is 373.0
        ((30, 40, 0), (1, 1, 1), 374),
        ((300, 400, 0), (1, 1, 1), 500),
        ((30, 40, 120), (10, 10, 1), 514.2),
        ((30, 40), (1, 1), 50),
        ((512, 512), (1, 1), 724.1),
    ],
)
def test_penalty_is_no_less_than_any_distance(shape, spacing, penalty) -> None:
    """A defect that is missed must not score better than one found in the wrong corner."""
    found = MetricsConfig(lesion_dilation=1).for_grid(shape, spacing)
    assert found.penalty_mm == pytest.approx(penalty, abs=0.05)
    assert found.lesion_dilation == 1


def test_penalty_that_is_given_holds_in_every_grid() -> None:
    assert MetricsConfig(hd95_penalty_mm=9).for_grid((512, 512), (1, 1)).penalty_mm == 9


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
