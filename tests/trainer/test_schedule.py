"""Learning rates against tables that were worked out by hand."""

import pytest

from trainer.optimizer_config import ScheduleConfig
from trainer.schedule import rate_at

NVIDIA_2021 = ScheduleConfig(name="piecewise", boundaries=(0.5, 0.75), factors=(0.25, 0.2, 0.05))
"""UNet_3D_Medical of 2021 as it really behaves: its first two boundaries are the same step."""

INDUSTRIAL = ScheduleConfig(name="step-decay")
"""UNet_Industrial: 1e-4 * 0.8^floor(step / 500), of 2500 steps."""

PEAKS = {NVIDIA_2021: 2e-4, INDUSTRIAL: 1e-4}
"""Learning rates; 1 for all others."""


def schedule(name: str = "constant", **changes: object) -> ScheduleConfig:
    return ScheduleConfig(**({"name": name} | changes))


@pytest.mark.parametrize(
    ("config", "steps", "table"),
    [
        (schedule(), 10, {0: 1.0, 5: 1.0, 9: 1.0}),
        # 0.4 of 10 steps: (step + 1) / 4
        (schedule(warmup=0.4), 10, {0: 0.25, 1: 0.5, 2: 0.75, 3: 1.0, 4: 1.0, 9: 1.0}),
        (NVIDIA_2021, 16000, {0: 5e-5, 8000: 5e-5, 8001: 4e-5, 12000: 4e-5, 12001: 1e-5}),
        (NVIDIA_2021, 16000, {15999: 1e-5}),
        # eight workers take 2000 steps; boundaries 1000 and 1500
        (NVIDIA_2021, 2000, {0: 5e-5, 1000: 5e-5, 1001: 4e-5, 1500: 4e-5, 1501: 1e-5}),
        # 7 // 2 = 3 and 3 * 7 // 4 = 5
        (NVIDIA_2021, 7, {3: 5e-5, 4: 4e-5, 5: 4e-5, 6: 1e-5}),
        # after a warm-up of 2 of 10 steps, done = (step - 2) / 8
        (
            schedule("polynomial", power=1.0, warmup=0.2),
            10,
            {0: 0.5, 1: 1.0, 2: 1.0, 3: 7 / 8, 6: 0.5, 9: 1 / 8},
        ),
        (schedule("polynomial", power=2.0), 10, {0: 1.0, 5: 0.25, 9: 0.01}),
        (schedule("polynomial"), 10, {0: 1.0, 9: 0.1**0.9}),
        # (1 + cos(180 degrees * step / 8)) / 2: cos 45 = 0.7071068, cos 157.5 = -0.9238795
        (schedule("cosine"), 8, {0: 1.0, 2: 0.8535534, 4: 0.5, 6: 0.1464466, 7: 0.0380602}),
        (schedule("cosine", warmup=0.5), 8, {0: 0.25, 3: 1.0, 4: 1.0, 6: 0.5, 7: 0.1464466}),
        # 0.8^2 = 0.64, 0.8^4 = 0.4096
        (INDUSTRIAL, 2500, {0: 1e-4, 499: 1e-4, 500: 8e-5, 999: 8e-5, 1000: 6.4e-5}),
        (INDUSTRIAL, 2500, {2499: 4.096e-5}),
        # times every step where the interval is less than one
        (schedule("step-decay", decay_factor=0.5), 3, {0: 1.0, 1: 0.5, 2: 0.25}),
        # 0.29 * 100 is 28.999999999999996 in binary
        (schedule("step-decay", decay_interval=0.29), 100, {28: 1.0, 29: 0.8, 57: 0.8, 58: 0.64}),
    ],
)
def test_rates(config: ScheduleConfig, steps: int, table: dict[int, float]) -> None:
    peak = PEAKS.get(config, 1.0)
    rates = {step: rate_at(step, config, learning_rate=peak, steps=steps) for step in table}
    assert rates == pytest.approx(table, rel=1e-6)


@pytest.mark.parametrize("warmup", [0.0, 0.3, 0.999999999999])
@pytest.mark.parametrize("steps", [1, 2, 3, 50])
@pytest.mark.parametrize(
    "config",
    [
        schedule(),
        schedule("piecewise", boundaries=(0.5,), factors=(1.0, 0.1)),
        schedule("polynomial"),
        schedule("cosine"),
        schedule("step-decay"),
    ],
    ids=lambda c: c.name,
)
def test_no_step_is_wasted_or_above_the_peak(
    config: ScheduleConfig, steps: int, warmup: float
) -> None:
    config = ScheduleConfig(**(vars(config) | {"warmup": warmup}))
    rates = [rate_at(step, config, learning_rate=1.0, steps=steps) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)


@pytest.mark.parametrize(("scale", "rate"), [(False, 0.5), (True, 4.0)])
def test_rate_grows_with_the_workers_where_asked(scale: bool, rate: float) -> None:
    """Second of four warm-up steps: half of 1, or of 8 * 1."""
    config = schedule(scale_with_workers=scale, warmup=0.4)
    assert rate_at(1, config, learning_rate=1.0, steps=10, workers=8) == pytest.approx(rate)


@pytest.mark.parametrize("step", [-1, 10])
def test_step_outside_of_the_training(step: int) -> None:
    message = rf"^step must be at least 0 and below the 10 of the training, got {step}$"
    with pytest.raises(ValueError, match=message):
        rate_at(step, schedule(), learning_rate=1.0, steps=10)
