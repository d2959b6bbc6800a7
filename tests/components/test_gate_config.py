"""The gate's config."""

import json
from dataclasses import FrozenInstanceError, asdict

import pytest

from beam_preprocess.config_io import from_json, to_json
from components.gate_config import GateConfig, GateRule, best


def test_no_rules_and_no_comparison_unless_they_are_given():
    config = GateConfig(select="WT/dice")
    assert (config.rules, config.max_drop, config.deploy) == ((), None, "best-fold")


@pytest.mark.parametrize("bound", [0, 0.5, 1])
def test_bounds_of_shares(bound):
    assert GateRule(score="ET/dice", bound=bound).bound == bound


@pytest.mark.parametrize("bound", [-0.1, 1.01, 85, float("nan"), float("inf")])
def test_bounds_of_shares_lie_between_0_and_1(bound):
    message = rf"^gate.rules.bound of ET/dice must be between 0 and 1, got {bound}$"
    with pytest.raises(ValueError, match=message):
        GateRule(score="ET/dice", bound=bound)


def test_bounds_of_distances_and_counts_are_not_limited_to_1():
    assert GateRule(score="WT/hd95", bound=8).bound == 8
    assert GateRule(score="WT/lesions_missed", bound=1.5).bound == 1.5


@pytest.mark.parametrize("bound", [-1, float("nan"), float("inf")])
def test_bounds_of_distances_are_lengths(bound):
    message = rf"^gate.rules.bound of WT/hd95 must be 0 or more, and finite, got {bound}$"
    with pytest.raises(ValueError, match=message):
        GateRule(score="WT/hd95", bound=bound)


@pytest.mark.parametrize("name", ["dice", "/dice", "WT", "WT/", "WT/Dice", ""])
@pytest.mark.parametrize("field", ["gate.select", "gate.rules.score"])
def test_names_of_scores(field, name):
    with pytest.raises(
        ValueError, match=rf"^{field} must be REGION/SCORE, such as .*got '{name}'$"
    ):
        if field == "gate.select":
            GateConfig(select=name)
        else:
            GateRule(score=name, bound=0.5)


@pytest.mark.parametrize("name", ["volume_difference", "truth_ml", "lesions_found"])
def test_scores_without_a_good_end_are_refused(name):
    """Best at zero, or no score at all: there is no side that a bound could be on."""
    message = rf"^gate.rules.score must be a score that is best when high or low .*: '{name}' has"
    with pytest.raises(ValueError, match=message):
        GateRule(score=f"WT/{name}", bound=0)
    with pytest.raises(ValueError, match="^gate.select must be a score that is best when"):
        GateConfig(select=f"WT/{name}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"of": "median"}, "^gate.rules.of must be one of 'mean', 'confidence', 'worst-fold'"),
        ({"slice": "HGG"}, "^gate.rules.slice must be COLUMN=VALUE, .*got 'HGG'$"),
        ({"slice": "=HGG"}, "^gate.rules.slice must be COLUMN=VALUE"),
        ({"slice": "stratum="}, "^gate.rules.slice must be COLUMN=VALUE"),
    ],
)
def test_rules_that_cannot_be(change, message):
    with pytest.raises(ValueError, match=message):
        GateRule(score="WT/dice", bound=0.5, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"deploy": "all"}, "^gate.deploy must be one of 'best-fold', 'ensemble', 'refit'"),
        ({"max_drop": -0.01}, "^gate.max_drop must be 0 or more, and finite, or null, got -0.01$"),
        ({"max_drop": float("nan")}, "^gate.max_drop must be 0 or more"),
    ],
)
def test_gates_that_cannot_be(change, message):
    with pytest.raises(ValueError, match=message):
        GateConfig(select="WT/dice", **change)


def test_direction_is_that_of_the_score():
    assert [best(f"WT/{s}") for s in ("dice", "hd95", "truth_ml")] == ["high", "low", "none"]
    assert best("images/auroc") == "high"


@pytest.mark.parametrize("max_drop", [None, 0.0, 0.02])
def test_travels_as_json(max_drop):
    rules = (GateRule(score="WT/hd95", bound=8, of="confidence", slice="site=A=B"),)
    config = GateConfig(select="ET/dice", rules=rules, max_drop=max_drop, deploy="refit")
    assert from_json(GateConfig, to_json(config)) == config
    assert json.loads(to_json(config))["rules"] == [asdict(rules[0])]


def test_config_is_frozen_and_takes_no_positions():
    with pytest.raises(FrozenInstanceError):
        GateConfig(select="WT/dice").select = "ET/dice"
    with pytest.raises(TypeError, match="positional"):
        GateConfig("WT/dice")
