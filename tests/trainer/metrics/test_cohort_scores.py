"""Names of scores, pooled folds, slices, and images found at thresholds of other folds."""

from beam_preprocess.datasets.brats import BRATS
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.datasets.severstal import SEVERSTAL
from trainer.metrics.cohort_scores import score_names


def test_names_of_scans() -> None:
    names = score_names(BRATS)
    assert len(names) == len(set(names)) == 8 * 14
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
