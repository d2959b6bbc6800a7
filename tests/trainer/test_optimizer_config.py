"""Configs of optimiser and schedule: errors, the way to JSON, and no TensorFlow."""

import subprocess
import sys
from dataclasses import replace

import pytest

from beam_preprocess.config_io import from_json, to_json
from trainer.optimizer_config import OptimizerConfig, ScheduleConfig

PIECEWISE = ScheduleConfig(name="piecewise", boundaries=(0.5, 0.75), factors=(1.0, 0.5, 0.1))
OPTIMIZER = OptimizerConfig()
SHARE = "at least 0 and below 1"
RISING = "one or more shares, each above the one before, above 0 and below 1"


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (ScheduleConfig(), {"name": "linear"}, r"name must be one of 'constant', .*, got 'linear'"),
        (ScheduleConfig(), {"power": 0.0}, r"power must be above 0, got 0\.0"),
        (ScheduleConfig(), {"power": -1.0}, r"power must be above 0, got -1\.0"),
        (ScheduleConfig(), {"warmup": 1.0}, rf"warmup must be {SHARE}, got 1\.0"),
        (ScheduleConfig(), {"decay_factor": 1.5}, r"decay_factor must be .* at most 1, got 1\.5"),
        (ScheduleConfig(), {"decay_interval": 0.0}, r"decay_interval must be above 0 .*, got 0\.0"),
        # the defect of UNet_3D_Medical: a boundary twice, and a rate that is never used
        (
            PIECEWISE,
            {"boundaries": (0.5, 0.5)},
            rf"boundaries must be {RISING}, got \(0\.5, 0\.5\)",
        ),
        (PIECEWISE, {"boundaries": (0.75, 0.5)}, rf"boundaries must be {RISING}, got .*"),
        (PIECEWISE, {"boundaries": (0.0, 0.5)}, rf"boundaries must be {RISING}, got .*"),
        (PIECEWISE, {"boundaries": (0.5, 1.0)}, rf"boundaries must be {RISING}, got .*"),
        (PIECEWISE, {"boundaries": ()}, rf"boundaries must be {RISING}, got \(\)"),
        (
            PIECEWISE,
            {"factors": (1.0, 0.1)},
            r"factors must be 3 numbers above 0, one more than trainer\.schedule\.boundaries, .*",
        ),
        (PIECEWISE, {"factors": (1.0, 0.1, 0.0)}, r"factors must be 3 numbers above 0, .*"),
        (
            PIECEWISE,
            {"name": "cosine"},
            r"boundaries must be empty where trainer\.schedule\.name is 'cosine', .*",
        ),
        (ScheduleConfig(), {"factors": (1.0,)}, r"factors must be empty where .*, got \(1\.0,\)"),
    ],
)
def test_schedule_errors(config: ScheduleConfig, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^trainer\.schedule\.{message}$"):
        replace(config, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "lamb"}, r"name must be one of 'adam', 'adamw', 'rmsprop', 'sgd', got 'lamb'"),
        ({"epsilon": 0.0}, r"epsilon must be above 0, got 0\.0"),
        ({"accumulate_parts": 0}, r"accumulate_parts must be above 0, got 0"),
        ({"weight_decay": -0.1}, r"weight_decay must be 0 or above, got -0\.1"),
        ({"clip_norm": -1.0}, r"clip_norm must be 0 or above, got -1\.0"),
        ({"momentum": 1.0}, rf"momentum must be {SHARE}, got 1\.0"),
        ({"rho": -0.1}, rf"rho must be {SHARE}, got -0\.1"),
        ({"ema_decay": 1.0}, rf"ema_decay must be {SHARE}, got 1\.0"),
        ({"betas": (0.9, 1.0)}, rf"betas\[1\] must be {SHARE}, got 1\.0"),
        (
            {"name": "adamw", "decay_all": True},
            r"decay_all must be False where trainer\.optimizer\.name is 'adamw', .*, got True",
        ),
    ],
)
def test_optimizer_errors(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^trainer\.optimizer\.{message}$"):
        replace(OPTIMIZER, **changes)


@pytest.mark.parametrize(
    "config",
    [
        ScheduleConfig(),
        PIECEWISE,
        OPTIMIZER,
        replace(OPTIMIZER, name="rmsprop", betas=(0.8, 0.99), centred=True, decay_all=True),
    ],
)
def test_config_survives_json(config: object) -> None:
    assert from_json(type(config), to_json(config)) == config


def test_configs_and_rates_need_no_tensorflow() -> None:
    code = "import sys, trainer.schedule; sys.exit(len({'tensorflow', 'keras'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
