"""`unet-tfx benchmark`: how fast training, inference and input are on this machine."""

import json
import sys
from argparse import ArgumentParser as PlainParser
from argparse import Namespace as PlainNamespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from beam_preprocess.atomic import write_text
from pipeline import run_command
from pipeline.benchmark_text import benchmark_text
from pipeline.config import RunConfig
from pipeline.network import fit_network
from pipeline.options import NETWORK_SECTIONS, add_network_options, build_config, parse, peek_recipe
from pipeline.recipes import RECIPES
from pipeline.run_folder import is_run_folder
from pipeline.train_command import read_base
from pipeline.usage import EXIT_DONE, UsageError
from trainer.benchmark.plan import KINDS, BenchmarkPlan

DEFAULT_RECIPE = "brats"
_DESCRIPTION = """Measures the steps of a training (train), forward passes of the network and whole
cases by the sliding window (infer), or the reading and augmenting of crops (input), on synthetic
data unless --records is given. The network and its training are those of the recipe, brats unless
another one is named; --config and options change them, those of the sections model, trainer and
inference. docs/benchmarks.md tells what the figures mean. Exit status: 0 done, 1 failed, 2 wrong
usage."""


def make_parser(values: Mapping[str, Any]) -> ArgumentParser:
    """The parser of `unet-tfx benchmark`, with the values of a run config as defaults."""
    parser = ArgumentParser(
        prog="unet-tfx benchmark",
        usage="unet-tfx benchmark train|infer|input [--recipe NAME] [--config FILE]"
        " [--SECTION.FIELD VALUE ...]\n    [--steps N] [--warmup N] [--size X Y Z]"
        " [--whole-cases N] [--records DIR_OR_RUN] [--json FILE]",
        description=_DESCRIPTION,
        exit_on_error=False,
        allow_abbrev=False,
        print_config=None,
    )
    parser.add_argument("kind", choices=KINDS, metavar="train|infer|input", help="what to measure")
    words = "the config to start from: by default that of the run that --records names, or brats"
    parser.add_argument("--recipe", choices=list(RECIPES), help=words)
    parser.add_argument("--config", metavar="FILE", help="YAML file that changes the recipe")
    parser.add_argument("--steps", type=int, default=20, help="steps that are timed")
    parser.add_argument("--warmup", type=int, default=3, help="steps before, which are not")
    _add_data_options(parser)
    parser.add_argument("--json", default="", metavar="FILE", help="write all of it; - prints it")
    add_network_options(parser, values)
    return parser


def _add_data_options(parser: ArgumentParser) -> None:
    words = "infer: spatial size of the image of a forward pass (default: the crop)"
    parser.add_argument("--size", type=str, nargs="+", default=[], metavar="N", help=words)
    words = "infer: cases to segment whole"
    parser.add_argument("--whole-cases", type=int, default=1, metavar="N", help=words)
    words = "folder of a run, or of normalised records, in place of synthetic data"
    parser.add_argument("--records", default="", metavar="DIR_OR_RUN", help=words)


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit status."""
    if {"-h", "--help"} & set(argv):
        recipe = peek_recipe(argv) if "--recipe" in argv else DEFAULT_RECIPE
        make_parser(asdict(RECIPES[recipe]())).print_help()
        return EXIT_DONE
    plan, path = parse_options(argv)
    from trainer.benchmark.run import run_benchmark

    result = run_benchmark(plan)
    if result:
        _show(result, path)
    return EXIT_DONE


def _show(result: Mapping[str, Any], path: str) -> None:
    """Text on stdout, JSON in a file; or JSON on stdout, where the file is `-`."""
    content = json.dumps(result, indent=1) + "\n"
    if path == "-":
        sys.stdout.write(content)
        return
    if path:
        write_text(Path(path), content)
    written = [f"json       {path}"] if path else []
    print("\n".join([benchmark_text(result), *written]))


def parse_options(argv: Sequence[str]) -> tuple[BenchmarkPlan, str]:
    """What to measure, and the file of --json.

    Raises:
      UsageError: Names the option or field, its value and what is allowed.
    """
    if not argv:
        raise UsageError(f"what to measure must be one of {', '.join(KINDS)}, got nothing")
    first, words = _first_options(argv)
    whole, base = _base_config(first)
    parser = make_parser(base.as_dict())
    options = parse(parser, words)
    for name in NETWORK_SECTIONS:
        base[name] = options[name]
    config = build_config(whole, base)
    if options.json and Path(options.json).is_dir():
        raise UsageError(f"--json must be a file, got the folder {options.json!r}")
    try:
        return _plan(config, options, first.records), options.json
    except ValueError as e:
        raise UsageError(str(e)) from e


def _first_options(argv: Sequence[str]) -> tuple[PlainNamespace, list[str]]:
    """The options that decide the defaults of the others, and the words without them."""
    parser = PlainParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--recipe")
    parser.add_argument("--config", action="append", default=[])
    parser.add_argument("--records", default="")
    try:
        return parser.parse_known_args(list(argv))
    except ArgumentError as e:
        raise UsageError(str(e)) from e


def _base_config(first: PlainNamespace) -> tuple[ArgumentParser, Namespace]:
    """The values of the recipe or the run, and of the config files; and the parser of them all."""
    if first.recipe is None and first.records and is_run_folder(first.records):
        whole = run_command.make_parser(DEFAULT_RECIPE)
        whole.set_defaults(asdict(read_base(Path(first.records))))
    else:
        recipe = DEFAULT_RECIPE if first.recipe is None else first.recipe
        whole = run_command.make_parser(peek_recipe(["--recipe", recipe]))
    return whole, parse(whole, [word for file in first.config for word in ("--config", file)])


def _plan(config: RunConfig, options: Namespace, records: str) -> BenchmarkPlan:
    """The plan. Raises ValueError where a value cannot be used."""
    folder = records
    if records and not Path(records).is_dir():
        raise ValueError(f"--records must be a run folder or a folder of records, got {records!r}")
    if records and is_run_folder(records):
        from pipeline.run_records import find_records

        found = find_records(Path(records))
        config = fit_network(config, found.info)
        folder = str(next(iter(found.folds.values())).parent)
    return BenchmarkPlan(
        kind=options.kind,
        model=config.model,
        trainer=config.trainer,
        inference=config.inference,
        steps=options.steps,
        warmup_steps=options.warmup,
        size=_size(options.size),
        whole_cases=options.whole_cases,
        records=folder,
    )


def _size(words: Sequence[str]) -> tuple[int, ...]:
    try:
        return tuple(map(int, words))
    except ValueError as e:
        raise ValueError(f"--size must be whole numbers, got {' '.join(words)!r}") from e
