"""Flags that a command line gives and that have no effect in it: said once in the log, with why."""

from collections.abc import Iterator, Mapping
from typing import Any

from trainer.reference.flags import NO_EFFECT
from trainer.reference.options import ReferenceOptions

TRAINING_ONLY = (
    *("loss", "include_background", "learning_rate", "weight_decay", "augment", "no-augment"),
    *("evaluate_every", "disable_ckpt_saving", "resume_training"),
)
"""Names of values that matter to modes that train, in a benchmark or not."""


def unused_flags(
    given: Mapping[str, Any], options: ReferenceOptions, *, own_split: bool
) -> Iterator[tuple[str, str]]:
    """Yields the names of given values that have no effect, each with the reason.

    Args:
      given: Name of a value -> the value, of what the command line gives.
      options: What became of it.
      own_split: Whether the records have a train and a test part and no folds.
    """
    for name, reason in (*NO_EFFECT.items(), *_by_mode(options), *_by_data(options, own_split)):
        if name in given:
            yield name, reason


def _by_mode(options: ReferenceOptions) -> Iterator[tuple[str, str]]:
    if not options.trains:
        yield from ((name, f"{options.exec_mode} does not train") for name in TRAINING_ONLY)
        if not options.benchmark:
            yield "max_steps", f"{options.exec_mode} takes every case once"
    if not options.benchmark:
        yield "warmup_steps", "only --benchmark leaves out first steps"
    if options.precision != "float16":
        yield "npu_loss_scale", f"gradients in {options.precision} are not scaled, only in --amp"


def _by_data(options: ReferenceOptions, own_split: bool) -> Iterator[tuple[str, str]]:
    if options.synth_data:
        yield "data_dir", "--synth_data makes the data"
    if own_split:
        yield "fold", "image and mask records have their own train and test"
        yield "num_folds", "image and mask records have their own train and test"
    if options.profile == "reference" and options.reference == "dagm":
        yield "weight_decay", "the reference reads it and never uses it (--profile reference)"
