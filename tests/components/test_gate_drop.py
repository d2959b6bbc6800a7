"""gate.max_drop by hand: paired differences, both directions, and what is no fair comparison."""

from math import nan

import pytest

from components.gate import Evidence, make_evidence
from components.gate_config import GateConfig
from components.gate_drop import Deployed, judge_drop
from trainer.metrics.config import StatisticsConfig

from .cases import photograph, scored

NEW = [[scored("a", 0.75, hd95=4), scored("b", 0.5, hd95=6)], [scored("c", 0.25, hd95=8)]]
STATISTICS = StatisticsConfig(resamples=200)


def evidence_of(*folds):
    return make_evidence(folds, STATISTICS, threshold=0.5)


EVIDENCE = evidence_of(*NEW)


def drop(deployed: Deployed, max_drop: float = 0.125, select: str = "WT/dice", evidence=EVIDENCE):
    return judge_drop(evidence, deployed, GateConfig(select=select, max_drop=max_drop))


def deployed(*cases, **more) -> Deployed:
    return Deployed(**{"version": "17", "held_out": 3, "cases": cases} | more)


def test_nothing_is_deployed():
    verdict, record = drop(Deployed(version=""))
    assert (verdict.passed, verdict.value, verdict.of, record) == (True, None, "drop", None)
    assert verdict.sentence == (
        "No other model is deployed that this one could be worse than (gate.max_drop)."
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
    """On a it was trained; 0.5 against 0.5 and 0.25 against 0.75 are left."""
    old = deployed(scored("b", 0.5), scored("c", 0.75), seen=1)
    verdict, record = drop(old, max_drop=0.25)
    assert (verdict.value, verdict.n, verdict.passed) == (0.25, 2, True)
    assert verdict.sentence == (
        "WT/dice: 0.2500 worse than the deployed version 17 on 2 cases of folds (difference -0.5000"
        " to +0.0000), within the 0.2500 that gate.max_drop allows; 1 of 3 held-out cases are left"
        " out, which it was trained on."
    )
    assert (record["seen"], record["held_out"], record["n"]) == (1, 3, 2)


def test_one_case_decides_nothing():
    """Of a and b it was trained on; c is better now."""
    verdict, record = drop(deployed(scored("c", 0.125), seen=2))
    assert (verdict.value, verdict.n, verdict.passed) == (-0.125, 1, False)
    assert verdict.sentence == (
        "WT/dice: 0.1250 better than the deployed version 17 on 1 case of folds; that decides"
        " nothing, as 2 cases at least are needed (gate.max_drop); 2 of 3 held-out cases are left"
        " out, which it was trained on."
    )
    assert record["n"] == 1


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


# Cases without truth, to which `nan` gives no value unless something is found there.
CLEAN = [f"clean-{i}" for i in range(9)]


@pytest.mark.parametrize(("score", "good", "bad"), [("dice", 0.75, 0.0), ("hd95", 4.0, 374.0)])
def test_what_only_the_new_model_finds_where_nothing_is_counts(score, good, bad):
    """The old model rightly left nine cases empty; the new one hallucinates in all of them."""
    empty = [scored(c, **{score: nan}) for c in CLEAN]
    found = [scored(c, **{score: bad}) for c in CLEAN]
    one = scored("a", **{score: good})
    new = evidence_of([one, *found])
    verdict, record = drop(deployed(one, *empty, held_out=10), 0, f"WT/{score}", new)
    assert (verdict.value, verdict.n, verdict.passed) == (
        9 * abs(bad - (score == "dice")) / 10,
        10,
        False,
    )
    assert (record["rightly_empty"], record["unpaired"]) == (9, 0)
    assert "; 9 that one of the models rightly left empty count as best." in verdict.sentence
    back, _ = drop(deployed(one, *found, held_out=10), 0, f"WT/{score}", evidence_of([one, *empty]))
    assert (back.value, back.passed) == (-verdict.value, True)


def test_cases_that_both_rightly_leave_empty_are_left_out():
    cases = [scored("a", 0.5), scored("b", 0.5), scored("c", nan)]
    verdict, record = drop(deployed(*cases), 0, evidence=evidence_of(cases))
    assert (verdict.n, verdict.value, verdict.passed) == (2, 0, True)
    assert (record["rightly_empty"], record["unpaired"]) == (0, 0)


def test_cases_that_one_model_alone_has_the_score_of_decide_nothing():
    verdict, record = drop(deployed(scored("a"), scored("b", 0.5), scored("c", 0.25)))
    assert (verdict.n, verdict.value, verdict.passed, record["unpaired"]) == (2, 0, False, 1)
    assert "as of the cases 1 has a value with one of the models alone." in verdict.sentence
    verdict, _ = drop(deployed(scored("a"), scored("b"), scored("c")))
    assert (verdict.passed, verdict.value) == (False, None)
    assert "no case has a value with this model and with the deployed version" in verdict.sentence


def test_scores_of_whole_images():
    """Area 1/2 against 1 on the same three images."""
    kinds = {"c": True, "d": True, "e": False}
    new, old = ({"c": 0.2, "d": 0.6, "e": 0.4}, {"c": 0.9, "d": 0.8, "e": 0.1})
    sides = [[photograph(i, s[i], defective=kinds[i]) for i in "cde"] for s in (new, old)]
    found, _ = drop(deployed(*sides[1]), 0.25, "images/auroc", evidence_of(sides[0]))
    assert (found.value, found.n, found.passed) == (0.5, 3, False)
    assert found.sentence.startswith(
        "images/auroc: 0.5000 worse than the deployed version 17 on 3 images of folds, more than"
    )


def images_of(shift: float, *ids: str):
    """A defective image at 0.6 and one without at 0.2, both moved."""
    return [
        photograph(i, 0.6 * ("d" in i) + 0.2 * ("g" in i) + shift, defective="d" in i) for i in ids
    ]


@pytest.mark.parametrize("score", ["tpr", "tnr"])
@pytest.mark.parametrize("shift", [-0.15, 0.3])
def test_images_of_the_folds_are_found_at_thresholds_of_each_model(score, shift):
    """Both models tell all images apart, the old one at other probabilities."""
    folds = [["d1", "g1"], ["d2", "g2"]]
    new = evidence_of(*(images_of(0, *fold) for fold in folds))
    old = deployed(*images_of(shift, "d1", "g1", "d2", "g2"), held_out=4)
    found, record = drop(old, 0, f"images/{score}", new)
    assert (found.value, found.n, found.passed) == (0, 2, True)
    assert record["scores"]["images"][score]["mean"] == 1
    assert record["scores"]["threshold"] == pytest.approx(0.4 + shift)


@pytest.mark.parametrize(("threshold", "passed"), [(0.7, 1), (0.4, 0)])
def test_images_of_test_are_found_at_the_threshold_that_was_deployed(threshold, passed):
    """The old model gives them 0.9 and 0.5."""
    new = Evidence(folds=[images_of(0, "d1", "g1")], thresholds=[0.4], statistics=STATISTICS)
    cases = images_of(0.3, "d1", "g1")
    old = deployed(*cases, held_out=2, split="test", threshold=threshold)
    _, record = drop(old, 0, "images/auroc", new)
    assert record["scores"]["threshold"] == threshold
    assert record["scores"]["images"]["tnr"]["mean"] == passed
    assert record["new_scores"]["images"]["tnr"]["mean"] == 1
