"""Names of scores, pooled folds, slices, and images found at thresholds of other folds."""

import json
from collections.abc import Sequence
from dataclasses import replace
from math import nan

import numpy as np
import pytest

from beam_preprocess.datasets.brats import BRATS
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.datasets.severstal import SEVERSTAL
from trainer.metrics.case_scores import CaseScores, ImageScore
from trainer.metrics.cohort_scores import (
    CohortScores,
    cohort_from_dict,
    cohort_to_dict,
    fold_thresholds,
    score_cohort,
    score_names,
    score_slices,
    slice_folds,
)
from trainer.metrics.config import StatisticsConfig
from trainer.metrics.ranking import bootstrap_ranking
from trainer.metrics.region_scores import RegionScores
from trainer.metrics.summary import Summary
from trainer.overlap import Overlap

CONFIG = StatisticsConfig(resamples=200)


def case(case_id: str, dice: float, **columns: str) -> CaseScores:
    counts = Overlap(intersection=1, truth=2, prediction=2)
    regions = {"WT": RegionScores(counts=counts, values={"dice": dice})}
    return CaseScores(case_id=case_id, columns=columns, regions=regions)


def photo(case_id: str, score: float, *, defective: bool, **columns: str) -> CaseScores:
    image = ImageScore(score=score, defective=defective)
    return CaseScores(case_id=case_id, columns=columns, regions={}, image=image)


def fold(number: int, good: Sequence[float], bad: Sequence[float]) -> list[CaseScores]:
    """Photographs without (`good`) and with a defect (`bad`), by their scores."""
    return [
        *(photo(f"{number}-good-{n}", v, defective=False, kind=f"{n}") for n, v in enumerate(good)),
        *(photo(f"{number}-bad-{n}", v, defective=True, kind=f"{n}") for n, v in enumerate(bad)),
    ]


FOLDS = [fold(0, [0.1, 0.3], [0.2, 0.9]), fold(1, [0.6, 0.7], [0.8])]
"""The model of fold 1 gives all images more than that of fold 0 does."""


def sum_up(folds: Sequence[Sequence[CaseScores]]) -> CohortScores:
    """All scores, images at the thresholds that the other folds choose."""
    return score_cohort(folds, CONFIG, thresholds=fold_thresholds(folds, default=0.5))


def test_folds_are_pooled_by_cases() -> None:
    scores = sum_up([[case("a", 1.0)], [case("b", 0.5), case("c", 0.0)]])
    assert scores.n == 3
    found = scores.find("WT/dice")
    assert found is not None and (found.mean, found.n) == (0.5, 3)
    assert (scores.images, scores.threshold, scores.reference) == ({}, None, {})
    assert scores.find("WT/iou") is scores.find("ET/dice") is scores.find("images/auroc") is None


def test_auroc_is_the_mean_over_folds_weighed_by_images() -> None:
    """Fold 0: 3 of 4 pairs are right; fold 1: both; of 4 and 3 images. Pooled it were 9 of 12."""
    auroc = sum_up(FOLDS).images["auroc"]
    assert auroc.mean == pytest.approx((4 * 0.75 + 3 * 1.0) / 7)
    assert (auroc.n, auroc.n_nan, auroc.std) == (7, 0, None)
    assert auroc.low is not None and auroc.high is not None
    assert auroc.low <= auroc.mean <= auroc.high <= 1


def test_average_precision_of_folds() -> None:
    """Fold 0: 0.9 first (1 of 1), 0.2 third (2 of 3); fold 1: its only one first."""
    scores = sum_up(FOLDS)
    found = scores.find("images/average_precision")
    assert found is not None and found.mean == pytest.approx((4 * (1 + 2 / 3) / 2 + 3 * 1.0) / 7)


def test_a_threshold_is_chosen_by_the_other_folds() -> None:
    """By fold 1: halfway from 0.7 to 0.8; by fold 0: from 0.1 to 0.2, as good as 0.3 to 0.9 and
    lower. By its own images fold 1 would have lost none of its good ones.
    """
    assert fold_thresholds(FOLDS, default=0.5) == pytest.approx([0.75, 0.15])
    scores = sum_up(FOLDS)
    tpr, tnr = scores.images["tpr"], scores.images["tnr"]
    assert (tpr.mean, tpr.n) == (pytest.approx(2 / 3), 3)  # from 0.75 one of two; from 0.15 one
    assert (tnr.mean, tnr.n) == (0.5, 4)  # both of fold 0; from 0.15 both of fold 1 are taken
    assert scores.threshold == pytest.approx((4 * 0.75 + 3 * 0.15) / 7)


def test_the_own_images_have_no_part_in_the_choice() -> None:
    changed = [fold(0, [0.95, 0.99], [0.01]), FOLDS[1]]
    assert fold_thresholds(changed, default=0.5)[0] == fold_thresholds(FOLDS, default=0.5)[0]


def test_one_fold_has_the_threshold_that_is_given() -> None:
    one = [FOLDS[0]]
    assert fold_thresholds(one, default=0.4) == [0.4]
    given = score_cohort(one, CONFIG, thresholds=[0.25])
    assert given.threshold == 0.25
    assert (given.images["tpr"].mean, given.images["tnr"].mean) == (0.5, 0.5)
    drawn = bootstrap_ranking([False, False, True, True], [0.1, 0.3, 0.2, 0.9], CONFIG)
    interval = np.quantile(drawn[:, 0], [0.025, 0.975])
    auroc = given.images["auroc"]
    assert (auroc.mean, [auroc.low, auroc.high]) == (0.75, pytest.approx(interval.tolist()))


