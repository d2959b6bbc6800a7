"""`unet-tfx check`: all that can be told of a cohort before it is trained on, in minutes."""

import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from beam_preprocess.atomic import write_text
from beam_preprocess.case import DataError
from beam_preprocess.cohort_check import (
    CohortCheck,
    check_cohort,
    for_comparison,
    undescribed,
    verdict,
)
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets import get_dataset
from beam_preprocess.difference import Difference, compare_cohorts
from beam_preprocess.examine_cases import Finding
from beam_preprocess.nnunet_splits import write_splits
from components.check_page import difference_verdict
from pipeline import run_command
from pipeline.check_files import check_json, read_statistics
from pipeline.check_text import check_text, difference_text
from pipeline.options import build_config, parse, peek_recipe
from pipeline.recipes import RECIPES
from pipeline.usage import EXIT_DONE, EXIT_ERROR, UsageError

MOST_WORKERS = 8
"""More processes by default would wait for the disk, not for a processor."""
_DESCRIPTION = """Reads and checks every case of ROOT as a run would, compares the cases, and tells
what is wrong and what a network would see. Options override --config, --config overrides the
recipe; of a file for `unet-tfx run`, the section data counts. With --against, ROOT holds new data,
labelled or not, of any number of cases: told is how they differ from a cohort that was checked or
trained on before; differences are warnings. Exit status: 0 no errors (warnings are allowed),
1 errors, 2 wrong usage."""
_PATHS = {
    "--json": ("FILE", "write everything for machines"),
    "--html": ("FILE", "write everything as one page"),
    "--write-splits": (
        "FILE",
        "write the folds as splits_final.json of nnU-Net, if there are no errors",
    ),
    "--against": (
        "RUN_OR_JSON",
        "run folder, or file of --json, of the cohort to compare with",
    ),
}


def make_parser(data: DataConfig) -> ArgumentParser:
    """The parser of `unet-tfx check`, with the values of `data` as defaults."""
    parser = ArgumentParser(
        prog="unet-tfx check",
        usage="unet-tfx check ROOT --recipe NAME [--config FILE] [--data.FIELD VALUE ...]"
        " [--json FILE] [--html FILE] [--workers N] [--write-splits FILE | --against RUN_OR_JSON]",
        description=_DESCRIPTION,
        exit_on_error=False,
        allow_abbrev=False,
        print_config=None,
    )
    parser.add_argument(
        "root", metavar="ROOT", type=str, help="folder of the dataset, as data.root of a run"
    )
    parser.add_argument("--recipe", choices=list(RECIPES), help="the complete config to start from")
    parser.add_argument("--config", metavar="FILE", help="YAML file that changes the recipe")
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        default=min(os.cpu_count() or 1, MOST_WORKERS),
        help="processes that read cases",
    )
    for option, (metavar, words) in _PATHS.items():
        parser.add_argument(option, metavar=metavar, default="", help=words)
    parser.add_class_arguments(DataConfig, "data", skip={"root"})
    parser.set_defaults({"data": {k: v for k, v in asdict(data).items() if k != "root"}})
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit status: 0 without errors, whatever the warnings and
    differences, 1 with errors; wrong usage, whose status is 2, is a UsageError.
    """
    if {"-h", "--help"} & set(argv):
        recipe = peek_recipe(argv) if "--recipe" in argv else "brats"
        make_parser(RECIPES[recipe]().data).print_help()
        return EXIT_DONE
    config, options = parse_options(argv)
    old = read_statistics(Path(options.against)) if options.against else None
    check = _check(config, folds=old is None, workers=options.workers)
    difference = None if old is None else compare_cohorts(old, check.statistics)
    print(check_text(check))
    if difference:
        print(f"\n{difference_text(difference, options.against)}")
    written = list(_write(check, difference, options))
    print("\n".join(["", *written, _last_line(check, difference)]))
    return EXIT_ERROR if check.errors else EXIT_DONE


def parse_options(argv: Sequence[str]) -> tuple[DataConfig, Namespace]:
    """The cohort to check, and the other options.

    Raises:
      UsageError: Names the option or field, its value and what is allowed.
    """
    recipe = peek_recipe(argv)
    files, words = _split_files(argv)
    whole = run_command.make_parser(recipe)
    parser = make_parser(build_config(whole, parse(whole, files)).data)
    options = parse(parser, words)
    _check_options(options, files)
    try:
        config = parser.instantiate(options).data
    except ValueError as e:
        raise UsageError(str(e)) from e
    return replace(config, root=options.root), options


def _split_files(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words `--config FILE` of a command line, and the others."""
    files: list[str] = []
    others: list[str] = []
    words = iter(argv)
    for word in words:
        if word.partition("=")[0] != "--config":
            others.append(word)
        else:
            files += [word] if "=" in word else [word, *islice(words, 1)]
    return files, others


