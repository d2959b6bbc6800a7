"""Tables: their cells as a reader sees them."""

from dataclasses import replace

from beam_preprocess.datasets.brats import BRATS
from components.report import tables
from components.report.result import read_result
from components.report.words import apart, define_regions, full_name, number, sort_regions
from components.web import DASH
from trainer.metrics.case_scores import ImageScore
from trainer.metrics.cohort_scores import cohort_to_dict

from ..cases import photograph
from ..report_samples import make_case, make_folds, make_result, sum_up


def test_table_per_score_with_all_cases_and_folds():
    dice, hd95 = tables.fold_tables(read_result(make_result()), rank=3)
    assert (dice.key, dice.name, hd95.name) == ("dice", "Dice", "HD95 (mm)")
    assert dice.heads == ("All cases", "Median", "Fold 0", "Fold 1")
    assert [row.key for row in dice.rows] == ["WT", "ET"]
    overall, median, first, second = dice.rows[0].cells
    # 0.95 0.85 0.75 0.65: mean 0.8, deviation sqrt(0.05 / 4) = 0.112
    assert overall.text == "0.800 ± 0.112" and overall.below.endswith(", n = 4")
    assert (median.text, median.below) == ("0.800", "0.725 to 0.875")
    assert (first.text, first.below, second.text) == ("0.900", "n = 2", "0.700")


def test_score_without_a_value_is_a_dash_that_counts():
    hd95 = tables.fold_tables(read_result(make_result()), rank=3)[1]
    assert [c.text for c in hd95.rows[1].cells] == [DASH] * 4
    assert hd95.rows[1].cells[0].below == "n = 0, 4 without"


def test_slices_have_a_row_per_value():
    [stratum] = tables.slice_tables(read_result(make_result()), "dice")
    assert (stratum.name, stratum.heads) == ("stratum", ("WT", "ET"))
    assert [(r.name, r.cells[0].text) for r in stratum.rows] == [("HGG", "0.900"), ("LGG", "0.700")]


def test_empty_cases_are_counted():
    empty = tables.empty_table(read_result(make_result()))
    assert [c.text for c in empty.rows[1].cells] == ["4", "0", "0", "4"]


def test_cases_worst_first():
    table = tables.case_table(make_folds(), "WT/dice", rank=3)
    assert table.heads == ("Fold", "stratum", "Dice WT", "Dice ET")
    assert [r.name for r in table.rows] == ["d", "c", "b", "a"]
    assert [c.text for c in table.rows[0].cells] == ["1", "LGG", "0.650", "1.000"]
    by_distance = tables.case_table(make_folds(), "WT/hd95", rank=2)
    assert [r.name for r in by_distance.rows] == ["d", "c", "b", "a"]
    assert by_distance.heads[-1] == "HD95 (pixels) ET"
    assert (table.name, by_distance.name) == ("Dice of WT", "HD95 of WT (pixels)")


def test_cases_without_any_score_have_no_columns_of_scores():
    folds = [[replace(case, regions={}) for case in fold] for fold in make_folds()]
    table = tables.case_table(folds, "", rank=2)
    assert (table.name, table.heads) == ("", ("Fold", "stratum"))
    assert [r.name for r in table.rows] == ["a", "b", "c", "d"]


def test_baseline_beside_the_new_model():
    old, new = (
        cohort_to_dict(sum_up(make_folds(dice)))
        for dice in ({"a": 0.5, "b": 0.7}, {"a": 0.6, "b": 0.8})
    )
    baseline = {"version": "17", "scores": old, "new_scores": new}
    table = tables.baseline_table(read_result(make_result(baseline=baseline)), rank=3)
    assert [c.text for c in table.rows[0].cells] == ["0.700", "0.600"]
    assert tables.baseline_table(read_result(make_result()), rank=3) is None
    unfair = baseline | {"scores": None}
    assert tables.baseline_table(read_result(make_result(baseline=unfair)), rank=3) is None


