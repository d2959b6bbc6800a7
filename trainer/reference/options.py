"""Options of `python -m trainer`, whole and checked: what becomes of the flags of the references.

Defaults that the references agree on are in `trainer.reference.flags`; where they differ,
`REFERENCES` has them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

from beam_preprocess.validation import require, require_choices
from trainer.loss.config import LOSSES as TRAITS
from trainer.model_config import ModelConfig
from trainer.presets import PRESETS

Mode = Literal["train", "evaluate", "train_and_evaluate", "predict", "train_and_predict"]
Norm = Literal["instance", "batch", "group"]
Precision = Literal["float32", "bfloat16", "float16"]
Profile = Literal["corrected", "reference"]

MODES: tuple[str, ...] = get_args(Mode)
LOSSES = ("dice", "ce", "dice+ce")
NORMS: Mapping[str, Norm] = MappingProxyType(
    {"instancenorm": "instance", "batchnorm": "batch", "groupnorm": "group"}
)
"""Value of --normalization -> `ModelConfig.norm`."""
PROFILES: tuple[str, ...] = get_args(Profile)
LOG_NAME = "log.json"
ALL_FOLDS = "all"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What is particular to one reference system.

    Attributes:
      rank: Spatial axes of its records: 3 has X, Y, mean and stdev, 2 image and mask.
      network: Preset.
      max_steps, batch_size, learning_rate, warmup_steps, log_every, loss, augment: Defaults.
      precision: Default type of activations.
      input_shape: Default size of the training crop.
      prediction: How it makes classes of probabilities, with profile `reference`: `round` them,
        `argmax`, or a `threshold`.
      drop_remainder: Whether its evaluation leaves out an incomplete batch.
    """

    rank: Literal[2, 3] = 3
    network: str = "unet3d"
    max_steps: int = 16000
    batch_size: int = 1
    learning_rate: float = 2e-4
    warmup_steps: int = 40
    log_every: int = 100
    loss: str = "dice+ce"
    augment: bool = False
    precision: Precision = "float32"
    input_shape: tuple[int, ...] = (128, 128, 128)
    prediction: Literal["round", "argmax", "threshold"] = "round"
    drop_remainder: bool = False


REFERENCES: Mapping[str, Reference] = MappingProxyType(
    {
        # The June 2020 release, and what NVIDIA made of it in 2021 (whose schedule is left out).
        "nvidia-3d": Reference(),
        "nvidia-3d-2021": Reference(network="unet3d-2021", prediction="argmax"),
        # Habana's default of XLA is left out: on a CPU it costs time.
        "habana": Reference(batch_size=2, augment=True, precision="bfloat16"),
        "ascend": Reference(log_every=1, drop_remainder=True),
        "dagm": Reference(
            rank=2,
            network="unet2d-dagm",
            max_steps=1000,
            learning_rate=1e-4,
            warmup_steps=200,
            loss="bce",
            input_shape=(256, 256),
            prediction="threshold",
        ),
    }
)
"""Value of --reference -> what is particular to it."""
CLASSES: Mapping[int, int] = MappingProxyType({3: 4, 2: 1})
"""Spatial axes of the records -> channels of the logits: softmax classes, or one sigmoid logit."""
NETWORKS = tuple(name for name, m in PRESETS.items() if m.classes == CLASSES[m.rank])
"""Presets with those channels."""
DEFAULT_REFERENCE: Mapping[int, str] = MappingProxyType({3: "nvidia-3d", 2: "dagm"})
"""Spatial axes of the records -> the reference where none is named."""


