"""The modes of `python -m trainer`: train, evaluate, predict, benchmark, on folders of records."""

import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from beam_preprocess.atomic import write_text
from trainer.augment.config import AugmentConfig
from trainer.benchmark.cases import record_info, synthetic_cases
from trainer.benchmark.figures import Times
from trainer.benchmark.timing import time_forward, time_training
from trainer.cluster import is_chief
from trainer.config import TrainerConfig, ValidationConfig
from trainer.distribution import choose_strategy
from trainer.loop import train, trained_network
from trainer.loss.config import LossConfig
from trainer.optimizer_config import OptimizerConfig
from trainer.reference.benchmark import benchmark_keys
from trainer.reference.evaluation import Evaluation, held_out_cases
from trainer.reference.options import ALL_FOLDS, ReferenceOptions
from trainer.reference.records import Fold, find_records, normalised_records, select_fold
from trainer.run_folder import RunFolder
from trainer.staging import StagedCase, stage_records
from trainer.state import POLICIES
from trainer.unet import build_unet

EVALUATED_GRID = (224, 224, 160)
"""What the 3D references evaluate of a case, and time in a benchmark of predict."""
VALIDATION_SHARE = 0.1
"""Patients of the training part that --evaluate_every scores: never those of the held-out fold."""
Scores = dict[str, float]
_log = logging.getLogger(__name__)


def run(options: ReferenceOptions) -> dict[str, Any]:
    """Does what the options say, for one fold or all.

    Returns:
      Scores of the fold, or `folds`, `mean` and `std` of all; or the keys of a benchmark.

    Raises:
      ValueError: The records do not fit the options.
    """
    if options.benchmark:
        return _benchmark(options)
    if options.synth_data:
        _train(_synthetic_cases(options, options.model_dir / "staged"), options)
        return {}
    records = find_records(options.data_dir) if options.data_dir else None
    assert records is not None  # by the checks of the options
    if options.fold != ALL_FOLDS or records.layout == "photographs":
        number = 0 if options.fold == ALL_FOLDS else int(options.fold)
        return _run_fold(options, select_fold(records, number, num_folds=options.num_folds))
    folds = []
    for number in range(options.num_folds):
        own = replace(options, fold=number, model_dir=options.model_dir / f"fold-{number}")
        fold = select_fold(records, number, num_folds=options.num_folds)
        folds.append(_run_fold(own, fold, staged=options.model_dir / "staged"))
        if folds[-1]:
            _log.info("fold %d: %s", number, _line(folds[-1]))
    if not options.evaluates or not is_chief():
        return {}
    cases = round(sum(fold.get("n_evaluated", 0) for fold in folds))
    of = f", {cases} cases, each once" if cases else ""
    _log.info("all folds%s; of every case: %s", of, options.model_dir / "fold-*" / "scores.json")
    return _table(folds)


def _run_fold(options: ReferenceOptions, fold: Fold, staged: Path | None = None) -> Scores:
    if options.trains:
        records = (r for file in fold.train for r in normalised_records(file))
        source = f"the training part of {options.data_dir}"
        _log.info("fold %s: reading the records to train on", options.fold)
        cases = stage_records(records, staged or options.model_dir / "staged", source=source)
        _train(cases, options)
    if not (options.evaluates or options.predicts) or not is_chief():
        return {}
    return _use_network(options, fold)


def _train(cases: Sequence[StagedCase], options: ReferenceOptions) -> None:
    folder = _run_folder(options)
    if not options.resume and folder.checkpoints.is_dir() and any(folder.checkpoints.iterdir()):
        raise ValueError(
            f"--model_dir must hold no training yet, {folder.checkpoints} has checkpoints: give"
            " --resume_training to go on from them, or another folder"
        )
    with _kept(options) as place:
        train(cases, record_info(options.model), options.model, trainer_config(options), place)


@contextmanager
def _kept(options: ReferenceOptions) -> Iterator[RunFolder]:
    """Where checkpoints go: a folder that is thrown away with --disable_ckpt_saving."""
    if options.save_checkpoints:
        yield _run_folder(options)
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield RunFolder(path=Path(temporary), title=_run_folder(options).title)


def _run_folder(options: ReferenceOptions) -> RunFolder:
    return RunFolder(path=options.model_dir / "training", title=f"fold {options.fold}")


