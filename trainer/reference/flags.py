"""The flags of the references' command lines in one table: type, origin, what each does here.

Origins: A NVIDIA UNet_3D_Medical, B Habana UNet3D, C Ascend UNet3D, D UNet on DAGM 2007 (TF2); `-`
is ours. Defaults that differ between references are in `trainer.reference.options.REFERENCES`.
"""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from trainer.reference.options import (
    ALL_FOLDS,
    LOSSES,
    MODES,
    NETWORKS,
    NORMS,
    PROFILES,
    REFERENCES,
)

ORIGINS = "A NVIDIA 3D-UNet, B Habana UNet3D, C Ascend UNet3D, D UNet on DAGM 2007, - ours"


@dataclass(frozen=True)
class Flag:
    """A flag with a value, or a switch.

    Attributes:
      names: All its names, apart by spaces; the first gives the name of the value.
      origin: Letters of the references that have it.
      does: What it does here, in a line.
      type: Of its value; None makes it a switch.
      default: Where there is one and the references agree on it.
      choices: Allowed values; empty allows all of the type.
      many: Whether several values follow.
    """

    names: str
    origin: str
    _: KW_ONLY
    does: str
    type: Callable[[str], Any] | None = None
    default: Any = None
    choices: tuple[str, ...] = ()
    many: bool = False

    @property
    def dest(self) -> str:
        """Name of the value: the first name without its dashes."""
        return self.names.split()[0].lstrip("-")


def _fold(text: str) -> int | str:
    return text if text == ALL_FOLDS else int(text)


_TASK = (
    Flag("--exec_mode", "ABCD", does=", ".join(MODES), type=str),
    Flag(
        "--data_dir",
        "ABCD",
        does="records of a reference or of ours; needed unless --synth_data",
        type=Path,
    ),
    Flag(
        "--model_dir", "ABCD", does="checkpoints, logs, scores and predictions; needed", type=Path
    ),
    Flag(
        "--reference",
        "-",
        does="whose defaults (default: by the records nvidia-3d or dagm)",
        type=str,
        choices=tuple(REFERENCES),
    ),
    Flag(
        "--profile",
        "-",
        does="scores put right, or number for number as theirs",
        type=str,
        default="corrected",
        choices=PROFILES,
    ),
    Flag(
        "--fold",
        "ABCD",
        does="fold that is held out, from 0, or all: one after another",
        type=_fold,
        default=0,
    ),
    Flag(
        "--num_folds",
        "ABC",
        does="folds, made of whole files in order of name",
        type=int,
        default=5,
    ),
    Flag("--resume_training", "ABCD", does="go on from the last checkpoint of --model_dir"),
    Flag("--seed", "ABD", does="seed of weights, order and augmentation", type=int, default=0),
)

_TRAINING = (
    # horovodrun takes --network for an option of its own
    Flag("--network --preset", "-", does="preset of the network", type=str, choices=NETWORKS),
    Flag("--normalization", "ABC", does="norm of a 3D network", type=str, choices=tuple(NORMS)),
    Flag("--loss", "ABC", does="loss of a 3D network", type=str, choices=LOSSES),
    Flag("--include_background", "ABC", does="count the background as a class in the loss"),
    Flag("--batch_size", "ABCD", does="crops per step and worker", type=int),
    Flag(
        "--max_steps",
        "ABCD",
        does="steps; n workers take 1/n each, but in a benchmark all",
        type=int,
    ),
    Flag("--learning_rate", "ABCD", does="rate of Adam, constant", type=float),
    Flag("--weight_decay", "D", does="decay of kernels", type=float, default=0.0),
    Flag("--augment", "ABCD", does="random changes of the crops"),
    Flag("--no-augment", "BD", does="crops as they are"),
    Flag("--input_shape", "A", does="size of the training crop", type=int, many=True),
    Flag(
        "--evaluate_every",
        "D",
        does="steps between evaluations while training, 0 none",
        type=int,
        default=0,
    ),
    Flag("--disable_ckpt_saving", "B", does="keep no checkpoint and no model"),
)

