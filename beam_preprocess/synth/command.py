"""`unet-tfx synth brats|nnunet|dagm OUT ...`: writes a made-up cohort into a new folder."""

import argparse
from collections.abc import Sequence
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the sub-commands and their options."""
    kinds = parser.add_subparsers(dest="dataset", required=True, metavar="brats|nnunet|dagm")
    brats = kinds.add_parser("brats", help="brain scans with tumours, as in BraTS 2021")
    nnunet = kinds.add_parser("nnunet", help="the same in the format of nnU-Net, two channels")
    for volumes in (brats, nnunet):
        _add_common(volumes)
        _add_shape(volumes)
    brats.add_argument("--graded", action="store_true", help="put cases under HGG/ and LGG/")
    dagm = kinds.add_parser("dagm", help="photographs of flawed surfaces, as in DAGM 2007")
    _add_common(dagm)
    dagm.add_argument(
        "--classes", type=int, nargs="+", default=(1,), help="class numbers, 1 to 10 (default: 1)"
    )
    dagm.add_argument("--size", type=int, default=512, help="height and width in px (default: 512)")


def _add_shape(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--shape",
        type=int,
        nargs=3,
        metavar=("X", "Y", "Z"),
        default=(240, 240, 155),
        help="voxels per axis, each at least 16 (default: 240 240 155)",
    )
    parser.add_argument(
        "--unequal", action="store_true", help="vary every edge by up to 10 %% from case to case"
    )


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="OUT", help="new or empty folder to write into")
    parser.add_argument(
        "--cases", type=int, default=20, help="cases, or train images per class (default: 20)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of all that is random (default: 0)"
    )


def run(args: argparse.Namespace) -> int:
    """Writes the cohort and prints one line of what it wrote.

    Raises:
      ValueError: OUT is not empty, or a number is out of range; nothing was written.
    """
    from beam_preprocess.synth.files import require_new_folder

    require_new_folder(args.out)
    write = {"brats": _write_brats, "nnunet": _write_nnunet, "dagm": _write_dagm}[args.dataset]
    summary = write(args)
    print(f"wrote {summary}, seed {args.seed}, to {args.out}")
    return 0


def _write_brats(args: argparse.Namespace) -> str:
    from beam_preprocess.synth import brats

    shape = tuple(args.shape)
    brats.write_cohort(
        args.out,
        cases=args.cases,
        seed=args.seed,
        shape=shape,
        unequal=args.unequal,
        graded=args.graded,
    )
    about = "about " if args.unequal else ""
    return f"{args.cases} BraTS case(s) of {about}{shape} voxels"


def _write_nnunet(args: argparse.Namespace) -> str:
    from beam_preprocess.synth import nnunet

    shape = tuple(args.shape)
    nnunet.write_cohort(
        args.out, cases=args.cases, seed=args.seed, shape=shape, unequal=args.unequal
    )
    about = "about " if args.unequal else ""
    return f"{args.cases} nnU-Net case(s) of {about}{shape} voxels, and some without a label"


def _write_dagm(args: argparse.Namespace) -> str:
    from beam_preprocess.synth import dagm

    classes = tuple(args.classes)
    dagm.write_cohort(args.out, cases=args.cases, seed=args.seed, classes=classes, size=args.size)
    names = ", ".join(str(number) for number in classes)
    tests = max(1, args.cases // 4)
    return (
        f"{args.cases} train and {tests} test image(s) of {args.size} px for DAGM class(es) {names}"
    )


def main(argv: Sequence[str]) -> int:
    """Runs `unet-tfx synth`. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="unet-tfx synth", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args(list(argv)))
