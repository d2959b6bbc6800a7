"""Verdicts by hand: each kind of rule, both directions, slices, and what has no value."""

from math import nan

import pytest

from beam_preprocess.datasets.brats import BRATS
from beam_preprocess.datasets.dagm import DAGM
from components.gate import best_fold, check_gate, figures, judge, judge_rule, make_evidence
from components.gate_config import GateConfig, GateRule
from trainer.config import EvaluationConfig
from trainer.metrics.config import StatisticsConfig
from trainer.metrics.summary import Summary

from .cases import photograph, scored

STATISTICS = StatisticsConfig(resamples=200)
# Three cases and one: the mean of all is 2.6 / 4 = 0.65, that of the folds' means would be 0.7.
UNEQUAL = [
    [scored("a", 0.9), scored("b", 0.6), scored("c", 0.3, stratum="LGG")],
    [scored("d", 0.8)],
]


def verdict(rule: GateRule, folds=UNEQUAL):
    return judge_rule(rule, make_evidence(folds, STATISTICS, threshold=0.5))


def rule(bound: float, score: str = "WT/dice", **more) -> GateRule:
    return GateRule(score=score, bound=bound, **more)


@pytest.mark.parametrize(
    ("bound", "passed", "sentence"),
    [
        (0.6, True, "WT/dice: mean 0.6500 of 4 cases reaches the bound 0.6000."),
        (0.7, False, "WT/dice: mean 0.6500 of 4 cases is below the bound 0.7000."),
        (0.65001, False, "WT/dice: mean 0.65000 of 4 cases is below the bound 0.65001."),
    ],
)
def test_mean_of_all_cases(bound, passed, sentence):
    found = verdict(rule(bound))
    assert (found.passed, found.sentence, found.n) == (passed, sentence, 4)
    assert found.value == pytest.approx(0.65)


@pytest.mark.parametrize(
    ("mean", "passed", "sentence"),
    [
        (0.75, True, "WT/dice: mean 0.7500 of 1 case reaches the bound 0.7500."),
        (0.74999, False, "WT/dice: mean 0.74999 of 1 case is below the bound 0.75000."),
        (0.750004, True, "WT/dice: mean 0.750004 of 1 case reaches the bound 0.750000."),
    ],
)
def test_as_many_decimals_as_tell_the_two_apart(mean, passed, sentence):
    found = verdict(rule(0.75), [[scored("a", mean)]])
    assert (found.passed, found.sentence) == (passed, sentence)
    assert figures(0.1, 0.1) == ("0.1000", "0.1000")


@pytest.mark.parametrize(
    ("bound", "passed", "sentence"),
    [
        (6, True, "WT/hd95: mean 6.0000 mm of 2 cases stays within the bound 6.0000 mm."),
        (5.9, False, "WT/hd95: mean 6.0000 mm of 2 cases exceeds the bound 5.9000 mm."),
    ],
)
def test_distances_are_bounded_from_above(bound, passed, sentence):
    folds = [[scored("a", hd95=4)], [scored("b", hd95=8)]]
    found = verdict(rule(bound, "WT/hd95"), folds)
    assert (found.value, found.passed, found.sentence) == (6, passed, sentence)


def test_distances_of_photographs_are_in_pixels():
    evidence = make_evidence([[scored("a", hd95=4)]], STATISTICS, threshold=0.5, rank=2)
    sentence = judge_rule(rule(6, "WT/hd95"), evidence).sentence
    assert sentence == (
        "WT/hd95: mean 4.0000 pixels of 1 case stays within the bound 6.0000 pixels."
    )


# Of 0.5 and 1.0 a draw has mean 0.5, 0.75 or 1.0; a quarter of the draws each end.
TWO = [[scored("a", 0.5, hd95=4)], [scored("b", 1.0, hd95=8)]]


def test_lower_end_of_the_interval_where_much_is_good():
    found = verdict(rule(0.6, of="confidence"), TWO)
    assert (found.value, found.passed) == (0.5, False)
    assert found.sentence == (
        "WT/dice: lower end 0.5000 of the 95 % interval of the mean of 2 cases is below the bound"
        " 0.6000."
    )


def test_upper_end_of_the_interval_where_little_is_good():
    found = verdict(rule(7, "WT/hd95", of="confidence"), TWO)
    assert (found.value, found.passed) == (8, False)
    assert found.sentence == (
        "WT/hd95: upper end 8.0000 mm of the 95 % interval of the mean of 2 cases exceeds the bound"
        " 7.0000 mm."
    )


