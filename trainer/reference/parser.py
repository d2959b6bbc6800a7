"""Command line of `python -m trainer` -> `ReferenceOptions`.

What makes no sense ends with exit status 2 and a line that says what to do instead; what has no
effect becomes a note.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from trainer.reference.flags import CONTRADICTIONS, FLAGS, REJECTED, REJECTED_MODES
from trainer.reference.notes import unused_flags
from trainer.reference.options import (
    DEFAULT_REFERENCE,
    LOG_NAME,
    MODES,
    NORMS,
    REFERENCES,
    Precision,
    ReferenceOptions,
)
from trainer.reference.usage import describe_unknown, make_parser

if TYPE_CHECKING:  # TensorFlow: --help does not wait for it
    from trainer.reference.records import RecordFolder

_BY_DEST = {flag.dest: flag for flags in FLAGS.values() for flag in flags}
_PRECISIONS: Mapping[str, Precision] = MappingProxyType({"fp32": "float32", "bf16": "bfloat16"})
_SAME_NAME = (
    *("exec_mode", "model_dir", "profile", "fold", "num_folds", "seed", "network", "loss"),
    *("batch_size", "learning_rate", "evaluate_every", "warmup_steps", "log_every"),
)
_SWITCHES: Mapping[str, str] = MappingProxyType(
    {
        "resume": "resume_training",
        "include_background": "include_background",
        "xla": "xla",
        "horovod": "use_horovod",
        "benchmark": "benchmark",
        "synth_data": "synth_data",
    }
)
"""Option -> name of the switch that turns it on."""
Given = Mapping[str, Any]
"""Name of a value -> the value, of what the command line gives."""


def parse_options(
    argv: Sequence[str], *, find: Callable[[Path], RecordFolder] | None = None
) -> ReferenceOptions:
    """Parses and checks a command line, whose defaults depend on the records.

    Exits with status 2 and a line on the standard error where it makes no sense, with 0 after
    --help.

    Args:
      argv: Without the name of the program.
      find: `trainer.reference.records.find_records`, or what replaces it.
    """
    parser = make_parser()
    values, unknown = parser.parse_known_args(argv)
    given = {name: value for name, value in vars(values).items() if value is not None}
    try:
        if unknown:
            raise ValueError(describe_unknown(unknown[0]))
        _require_sense(given)
        records = None if "synth_data" in given else _find(given, find)
        return _make_options(given, records)
    except ValueError as e:
        parser.error(str(e))


def _find(given: Given, find: Callable[[Path], RecordFolder] | None) -> RecordFolder:
    if "data_dir" not in given:
        raise ValueError("--data_dir is missing: give a folder of records, or --synth_data")
    if find is None:
        from trainer.reference.records import find_records as find
    return find(given["data_dir"])


def _require_sense(given: Given) -> None:
    """Raises ValueError for what is rejected, for contradictions and for what is missing."""
    for name, reason in REJECTED.items():
        if name in given:
            raise ValueError(f"{_flag(name)} is not accepted: {reason}")
    for pair in CONTRADICTIONS:
        if all(name in given for name in pair):
            one, other = map(_flag, pair)
            raise ValueError(f"{one} and {other} contradict each other: leave one out")
    mode = given.get("exec_mode", "")
    if mode in REJECTED_MODES:
        raise ValueError(f"--exec_mode {mode} is not accepted: use {REJECTED_MODES[mode]}")
    if mode not in MODES:
        words = f"{mode} is none that there is" if mode else "is missing"
        raise ValueError(f"--exec_mode {words}: give one of {', '.join(MODES)}")
    if "model_dir" not in given:
        raise ValueError("--model_dir is missing: give a folder for checkpoints and results")


def _make_options(given: Given, records: RecordFolder | None) -> ReferenceOptions:
    reference = _reference(given, records)
    agreed = {flag.dest: flag.default for flag in _BY_DEST.values() if flag.default is not None}
    values = ChainMap(dict(given), agreed, vars(REFERENCES[reference]))
    switches: dict[str, Any] = {option: name in given for option, name in _SWITCHES.items()}
    options = ReferenceOptions(
        **{name: values[name] for name in _SAME_NAME},
        **switches,
        reference=reference,
        data_dir=None if "synth_data" in given else given.get("data_dir"),
        norm=NORMS.get(given.get("normalization", "")),
        input_shape=tuple(values["input_shape"]),
        augment=values["augment"] and "no-augment" not in given,
        precision=_precision(given, values["precision"]),
        loss_scale=values["npu_loss_scale"],
        save_checkpoints="disable_ckpt_saving" not in given,
        hpu="no_hpu" not in given,
        max_steps=given.get("max_steps", _default_steps(values)),
        weight_decay=_weight_decay(values, reference),
        log_file=_log_file(given.get("log_dir")),
    )
    own_split = records is not None and records.layout == "photographs"
    unused = unused_flags(given, options, own_split=own_split)
    return replace(options, notes=tuple(f"{_flag(n)} has no effect: {why}" for n, why in unused))


def _reference(given: Given, records: RecordFolder | None) -> str:
    """The reference that is named, or that of the records.

    Raises:
      ValueError: The records have another number of axes than those of the reference.
    """
    named = given.get("reference")
    rank = records.rank if records else REFERENCES[named or DEFAULT_REFERENCE[3]].rank
    if named and REFERENCES[named].rank != rank:
        fitting = ", ".join(name for name, r in REFERENCES.items() if r.rank == rank)
        allowed = f"one of {fitting} for the {rank}D records in {given['data_dir']}"
        raise ValueError(f"--reference must be {allowed}, got {named!r}")
    return named or DEFAULT_REFERENCE[rank]


def _precision(given: Given, default: Precision) -> Precision:
    if "amp" in given:
        return "float16"
    return _PRECISIONS[given["dtype"]] if "dtype" in given else default


def _default_steps(values: Given) -> int:
    """A benchmark of predict takes twice its warm-up, as NVIDIA's 3D-UNet does."""
    timed = "benchmark" in values and values["exec_mode"] == "predict"
    return max(1, 2 * values["warmup_steps"]) if timed else values["max_steps"]


def _weight_decay(values: Given, reference: str) -> float:
    """The DAGM reference reads the flag and never uses it."""
    unused = reference == "dagm" and values["profile"] == "reference"
    return 0.0 if unused else values["weight_decay"]


def _log_file(path: Path | None) -> Path | None:
    """--log_dir is a file for NVIDIA and a folder for Habana: an ending tells."""
    return path / LOG_NAME if path and not path.suffix else path


def _flag(name: str) -> str:
    """All names of a flag, by the name of its value."""
    return "/".join(_BY_DEST[name].names.split())
