"""`unet-tfx drift`: whether the cohorts of two runs are of one kind, by TFDV."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from beam_preprocess.atomic import write_text
from pipeline.drift_text import FEW_CASES, RunCohort, drift_text
from pipeline.options import parse
from pipeline.run_config import read_dataset
from pipeline.run_folder import require_run_folder
from pipeline.usage import EXIT_DONE, UsageError

if TYPE_CHECKING:
    from components.drift import Drift

EXIT_DRIFT = 3
_DESCRIPTION = f"""Compares the case statistics of the folds of two runs, feature by feature, with
TensorFlow Data Validation: numbers (voxel sizes, intensities, voxels of a label) by the
Jensen-Shannon divergence, texts (orientation, type, stratum) by the largest difference between the
shares of a value. Both are 0 for equal distributions and 1 for ones that do not overlap; a shift by
two standard deviations is a divergence of about 0.5. With fewer than about {FEW_CASES} cases in a
cohort they say little: `unet-tfx check NEW --against RUN` tests such cohorts. Exit status: 0 no
drift, 1 failed, 2 wrong usage, 3 drift."""


def make_parser() -> ArgumentParser:
    """The parser of `unet-tfx drift`."""
    parser = ArgumentParser(
        prog="unet-tfx drift",
        usage="unet-tfx drift RUN_A RUN_B [--numeric X] [--categorical X] [--json FILE]",
        description=_DESCRIPTION,
        exit_on_error=False,
        allow_abbrev=False,
        print_config=None,
    )
    parser.add_argument("run_a", metavar="RUN_A", type=str, help="run folder of the earlier cohort")
    parser.add_argument("run_b", metavar="RUN_B", type=str, help="run folder of the later cohort")
    for option, what in (
        ("--numeric", "the Jensen-Shannon divergence of numbers"),
        ("--categorical", "the difference between shares of texts"),
    ):
        words = f"a feature drifted where {what} is above this, 0 to 1"
        parser.add_argument(option, type=float, default=0.3, metavar="X", help=words)
    parser.add_argument("--json", metavar="FILE", default="", help="write everything for machines")
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit status."""
    if {"-h", "--help"} & set(argv):
        make_parser().print_help()
        return EXIT_DONE
    options = parse_options(argv)
    runs = [find_cohort(Path(folder)) for folder in (options.run_a, options.run_b)]
    _check_same_dataset(*runs)
    with warnings.catch_warnings(record=True):  # Beam switches the warnings of imports on again
        from components.drift import measure_drift, read_cohort
    a, b = (read_cohort(Path(run.statistics)) for run in runs)
    drift = measure_drift(a, b, numeric=options.numeric, categorical=options.categorical)
    if options.json:
        write_text(Path(options.json), drift_json(drift, *runs))
    print(drift_text(drift, *runs))
    return EXIT_DRIFT if drift.drifted else EXIT_DONE


def parse_options(argv: Sequence[str]) -> Namespace:
    """The options.

    Raises:
      UsageError: Names the option, its value and what is allowed.
    """
    options = parse(make_parser(), argv)
    for name in ("run_a", "run_b"):
        require_run_folder(options[name], name.upper())
    for name in ("numeric", "categorical"):
        if not 0 <= options[name] <= 1:
            raise UsageError(f"--{name} must be between 0 and 1, got {options[name]}")
    if options.json and _is_taken(Path(options.json), options):
        raise UsageError(f"--json must be a file outside of the run folders, got {options.json!r}")
    return options


def _is_taken(path: Path, options: Namespace) -> bool:
    runs = (Path(folder).resolve() for folder in (options.run_a, options.run_b))
    return path.is_dir() or any(path.resolve().is_relative_to(run) for run in runs)


def find_cohort(folder: Path) -> RunCohort:
    """Finds the case statistics of the last run in a run folder, through ML Metadata.

    Raises:
      ValueError: The run has none, or its files tell no dataset.
    """
    outputs = _case_gen_outputs(folder)
    if "case_statistics" not in outputs:
        raise ValueError(
            f"the last run in {str(folder)!r} must have case statistics, it made none: look at its"
            " log in logs/, and run it again"
        )
    return RunCohort(
        folder=str(folder), dataset=read_dataset(folder), statistics=outputs["case_statistics"]
    )


def _case_gen_outputs(folder: Path) -> dict[str, str]:
    """Output name -> URI of what CaseGen made; empty where it did not get that far."""
    from pipeline.lineage import open_metadata, read_last_run

    with open_metadata(folder) as store:
        nodes = read_last_run(store)
    return nodes["CaseGen"].outputs if "CaseGen" in nodes else {}


def _check_same_dataset(a: RunCohort, b: RunCohort) -> None:
    if a.dataset != b.dataset:
        raise ValueError(
            f"the runs must be on one dataset, {a.folder!r} is on {a.dataset!r} and {b.folder!r} on"
            f" {b.dataset!r}: name two runs on the same one"
        )


def drift_json(drift: "Drift", a: RunCohort, b: RunCohort) -> str:
    """All that is known, as JSON; what is drifted stands first."""
    content = {"a": asdict(a), "b": asdict(b), "drifted": drift.drifted, **asdict(drift)}
    return json.dumps(content, indent=1) + "\n"
