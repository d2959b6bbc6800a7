"""Tables of scores by hand, at most 100 columns wide."""

from pipeline.score_table import score_lines, slice_lines


def summary(mean, std=0.0, low=None, high=None, n=4):
    return {"mean": mean, "std": std, "low": low, "high": high, "n": n}


def region(**scores):
    return {"scores": scores}


def cohort(regions, images=None, threshold=None):
    return {"n": 4, "regions": regions, "images": images or {}, "threshold": threshold}


def folds(*means):
    return [
        {"fold": i, "scores": cohort({"WT": region(dice=summary(m))})} for i, m in enumerate(means)
    ]


WT = region(
    dice=summary(0.8125, 0.05, 0.7612, 0.86341),
    hd95=summary(4.256, 1, 3, 5),
    lesion_dice=summary(0.7, 0.1, 0.6, 0.8),
    truth_ml=summary(3.0),
)
ET = region(dice=summary(None, None, n=0))


def test_regions_with_distances_and_lesions_beside_them():
    assert score_lines(cohort({"WT": WT, "ET": ET}), folds(0.9, 0.55), level=0.95) == [
        "      dice     std    95 % interval  n  HD95 mm  lesion dice",
        "--  ------  ------  ---------------  -  -------  -----------",
        "WT  0.8125  0.0500  0.7612 - 0.8634  4     4.26       0.7000",
        "ET       -       -                -  0        -            -",
        "",
        "dice of fold       0       1",
        "------------  ------  ------",
        "WT            0.9000  0.5500",
        "ET                 -       -",
    ]


def test_no_columns_for_what_no_case_has():
    (head, _, row, *_) = score_lines(
        cohort({"WT": region(dice=summary(0.5))}), folds(0.5), level=0.9
    )
    assert head.split() == ["dice", "std", "90", "%", "interval", "n"]
    assert row.split() == ["WT", "0.5000", "0.0000", "-", "4"]


def test_images():
    images = {
        "auroc": summary(0.95, None, 0.9, 0.99, n=120),
        "average_precision": summary(None, None, n=0),
        "tpr": summary(0.875, 0.3, 0.7, 1.0, n=16),
    }
    lines = score_lines(cohort({}, images, 0.4), [], level=0.95)
    assert lines[-6:] == [
        "images                         value    95 % interval    n",
        "----------------------------  ------  ---------------  ---",
        "AUROC                         0.9500  0.9000 - 0.9900  120",
        "average precision                  -                -    0",
        "defective images found (TPR)  0.8750  0.7000 - 1.0000   16",
        "found: from a probability of 0.4000 on",
    ]


def test_many_folds_and_long_names_fit_in_100_columns():
    full = {name: summary(374.0, 1, 0.1, 0.2, n=1251) for name in ("hd95", "lesion_hd95")}
    shares = ("dice", "lesion_dice", "truth_ml")
    full |= {name: summary(0.5, 0.1, 0.4, 0.6, n=1251) for name in shares}
    regions = {name: region(**full) for name in ("PeritumoralEdema", "EnhancingTumor", "mean")}
    means = [{"fold": i, "scores": cohort(regions)} for i in range(20)]
    lines = score_lines(cohort(regions), means, level=0.95)
    assert max(map(len, lines)) <= 100
    heads = [line.split()[3:] for line in lines if line.startswith("dice of fold")]
    assert [int(n) for numbers in heads for n in numbers] == [*range(20)]


def test_photographs_have_no_millimetres():
    defect = region(dice=summary(0.5), iou=summary(0.3333, 0.1), hd95=summary(12.0))
    head, _, row = score_lines(cohort({"defect": defect}), [], level=0.95)
    assert head.split()[-2:] == ["n", "IoU"] and row.split()[-2:] == ["4", "0.3333"]


def test_scores_as_the_references_compute_them():
    reference = {"MeanDice": summary(0.5, 0.25, 0.375, 0.75)}
    lines = score_lines(cohort({}) | {"reference": reference}, [], level=0.95)
    assert lines == [
        "",
        "as the reference    mean     std    95 % interval  n",
        "----------------  ------  ------  ---------------  -",
        "MeanDice          0.5000  0.2500  0.3750 - 0.7500  4",
    ]


def test_parts_of_the_cases():
    """A value may lack a region that others have."""
    part = cohort({"WT": region(dice=summary(0.75)), "ET": region(dice=summary(0.5))})
    other = cohort({"WT": region(dice=summary(0.25))})
    assert slice_lines({"stratum": {"HGG": part, "LGG": other}}) == [
        "",
        "dice by stratum      WT      ET  n",
        "---------------  ------  ------  -",
        "HGG              0.7500  0.5000  4",
        "LGG              0.2500       -  4",
    ]
    assert slice_lines({}) == []