@dataclass(frozen=True, kw_only=True)
class ReferenceOptions:
    """A command line of `python -m trainer`. Errors name fields by their flags.

    Attributes:
      exec_mode: What to do.
      model_dir: Folder of checkpoints, logs, scores and predictions.
      data_dir: Folder of the records; None with `synth_data`.
      reference: Key of `REFERENCES`.
      profile: Scores without the references' mistakes, or number for number as they print them.
      fold: Held out, 0 to num_folds - 1, or `ALL_FOLDS`; image and mask records have one only.
      num_folds: Folds, over files.
      resume: Whether training goes on from the last checkpoint of `model_dir`.
      seed: Seed of weights, order and augmentation.
      network: Key of `PRESETS`.
      norm: Normalisation of the network; None leaves that of the preset.
      loss: `dice`, `ce`, `dice+ce`, or `bce` for the one logit of image and mask records.
      include_background: Whether the loss counts the background as a class.
      batch_size: Crops per step and worker.
      max_steps: Steps of one worker; n workers take 1/n of them each, but in a benchmark all.
      learning_rate: Constant rate of Adam.
      weight_decay: Decay of kernels.
      augment: Whether crops are changed at random.
      input_shape: Size of the training crop per spatial axis.
      evaluate_every: Steps between two evaluations while training, 0 for none.
      save_checkpoints: Whether `model_dir` gets checkpoints and the model.
      precision: Type of activations.
      loss_scale: Of float16: below 1 none, 1 dynamic, above 1 this constant.
      xla: Whether XLA compiles the steps.
      horovod: Whether workers must be those of horovodrun; False leaves it to the environment.
      hpu: Whether a Habana HPU may be used.
      benchmark: Whether the steps of `train` or `predict` are timed and nothing is kept.
      warmup_steps: First steps that a benchmark does not time.
      synth_data: Whether random data made in memory replace the records.
      log_every: Steps between two lines of the log.
      log_file: JSON lines of what is logged, or None.
      notes: Sentences on flags that have no effect, to be logged once.
    """

    exec_mode: Mode
    model_dir: Path
    data_dir: Path | None
    reference: str
    profile: Profile
    fold: int | str
    num_folds: int
    resume: bool
    seed: int
    network: str
    norm: Norm | None
    loss: str
    include_background: bool
    batch_size: int
    max_steps: int
    learning_rate: float
    weight_decay: float
    augment: bool
    input_shape: tuple[int, ...]
    evaluate_every: int
    save_checkpoints: bool
    precision: Precision
    loss_scale: int
    xla: bool
    horovod: bool
    hpu: bool
    benchmark: bool
    warmup_steps: int
    synth_data: bool
    log_every: int
    log_file: Path | None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_choices(self, "reference options")
        self._require_ranges()
        self._require_network()
        self._require_data()
        if self.benchmark:
            self._require_benchmark()

    @property
    def details(self) -> Reference:
        """What is particular to the reference."""
        return REFERENCES[self.reference]

    @property
    def trains(self) -> bool:
        """Whether the mode trains."""
        return "train" in self.exec_mode

    @property
    def evaluates(self) -> bool:
        """Whether the mode evaluates."""
        return "evaluate" in self.exec_mode

    @property
    def predicts(self) -> bool:
        """Whether the mode predicts."""
        return "predict" in self.exec_mode

    @property
    def model(self) -> ModelConfig:
        """The network: the preset, with the normalisation that was asked for."""
        preset = PRESETS[self.network]
        return replace(preset, norm=self.norm) if self.norm else preset

    def _require_ranges(self) -> None:
        for name in ("batch_size", "max_steps", "log_every", "learning_rate"):
            value = getattr(self, name)
            require(0 < value < float("inf"), f"--{name}", value, "above 0")
        for name in ("warmup_steps", "evaluate_every", "weight_decay"):
            value = getattr(self, name)
            require(0 <= value < float("inf"), f"--{name}", value, "0 or above")
        require(0 <= self.seed < 2**31, "--seed", self.seed, "between 0 and 2147483647")
        require(self.num_folds >= 2, "--num_folds", self.num_folds, "at least 2")
        folds = f"0 to {self.num_folds - 1} (--num_folds {self.num_folds})"
        known = self.fold == ALL_FOLDS or self.fold in range(self.num_folds)
        require(known, "--fold", self.fold, f"{folds}, or {ALL_FOLDS}")
        require(
            self.loss_scale <= 1 or self.precision == "float16",
            "--npu_loss_scale",
            self.loss_scale,
            f"left out, or --amp given: gradients in {self.precision} are not scaled",
        )

    def _require_network(self) -> None:
        rank = self.details.rank
        records = f"the {rank}D records of --reference {self.reference}"
        fitting = [name for name in NETWORKS if PRESETS[name].rank == rank]
        choices = f"one of {', '.join(fitting)} for {records}"
        require(self.network in fitting, "--network", self.network, choices)
        try:
            self.model.output_size(self.input_shape)
        except ValueError as e:
            flags = "--input_shape and --normalization"
            raise ValueError(f"{flags} must fit --network {self.network}: {e}") from e
        if rank == 3:
            require(self.loss in LOSSES, "--loss", self.loss, f"one of {', '.join(LOSSES)}")
            self._require_background()
            return
        one_logit = f"left out for {records}, whose networks have one logit"
        require(self.loss == "bce", "--loss", self.loss, f"{one_logit} and are trained with bce")
        background = self.include_background
        require(
            not background, "--include_background", background, f"{one_logit} and no background"
        )
        norm = f"left out for {records}, whose networks have no normalisation"
        require(self.norm is None, "--normalization", self.norm, norm)

    def _require_background(self) -> None:
        """Some losses leave no choice."""
        free = [name for name in LOSSES if TRAITS[self.profile][name].background]
        require(
            self.loss in free or not self.include_background,
            "--include_background",
            self.include_background,
            f"left out with --loss {self.loss} of --profile {self.profile}, which counts all"
            f" classes; it is a choice with {', '.join(free)}",
        )

    def _require_data(self) -> None:
        real = "given, a folder of records, unless --synth_data is"
        require((self.data_dir is None) == self.synth_data, "--data_dir", self.data_dir, real)
        require(
            not self.synth_data or self.exec_mode == "train" or self.benchmark,
            "--exec_mode",
            self.exec_mode,
            "train, or --benchmark given, with --synth_data: noise has nothing to score",
        )

    def _require_benchmark(self) -> None:
        timed = "train or predict with --benchmark: others are not timed"
        require(self.exec_mode in ("train", "predict"), "--exec_mode", self.exec_mode, timed)
        below = (
            f"below the steps of the benchmark ({self.max_steps}): lower it or raise --max_steps"
        )
        require(self.warmup_steps < self.max_steps, "--warmup_steps", self.warmup_steps, below)
        apart = "0 with --benchmark: evaluations would be timed"
        require(not self.evaluate_every, "--evaluate_every", self.evaluate_every, apart)
