"""`unet-tfx evaluate`: scores of an exported model on labelled cases, of a run or in raw files."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from beam_preprocess.case import DataError
from beam_preprocess.config import DataConfig
from beam_preprocess.config_io import from_dict
from pipeline.options import expand, parse, refuse_data_options
from pipeline.run_config import read_evaluation
from pipeline.run_folder import is_run_folder
from pipeline.score_table import score_lines, slice_lines
from pipeline.usage import EXIT_DONE, EXIT_ERROR, UsageError
from trainer.config import EvaluationConfig

if TYPE_CHECKING:
    from components.evaluation_run import Evaluated
    from components.labelled_cases import LabelledCases, Source
    from trainer.metrics.cohort_scores import CohortScores

Config = TypeVar("Config")

_NO_PART = ("dataset", "folds", "fold_seed", "splits", "allow_unlabelled", "cases_per_shard")
"""Fields of `data` that the model tells, or that only matter for training."""
_DESCRIPTION = """Scores a model on labelled cases that it was not trained on, as the Evaluator of a
run does. --data is short for --data.root: the folder of a run, whose records are taken, or the
folder of a dataset in the layout that the model was trained on; the other options of data are for
the latter. Writes evaluation.json (what was scored, how), scores.json, cases.json, cases.csv,
predictions/ (label maps in the grid of the case) and pictures/. Cases that cannot be read or scored
are told at the end. Exit status: 0 done, 1 failed for all cases or for some, 2 wrong usage."""


def make_parser(evaluation: EvaluationConfig) -> ArgumentParser:
    """The parser of `unet-tfx evaluate`, with the values of `evaluation` as defaults."""
    parser = ArgumentParser(
        prog="unet-tfx evaluate",
        usage="unet-tfx evaluate --model MODEL --data RUN_OR_ROOT --output DIR [--split NAME]"
        " [--data.FIELD VALUE ...] [--evaluation.FIELD VALUE ...]",
        description=_DESCRIPTION,
        exit_on_error=False,
        allow_abbrev=False,
        print_config=None,
    )
    parser.add_argument(
        "--model", metavar="MODEL", type=str, default="", help="exported model, or its versions"
    )
    parser.add_argument(
        "--output", metavar="DIR", type=str, default="", help="new folder for what is written"
    )
    parser.add_argument(
        "--split",
        metavar="NAME",
        type=str,
        default="",
        help="of a run: fold-0 ..., or test, which is the default; of a dataset: cv or test as its"
        " layout has it, all labelled cases by default",
    )
    parser.add_class_arguments(DataConfig, "data", skip={*_NO_PART})
    parser.add_class_arguments(EvaluationConfig, "evaluation")
    parser.set_defaults({"evaluation": asdict(evaluation)})
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit status."""
    words = expand(argv, {"--data": "--data.root"})
    if {"-h", "--help"} & set(words):
        make_parser(EvaluationConfig()).print_help()
        return EXIT_DONE
    options = parse(make_parser(EvaluationConfig()), words)
    root = Path(options.data.root)
    is_run = is_run_folder(root)
    if is_run:
        refuse_data_options(words, but=["--data.root"])
        options = parse(make_parser(read_evaluation(root)), words)
    _check_options(options, root)
    return _evaluate(options, is_run=is_run)


def _check_options(options: Namespace, root: Path) -> None:
    """Raises UsageError unless there is a model, data, and a place to write to."""
    if not options.model:
        raise UsageError("--model must be an exported model, got ''")
    if not options.data.root or not root.is_dir():
        raise UsageError(
            f"--data must be the folder of a run or of a dataset, got {options.data.root!r}"
        )
    output = Path(options.output)
    if not options.output or (output.exists() and not output.is_dir()) or any(output.glob("*")):
        raise UsageError(f"--output must be a new or an empty folder, got {options.output!r}")
    if output.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"--output must not be in --data, got {options.output!r}")


def _evaluate(options: Namespace, *, is_run: bool) -> int:
    config = _config(EvaluationConfig, options.evaluation)
    from components.case_scoring import Scoring
    from components.evaluation_run import check_model, evaluate, open_model

    model = open_model(Path(options.model))
    cases = _cases_of_run(options) if is_run else _cases_of_folder(options, model.spec.dataset.name)
    training = check_model(model, cases)
    scoring = Scoring(info=model.spec.dataset, config=config, profile=model.spec.profile)
    shown = replace(cases, sources=show_progress(cases.sources, len(cases.groups)))
    data = {"run": options.data.root} if is_run else options.data.as_dict()
    output, about = Path(options.output), {"data": data}
    done = evaluate(model, shown, scoring, output, training=training, about=about)
    sys.stdout.write(result_text(options, cases, done, training.words) + "\n")
    return EXIT_ERROR if done.failures else EXIT_DONE


def _config(cls: type[Config], values: Namespace, **more: object) -> Config:
    """A config of options. Raises UsageError where they break a rule."""
    try:
        return from_dict(cls, values.as_dict() | more)
    except (ArgumentError, ValueError, TypeError) as e:
        raise UsageError(str(e)) from e


def _cases_of_run(options: Namespace) -> "LabelledCases":
    from components.labelled_cases import cases_of_run
    from pipeline.run_records import find_records

    records = find_records(Path(options.data.root))
    return cases_of_run(records.examples, records.info, options.split)


def _cases_of_folder(options: Namespace, dataset: str) -> "LabelledCases":
    from components.labelled_cases import cases_of_folder

    config = _config(DataConfig, options.data, dataset=dataset)
    try:
        return cases_of_folder(config, options.split)
    except DataError:
        raise
    except ValueError as e:
        raise UsageError(str(e)) from e


def show_progress(sources: Iterable["Source"], total: int) -> Iterator["Source"]:
    """A bar on stderr, where that is a terminal."""
    from tqdm import tqdm

    yield from tqdm(sources, total=total, unit="case", disable=None, leave=False, file=sys.stderr)


def result_text(
    options: Namespace, cases: "LabelledCases", done: "Evaluated", training: str
) -> str:
    """The scores as a table, what is known of the model's training, and the cases without scores.

    Args:
      options: Of the command line.
      cases: What was to be scored.
      done: What came out.
      training: Whether the model was trained on the cases, in words.
    """
    level = options.evaluation.statistics.level
    rows = _tables(done.scores, done.slices, level) if done.scores else []
    failed = [f"  {n}. {case}: {why}" for n, (case, why) in enumerate(done.failures.items(), 1)]
    listed = len({*cases.groups, *cases.failures})
    return "\n".join(
        [
            *rows,
            *([""] if rows else []),
            f"cases      {len(done.cases)} of {listed} scored, split {cases.split} of"
            f" {options.data.root}",
            f"model      {options.model}",
            f"training   {training}",
            f"written    {options.output if rows else 'nothing'}",
            *([f"not scored {len(failed)}", *failed] if failed else []),
        ]
    )


def _tables(
    scores: "CohortScores", slices: Mapping[str, Mapping[str, "CohortScores"]], level: float
) -> list[str]:
    """Scores of all cases, and of each part of them."""
    from trainer.metrics.cohort_scores import cohort_to_dict

    parts = {
        column: {value: cohort_to_dict(part) for value, part in values.items()}
        for column, values in slices.items()
    }
    return score_lines(cohort_to_dict(scores), [], level=level) + slice_lines(parts)
