"""`unet-tfx train`: one fold, or all of the data, on the records of a run, outside of TFX."""

import json
import os
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from pipeline.config import RunConfig
from pipeline.network import check_network, fit_network
from pipeline.options import (
    NETWORK_SECTIONS,
    add_network_options,
    check_libraries,
    expand,
    parse,
    refuse_data_options,
)
from pipeline.recipes import RECIPES
from pipeline.run_config import read_config
from pipeline.run_folder import STATE, hold, require_run_folder
from pipeline.score_table import score_lines
from pipeline.train_folder import check_output, claim
from pipeline.usage import EXIT_DONE, UsageError
from trainer.config import NOT_DECISIVE

if TYPE_CHECKING:
    from components.fold_training import FoldTraining
    from pipeline.run_records import RunRecords
    from trainer.metrics.cohort_scores import CohortScores

ALL = "all"
SHORT = {"--workers": "--trainer.workers", "--strategy": "--trainer.strategy"}
_DESCRIPTION = """Trains one network on the normalised records of an earlier run, outside of TFX: on
all folds but one, as the run's Trainer of that fold does, and scores that one; or on all of them.
The options start from the run's config (with RUN before --help, the defaults shown are that run's).
--workers N and --strategy NAME are short for --trainer.workers and --trainer.strategy. The same
command again goes on from the last checkpoint. Exit status: 0 done, 1 failed, 2 wrong usage, 143
ended by SIGTERM with its state saved."""


def make_parser(config: RunConfig) -> ArgumentParser:
    """The parser of `unet-tfx train`, with the values of a run's config as defaults."""
    parser = ArgumentParser(
        prog="unet-tfx train",
        usage="unet-tfx train RUN --fold N|all --output DIR [--workers N --strategy NAME]"
        " [--SECTION.FIELD VALUE ...]",
        description=_DESCRIPTION,
        exit_on_error=False,
        allow_abbrev=False,
        print_config=None,
    )
    parser.add_argument("run", metavar="RUN", type=str, help="folder of an earlier `unet-tfx run`")
    parser.add_argument(
        "--fold", type=str, default="", metavar="N|all", help="fold to hold out and score, or all"
    )
    parser.add_argument(
        "--output", type=str, default="", metavar="DIR", help="folder of this training, its own"
    )
    add_network_options(parser, asdict(config))
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit status."""
    words = expand(argv, SHORT)
    run = words[0] if words and not words[0].startswith("-") else ""
    if {"-h", "--help"} & set(words):
        make_parser(read_base(Path(run)) if run else RECIPES["brats"]()).print_help()
        return EXIT_DONE
    if not run:
        raise UsageError(
            f"RUN must come first, the folder of an earlier run, got {' '.join(words)!r}: "
            "unet-tfx train RUN --fold N|all --output DIR"
        )
    base = read_base(Path(run))
    parser = make_parser(base)
    refuse_data_options(words)
    options = parse(parser, words)
    config = _change(base, parser, options)
    if options.fold != ALL and not options.fold.isdecimal():
        raise UsageError(f"--fold must be the number of a fold, or {ALL}, got {options.fold!r}")
    check_output(options.output, Path(run))
    check_libraries(config)
    return _train(config, options)


def read_base(run: Path) -> RunConfig:
    """The config of the last run in a run folder. Raises UsageError where there is none."""
    require_run_folder(run, "RUN")
    return read_config(run)


def _change(base: RunConfig, parser: ArgumentParser, options: Namespace) -> RunConfig:
    """The run's config with the options in it. Raises UsageError where they break a rule."""
    try:
        sections = vars(parser.instantiate(options))
        return replace(base, **{name: sections[name] for name in NETWORK_SECTIONS})
    except ValueError as e:
        raise UsageError(str(e)) from e


