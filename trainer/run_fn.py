"""TFX Trainer's entry point: trains and exports one fold. Knows TFX's arguments, not TFX."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from beam_preprocess.atomic import write_text
from beam_preprocess.case import DatasetInfo
from beam_preprocess.config_io import from_dict
from trainer.batches import RecordInfo
from trainer.config import NOT_DECISIVE, InferenceConfig, TrainerConfig
from trainer.job import TrainingJob
from trainer.launch import run_job
from trainer.model_config import ModelConfig
from trainer.model_folder import TRAINING_CASES, ServingSpec
from trainer.run_folder import RunFolder
from trainer.serving import export
from trainer.staging import StagedCase, data_fingerprint, stage
from trainer.training_cases import TrainingCases, training_cases_to_json


def run_fn(fn_args: Any) -> None:
    """Trains on the records of `fn_args.train_files`, writes the SavedModel and who was in them.

    Args:
      fn_args: TFX's `FnArgs`; used are `train_files` (the other folds), `eval_files` (this fold),
        `serving_model_dir`, `model_run_dir`, `hyperparameters` (fields of `trainer` that take the
        place of the config's, or None) and `custom_config`: the dicts `model`, `trainer`,
        `inference`, `dataset` and `preprocessing`, each of its config, and the texts `state_root`,
        `title` and `fingerprint`; and `refit`, true where all folds are trained on: `eval_files`
        does not count then.
    """
    given = fn_args.custom_config
    given = given | {"trainer": given["trainer"] | (fn_args.hyperparameters or {})}
    root = Path(given["state_root"])
    held_out = [] if given.get("refit") else fn_args.eval_files
    cases = stage_folds(fn_args.train_files, held_out, root / "staged")
    folder = RunFolder(path=root / _run_name(given, cases), title=given["title"])
    train_and_export(cases, given, folder, fn_args.serving_model_dir)
    beside = Path(fn_args.serving_model_dir).parent / TRAINING_CASES
    write_text(beside, training_cases_json(cases))
    shutil.copytree(folder.logs, fn_args.model_run_dir, dirs_exist_ok=True)
    shutil.copy(folder.manifest, fn_args.model_run_dir)


def stage_folds(training: Sequence[str], held_out: Sequence[str], folder: Path) -> list[StagedCase]:
    """Stages the records to train on, in `folder`, and checks them against the held-out ones.

    Args:
      training, held_out: Patterns of record files; none are held out where all are trained on.
      folder: Of the staged cases.

    Raises:
      ValueError: There are no records, or a patient is in both parts.
    """
    cases = stage(training, folder)
    if held_out:
        check_disjoint(cases, stage(held_out, folder))
    return cases


def train_and_export(
    cases: Sequence[StagedCase], given: Mapping[str, Any], folder: RunFolder, model_dir: str
) -> None:
    """Trains on staged cases, from the last checkpoint in `folder` on, and writes the SavedModel.

    Args:
      cases: What is trained on.
      given: The dicts `model`, `trainer`, `inference`, `dataset` and `preprocessing`; see `run_fn`.
      folder: State and logs.
      model_dir: Folder of the SavedModel.
    """
    model = from_dict(ModelConfig, given["model"])
    config = from_dict(TrainerConfig, given["trainer"])
    dataset = from_dict(DatasetInfo, given["dataset"])
    info = RecordInfo(
        rank=dataset.rank, channels=len(dataset.channels), foreground=dataset.foreground
    )
    spec = serving_spec(given)  # before the training: what is wrong with it is told at once
    network = run_job(
        TrainingJob(cases=tuple(cases), info=info, model=model, config=config, folder=folder)
    )
    export([network], spec, model_dir)


def _run_name(given: Mapping[str, Any], cases: Sequence[StagedCase]) -> str:
    """Folder of this training: its title and a hash of all that decides its result."""
    decides = {k: given[k] for k in ("model", "dataset", "fingerprint")}
    decides["trainer"] = {k: v for k, v in given["trainer"].items() if k not in NOT_DECISIVE}
    content = json.dumps(decides | {"data": data_fingerprint(cases)}, sort_keys=True)
    return f"{given['title']}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def serving_spec(given: Mapping[str, Any]) -> ServingSpec:
    """What the exported model is told, from the dicts that `run_fn` is given."""
    preprocessing = given["preprocessing"]
    return ServingSpec(
        dataset=from_dict(DatasetInfo, given["dataset"]),
        profile=preprocessing["profile"],
        clip_percentiles=tuple(preprocessing["clip_percentiles"]),
        inference=from_dict(InferenceConfig, given["inference"]),
        model=from_dict(ModelConfig, given["model"]),
        precision=given["trainer"]["precision"],
    )


def training_cases_json(cases: Sequence[StagedCase]) -> str:
    """Ids, groups and images of the cases: the Evaluator checks that it scores none of them."""
    told = TrainingCases(
        cases=tuple(sorted({c.case_id for c in cases})),
        groups=tuple(sorted({c.group for c in cases})),
        contents={c.content: c.case_id for c in sorted(cases) if c.content},
    )
    return training_cases_to_json(told)


def check_disjoint(training: Sequence[StagedCase], held_out: Sequence[StagedCase]) -> None:
    """Raises ValueError where a patient of the held-out fold is in the training data too."""
    shared = {c.group for c in training} & {c.group for c in held_out}
    if shared:
        raise ValueError(
            f"training and held-out fold must share no patient, both have {sorted(shared)[:5]}:"
            " run CaseGen again"
        )
