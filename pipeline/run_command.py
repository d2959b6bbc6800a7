"""`unet-tfx run`: the whole pipeline on this machine."""

import sys
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser

from pipeline.config import RunConfig
from pipeline.config_text import config_text
from pipeline.options import add_config_options, build_config, check_libraries, parse, peek_recipe
from pipeline.run_config import read_dataset
from pipeline.usage import UsageError

_DESCRIPTION = """Ingests, checks and converts the cases, trains one network per fold, scores every
case, and pushes a model where all rules of the gate hold. Options override --config, --config
overrides the recipe. Exit status: 0 pushed, 1 failed, 2 wrong usage, 3 not blessed."""


def make_parser(recipe: str = "brats") -> ArgumentParser:
    """The parser of `unet-tfx run`, with the values of a recipe as defaults."""
    parser = ArgumentParser(
        prog="unet-tfx run",
        usage="unet-tfx run --recipe NAME [--config FILE] [--SECTION.FIELD VALUE ...]"
        " [--force] [--print-config]",
        description=_DESCRIPTION,
        exit_on_error=False,
        allow_abbrev=False,
        print_config=None,
    )
    add_config_options(parser, recipe)
    parser.add_argument(
        "--force",
        action="store_true",
        help="push the model though it is not blessed: blessing, summary and report say so, and the"
        " exit status is 0. For this run alone: no config holds it",
    )
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="print the complete config as YAML, and do nothing",
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit status."""
    if {"-h", "--help"} & set(argv):
        make_parser(peek_recipe(argv) if "--recipe" in argv else "brats").print_help()
        return 0
    parser = make_parser(peek_recipe(argv))
    options = parse(parser, argv)
    print_only, force = options.pop("print_config"), options.pop("force")
    config = build_config(parser, options)
    if print_only:
        sys.stdout.write(config_text(config))
        return 0
    check_folders(config)
    check_libraries(config)
    from pipeline.local_runner import run

    return run(config, force=force)


def check_folders(config: RunConfig) -> None:
    """Raises UsageError where a folder is not named, or the run folder is in the dataset."""
    if not config.data.root:
        raise UsageError("data.root must be the folder of the dataset, got '': give --data.root")
    if not config.output:
        raise UsageError("output must be the run folder, got '': give --output")
    root, output = Path(config.data.root).resolve(), Path(config.output).resolve()
    if output.is_relative_to(root):
        raise UsageError(
            f"output must not be in data.root, got {config.output!r} in {config.data.root!r}:"
            " give --output another folder"
        )
    check_same_dataset(config, output)


def check_same_dataset(config: RunConfig, earlier: Path) -> None:
    """Raises UsageError where the run folder belongs to runs on another dataset.

    Their models would be versions of one another in its `serving/`.
    """
    try:
        known = read_dataset(earlier)
    except UsageError:  # no run was here, or what is left of one does not tell
        return
    if known != config.data.dataset:
        raise UsageError(
            f"output {config.output!r} is the run folder of dataset {known!r}, this run is on"
            f" {config.data.dataset!r}: give --output another folder"
        )
