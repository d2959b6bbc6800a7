"""Recipes: functions that return a complete config each, which YAML and options change."""

from collections.abc import Callable
from dataclasses import replace

from beam_preprocess.config import DataConfig
from components.gate_config import GateConfig, GateRule
from pipeline.config import RunConfig
from trainer.config import InferenceConfig, TrainerConfig
from trainer.loss.config import LossConfig
from trainer.presets import PRESETS

_SUM_OVER_CLASSES = LossConfig(profile="reference")
"""Dice summed over the classes, as the references have it, not averaged: small classes are learned
sooner. In brats-demo the mean dice is 0.65 with it and 0.50 with the corrected loss.
"""


def _gate(bounds: dict[str, float]) -> GateConfig:
    """Bounds on cross-validated means; the first of the scores tells the best fold."""
    rules = tuple(GateRule(score=score, bound=bound) for score, bound in bounds.items())
    return GateConfig(select=rules[0].score, rules=rules)


def brats() -> RunConfig:
    """BraTS brain scans: the 31.2 M parameter 3D UNet of the references, crops of 128^3."""
    return RunConfig(
        name="brats",
        output="runs/brats",
        data=DataConfig(dataset="brats", folds=5),
        model=PRESETS["unet3d"],
        trainer=TrainerConfig(
            samples=32000, batch_size=2, crop=(128, 128, 128), loss=_SUM_OVER_CLASSES
        ),
        inference=InferenceConfig(window=(128, 128, 128)),
        gate=_gate({"WT/dice": 0.85, "TC/dice": 0.75, "ET/dice": 0.70}),
    )


def dagm() -> RunConfig:
    """DAGM 2007 surfaces: the 1.9 M parameter 2D UNet of the Cerebras recipe, crops of 256^2."""
    return RunConfig(
        name="dagm",
        output="runs/dagm",
        data=DataConfig(dataset="dagm", folds=5, cases_per_shard=64),
        model=PRESETS["unet2d-dagm"],
        trainer=TrainerConfig(
            samples=96000,
            batch_size=16,
            crop=(256, 256),
            learning_rate=1e-4,
            loss=LossConfig(name="ce"),
        ),
        inference=InferenceConfig(window=(512, 512)),
        gate=_gate({"defect/dice": 0.75, "images/auroc": 0.95}),
    )


def volumes() -> RunConfig:
    """Volumes of any kind in the format of nnU-Net: channels and classes come from dataset.json."""
    return RunConfig(
        name="volumes",
        output="runs/volumes",
        data=DataConfig(dataset="nnunet", folds=5),
        model=replace(PRESETS["unet3d"], in_channels=0, classes=0),
        trainer=TrainerConfig(
            samples=32000, batch_size=2, crop=(128, 128, 128), loss=_SUM_OVER_CLASSES
        ),
        inference=InferenceConfig(window=(128, 128, 128)),
        gate=_gate({"mean/dice": 0.7}),
    )


def images() -> RunConfig:
    """Images of any kind, in folders images/ and masks/ or in the format of nnU-Net."""
    return RunConfig(
        name="images",
        output="runs/images",
        data=DataConfig(dataset="folders", folds=5, cases_per_shard=64),
        model=replace(PRESETS["unet3d"], rank=2, in_channels=0, classes=0),
        trainer=TrainerConfig(
            samples=96000, batch_size=16, crop=(256, 256), loss=_SUM_OVER_CLASSES
        ),
        inference=InferenceConfig(window=(256, 256)),
        gate=_gate({"mean/dice": 0.7}),
    )


def brats_demo() -> RunConfig:
    """The whole BraTS run in minutes on two cores: small synthetic scans, a tiny 3D UNet."""
    return RunConfig(
        name="brats-demo",
        output="demo/brats",
        data=DataConfig(dataset="brats", root="demo/data/brats", folds=3, cases_per_shard=4),
        model=PRESETS["unet3d-tiny"],
        trainer=TrainerConfig(
            samples=600,
            batch_size=2,
            crop=(32, 32, 32),
            learning_rate=2e-3,
            loss=_SUM_OVER_CLASSES,
            checkpoint_steps=100,
            log_steps=50,
        ),
        inference=InferenceConfig(window=(32, 32, 32)),
        gate=_gate({"WT/dice": 0.80}),
    )


def dagm_demo() -> RunConfig:
    """The whole DAGM run in minutes on two cores: synthetic photographs, a tiny 2D UNet."""
    return RunConfig(
        name="dagm-demo",
        output="demo/dagm",
        data=DataConfig(dataset="dagm", root="demo/data/dagm", folds=3, cases_per_shard=16),
        model=PRESETS["unet2d-tiny"],
        trainer=TrainerConfig(
            samples=3200,
            batch_size=8,
            crop=(128, 128),
            learning_rate=2e-3,
            loss=LossConfig(name="ce"),
            checkpoint_steps=100,
            log_steps=50,
        ),
        inference=InferenceConfig(window=(512, 512)),
        gate=_gate({"defect/dice": 0.70}),
    )


RECIPES: dict[str, Callable[[], RunConfig]] = {
    "brats": brats,
    "dagm": dagm,
    "volumes": volumes,
    "images": images,
    "brats-demo": brats_demo,
    "dagm-demo": dagm_demo,
}
