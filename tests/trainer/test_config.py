"""The trainer's configs: steps, errors that name field, rule and value, and the way to JSON."""

from argparse import ArgumentError
from dataclasses import replace

import pytest

from beam_preprocess.config_io import from_dict, from_json, to_json
from trainer.augment.config import AugmentConfig
from trainer.config import EvaluationConfig, InferenceConfig, TrainerConfig, ValidationConfig
from trainer.optimizer_config import OptimizerConfig

TRAINER = TrainerConfig(samples=100, batch_size=8, crop=(32, 32, 16))
INFERENCE = InferenceConfig(window=(32, 32, 16))


@pytest.mark.parametrize(
    ("samples", "batch_size", "replicas", "steps"),
    [(100, 8, 1, 12), (96, 8, 1, 12), (8, 8, 1, 1), (32000, 2, 1, 16000), (32000, 2, 8, 2000)],
)
def test_steps_leave_out_the_incomplete_batch(
    samples: int, batch_size: int, replicas: int, steps: int
) -> None:
    config = replace(TRAINER, samples=samples, batch_size=batch_size)
    assert config.steps(replicas) == steps


@pytest.mark.parametrize(
    ("config", "field", "value", "message"),
    [
        (TRAINER, "samples", 0, r"trainer\.samples must be above 0, got 0"),
        (TRAINER, "samples", 7, r"trainer\.samples must be at least one batch \(8\), got 7"),
        (TRAINER, "batch_size", 0, r"trainer\.batch_size must be above 0, got 0"),
        (TRAINER, "learning_rate", 0.0, r"trainer\.learning_rate must be above 0, got 0\.0"),
        (
            replace(TRAINER, strategy="multi-worker", workers=4),
            "samples",
            31,
            r"trainer\.samples must be at least one batch \(32\), got 31",
        ),
        (
            TRAINER,
            "workers",
            2,
            r"trainer\.strategy must be 'multi-worker' or 'horovod' with 2 workers"
            r" \(trainer\.workers\), got 'auto'",
        ),
        (
            TRAINER,
            "optimizer",
            OptimizerConfig(accumulate_parts=3),
            r"trainer\.optimizer\.accumulate_parts must be a divisor of trainer\.batch_size, 8,"
            " got 3",
        ),
        (TRAINER, "checkpoint_minutes", -1, r"trainer\.checkpoint_minutes must be 0 or more, .*"),
        (ValidationConfig(), "share", 1.0, r"trainer\.validation\.share must be 0 or more, .*1\.0"),
        (ValidationConfig(), "patience", -1, r"trainer\.validation\.patience must be 0 or .*-1"),
        (TRAINER, "keep_checkpoints", 0, r"trainer\.keep_checkpoints must be above 0, got 0"),
        (TRAINER, "checkpoint_steps", 0, r"trainer\.checkpoint_steps must be above 0, got 0"),
        (TRAINER, "log_steps", -1, r"trainer\.log_steps must be above 0, got -1"),
        (TRAINER, "crop", (8,), r"trainer\.crop must be 2 or 3 sizes above 0, got \(8,\)"),
        (TRAINER, "crop", (8, 0), r"trainer\.crop must be 2 or 3 sizes above 0, got \(8, 0\)"),
        (
            TRAINER,
            "foreground_fraction",
            1.5,
            r"trainer\.foreground_fraction must be between 0 and 1, got 1\.5",
        ),
        (TRAINER, "seed", -1, r"trainer\.seed must be between 0 and 2147483647, got -1"),
        (TRAINER, "seed", 2**31, r"trainer\.seed must be between 0 and .*, got 2147483648"),
        (
            AugmentConfig(),
            "brightness",
            1.0,
            r"trainer\.augment\.brightness must be at least 0 and below 1, got 1\.0",
        ),
        (
            INFERENCE,
            "window",
            (8, 8, 8, 8),
            r"inference\.window must be 2 or 3 sizes above 0, got \(8, 8, 8, 8\)",
        ),
        (INFERENCE, "overlap", 1.0, r"inference\.overlap must be at least 0 and below 1, got 1\.0"),
        (INFERENCE, "overlap", -0.1, r"inference\.overlap must be at least 0 .*, got -0\.1"),
        (INFERENCE, "threshold", 0.0, r"inference\.threshold must be between 0 and 1, got 0\.0"),
        (INFERENCE, "threshold", 1.0, r"inference\.threshold must be between 0 and 1, got 1\.0"),
        (
            INFERENCE,
            "mode",
            "full",
            r"inference\.mode must be one of 'window', 'whole', got 'full'",
        ),
        (INFERENCE, "whole_limit", 0, r"inference\.whole_limit must be above 0, got 0"),
        (
            INFERENCE,
            "mirror",
            (0, 3),
            r"inference\.mirror must be different axes of 0 to 2, by the sizes of"
            r" inference\.window, got \(0, 3\)",
        ),
        (INFERENCE, "mirror", (1, 1), r"inference\.mirror must be different axes .*, got \(1, 1\)"),
        (INFERENCE, "mirror", (-1,), r"inference\.mirror must be different axes .*, got \(-1,\)"),
        (
            INFERENCE,
            "keep_largest",
            ((1,), ()),
            r"inference\.keep_largest must be groups of label values, none of them empty, such as"
            r" \[\[1\], \[2, 3\]\], got \(\(1,\), \(\)\)",
        ),
        (
            INFERENCE,
            "min_component",
            -1,
            r"inference\.min_component must be 0 or more voxels, got -1",
        ),
    ],
)
def test_error_names_field_value_and_what_is_allowed(
    config: object, field: str, value: object, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        replace(config, **{field: value})


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        (TRAINER, {"foreground_fraction": 0.0}),
        (TRAINER, {"foreground_fraction": 1.0}),
        (TRAINER, {"crop": (1, 1)}),
        (TRAINER, {"seed": 2**31 - 1}),
        (AugmentConfig(), {"brightness": 0.0}),
        (INFERENCE, {"overlap": 0.0}),
    ],
)
def test_limits_that_are_allowed(config: object, changes: dict) -> None:
    assert replace(config, **changes) != config