def test_baseline_of_whole_images():
    """Where images choose the model there is a row per score of images, none per region."""

    def side(*scores: float) -> dict:
        images = [ImageScore(score=s, defective=i > 1) for i, s in enumerate(scores)]
        cases = [make_case(f"i{i}", 0.5, image=image) for i, image in enumerate(images)]
        return cohort_to_dict(sum_up([cases]))

    old, new = side(0.1, 0.6, 0.4, 0.9), side(0.1, 0.2, 0.8, 0.9)
    result = make_result(baseline={"version": "17", "scores": old, "new_scores": new})
    result["deploy"]["select"] = "images/auroc"
    table = tables.baseline_table(read_result(result), rank=2)
    assert table.name == "Scores of whole images"
    rows = {row.key: (row.name, *(c.text for c in row.cells)) for row in table.rows}
    assert rows["auroc"] == ("AUROC", "1.000", "0.750")
    assert rows["tpr"] == ("True positive rate", "1.000", "0.500")
    assert list(rows) == ["auroc", "average_precision", "tpr", "tnr"]


def test_no_tables_of_images_and_references_without_their_scores():
    result = read_result(make_result())
    assert tables.image_table(result) is None and tables.reference_table(result) is None
    assert tables.detection_table(result) is None


def test_images_found_at_thresholds():
    """At 0.25 both defective ones of 0.3 and 0.9 are found, and one of 0.1 and 0.6 is passed."""
    fold = [
        *(photograph(f"good-{p}", p, defective=False) for p in (0.1, 0.6)),
        *(photograph(f"bad-{p}", p, defective=True) for p in (0.3, 0.9)),
    ]
    result = replace(read_result(make_result()), scores=sum_up([fold]))
    table = tables.detection_table(result)
    assert [r.name for r in table.rows][2:4] == ["0.25", "0.5"]
    assert [c.text for c in table.rows[2].cells] == ["1.000", "0.500", "2", "0", "1", "1"]
    assert table.rows[-1].name == "0.5, chosen"
    assert len(table.heads) == 6


def test_numbers_have_as_many_decimals_as_tell_something():
    assert number(0.81249, "dice") == "0.812"
    assert number(3.14159, "hd95") == "3.1"
    assert number(None, "dice") == number(float("nan"), "dice") == DASH
    assert apart(0.79996, 0.8) == ("0.79996", "0.80000")
    assert apart(0.8, 0.8) == ("0.800", "0.800")
    assert apart(None, 0.5) == (DASH, "0.500")


def test_names():
    assert full_name("WT/dice", rank=3) == "Dice of WT"
    assert full_name("WT/hd95", rank=3) == "HD95 of WT (mm)"
    assert full_name("defect/hd95", rank=2) == "HD95 of defect (pixels)"
    assert full_name("mean/dice", rank=3) == "Dice, mean of labels"
    assert full_name("images/auroc", rank=2) == "AUROC of images"
    assert full_name("IoU/reference", rank=2) == "IoU, as the reference systems score it"
    assert sort_regions(["mean", "zeta", "ET", "WT"]) == ["WT", "ET", "zeta", "mean"]


def test_definitions_of_brain_scans():
    definitions = define_regions(BRATS)
    assert definitions["TC"] == "Labels 1 and 4 as one. The BraTS region tumour core."
    assert definitions["TumorCore"].startswith("Label 1. As the reference systems")
    mean = "Mean of the scores of TumorCore, PeritumoralEdema and EnhancingTumor in a case."
    assert definitions["mean"] == mean


def test_own_scores_of_the_model_on_test():
    assert tables.own_table(read_result(make_result()), rank=3) is None
    cases = [make_case("t", 0.5), make_case("u", 0.75)]
    scores = cohort_to_dict(sum_up([cases]))
    result = read_result(make_result() | {"test": {"n": 2, "scores": scores}})
    table = tables.own_table(result, rank=3)
    assert table.heads == ("Dice", "HD95 (mm)")
    row = next(row for row in table.rows if row.key == "WT")
    assert row.cells[0].text.startswith("0.625") and row.cells[0].below.endswith("n = 2")


def test_own_scores_of_whole_images_where_they_choose_the_model():
    images = [photograph("t", 0.9, defective=True), photograph("u", 0.1, defective=False)]
    scores = cohort_to_dict(sum_up([images]))
    result = make_result() | {"test": {"n": 2, "scores": scores}}
    result["deploy"] = result["deploy"] | {"select": "images/auroc"}
    table = tables.own_table(read_result(result), rank=2)
    assert [row.key for row in table.rows][:2] == ["auroc", "average_precision"]
    assert table.rows[0].cells[0].text.startswith("1.000")