def _check_options(options: Namespace, files: Sequence[str]) -> None:
    """Raises UsageError where options do not go together, or a file would be overwritten."""
    root = Path(options.root).resolve()
    if not root.is_dir():
        raise UsageError(f"ROOT must be the folder of a dataset, got {options.root!r}")
    if options.workers < 1:
        raise UsageError(f"--workers must be 1 or more, got {options.workers}")
    if options.against and options.write_splits:
        raise UsageError(
            "--write-splits must be left out with --against, which makes no folds,"
            f" got {options.write_splits!r}"
        )
    inputs = [*files, options.against, options.data.splits, options.data.case_table]
    read = {Path(word.removeprefix("--config=")).resolve() for word in inputs if word}
    outputs = {
        "--json": options.json,
        "--html": options.html,
        "--write-splits": options.write_splits,
    }
    _check_outputs({o: name for o, name in outputs.items() if name}, root, read)


def _check_outputs(outputs: Mapping[str, str], root: Path, read: Collection[Path]) -> None:
    """Raises UsageError where one of the files (option -> name) may not be written."""
    for option, name in outputs.items():
        path = Path(name).resolve()
        inside = any(path.is_relative_to(folder) for folder in (root, *filter(Path.is_dir, read)))
        if path.is_dir() or inside or path in read:
            raise UsageError(
                f"{option} must be a file that is no input and in no input folder, got {name!r}"
            )
    if len({Path(name).resolve() for name in outputs.values()}) < len(outputs):
        raise UsageError(
            f"{', '.join(outputs)} must be different files, got {', '.join(outputs.values())}"
        )


def _check(config: DataConfig, *, folds: bool, workers: int) -> CohortCheck:
    config = config if folds else for_comparison(config)
    try:
        dataset = get_dataset(config)
    except DataError as e:
        return undescribed(config, e.problems)
    except ValueError as e:
        raise UsageError(str(e)) from e
    return check_cohort(dataset, config, folds=folds, workers=workers, progress=_show_progress)


def _show_progress(findings: Iterator[Finding], total: int) -> Iterable[Finding]:
    """A bar on stderr, where that is a terminal."""
    from tqdm import tqdm

    return tqdm(findings, total=total, unit="case", disable=None, leave=False, file=sys.stderr)


def _write(check: CohortCheck, difference: Difference | None, options: Namespace) -> Iterator[str]:
    """Writes what is asked for; yields a line for each file."""
    if options.json:
        write_text(Path(options.json), check_json(check, difference))
        yield f"json      {options.json}"
    if options.html:
        from components.check_page.page import render_page

        write_text(Path(options.html), render_page(check, difference, options.against))
        yield f"page      {options.html}"
    if options.write_splits and check.errors:
        yield f"splits    not written to {options.write_splits}: there are errors"
    elif options.write_splits:
        write_splits(check.cohort.splits, Path(options.write_splits))
        yield f"splits    {options.write_splits}"


def _last_line(check: CohortCheck, difference: Difference | None) -> str:
    return f"{verdict(check)}; {difference_verdict(difference)}" if difference else verdict(check)