def test_largest_component_of_a_label_that_the_dataset_lacks() -> None:
    config = replace(INFERENCE, keep_largest=((1, 4), (3,)))
    assert config.require_labels((0, 1, 3, 4)) is None
    message = (
        r"^inference\.keep_largest must be groups of the dataset's label values 1, 2, 4,"
        r" got \(\(1, 4\), \(3,\)\)$"
    )
    with pytest.raises(ValueError, match=message):
        config.require_labels((0, 1, 2, 4))
    with pytest.raises(ValueError, match=r"label values 255, got \(\(0,\),\)$"):
        replace(INFERENCE, keep_largest=((0,),)).require_labels((0, 255))


@pytest.mark.parametrize(
    "config",
    [
        TRAINER,
        replace(INFERENCE, mode="whole", mirror=(2, 0), keep_largest=((1, 2), (4,))),
        replace(TRAINER, augment=AugmentConfig(flips=False, brightness=0.25), precision="bfloat16"),
        INFERENCE,
        EvaluationConfig(empty="nan"),
    ],
)
def test_config_survives_json(config: object) -> None:
    assert from_json(type(config), to_json(config)) == config


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"loss": {"nam": "focal"}}, "nam"),
        ({"stategy": "mirrored"}, "stategy"),
        ({"crop": "x"}, "crop"),
    ],
)
def test_what_does_not_fit_is_rejected_on_the_way_from_json(values: dict, word: str) -> None:
    given = {"samples": 100, "batch_size": 8, "crop": [32, 32, 16]} | values
    with pytest.raises(ArgumentError, match=word):
        from_dict(TrainerConfig, given)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"empty": "zero"}, "evaluation.empty must be one of"),
        ({"slices": ("size", "size")}, "evaluation.slices must be different names of columns"),
        ({"slices": ("",)}, "evaluation.slices must be different names of columns"),
        ({"size_edges_ml": ()}, "evaluation.size_edges_ml must be sizes above 0 that ascend"),
        ({"size_edges_ml": (0.0, 1.0)}, "evaluation.size_edges_ml must be sizes above 0"),
        ({"size_edges_percent": (2.0, 1.0)}, "evaluation.size_edges_percent must be sizes above"),
    ],
)
def test_wrong_evaluation(values, message):
    with pytest.raises(ValueError, match=message):
        EvaluationConfig(**values)


def test_evaluation_without_slices():
    config = EvaluationConfig(slices=())
    assert from_json(EvaluationConfig, to_json(config)) == config
