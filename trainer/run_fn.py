"""TFX Trainer's entry point: trains and exports one fold. Knows TFX's arguments, not TFX."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from beam_preprocess.config_io import from_dict
from trainer.batches import RecordInfo
from trainer.config import InferenceConfig, TrainerConfig
from trainer.loop import RunFolder, train
from trainer.model_config import ModelConfig
from trainer.serving import ServingSpec, export
from trainer.staging import StagedCase, data_fingerprint, stage


def run_fn(fn_args: Any) -> None:
    """Trains on the records of `fn_args.train_files` and writes the SavedModel.

    Args:
      fn_args: TFX's `FnArgs`; used are `train_files` (the other folds), `eval_files` (this fold),
        `serving_model_dir`, `model_run_dir` and `custom_config`: the dicts `model`, `trainer`,
        `inference`, `dataset` and `preprocessing`, each of its config, and the texts `state_root`,
        `title` and `fingerprint`.
    """
    given = fn_args.custom_config
    model = from_dict(ModelConfig, given["model"])
    config = from_dict(TrainerConfig, given["trainer"])
    dataset = given["dataset"]
    root = Path(given["state_root"])
    cases = stage(fn_args.train_files, root / "staged")
    check_disjoint(cases, stage(fn_args.eval_files, root / "staged"))
    info = RecordInfo(
        rank=dataset["rank"], channels=len(dataset["channels"]), foreground=dataset["foreground"]
    )
    folder = RunFolder(path=root / _run_name(given, cases), title=given["title"])
    network = train(cases, info, model, config, folder)
    export(network, model, _serving_spec(given), fn_args.serving_model_dir)
    shutil.copytree(folder.logs, fn_args.model_run_dir, dirs_exist_ok=True)


def _run_name(given: Mapping[str, Any], cases: Sequence[StagedCase]) -> str:
    """Folder of this training: its title and a hash of all that decides its result."""
    decides = {k: given[k] for k in ("model", "trainer", "dataset", "fingerprint")}
    content = json.dumps(decides | {"data": data_fingerprint(cases)}, sort_keys=True)
    return f"{given['title']}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def _serving_spec(given: Mapping[str, Any]) -> ServingSpec:
    dataset, preprocessing = given["dataset"], given["preprocessing"]
    return ServingSpec(
        dataset=dataset["name"],
        channels=tuple(dataset["channels"]),
        label_values=tuple(dataset["label_values"]),
        foreground=dataset["foreground"],
        dtypes=tuple(dataset["serving_dtypes"]),
        profile=preprocessing["profile"],
        clip_percentiles=tuple(preprocessing["clip_percentiles"]),
        inference=from_dict(InferenceConfig, given["inference"]),
    )


def check_disjoint(training: Sequence[StagedCase], held_out: Sequence[StagedCase]) -> None:
    """Raises ValueError where a patient of the held-out fold is in the training data too."""
    shared = {c.group for c in training} & {c.group for c in held_out}
    if shared:
        raise ValueError(
            f"training and held-out fold must share no patient, both have {sorted(shared)[:5]}:"
            " run CaseGen again"
        )