def test_an_image_at_the_threshold_is_found() -> None:
    at = score_cohort([FOLDS[0]], CONFIG, thresholds=[0.2])
    assert (at.images["tpr"].mean, at.images["tnr"].mean) == (1.0, 0.5)


def test_images_at_the_thresholds_of_the_reference_and_the_one_chosen() -> None:
    """Good ones have 0.1, 0.3 | 0.6, 0.7, defective ones 0.2, 0.9 | 0.8."""
    found = sum_up(FOLDS).detections
    assert [d.threshold for d in found[:-1]] == [0.05, 0.125, 0.25, 0.5, 0.75, 0.85, 0.95, 0.99]
    assert [(d.tp, d.fn) for d in found[:-1]] == [
        *((3, 0), (3, 0), (2, 1), (2, 1), (2, 1), (1, 2), (0, 3), (0, 3))
    ]
    assert [(d.tn, d.fp) for d in found[:-1]] == [
        *((0, 4), (1, 3), (1, 3), (2, 2), (4, 0), (4, 0), (4, 0), (4, 0))
    ]
    assert [d.chosen for d in found] == [False] * 8 + [True]
    assert (found[2].tpr, found[2].tnr) == (2 / 3, 1 / 4)


def test_the_chosen_threshold_in_the_table_is_each_folds_own() -> None:
    """0.75 and 0.15: of fold 0 both good ones are passed, of fold 1 both are taken."""
    scores = sum_up(FOLDS)
    chosen = scores.detections[-1]
    assert (chosen.tp, chosen.fn, chosen.tn, chosen.fp) == (2, 1, 2, 2)
    assert (chosen.threshold, chosen.tpr) == (scores.threshold, scores.images["tpr"].mean)


def test_slices_have_tables_of_their_images() -> None:
    second = score_slices(FOLDS, ["kind"], CONFIG, thresholds=[0.75, 0.15])["kind"]["1"].detections
    assert {(d.tp + d.fn, d.tn + d.fp) for d in second} == {(1, 2)}
    assert sum_up([[case("a", 1.0)]]).detections == ()


def test_folds_with_images_of_one_kind() -> None:
    """They have no rank, and choose no threshold; their images count for TPR and TNR."""
    folds = [fold(0, [0.1], [0.9]), fold(1, [0.2, 0.6], [])]
    assert fold_thresholds(folds, default=0.7) == pytest.approx([0.7, 0.5])
    images = sum_up(folds).images
    assert (images["auroc"].mean, images["auroc"].n, images["auroc"].n_nan) == (1.0, 2, 2)
    assert (images["tpr"].n, images["tnr"].n) == (1, 3)
    alone = sum_up([folds[1]]).images
    assert alone["auroc"] == Summary(n=0, n_nan=2)
    assert alone["tpr"].mean is None


def test_slices_keep_the_thresholds_of_all() -> None:
    """The images of kind 1: 0.3 and 0.9 of fold 0, at 0.75; 0.7 of fold 1, at 0.15."""
    slices = score_slices(FOLDS, ["kind"], CONFIG, thresholds=[0.75, 0.15])
    assert list(slices) == ["kind"] and list(slices["kind"]) == ["0", "1"]
    second = slices["kind"]["1"]
    assert (second.n, second.images["tpr"].mean, second.images["tnr"].mean) == (3, 1.0, 0.5)


def test_slices_of_sizes_are_in_their_order() -> None:
    sizes = ["nothing labelled", "10 ml and more", "below 2.5 ml", "2.5 to below 10 ml"]
    cases = [case(str(n), 1.0, size=size) for n, size in enumerate(sizes)]
    assert list(slice_folds([cases], "size")) == [sizes[2], sizes[3], sizes[1], sizes[0]]


def test_a_column_that_a_case_lacks() -> None:
    message = (
        r"'site' must have .* every case, 1 have none: \['b'\]: give .* in data.case_table, or"
    )
    with pytest.raises(ValueError, match=message):
        slice_folds([[case("a", 1.0, site="Ulm")], [case("b", 1.0)]], "site")


def test_scores_of_the_reference_are_summed_up() -> None:
    cases = [replace(case(c, 1.0), reference={"TumorCore": v}) for c, v in (("a", 0.0), ("b", 1.0))]
    scores = sum_up([cases])
    assert (scores.reference["TumorCore"].mean, scores.reference["TumorCore"].n) == (0.5, 2)


@pytest.mark.parametrize("folds", [FOLDS, [[case("a", nan)], [case("b", 0.5)]]])
def test_scores_survive_json(folds: list[list[CaseScores]]) -> None:
    scores = sum_up(folds)
    text = json.dumps(cohort_to_dict(scores), allow_nan=False)
    assert cohort_from_dict(json.loads(text)) == scores


def test_names_of_scans() -> None:
    names = score_names(BRATS)
    assert len(names) == len(set(names)) == 7 * 14 + 9
    assert not {"mean/lesions_missed", "mean/truth_ml", "mean/volume_difference_ml"} & {*names}
    assert {"WT/dice", "TumorCore/lesion_hd95", "mean/surface_dice", "ET/truth_ml"} <= {*names}
    assert not [n for n in names if n.startswith("images/")]


def test_names_of_photographs() -> None:
    of_defects = score_names(DAGM)
    assert {n.partition("/")[0] for n in of_defects} == {"defect", "images"}
    assert [n for n in of_defects if n.startswith("images/")] == [
        *("images/auroc", "images/average_precision", "images/tpr", "images/tnr"),
    ]
    of_classes = score_names(SEVERSTAL)
    assert {"defect_1/dice", "mean/iou"} <= {*of_classes}
    for name in (*of_defects, *of_classes):
        assert not name.endswith(("_ml", "lesion_dice"))
