"""`unet-tfx report`: the page of a finished run, made again without running the pipeline."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from beam_preprocess.atomic import write_text
from pipeline.options import parse
from pipeline.run_folder import require_run_folder
from pipeline.usage import EXIT_DONE, UsageError

MOST_CASES = 20
_REPORT = "report.html"
_DESCRIPTION = f"""Makes the report of the last run in a run folder again, from its artifacts and
its metadata: verdict, scores, slice viewer, data, lineage and model card, on one page that loads
nothing. The folder may have been moved. --cases shows cases besides the best, the median and the
worst (at most {MOST_CASES}). The page stays below 15 MB: what finds no place is shown coarser, or
left out, and the page says so."""


def make_parser() -> ArgumentParser:
    """The parser of `unet-tfx report`."""
    parser = ArgumentParser(
        prog="unet-tfx report",
        usage="unet-tfx report RUN [--cases ID,ID,...] [--output FILE]",
        description=_DESCRIPTION,
        exit_on_error=False,
        allow_abbrev=False,
        print_config=None,
    )
    parser.add_argument("run", metavar="RUN", type=str, help="run folder")
    parser.add_argument("--cases", metavar="IDS", default="", help="case ids, commas between them")
    words = f"page to write; without it RUN/{_REPORT}"
    parser.add_argument("--output", metavar="FILE", default="", help=words)
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit status."""
    if {"-h", "--help"} & set(argv):
        make_parser().print_help()
        return EXIT_DONE
    options = parse_options(argv)
    run = Path(options.run)
    with warnings.catch_warnings(record=True):
        from components.report.page_size import make_page
        from pipeline.run_report import read_run_report
    data = read_run_report(run, cases=split_cases(options.cases))
    html, shown = make_page(data)
    target = Path(options.output) if options.output else run / _REPORT
    write_text(target, html)
    print(f"report    {target}, {len(html.encode()) / 1e6:.1f} MB")
    print(f"cases     {len(shown.items)} in the viewer")
    if shown.factor > 1:
        print(f"          their sides are divided by {shown.factor}, to stay below 15 MB")
    if shown.left_out:
        print(f"          left out, to stay below 15 MB: {', '.join(shown.left_out)}")
    return EXIT_DONE


def split_cases(text: str) -> list[str]:
    """Case ids with commas between them."""
    return list(dict.fromkeys(filter(None, (part.strip() for part in text.split(",")))))


def parse_options(argv: Sequence[str]) -> Namespace:
    """The options.

    Raises:
      UsageError: Names the option, its value and what is allowed.
    """
    options = parse(make_parser(), argv)
    require_run_folder(options.run, "RUN")
    if len(split_cases(options.cases)) > MOST_CASES:
        number = len(split_cases(options.cases))
        raise UsageError(f"--cases must name at most {MOST_CASES} cases, got {number}")
    if options.output and Path(options.output).is_dir():
        raise UsageError(f"--output must be a file, {options.output!r} is a folder")
    return options