def test_bound_on_an_interval_says_where_patients_have_several_cases():
    groups = {"a": "p", "b": "p", "c": "q"}
    folds = [[scored("a", 0.9), scored("b", 0.6)], [scored("c", 0.3, stratum="LGG")]]
    evidence = make_evidence(folds, STATISTICS, threshold=0.5, groups=groups)
    said = judge_rule(rule(0.2, of="confidence"), evidence).sentence
    assert said.endswith(
        " reaches the bound 0.2000. 1 of 2 patients or objects have several cases, which are alike:"
        " intervals take each case for an independent one, so that they are too narrow."
    )
    for other in (rule(0.2), rule(0.2, of="confidence", slice="stratum=LGG")):
        assert "alike" not in judge_rule(other, evidence).sentence


def test_one_case_has_no_interval():
    found = verdict(rule(0.6, of="confidence"), [[scored("a", 0.9)]])
    assert (found.value, found.passed) == (None, False)
    assert (
        found.sentence == "WT/dice has no value (no interval of 1 case), at least 0.6 is required."
    )


def test_worst_fold():
    found = verdict(rule(0.7, of="worst-fold"))
    assert found.value == pytest.approx(0.6)
    assert (found.n, found.passed) == (3, False)
    assert found.sentence == (
        "WT/dice: mean 0.6000 of 3 cases in fold 0, the worst of 2, is below the bound 0.7000."
    )


def test_worst_fold_is_the_one_with_the_largest_distance():
    found = verdict(rule(8, "WT/hd95", of="worst-fold"), TWO)
    assert (found.value, found.passed) == (8, True)
    assert "in fold 1, the worst of 2, stays within the bound 8.0000 mm." in found.sentence


def test_folds_without_a_value_are_not_the_worst():
    folds = [[scored("a", nan)], [scored("b", 0.5)], [scored("c", 0.7)]]
    found = verdict(rule(0.4, of="worst-fold"), folds)
    assert (found.value, found.passed) == (0.5, True)
    assert "in fold 1, the worst of 2," in found.sentence


def test_slice():
    """HGG: 0.9, 0.6 and 0.8."""
    found = verdict(rule(0.7, slice="stratum=HGG"))
    assert found.value == pytest.approx(2.3 / 3)
    assert found.sentence == (
        "WT/dice where stratum is HGG: mean 0.7667 of 3 cases reaches the bound 0.7000."
    )
    assert verdict(rule(0.7, slice="stratum=LGG")).value == 0.3
    worst = verdict(rule(0.7, slice="stratum=HGG", of="worst-fold"))
    assert worst.value == pytest.approx(0.75)


def test_slice_without_a_case():
    found = verdict(rule(0.7, slice="stratum=GBM"))
    assert (found.value, found.n, found.passed) == (None, 0, False)
    assert found.sentence == (
        "WT/dice where stratum is GBM has no value (no such case: stratum is HGG or LGG), at least"
        " 0.7 is required."
    )


@pytest.mark.parametrize("of", ["mean", "confidence", "worst-fold"])
@pytest.mark.parametrize("folds", [[[scored("a", nan)], [scored("b")]], [[], []]])
def test_score_that_no_case_has(folds, of):
    found = verdict(rule(0, of=of), folds)
    assert (found.value, found.passed) == (None, False)
    assert found.sentence == (
        "WT/dice has no value (no case that it is defined for), at least 0 is required."
    )
    low = verdict(rule(8, "WT/hd95", of=of), folds)
    assert low.sentence.endswith("at most 8 mm is required.")


def test_mean_of_zero_reaches_a_bound_of_zero():
    assert verdict(rule(0), [[scored("a", 0.0)]]).passed


def test_images():
    """Fold 0: 0.9 > 0.1, area 1; fold 1: of 0.2 and 0.6 one is above 0.4, area 1/2; 2 and 3."""
    folds = [
        [photograph("a", 0.9, defective=True), photograph("b", 0.1, defective=False)],
        [
            photograph("c", 0.2, defective=True),
            photograph("d", 0.6, defective=True),
            photograph("e", 0.4, defective=False),
        ],
    ]
    found = verdict(rule(0.7, "images/auroc"), folds)
    assert found.value == pytest.approx((2 * 1 + 3 * 0.5) / 5)
    assert found.sentence == "images/auroc: mean 0.7000 of 5 images reaches the bound 0.7000."
    assert verdict(rule(0.7, "images/auroc", of="worst-fold"), folds).value == 0.5


