"""Names of losses, and the networks that they are for."""

import re

import pytest

from trainer.loss.config import LOSSES, LossConfig


def test_default() -> None:
    config = LossConfig()
    assert (config.name, config.profile, config.include_background) == (
        "dice+ce",
        "corrected",
        False,
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile": "exact"}, "trainer.loss.profile must be one of 'corrected', 'reference'"),
        (
            {"name": "mse"},
            "trainer.loss.name must be one of 'dice+ce', 'dice', 'ce', 'focal', 'dice+focal',"
            " 'generalised-dice' with trainer.loss.profile 'corrected', got 'mse'",
        ),
        (
            {"name": "focal", "profile": "reference"},
            "trainer.loss.name must be one of 'dice+ce', 'dice', 'ce', 'ce+squared-dice',"
            " 'bce-sum', 'bce', 'adaptive', 'sorensen', 'jaccard', 'x-entropy', 'l2' with"
            " trainer.loss.profile 'reference', got 'focal'",
        ),
        (
            {"name": "ce", "include_background": True},
            "trainer.loss.include_background must be False: 'ce' of profile 'corrected'"
            " leaves no choice, got True",
        ),
        (
            {"name": "l2", "profile": "reference", "include_background": True},
            "trainer.loss.include_background must be False: 'l2' of profile 'reference'",
        ),
        ({"focal_gamma": -1.0}, "trainer.loss.focal_gamma must be at least 0 and finite, got -1.0"),
        ({"focal_gamma": float("nan")}, "trainer.loss.focal_gamma must be at least 0 and finite"),
        ({"focal_gamma": float("inf")}, "trainer.loss.focal_gamma must be at least 0 and finite"),
    ],
)
def test_what_does_not_exist(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        LossConfig(**options)


@pytest.mark.parametrize("name", LOSSES["corrected"])
@pytest.mark.parametrize("classes", [0, 1, 2, 4])
def test_corrected_losses_are_for_every_network(name: str, classes: int) -> None:
    LossConfig(name=name).require_network(classes)


@pytest.mark.parametrize(
    ("name", "classes", "message"),
    [
        (
            "bce",
            4,
            "trainer.loss.name must be one of 'dice+ce', 'dice', 'ce', 'ce+squared-dice' for"
            " softmax networks with trainer.loss.profile 'reference',"
            " the network has 4 output channels (model.classes), got 'bce'",
        ),
        ("adaptive", 0, "for softmax networks"),  # 0: as many classes as the dataset has
        (
            "dice",
            1,
            "trainer.loss.name must be one of 'bce-sum', 'bce', 'adaptive', 'sorensen', 'jaccard',"
            " 'x-entropy', 'l2' for one-logit networks",
        ),
    ],
)
def test_reference_losses_are_for_their_networks(name: str, classes: int, message: str) -> None:
    config = LossConfig(name=name, profile="reference")
    with pytest.raises(ValueError, match=re.escape(message)):
        config.require_network(classes)
    config.require_network(1 if classes != 1 else 2)
