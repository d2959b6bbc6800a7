"""Whether a network suits a dataset."""

from dataclasses import replace

import pytest

from beam_preprocess.datasets.brats import BRATS
from beam_preprocess.datasets.dagm import DAGM
from pipeline.network import check_network, fit_network
from pipeline.recipes import dagm, volumes
from trainer.loss.config import LossConfig


def test_photographs_take_one_logit_or_two_classes():
    config = replace(dagm(), trainer=replace(dagm().trainer, loss=LossConfig()))
    for classes in (1, 2):
        fitting = replace(config, model=replace(config.model, classes=classes))
        check_network(fitting, DAGM)
    config = replace(config, model=replace(config.model, classes=3))
    with pytest.raises(ValueError, match="^model.classes must be 1 or 2 for .*'dagm', got 3$"):
        check_network(config, DAGM)


def test_channels_and_classes_are_taken_from_the_dataset():
    config = volumes()
    assert (config.model.in_channels, config.model.classes) == (0, 0)
    fitted = fit_network(config, BRATS)
    assert (fitted.model.in_channels, fitted.model.classes) == (4, 4)
    check_network(fitted, BRATS)


def test_components_are_kept_of_labels_that_the_dataset_has():
    config = dagm()
    known, lacking = (
        replace(config, inference=replace(config.inference, keep_largest=((value,),)))
        for value in (255, 1)
    )
    check_network(known, DAGM)
    with pytest.raises(ValueError, match=r"^inference\.keep_largest must be .* values 255, got"):
        check_network(lacking, DAGM)
