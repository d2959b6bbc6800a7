"""gate.max_drop by hand: paired differences, both directions, and what is no fair comparison."""

import pytest

from components.gate import make_evidence
from components.gate_config import GateConfig
from components.gate_drop import Deployed, judge_drop
from trainer.metrics.config import StatisticsConfig

from .cases import photograph, scored

NEW = [[scored("a", 0.75, hd95=4), scored("b", 0.5, hd95=6)], [scored("c", 0.25, hd95=8)]]
EVIDENCE = make_evidence(NEW, StatisticsConfig(resamples=200))


def drop(deployed: Deployed, max_drop: float = 0.125, select: str = "WT/dice", evidence=EVIDENCE):
    return judge_drop(evidence, deployed, GateConfig(select=select, max_drop=max_drop))


def deployed(*cases, **more) -> Deployed:
    return Deployed(**{"version": "17", "held_out": 3, "cases": cases} | more)


def test_nothing_is_deployed():
    verdict, record = drop(Deployed(version=""))
    assert (verdict.passed, verdict.value, verdict.of, record) == (True, None, "drop", None)
    assert verdict.sentence == (
        "Nothing is deployed yet that the model could be worse than (gate.max_drop)."
    )


def test_drop_within_the_bound():
    """0.75 - 0.875 and 0.5 - 0.5 and 0.25 - 0.5: mean -0.125."""
    old = deployed(scored("c", 0.5), scored("a", 0.875), scored("b", 0.5), split="test")
    verdict, record = drop(old)
    assert (verdict.value, verdict.bound, verdict.n, verdict.passed) == (0.125, 0.125, 3, True)
    assert verdict.sentence.startswith(
        "WT/dice: 0.1250 worse than the deployed version 17 on 3 cases of test (difference -0."
    )
    assert verdict.sentence.endswith("), within the 0.1250 that gate.max_drop allows.")
    assert (record["version"], record["n"], record["max_drop"]) == ("17", 3, 0.125)
    assert record["difference"]["mean"] == -0.125
    assert record["scores"]["regions"]["WT"]["scores"]["dice"]["mean"] == 1.875 / 3
    assert record["new_scores"]["regions"]["WT"]["scores"]["dice"]["mean"] == 0.5


def test_drop_beyond_the_bound():
    verdict, _ = drop(deployed(*(scored(i, 1.0) for i in "abc")), max_drop=0.25)
    assert (verdict.value, verdict.passed) == (0.5, False)
    assert "on 3 cases of folds" in verdict.sentence
    assert ", more than the 0.2500 that gate.max_drop allows." in verdict.sentence


def test_better_is_no_drop():
    verdict, _ = drop(deployed(*(scored(i, 0.25) for i in "abc")), max_drop=0)
    assert (verdict.value, verdict.passed) == (-0.25, True)
    assert verdict.sentence.startswith("WT/dice: 0.2500 better than the deployed version 17 on")


def test_no_difference():
    verdict, _ = drop(deployed(*NEW[0], *NEW[1]), max_drop=0)
    assert verdict.passed
    assert verdict.sentence.startswith("WT/dice: the same as the deployed version 17 on 3 cases")


def test_distances_drop_by_growing():
    """4 - 2, 6 - 6 and 8 - 4: 2 mm worse."""
    old = deployed(scored("a", hd95=2), scored("b", hd95=6), scored("c", hd95=4))
    verdict, _ = drop(old, 1.5, "WT/hd95")
    assert (verdict.value, verdict.passed) == (2, False)
    assert verdict.sentence.startswith("WT/hd95: 2.0000 mm worse than the deployed version 17")
    assert drop(old, 2, "WT/hd95")[0].passed


def test_only_cases_that_the_deployed_model_has_not_seen_count():
    """Of a and b it was trained on; 0.25 against 0.5 is left."""
    verdict, record = drop(deployed(scored("c", 0.5), seen=2), max_drop=0.25)
    assert (verdict.value, verdict.n, verdict.passed) == (0.25, 1, True)
    assert verdict.sentence == (
        "WT/dice: 0.2500 worse than the deployed version 17 on 1 case of folds, within the 0.2500"
        " that gate.max_drop allows; 2 of 3 held-out cases are left out, which it was trained on."
    )
    assert (record["seen"], record["held_out"], record["n"]) == (2, 3, 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"seen": 3}, "it was trained on all 3 held-out cases"),
        ({"reason": "its channels are a, those of the run b"}, "its channels are a, those of the"),
        ({"held_out": 0}, "there is no held-out case"),
    ],
)
def test_no_fair_comparison_does_not_hold(change, reason):
    """It has not been shown to be no worse."""
    verdict, record = drop(deployed(**change))
    assert (verdict.passed, verdict.value) == (False, None)
    start = f"WT/dice cannot be compared with that of the deployed version 17 ({reason}"
    assert verdict.sentence.startswith(start)
    assert "hold out labelled cases as `test`, or set gate.max_drop to null." in verdict.sentence
    assert record["reason"].startswith(reason)
    assert (record["n"], record["scores"], record["difference"]) == (0, None, None)


def test_model_that_is_deployed_already_is_not_compared_with_itself():
    verdict, record = drop(deployed(same=True))
    assert (verdict.passed, record["same"]) == (True, True)
    assert verdict.sentence == "The deployed version 17 has the same weights: it cannot be better."


def test_cases_without_a_value_on_one_side_are_no_pairs():
    verdict, _ = drop(deployed(scored("a"), scored("b", float("nan")), scored("c", 0.25)), 0)
    assert (verdict.n, verdict.value, verdict.passed) == (1, 0, True)
    verdict, _ = drop(deployed(scored("a"), scored("b"), scored("c")))
    assert (verdict.passed, verdict.value) == (False, None)
    assert "no case has a value with this model and with the deployed version" in verdict.sentence


def test_scores_of_whole_images():
    """Area 1/2 against 1 on the same three images."""
    kinds = {"c": True, "d": True, "e": False}
    new, old = ({"c": 0.2, "d": 0.6, "e": 0.4}, {"c": 0.9, "d": 0.8, "e": 0.1})
    sides = [[photograph(i, s[i], defective=kinds[i]) for i in "cde"] for s in (new, old)]
    evidence = make_evidence([sides[0]], StatisticsConfig(resamples=200))
    found, _ = drop(deployed(*sides[1]), 0.25, "images/auroc", evidence)
    assert (found.value, found.n, found.passed) == (0.5, 3, False)
    assert found.sentence.startswith(
        "images/auroc: 0.5000 worse than the deployed version 17 on 3 images of folds, more than"
    )
