"""Units of scores."""

import pytest

from trainer.metrics.definitions import unit_of


@pytest.mark.parametrize(
    ("score", "rank", "unit"),
    [
        ("hd95", 3, "mm"),
        ("WT/lesion_hd95", 3, "mm"),
        ("defect/hd95", 2, "pixels"),
        ("truth_ml", 3, "ml"),
        ("dice", 3, ""),
        ("images/auroc", 2, ""),
        ("IoU_THS_0.05", 2, ""),
    ],
)
def test_photographs_have_no_millimetres(score: str, rank: int, unit: str) -> None:
    assert unit_of(score, rank=rank) == unit