@pytest.mark.parametrize("score", ["WT/dice", "WT/hd95", "ET/dice", "images/auroc", "images/tpr"])
@pytest.mark.parametrize("column", ["stratum", ""])
def test_one_score_alone_is_what_it_is_among_all(score, column):
    folds = [[scored("a", 0.5, hd95=4), scored("b", nan)], [scored("c", 1.0, stratum="LGG")]]
    folds[0].append(photograph("d", 0.9, defective=True))
    folds[1] += [photograph("e", 0.1, defective=False), photograph("f", 0.3, defective=True)]
    evidence = make_evidence(folds, STATISTICS, threshold=0.25)
    parts = evidence.slices(column).values() if column else [evidence, evidence.fold(1)]
    for part in parts:
        assert part.find(score) == (part.sum_up().find(score) or Summary(n=0, n_nan=0))


def test_images_that_others_cannot_choose_a_threshold_for_have_the_one_of_the_network():
    folds = [[photograph("a", 0.4, defective=True), photograph("b", 0.1, defective=False)]]
    for threshold, share in ((0.25, 1), (0.5, 0)):
        evidence = make_evidence(folds, STATISTICS, threshold=threshold)
        assert (evidence.thresholds, evidence.find("images/tpr").mean) == ([threshold], share)


def test_all_rules_must_hold_and_each_is_told_in_its_order():
    config = GateConfig(select="WT/dice", rules=(rule(0.6), rule(0.9), rule(8, "WT/hd95")))
    blessed, verdicts = judge(make_evidence(UNEQUAL, STATISTICS, threshold=0.5), config)
    assert not blessed
    assert [v.passed for v in verdicts] == [True, False, False]
    first = GateConfig(select="WT/dice", rules=(rule(0.6),))
    assert judge(make_evidence(UNEQUAL, STATISTICS, threshold=0.5), first)[0]


def test_nothing_is_blessed_without_rules():
    assert judge(
        make_evidence(UNEQUAL, STATISTICS, threshold=0.5), GateConfig(select="WT/dice")
    ) == (False, [])


def folds_of(*values: float | None):
    folds = [[scored(f"{i}", v, hd95=i)] for i, v in enumerate(values)]
    return make_evidence(folds, STATISTICS, threshold=0.5)


@pytest.mark.parametrize(
    ("values", "chosen"),
    [
        ((0.1, 0.9, 0.5), 1),
        ((0.5, 0.9, 0.9), 1),
        ((nan, 0.0), 1),
        ((0.3, None, 0.4), 2),
        ((nan, nan), 0),
        ((0.0, 0.0), 0),
    ],
)
def test_best_fold(values, chosen):
    """The first of the best; a fold without value never wins over one with."""
    assert best_fold(folds_of(*values), "WT/dice") == chosen


def test_best_fold_has_the_smallest_distance():
    assert best_fold(folds_of(0.1, 0.9, 0.5), "WT/hd95") == 0


EVALUATION = EvaluationConfig(slices=("stratum", "site"))


@pytest.mark.parametrize(
    ("info", "config"),
    [
        (BRATS, GateConfig(select="TumorCore/dice", rules=(rule(8, "ET/lesion_hd95"),))),
        (BRATS, GateConfig(select="mean/dice", rules=(rule(0.5, slice="site=A"),))),
        (DAGM, GateConfig(select="defect/iou", rules=(rule(0.9, "images/tpr"),))),
    ],
)
def test_check_gate_knows_the_scores_that_cases_get(info, config):
    assert check_gate(config, info, EVALUATION) is None


@pytest.mark.parametrize(
    ("info", "config", "message"),
    [
        (
            BRATS,
            GateConfig(select="Wt/dice"),
            "^gate.select must be one of .*WT/dice.*'brats', got",
        ),
        (BRATS, GateConfig(select="images/auroc"), "^gate.select must be one of"),
        (DAGM, GateConfig(select="mean/dice"), "^gate.select must be one of defect/dice, .*'dagm'"),
        (
            DAGM,
            GateConfig(select="defect/dice", rules=(rule(0.5),)),
            "^gate.rules.score must be one of defect/dice, .*images/auroc.*, got 'WT/dice'$",
        ),
        (
            BRATS,
            GateConfig(select="WT/dice", rules=(rule(0.5, slice="age=old"),)),
            r"^gate.rules.slice must be COLUMN=VALUE of a column of evaluation.slices \(stratum,"
            r" site\), got 'age=old'$",
        ),
    ],
)
def test_check_gate_refuses(info, config, message):
    with pytest.raises(ValueError, match=message):
        check_gate(config, info, EVALUATION)