_SPEED = (
    Flag("--dtype -d", "B", does="type of activations", type=str, choices=("fp32", "bf16")),
    Flag("--amp --use_amp", "ABD", does="float16 with loss scaling"),
    Flag(
        "--npu_loss_scale",
        "C",
        does="float16 gradients: below 1 none, 1 dynamic, else constant",
        type=int,
        default=1,
    ),
    Flag("--xla --use_xla", "ABD", does="compile with XLA (default: off)"),
    Flag("--no_xla", "B", does="no XLA, the default"),
    Flag("--use_horovod", "B", does="insist on workers of horovodrun"),
    Flag("--no_hpu", "B", does="leave a Habana HPU alone"),
)

_BENCHMARK = (
    Flag("--benchmark", "ABCD", does="time the steps of train or predict, keep nothing"),
    Flag("--no-benchmark", "D", does="no benchmark, the default"),
    Flag("--warmup_steps", "ABCD", does="steps before a benchmark starts to time", type=int),
    Flag("--synth_data", "B", does="random data made in memory: train, or a benchmark"),
)

_LOG = (
    Flag("--log_every", "ABCD", does="steps between two lines of the log", type=int),
    Flag(
        "--log_dir",
        "ABCD",
        does="JSON lines: a file if its name has an ending, else a folder",
        type=Path,
    ),
)

_NO_EFFECT = (
    Flag("--bf16_config_path", "B", does="no effect: Keras chooses per layer", type=Path),
    Flag("--tensorboard_logging", "B", does="no effect: always on"),
    Flag("--log_all_workers", "B", does="no effect: one log of all workers"),
    Flag("--tf_verbosity", "B", does="no effect: set TF_CPP_MIN_LOG_LEVEL", type=int),
)

_REJECTED = (
    Flag("--use_tftrt", "D", does="rejected: no TensorRT here"),
    Flag("--use_savedmodel", "D", does="rejected: the pipeline exports SavedModels"),
    Flag("--dump_config", "B", does="rejected: no tensor dumps", type=str),
    Flag("--hls_type", "B", does="rejected: start workers by horovodrun", type=str),
    Flag("--num_workers_per_hls", "B", does="rejected: start workers by horovodrun", type=int),
    Flag("--kubernetes_run", "B", does="rejected: compile the pipeline for Kubeflow"),
)

FLAGS: Mapping[str, tuple[Flag, ...]] = MappingProxyType(
    {
        "task": _TASK,
        "training": _TRAINING,
        "precision and devices": _SPEED,
        "benchmark": _BENCHMARK,
        "log": _LOG,
        "accepted for the sake of scripts": _NO_EFFECT,
        "rejected": _REJECTED,
    }
)
"""Heading in the help -> its flags."""

NO_EFFECT: Mapping[str, str] = MappingProxyType(
    {
        "bf16_config_path": "Keras's mixed_bfloat16 policy chooses the type of every layer",
        "tensorboard_logging": "TensorBoard events are always written, to --model_dir",
        "log_all_workers": "all workers take part in what the chief logs",
        "tf_verbosity": "TensorFlow itself reads TF_CPP_MIN_LOG_LEVEL: set that variable",
    }
)
"""Name of a value that is accepted and not used -> why."""

REJECTED: Mapping[str, str] = MappingProxyType(
    {
        "use_tftrt": "there is no TensorRT here: leave it out, predict runs the trained network",
        "use_savedmodel": "evaluate and predict read checkpoints: leave it out, `unet-tfx run`"
        " exports a SavedModel",
        "dump_config": "tensors are not dumped: leave it out, TensorBoard in --model_dir shows the"
        " run",
        "hls_type": "the number of workers is not set by flags: leave it out, start them with"
        " `horovodrun -np N python -m trainer`",
        "num_workers_per_hls": "the number of workers is not set by flags: leave it out, start them"
        " with `horovodrun -np N python -m trainer`",
        "kubernetes_run": "this program runs where it is started: leave it out, `unet-tfx compile`"
        " makes a pipeline for Kubeflow",
    }
)
"""Name of a value that makes no sense here -> why, and what to do instead."""

REJECTED_MODES: Mapping[str, str] = MappingProxyType(
    {
        "debug_train": "--exec_mode train --benchmark --synth_data",
        "debug_predict": "--exec_mode predict --benchmark --synth_data",
    }
)
"""Exec mode of a reference that there is not here -> what to give instead."""

CONTRADICTIONS = (
    ("amp", "dtype"),
    ("xla", "no_xla"),
    ("augment", "no-augment"),
    ("benchmark", "no-benchmark"),
    ("resume_training", "benchmark"),
    ("disable_ckpt_saving", "resume_training"),
)
"""Names of values of which a command line may give one."""
