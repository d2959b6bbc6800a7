"""`unet-tfx compare`: two runs side by side, case by case, with a test of significance."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from beam_preprocess.atomic import write_text
from pipeline.compare_text import comparison_text
from pipeline.options import parse
from pipeline.run_folder import require_run_folder
from pipeline.usage import EXIT_DONE, UsageError

if TYPE_CHECKING:
    from components.compare_page.comparison import Run

_DESCRIPTION = """Compares the scores of two runs over the cases that both scored on the same image
with the same truth: means, differences case by case, and Wilcoxon's signed-rank test (AUROC and
average precision of images: a paired bootstrap), whose p values are corrected for all scores
together by Holm's method. It says what cannot be compared, and which settings differ. B is compared
with A. The folders may have been moved."""


def make_parser() -> ArgumentParser:
    """The parser of `unet-tfx compare`."""
    parser = ArgumentParser(
        prog="unet-tfx compare",
        usage="unet-tfx compare RUN_A RUN_B [--output FILE.html] [--json FILE]",
        description=_DESCRIPTION,
        exit_on_error=False,
        allow_abbrev=False,
        print_config=None,
    )
    parser.add_argument("run_a", metavar="RUN_A", type=str, help="run folder to compare with")
    parser.add_argument("run_b", metavar="RUN_B", type=str, help="run folder that is compared")
    parser.add_argument("--output", metavar="FILE", default="", help="HTML page to write")
    parser.add_argument("--json", metavar="FILE", default="", help="write everything for machines")
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit status."""
    if {"-h", "--help"} & set(argv):
        make_parser().print_help()
        return EXIT_DONE
    options = parse_options(argv)
    with warnings.catch_warnings(record=True):
        from components.compare_page.comparison import compare_runs
        from components.compare_page.page import comparison_dict, render_comparison
    comparison = compare_runs(read_run(options.run_a), read_run(options.run_b))
    if options.json:
        content = json.dumps(comparison_dict(comparison), indent=1, allow_nan=False)
        write_text(Path(options.json), content + "\n")
    if options.output:
        write_text(Path(options.output), render_comparison(comparison))
    print(comparison_text(comparison))
    return EXIT_DONE


def read_run(folder: str) -> "Run":
    """Reads what a comparison needs of the last run in a run folder.

    Raises:
      ValueError: The run has not finished, or its artifacts are gone.
    """
    from components.compare_page.comparison import Run
    from components.report.read import read_data, read_fold
    from pipeline.run_report import find_run

    run = find_run(Path(folder))
    statistics = read_data(run.folders.examples).statistics
    return Run(
        name=folder,
        dataset=run.info.name,
        rank=run.info.rank,
        evaluation=run.evaluation,
        profile=str(run.config["preprocessing"]["profile"]),
        threshold=float(run.config["inference"]["threshold"]),
        config=run.config,
        contents={s["case_id"]: s["content"] for s in statistics if "content" in s},
        groups={s["case_id"]: s["group"] for s in statistics},
        folds=[read_fold(evaluation) for evaluation in run.folders.evaluations],
    )


def parse_options(argv: Sequence[str]) -> Namespace:
    """The options.

    Raises:
      UsageError: Names the option, its value and what is allowed.
    """
    options = parse(make_parser(), argv)
    for name in ("run_a", "run_b"):
        require_run_folder(options[name], name.upper())
    for name in ("output", "json"):
        if options[name] and Path(options[name]).is_dir():
            raise UsageError(f"--{name} must be a file, {options[name]!r} is a folder")
    return options
