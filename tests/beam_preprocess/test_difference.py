"""How one cohort differs from another, by values computed by hand."""

from math import comb

import pytest

from beam_preprocess.difference import (
    FeatureDifference,
    Shares,
    Spread,
    compare_cohorts,
    label_shares,
)


def cohort(feature: str, values, **others) -> list[dict]:
    """A case per value of one feature; everything else is the same in all of them."""
    return [
        {"case_id": f"c{i}", "dtype": "int16", "orientation": "LPS", feature: v, **others}
        for i, v in enumerate(values)
    ]


def compare(old, new, feature="t1_mean") -> FeatureDifference:
    features = compare_cohorts(cohort(feature, old), cohort(feature, new)).features
    return next(f for f in features if f.feature == feature)


def test_two_small_samples():
    """Old 1 2 3 4 against new 3 4 5 6. At 2, half of the old and none of the new values are behind:
    D = 1/2. Of the C(8, 4) = 70 orders of 4 and 4 values, 54 have D of 1/2 or more.
    """
    found = compare([1, 2, 3, 4], [3, 4, 5, 6])
    assert found.old == Spread(n=4, minimum=1, q1=1.75, median=2.5, q3=3.25, maximum=4)
    assert found.new == Spread(n=4, minimum=3, q1=3.75, median=4.5, q3=5.25, maximum=6)
    assert found.strength == 0.5
    assert found.p == pytest.approx(54 / 70)
    assert found.outside == 2
    assert not found.differs


def test_equal_samples_do_not_differ():
    found = compare([1, 2, 3], [3, 1, 2])
    assert (found.strength, found.p, found.outside, found.differs) == (0, 1, 0, False)


def test_a_rejected_test_differs_though_most_cases_are_inside():
    """20 old values 0 to 19, 20 new ones 15 to 34: at 14, 15 of 20 are behind, D = 3/4."""
    found = compare(range(20), range(15, 35))
    assert found.strength == 0.75
    assert found.p < 0.01
    assert (found.outside, found.differs) == (15, True)


@pytest.mark.parametrize(("features", "differs"), [(1, True), (4, True), (5, False)])
def test_the_level_is_divided_by_the_number_of_features(features, differs):
    """10 against 10 values, shifted by 8: p = 2 C(20, 2) / C(20, 10) = 0.00206, which is below
    0.01 / 4 and above 0.01 / 5.
    """
    same = {f"other_{i}": 1.0 for i in range(features - 1)}
    difference = compare_cohorts(
        cohort("t1_mean", range(10), **same), cohort("t1_mean", range(8, 18), **same)
    )
    found = next(f for f in difference.features if f.feature == "t1_mean")
    assert found.p == pytest.approx(2 * comb(20, 2) / comb(20, 10))
    assert found.differs is differs


@pytest.mark.parametrize(
    ("new", "outside", "differs"),
    [([5.0], 1, True), ([0.5, 6.0], 2, True), ([2.0], 0, False), ([4.0, 5.0], 1, False)],
)
def test_few_cases_differ_where_all_are_outside_of_the_old_range(new, outside, differs):
    found = compare([1.0, 2.0, 3.0, 4.0], new)
    assert found.p > 0.01
    assert (found.outside, found.differs) == (outside, differs)


def test_single_precision_is_no_difference():
    found = compare([1.0] * 5, [0.9999999, 1.0000001, 1.0])
    assert (found.strength, found.outside, found.differs) == (0, 0, False)


def test_label_shares_by_hand():
    case = {"label_0_voxels": 90, "label_1_voxels": 8, "label_4_voxels": 2, "size_x": 10}
    assert label_shares(case) == {
        "label_0_share": 0.9,
        "label_1_share": 0.08,
        "label_4_share": 0.02,
    }
    assert label_shares({"size_x": 10}) == {}


