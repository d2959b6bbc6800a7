"""The gate's config."""

from dataclasses import FrozenInstanceError

import pytest

from components.gate_config import GateConfig


def test_no_thresholds_unless_they_are_given():
    assert GateConfig(select="WT").thresholds == {}
    assert GateConfig(select="WT") == GateConfig(select="WT", thresholds={})


@pytest.mark.parametrize("bound", [0, 0.5, 1])
def test_thresholds(bound):
    assert GateConfig(select="WT", thresholds={"ET": bound}).thresholds == {"ET": bound}


@pytest.mark.parametrize("bound", [-0.1, 1.01, 85, float("nan"), float("inf")])
def test_thresholds_are_shares(bound):
    message = rf"^gate.thresholds.ET must be between 0 and 1, got {bound}$"
    with pytest.raises(ValueError, match=message):
        GateConfig(select="WT", thresholds={"WT": 0.5, "ET": bound})


def test_config_is_frozen_and_takes_no_positions():
    with pytest.raises(FrozenInstanceError):
        GateConfig(select="WT").select = "ET"
    with pytest.raises(TypeError, match="positional"):
        GateConfig("WT")