def _train(config: RunConfig, options: Namespace) -> int:
    """Trains, scores the held-out fold, and says where everything is."""
    from pipeline.run_records import find_records

    run, output = Path(options.run), Path(options.output)
    records = find_records(run)
    fold = choose_fold(options.fold, records.folds)
    config = fit_network(config, records.info)
    try:
        check_network(config, records.info)
    except ValueError as e:
        raise UsageError(str(e)) from e
    with hold(output):
        training = _training(config, records, fold, run=run, output=output)
        claim(output, _decides(training, fold))
        scores = _train_and_score(training, config, records, fold)
    level = config.evaluation.statistics.level
    sys.stdout.write(result_text(output, fold, scores, level=level) + "\n")
    return EXIT_DONE


def choose_fold(given: str, folds: Collection[str]) -> str:
    """The name of the fold to hold out, or `ALL`. Raises UsageError where there is no such fold."""
    numbers = [name.removeprefix("fold-") for name in folds]
    if given not in (*numbers, ALL):
        raise UsageError(
            f"--fold must be a fold of the run ({', '.join(numbers)}), which is held out, or {ALL},"
            f" got {given!r}"
        )
    return ALL if given == ALL else f"fold-{given}"


def _training(
    config: RunConfig, records: "RunRecords", fold: str, *, run: Path, output: Path
) -> "FoldTraining":
    from components.fold_training import FoldTraining

    sections = {name: asdict(getattr(config, name)) for name in NETWORK_SECTIONS}
    described = {"dataset": asdict(records.info), "preprocessing": asdict(records.preprocessing)}
    state = run / STATE  # where the run's Trainers have staged the same cases
    return FoldTraining(
        title="all-folds" if fold == ALL else f"all-but-{fold}",
        settings=json.loads(json.dumps(sections | described)),
        train=[str(folder / "*.gz") for name, folder in records.folds.items() if name != fold],
        held_out=[str(folder / "*.gz") for name, folder in records.folds.items() if name == fold],
        staged=(state if os.access(state, os.W_OK) else output) / "staged",
        output=output.absolute(),
    )


def _decides(training: "FoldTraining", fold: str) -> dict[str, Any]:
    """All that decides the weights but the records."""
    from pipeline.fingerprints import code_fingerprint

    settings = {name: v for name, v in training.settings.items() if name != "inference"}
    settings["trainer"] = {k: v for k, v in settings["trainer"].items() if k not in NOT_DECISIVE}
    return {"fold": fold, "code": code_fingerprint("Trainer"), **settings}


def _train_and_score(
    training: "FoldTraining", config: RunConfig, records: "RunRecords", fold: str
) -> "CohortScores | None":
    """Scores of the held-out fold; None where all folds were trained on."""
    from components.case_scoring import Scoring
    from components.fold_training import score_fold
    from pipeline.console import adopt_frameworks, set_up_logging

    set_up_logging(training.output / "train.log")
    adopt_frameworks()
    training.run(lambda data: claim(training.output, {"data": data}))
    if fold == ALL:
        return None
    profile = records.preprocessing.profile
    scoring = Scoring(info=records.info, config=config.evaluation, profile=profile)
    return score_fold(records.examples, fold, training=training.output, scoring=scoring)


def result_text(output: Path, fold: str, scores: "CohortScores | None", *, level: float) -> str:
    """The scores as a table, where the model is, and what to do with it.

    Args:
      output: Folder of the training.
      fold: The one that was held out, or `ALL`.
      scores: Of its cases.
      level: Of the intervals.
    """
    from trainer.metrics.cohort_scores import cohort_to_dict

    rows = score_lines(cohort_to_dict(scores), [], level=level) if scores else []
    held_out = f"{fold}, which it has not seen" if scores else "none: all folds were trained on"
    return "\n".join(
        [
            "",
            *rows,
            *([""] if rows else []),
            f"scored     {held_out}",
            f"model      {output / 'model'}",
            f"logs       tensorboard --logdir {output / 'logs'}",
            f"use it     unet-tfx predict --model {output / 'model'} --input CASE --output LABEL",
        ]
    )
