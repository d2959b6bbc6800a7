"""Bins of what is labelled: made from the number by whoever reads the scores."""

from dataclasses import replace

import pytest

from components.sizes import with_size_bin
from trainer.config import EvaluationConfig

from .cases import scored

CONFIG = EvaluationConfig(size_edges_ml=(0.01, 0.1), size_edges_percent=(1.0, 10.0))


@pytest.mark.parametrize(
    ("rank", "size", "name"),
    [
        (3, 0.005, "below 0.01 ml"),
        (3, 0.01, "0.01 to below 0.1 ml"),
        (3, 0.25, "0.1 ml and more"),
        (2, 0.25, "below 1 %"),
        (2, 33.3, "10 % and more"),
        (3, 0.0, "nothing labelled"),
        (2, 0.0, "nothing labelled"),
    ],
)
def test_bins(rank, size, name):
    case = with_size_bin(replace(scored("a"), size=size), CONFIG, rank=rank)
    assert case.columns == {"stratum": "HGG", "size": name}


def test_column_of_the_case_table_stays():
    case = replace(scored("a"), size=0.25, columns={"size": "large"})
    assert with_size_bin(case, CONFIG, rank=3) == case


def test_case_that_was_not_measured_has_no_bin():
    assert with_size_bin(scored("a"), CONFIG, rank=3) == scored("a")