def test_labels_are_compared_as_shares_of_the_cases_that_have_them():
    old = [
        {"case_id": "a", "label_0_voxels": 75, "label_1_voxels": 25},
        {"case_id": "b", "label_0_voxels": 150, "label_1_voxels": 50},
        {"case_id": "c", "label_0_voxels": 1, "label_1_voxels": 1},
    ]
    new = [{"case_id": "d"}, {"case_id": "e", "label_0_voxels": 1, "label_1_voxels": 3}]
    (found,) = compare_cohorts(old, new).features
    assert found.feature == "label_1_share"
    assert (found.old.n, found.old.median, found.old.maximum) == (3, 0.25, 0.5)
    assert (found.new.n, found.new.median) == (1, 0.75)
    assert (found.strength, found.outside, found.differs) == (1, 1, True)


def test_unlabelled_cases_lack_the_labels_only():
    old = cohort("size_x", [10, 10], label_0_voxels=7, label_1_voxels=3)
    difference = compare_cohorts(old, cohort("size_x", [10]))
    assert [f.feature for f in difference.features] == ["dtype", "orientation", "size_x"]
    assert (difference.only_old, difference.only_new) == (("label_1_share",), ())


def test_texts():
    old = [{"case_id": i, "dtype": "int16", "orientation": o} for i, o in enumerate("LLLR")]
    new = [{"case_id": i, "dtype": "int16", "orientation": o} for i, o in enumerate("LR")]
    orientation, dtype = compare_cohorts(old, new).features
    assert orientation.old == Shares(n=4, values={"L": 0.75, "R": 0.25})
    assert orientation.new == Shares(n=2, values={"L": 0.5, "R": 0.5})
    assert orientation.strength == 0.25  # (|0.75 - 0.5| + |0.25 - 0.5|) / 2
    assert (orientation.p, orientation.outside, orientation.differs) == (None, 0, False)
    assert (dtype.feature, dtype.strength, dtype.differs) == ("dtype", 0, False)


def test_a_new_text_differs():
    old = [{"case_id": "a", "orientation": "LPS"}] * 9
    new = [{"case_id": "b", "orientation": o} for o in ("LPS", "RAS", "LPS")]
    (found,) = compare_cohorts(old, new).features
    assert found.strength == pytest.approx(1 / 3)
    assert (found.outside, found.differs) == (1, True)


def test_different_features_come_first_then_the_stronger_ones():
    """By hand: D of `outside` is 1, of `half` 1/2, of `new_text` 1/4, of the others 0."""
    old = [
        {"case_id": i, "half": i, "outside": 1.0, "same": 2.0, "dtype": "int16"} for i in range(4)
    ]
    new = [
        {"case_id": i, "half": i + 2, "outside": 3.0, "same": 2.0, "dtype": d}
        for i, d in enumerate(["int16", "int16", "int16", "uint8"])
    ]
    found = compare_cohorts(old, new)
    assert [(f.feature, f.strength, f.differs) for f in found.features] == [
        ("outside", 1.0, True),
        ("dtype", 0.25, True),
        ("half", 0.5, False),
        ("same", 0.0, False),
    ]
    assert [f.feature for f in found.different] == ["outside", "dtype"]


def test_what_names_a_case_is_no_feature():
    case = {"case_id": "a", "group": "g", "stratum": "s", "content": "00", "channels": 4}
    difference = compare_cohorts([{**case, "labelled": 1}], [{**case, "labelled": 0}])
    assert difference.features == difference.only_old == difference.only_new == ()


def test_features_that_one_cohort_lacks_are_named():
    difference = compare_cohorts(cohort("t1_mean", [1]), cohort("grey_mean", [1]))
    assert (difference.only_old, difference.only_new) == (("t1_mean",), ("grey_mean",))


def test_repeated_cases_are_told_by_content_not_by_name():
    old = [{"case_id": "a", "content": "11"}, {"case_id": "b", "content": "22"}]
    new = [
        {"case_id": "z", "content": "22"},
        {"case_id": "a", "content": "33"},
        {"case_id": "y", "content": "11"},
        {"case_id": "x"},
    ]
    difference = compare_cohorts(old, new)
    assert difference.repeated == ("y", "z")
    assert (difference.old_cases, difference.new_cases) == (2, 4)


def test_without_new_cases_nothing_is_compared():
    difference = compare_cohorts(cohort("size_x", [1, 2]), [])
    assert (difference.features, difference.repeated, difference.new_cases) == ((), (), 0)