def _use_network(options: ReferenceOptions, fold: Fold) -> Scores:
    """Scores and writes the held-out cases, one at a time."""
    network = trained_network(options.model, trainer_config(options), _run_folder(options))
    evaluation = Evaluation(network, options)
    rows: list[tuple[str, Scores]] = []
    for number, case in enumerate(held_out_cases(fold.held_out, record_info(options.model))):
        probabilities = evaluation.predict(case)
        if options.evaluates:
            rows.append((case.case_id, evaluation.score(case, probabilities)))
            _log.info("fold %s: scored %s", options.fold, case.case_id)
        if options.predicts:
            _log.info("%s", evaluation.write(case, probabilities, number))
    if not options.evaluates:
        return {}
    scores = evaluation.fold_scores(rows, files=len(fold.held_out))
    content = {"fold": options.fold, "profile": options.profile, "scores": scores}
    cases = [{"case_id": case_id} | values for case_id, values in rows]
    text = json.dumps(content | {"cases": cases}, indent=1)
    write_text(options.model_dir / "scores.json", text)
    return scores


def trainer_config(options: ReferenceOptions, *, workers: int = 1) -> TrainerConfig:
    """The config of the training loop that the options stand for."""
    reference = options.profile == "reference"
    loss = options.loss if reference else {"bce": "ce"}.get(options.loss, options.loss)
    return TrainerConfig(
        samples=options.max_steps * options.batch_size * workers,
        batch_size=options.batch_size,
        crop=options.input_shape,
        foreground_fraction=0.0 if reference else 0.5,
        learning_rate=options.learning_rate,
        loss=LossConfig(
            name=loss,
            profile=options.profile,
            include_background=options.include_background,
        ),
        optimizer=OptimizerConfig(weight_decay=options.weight_decay),
        augment=_augment(options),
        precision=options.precision,
        loss_scale=_loss_scale(options),
        xla=options.xla,
        strategy="horovod" if options.horovod else choose_strategy(hpu=options.hpu),
        seed=options.seed,
        log_steps=options.log_every,
        validation=ValidationConfig(
            share=VALIDATION_SHARE if options.evaluate_every else 0.0,
            every_steps=options.evaluate_every or 500,
        ),
    )


def _augment(options: ReferenceOptions) -> AugmentConfig:
    if options.profile == "corrected":
        return AugmentConfig(enabled=options.augment)
    if options.details.rank == 3:
        return AugmentConfig(profile="reference-3d", enabled=options.augment)
    return AugmentConfig(profile="reference-dagm", enabled=options.augment)


def _loss_scale(options: ReferenceOptions) -> float:
    """--npu_loss_scale: below 1 none, 1 dynamic, above 1 constant."""
    if options.precision != "float16" or options.loss_scale == 1:
        return 0.0
    return float(max(1, options.loss_scale))


def _benchmark(options: ReferenceOptions) -> dict[str, float]:
    if options.exec_mode == "predict":
        times = _time_predict(options)
        return benchmark_keys(times.timed, samples=times.samples, mode="test")
    with tempfile.TemporaryDirectory() as temporary:
        times = time_training(
            _benchmark_cases(options, Path(temporary)),
            record_info(options.model),
            options.model,
            trainer_config(options),
            **_timed_steps(options),
        ).times
    return benchmark_keys(times.timed, samples=times.samples, mode="train")


def _time_predict(options: ReferenceOptions) -> Times:
    grid = EVALUATED_GRID if options.details.rank == 3 else options.input_shape
    shape = [options.batch_size, *grid, options.model.in_channels]
    image = tf.random.stateless_normal(shape, seed=[0, 0])
    network = build_unet(options.model, dtype_policy=POLICIES[options.precision])
    return time_forward(network, image, **_timed_steps(options))


def _timed_steps(options: ReferenceOptions) -> dict[str, int]:
    """--max_steps is all steps, those of the warm-up too."""
    warmup_steps = options.warmup_steps
    return {"steps": options.max_steps - warmup_steps, "warmup_steps": warmup_steps}


def _benchmark_cases(options: ReferenceOptions, folder: Path) -> Sequence[StagedCase]:
    if options.data_dir is None:
        return _synthetic_cases(options, folder)
    records = find_records(options.data_dir)
    number = 0 if options.fold == ALL_FOLDS else int(options.fold)
    fold = select_fold(records, number, num_folds=options.num_folds)
    streams = (r for file in fold.train for r in normalised_records(file))
    return stage_records(streams, folder, source=str(options.data_dir))


def _synthetic_cases(options: ReferenceOptions, folder: Path) -> Sequence[StagedCase]:
    """Cases a little larger than the crop."""
    shape = [size + 8 for size in options.input_shape]
    return synthetic_cases(options.model, shape, folder, count=4)


def _table(folds: Sequence[Scores]) -> dict[str, Any]:
    """Mean and population standard deviation over the folds, beside the folds' own scores."""
    names = [n for n in folds[0] if n != "n_evaluated" and all(n in fold for fold in folds)]
    values = {name: [fold[name] for fold in folds] for name in names}
    return {
        "folds": list(folds),
        "mean": {name: float(np.nanmean(v)) for name, v in values.items()},
        "std": {name: float(np.nanstd(v)) for name, v in values.items()},
    }


def _line(scores: Scores) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
