"""Command lines of the references' own scripts, what becomes of them, and what is turned away."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trainer.reference.flags import FLAGS, NO_EFFECT, REJECTED
from trainer.reference.options import REFERENCES, ReferenceOptions
from trainer.reference.parser import parse_options
from trainer.reference.records import RecordFolder
from trainer.reference.usage import make_parser

FLAG_TABLE = [flag for flags in FLAGS.values() for flag in flags]
TRAIN = "--exec_mode train --model_dir m --data_dir d"
SYNTHETIC = "--exec_mode train --model_dir m --synth_data"


def volumes(path: Path) -> RecordFolder:
    return RecordFolder(path=path, layout="volumes", rank=3, files={})


def photographs(path: Path) -> RecordFolder:
    return RecordFolder(path=path, layout="photographs", rank=2, files={})


def parse(line: str, find=volumes) -> ReferenceOptions:
    return parse_options(shlex.split(line), find=find)


def refusal(line: str, capsys: pytest.CaptureFixture[str], find=volumes) -> str:
    """What a command line that is turned away prints: one line, with exit status 2."""
    with pytest.raises(SystemExit) as ended:
        parse(line, find)
    printed = capsys.readouterr()
    assert ended.value.code == 2
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err.removeprefix("python -m trainer: error: ").strip()


@pytest.mark.parametrize(
    ("line", "find", "expected"),
    [
        pytest.param(
            f"{TRAIN} --max_steps 16000 --augment --xla --use_amp --batch_size 2 --fold 4",
            volumes,
            {"precision": "float16", "loss_scale": 1, "xla": True, "augment": True, "fold": 4},
            id="nvidia-train-full",
        ),
        pytest.param(
            f"{TRAIN} --max_steps 80 --benchmark --augment --batch_size 4 --log_dir a/log.json",
            volumes,
            {
                "benchmark": True,
                "max_steps": 80,
                "warmup_steps": 40,
                "log_file": Path("a/log.json"),
            },
            id="nvidia-train-benchmark",
        ),
        pytest.param(
            "--exec_mode predict --warmup_steps 20 --benchmark --model_dir m --data_dir d --amp",
            volumes,
            {"benchmark": True, "max_steps": 40, "batch_size": 1},
            id="nvidia-infer-benchmark",
        ),
        pytest.param(
            "--exec_mode train_and_evaluate --model_dir m --data_dir d --dtype bf16 --fold 0"
            " --use_horovod --augment --seed 123 --log_dir logs",
            volumes,
            {
                "precision": "bfloat16",
                "horovod": True,
                "seed": 123,
                "log_file": Path("logs/log.json"),
            },
            id="habana",
        ),
        pytest.param(
            f"{TRAIN} --max_steps 80 --benchmark --fold 0 --batch_size 2 --augment",
            volumes,
            {"batch_size": 2, "precision": "float32", "xla": False},
            id="ascend-performance",
        ),
        pytest.param(
            "--exec_mode train_and_evaluate --max_steps 16000 --npu_loss_scale 1 --augment"
            " --batch_size 2 --fold 3 --data_dir d --model_dir m",
            volumes,
            {"precision": "float32", "exec_mode": "train_and_evaluate"},
            id="ascend-accuracy",
        ),
        pytest.param(
            f"{TRAIN} --batch_size 8 --max_steps 6400 --augment --use_xla --evaluate_every 500",
            photographs,
            {"loss": "bce", "evaluate_every": 500, "reference": "dagm", "learning_rate": 1e-4},
            id="dagm",
        ),
    ],
)
def test_command_lines_of_the_references(line: str, find, expected: dict) -> None:
    options = parse(line, find)
    assert {name: getattr(options, name) for name in expected} == expected


def test_defaults_are_those_of_the_records() -> None:
    brats, dagm = parse(TRAIN), parse(TRAIN, photographs)
    assert (brats.reference, dagm.reference) == ("nvidia-3d", "dagm")
    assert (brats.max_steps, dagm.max_steps) == (16000, 1000)
    assert (brats.learning_rate, dagm.learning_rate) == (2e-4, 1e-4)
    assert (brats.warmup_steps, dagm.warmup_steps) == (40, 200)
    assert (brats.input_shape, dagm.input_shape) == ((128, 128, 128), (256, 256))
    assert (brats.network, dagm.network) == ("unet3d", "unet2d-dagm")
    assert brats.notes == dagm.notes == ()
    assert brats.profile == "corrected"


def test_defaults_are_those_of_the_reference_that_is_named() -> None:
    habana = parse(f"{TRAIN} --reference habana")
    assert (habana.batch_size, habana.augment, habana.precision) == (2, True, "bfloat16")
    assert not habana.xla
    assert parse(f"{TRAIN} --reference ascend").log_every == 1
    assert parse(f"{TRAIN} --reference nvidia-3d-2021").network == "unet3d-2021"
    assert parse(f"{SYNTHETIC} --reference dagm").loss == "bce"


def test_what_is_given_goes_before_what_the_reference_has() -> None:
    line = f"{TRAIN} --reference habana --no-augment -d fp32 --batch_size 3 --no_hpu"
    options = parse(f"{line} --normalization groupnorm --disable_ckpt_saving --include_background")
    assert (options.augment, options.precision, options.batch_size) == (False, "float32", 3)
    assert (options.hpu, options.save_checkpoints, options.include_background) == (
        *(False, False, True),
    )
    assert (options.norm, options.model.norm) == ("group", "group")


@pytest.mark.parametrize("alias", ["--amp", "--use_amp"])
def test_aliases_of_mixed_precision(alias: str) -> None:
    assert parse(f"{SYNTHETIC} {alias} --npu_loss_scale 1024").loss_scale == 1024


@pytest.mark.parametrize(
    ("alias", "on"), [("--xla", True), ("--use_xla", True), ("--no_xla", False)]
)
def test_aliases_of_xla(alias: str, on: bool) -> None:
    assert parse(f"{SYNTHETIC} {alias}").xla is on


@pytest.mark.parametrize(
    ("mode", "does"),
    [
        ("train", (True, False, False)),
        ("evaluate", (False, True, False)),
        ("train_and_evaluate", (True, True, False)),
        ("predict", (False, False, True)),
        ("train_and_predict", (True, False, True)),
    ],
)
def test_modes(mode: str, does: tuple[bool, ...]) -> None:
    options = parse(f"--exec_mode {mode} --model_dir m --data_dir d")
    assert (options.trains, options.evaluates, options.predicts) == does


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--model_dir m", "--exec_mode is missing: give one of train, evaluate,"),
        ("--exec_mode fit", "--exec_mode fit is none that there is: give one of train,"),
        ("--exec_mode debug_train", "use --exec_mode train --benchmark --synth_data"),
        ("--exec_mode debug_predict", "use --exec_mode predict --benchmark --synth_data"),
        ("--exec_mode train --data_dir d", "--model_dir is missing: give a folder"),
        ("--exec_mode train --model_dir m", "--data_dir is missing: give a folder of records, or"),
        (f"{TRAIN} --batch-size 2", "--batch-size is no flag: did you mean --batch_size?"),
        (f"{TRAIN} --bench", "--bench is no flag: did you mean --benchmark?"),
        (f"{TRAIN} --max_steps many", "argument --max_steps: invalid int value: 'many'"),
        (f"{TRAIN} --loss focal", "argument --loss: invalid choice: 'focal'"),
        (f"{TRAIN} --use_amp --dtype bf16", "--amp/--use_amp and --dtype/-d contradict each other"),
        (f"{TRAIN} --xla --no_xla", "--xla/--use_xla and --no_xla contradict each other"),
        (f"{TRAIN} --augment --no-augment", "--augment and --no-augment contradict each other"),
        (f"{TRAIN} --benchmark --resume_training", "--resume_training and --benchmark contradict"),
        (f"{TRAIN} --fold 5", "--fold must be 0 to 4 (--num_folds 5), or all, got 5"),
        (f"{TRAIN} --fold -1", "--fold must be 0 to 4 (--num_folds 5), or all, got -1"),
        (f"{TRAIN} --num_folds 1", "--num_folds must be at least 2, got 1"),
        (f"{TRAIN} --max_steps 0", "--max_steps must be above 0, got 0"),
        (f"{TRAIN} --learning_rate nan", "--learning_rate must be above 0, got nan"),
        (f"{TRAIN} --weight_decay -1", "--weight_decay must be 0 or above, got -1.0"),
        (f"{TRAIN} --seed -1", "--seed must be between 0 and 2147483647, got -1"),
        (
            f"{TRAIN} --benchmark --max_steps 40",
            "--warmup_steps must be below the steps of the benchmark (40): lower it or raise"
            " --max_steps, got 40",
        ),
        (
            f"{TRAIN} --npu_loss_scale 1048576",
            "--npu_loss_scale must be left out, or --amp given: gradients in float32 are not"
            " scaled, got 1048576",
        ),
        (
            f"{TRAIN} --input_shape 100 128 128",
            "--input_shape and --normalization must fit --network unet3d: input size[0] must",
        ),
        (
            f"{TRAIN} --input_shape 128 128",
            "--input_shape and --normalization must fit --network unet3d: input size",
        ),
        (
            f"{TRAIN} --loss ce --include_background",
            "--include_background must be left out with --loss ce of --profile corrected, which"
            " counts all classes; it is a choice with dice, dice+ce, got True",
        ),
        (f"{TRAIN} --network unet2d-dagm", "--network must be one of unet3d, unet3d-2021, unet3d-"),
        (
            f"{TRAIN} --network unet3d-tiny --normalization groupnorm",
            "--input_shape and --normalization must fit --network unet3d-tiny: model.filters must",
        ),
        (
            f"{TRAIN} --reference dagm",
            "--reference must be one of nvidia-3d, nvidia-3d-2021, habana, ascend for the 3D"
            " records in d, got 'dagm'",
        ),
        (
            "--exec_mode evaluate --benchmark --model_dir m --data_dir d",
            "--exec_mode must be train or predict with --benchmark: others are not timed, got",
        ),
        (
            f"{TRAIN} --benchmark --evaluate_every 5",
            "--evaluate_every must be 0 with --benchmark: evaluations would be timed, got 5",
        ),
        (
            "--exec_mode train_and_evaluate --synth_data --model_dir m",
            "--exec_mode must be train, or --benchmark given, with --synth_data: noise has nothing",
        ),
    ],
)
def test_what_makes_no_sense_is_said_in_a_line(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refusal(line, capsys)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--loss ce", "--loss must be left out for the 2D records of --reference dagm, whose"),
        ("--include_background", "--include_background must be left out for the 2D records of"),
        ("--normalization batchnorm", "--normalization must be left out for the 2D records of"),
        ("--reference habana", "--reference must be one of dagm for the 2D records in d, got"),
        ("--network unet3d", "--network must be one of unet2d-dagm, unet2d-industrial, unet2d-"),
    ],
)
def test_what_image_and_mask_records_do_not_take(
    flags: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refusal(f"{TRAIN} {flags}", capsys, photographs)


@pytest.mark.parametrize("name", REJECTED)
def test_rejected_flags_say_what_to_do_instead(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (flag,) = (flag for flag in FLAG_TABLE if flag.dest == name)
    value = "" if flag.type is None else "1"
    message = refusal(f"{TRAIN} --{name} {value}", capsys)
    assert message.startswith(f"--{name} is not accepted: ")
    assert ": leave it out" in message


@pytest.mark.parametrize("name", NO_EFFECT)
def test_flags_kept_for_scripts_are_noted(name: str) -> None:
    (flag,) = (flag for flag in FLAG_TABLE if flag.dest == name)
    options = parse(f"{TRAIN} --{name} {'' if flag.type is None else '1'}")
    assert options.notes == (f"--{name} has no effect: {NO_EFFECT[name]}",)


@pytest.mark.parametrize(
    ("line", "find", "note"),
    [
        (f"{SYNTHETIC} --data_dir d", volumes, "--data_dir has no effect: --synth_data makes"),
        (f"{TRAIN} --warmup_steps 3", volumes, "--warmup_steps has no effect: only --benchmark"),
        (f"{TRAIN} --npu_loss_scale 1", volumes, "--npu_loss_scale has no effect: gradients in"),
        (f"{TRAIN} --fold 2", photographs, "--fold has no effect: image and mask records have"),
        (
            f"{TRAIN} --weight_decay 5e-4 --profile reference",
            photographs,
            "--weight_decay has no effect: the reference reads it and never uses it",
        ),
        (
            "--exec_mode evaluate --model_dir m --data_dir d --max_steps 5",
            volumes,
            "--max_steps has no effect: evaluate takes every case once",
        ),
        (
            "--exec_mode predict --model_dir m --data_dir d --resume_training",
            volumes,
            "--resume_training has no effect: predict does not train",
        ),
    ],
)
def test_flags_without_effect_here_are_noted(line: str, find, note: str) -> None:
    (made,) = parse(line, find).notes
    assert made.startswith(note)


def test_weight_decay_is_used_but_where_the_reference_does_not() -> None:
    line = f"{TRAIN} --weight_decay 5e-4"
    assert parse(line, photographs).weight_decay == 5e-4
    assert parse(f"{line} --profile reference", photographs).weight_decay == 0
    assert parse(f"{line} --profile reference").weight_decay == 5e-4


def test_records_on_disk_tell_the_reference(tmp_path: Path, write_file, make_record) -> None:
    record = make_record("case", np.ones((8, 8, 1), np.uint8), np.zeros((8, 8), np.uint8))
    write_file(tmp_path / "Split-fold-0/x.gz", [record])
    line = ["--exec_mode", "train", "--model_dir", "m", "--data_dir", str(tmp_path)]
    assert parse_options([*line, "--fold", "0"]).reference == "dagm"
    assert parse_options([*line, "--fold", "0"]).notes == ()  # our own records have folds


def test_every_flag_of_the_references_is_known() -> None:
    """Facts A.9, B.9, section 4 and D.9."""
    a = """--model_dir --data_dir --exec_mode --benchmark --max_steps --learning_rate --log_every
    --log_dir --loss --warmup_steps --normalization --include_background --resume_training --augment
    --batch_size --fold --num_folds --use_amp --amp --use_xla --xla --seed --input_shape"""
    b = """--no-augment --dtype -d --bf16_config_path --no_xla --dump_config --synth_data
    --disable_ckpt_saving --no_hpu --use_horovod --tensorboard_logging --log_all_workers
    --tf_verbosity --num_workers_per_hls --hls_type --kubernetes_run"""
    c = "--npu_loss_scale"
    d = "--weight_decay --evaluate_every --no-benchmark --use_tftrt --use_savedmodel"
    names = {name for flag in FLAG_TABLE for name in flag.names.split()}
    ours = {"--reference", "--profile", "--network", "--preset"}
    assert names == set(f"{a} {b} {c} {d}".split()) | ours


def test_help_is_short_and_says_all() -> None:
    text = make_parser().format_help()
    flat = re.sub(r"\s+", " ", text)
    assert all(flag.does in flat for flag in FLAG_TABLE)
    assert all(name in flat for name in REFERENCES)
    assert (
        "steps; n workers take 1/n each, but in a benchmark all (16000, dagm 1000) [ABCD]" in flat
    )
    assert max(map(len, text.splitlines())) <= 100
    assert len(text.splitlines()) < 90


def test_the_help_does_not_wait_for_tensorflow() -> None:
    code = (
        "import sys; from trainer.reference.parser import parse_options\n"
        "try: parse_options(['--help'])\n"
        "except SystemExit as e: print(e.code, 'tensorflow' in sys.modules)"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.splitlines()[-1] == "0 False"
