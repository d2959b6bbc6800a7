"""The DAG. `create_pipeline` reads from top to bottom as the design draws it; runners import it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode
from tfx.types import BaseChannel

from beam_preprocess.case import UNLABELLED, DatasetInfo
from beam_preprocess.cohort import fold_name
from beam_preprocess.config_io import to_json
from beam_preprocess.datasets import get_dataset
from components.baseline import Baseline
from components.candidate import Candidate
from components.case_gen import CaseGen
from components.case_scoring import Scoring, check_slices
from components.cross_validation import CrossValidation, JudgeSettings
from components.curated_schema import CuratedSchema
from components.data_gate import DataGate
from components.evaluator import Evaluator
from components.gate import check_gate
from components.held_out import HeldOut
from components.origin import NEWEST, Deployment, version_to_beat
from components.refit import RefitBudget
from components.report.component import Report
from components.report.content import Texts
from components.transform import RecordTransform, transform_settings
from pipeline.config import BEAM_NODES, RunConfig
from pipeline.config_text import config_text
from pipeline.fingerprints import code_fingerprint
from pipeline.network import check_network, fit_network
from trainer.config import ValidationConfig

BEAM_ARGS = ("--runner=DirectRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1")
NO_PACKING = "--sdk_container_image=none"
"""DirectRunner has no use for an image. Without one, TFX packs itself for every node: seconds."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a runner keeps things.

    Attributes:
      pipeline_root: Parent of all artifacts.
      serving: Parent of the pushed versions.
      state: Checkpoints and staged records, which outlive a run that is killed.
      data_fingerprint: Hash of the content of the raw files; empty where they are not at hand.
      workers: How many record files CaseGen and Transform write at once, in threads.
      deployed: The pushed versions, the newest first; None where only the nodes can look at them,
        when they run.
    """

    pipeline_root: str
    serving: str
    state: str
    data_fingerprint: str = ""
    workers: int = 2
    deployed: tuple[Deployment, ...] | None = ()


def create_pipeline(config: RunConfig, places: Places, *, force: bool = False) -> list[BaseNode]:
    """The nodes of a run, in the order in which they can run.

    Args:
      config: Of the run.
      places: Where things are kept.
      force: Whether a model that is not blessed is pushed all the same.

    Raises:
      ValueError: Network or gate do not suit the dataset.
    """
    info = check_config(config)
    config = fit_network(config, info)
    cases = CaseGen(
        config.data,
        info,
        data_fingerprint=places.data_fingerprint,
        code=code_fingerprint("CaseGen", own=config.data.dataset.rpartition(".")[0]),
        store=f"{places.state}/records" if places.state else "",
    )
    checks = _data_checks(cases, info)
    record_schema = _schema("records", info).with_id("RecordSchema")
    transform = _transform(cases, record_schema, config, info)
    transform.add_upstream_node(checks[-1])

    folds = range(config.data.folds)
    trainers = [_trainer(transform, config, info, places, i) for i in folds]
    evaluators = [_evaluator(cases, trainers[i], config, info, i) for i in folds]
    per_fold = [node for pair in zip(trainers, evaluators, strict=True) for node in pair]
    refit = _refit(transform, trainers, config=config, info=info, places=places)
    makers = [cases, transform, *per_fold, *refit]
    candidate = _candidate(evaluators, refit[-1:] or trainers, config=config, makers=makers)
    compared, channels = _comparison(cases, candidate, config=config, info=info, places=places)
    validation = CrossValidation(
        cases.outputs["examples"],
        [e.outputs["evaluation"] for e in evaluators],
        model=candidate.outputs["model"],
        compared=channels,
        settings=JudgeSettings(gate=config.gate, evaluation=config.evaluation, force=force),
        fingerprint=code_fingerprint("CrossValidation"),
    )
    pusher = _pusher(candidate, validation, places)
    report = _report(cases, trainers, evaluators, validation, config=config, info=info)
    nodes = [cases, *checks, record_schema, transform, *per_fold, *refit, candidate]
    nodes += [*compared, validation, pusher, report]
    _set_beam_args(nodes, config, places)
    return nodes


def _set_beam_args(nodes: Sequence[Any], config: RunConfig, places: Places) -> None:
    """Gives the nodes that run on Beam their options: the user's, or ours."""
    threads = ("--direct_running_mode=multi_threading", f"--direct_num_workers={places.workers}")
    parallel = ["--runner=DirectRunner", *threads, NO_PACKING]
    single = [*BEAM_ARGS, NO_PACKING]
    ours = {n: parallel if n in ("CaseGen", "Transform") else single for n in BEAM_NODES}
    args = ours | config.pipeline.beam_args
    for node in nodes:
        if own := args.get(node.id.partition("-")[0]):
            node.with_beam_pipeline_args(list(own))


def check_config(config: RunConfig) -> DatasetInfo:
    """Finds out what the cases of the dataset share, and checks that network and gate suit it.

    Cheap: no case is read.

    Raises:
      DataError: The files under `data.root` do not tell what is in them.
      ValueError: The network, the gate or a slice does not suit.
    """
    info = get_dataset(config.data).info
    check_network(fit_network(config, info), info)
    check_slices(config.evaluation, info, config.data.case_table)
    check_gate(config.gate, info, config.evaluation)
    return info


def _data_checks(cases: CaseGen, info: DatasetInfo) -> list[BaseNode]:
    """Validates the case statistics against the curated schema; the last node is the gate.

    Cases without a label lack features of the schema, and nothing is trained on them.
    """
    statistics = tfx.components.StatisticsGen(
        examples=cases.outputs["case_statistics"], exclude_splits=[UNLABELLED]
    )
    schema = _schema("statistics", info).with_id("StatisticsSchema")
    validator = tfx.components.ExampleValidator(
        statistics=statistics.outputs["statistics"],
        schema=schema.outputs["schema"],
        exclude_splits=[UNLABELLED],
    )
    gate = DataGate(
        validator.outputs["anomalies"],
        cases.outputs["case_statistics"],
        schema.outputs["schema"],
        fingerprint=code_fingerprint("DataGate"),
    )
    return [statistics, schema, validator, gate]


def _schema(kind: str, info: DatasetInfo) -> CuratedSchema:
    return CuratedSchema(kind, info, fingerprint=code_fingerprint("CuratedSchema"))


def _transform(
    cases: CaseGen, schema: CuratedSchema, config: RunConfig, info: DatasetInfo
) -> RecordTransform:
    """Normalises the records of the folds. The split `test` stays raw: it is never trained on."""
    splits = [fold_name(i) for i in range(config.data.folds)]
    return RecordTransform(
        examples=cases.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn="beam_preprocess.preprocessing.preprocessing_fn",
        splits_config=tfx.proto.SplitsConfig(analyze=splits[:1], transform=splits),
        disable_statistics=True,
        custom_config=transform_settings(config.preprocessing, info)
        | {"fingerprint": code_fingerprint("Transform")},
    ).with_id("Transform")


def _trainer(
    transform: RecordTransform, config: RunConfig, info: DatasetInfo, places: Places, fold: int
) -> tfx.components.Trainer:
    """Trains on all folds but `fold`."""
    others = [fold_name(i) for i in range(config.data.folds) if i != fold]
    title = f"Trainer-fold-{fold}"
    return tfx.components.Trainer(
        run_fn="trainer.run_fn.run_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        train_args=tfx.proto.TrainArgs(splits=others),
        eval_args=tfx.proto.EvalArgs(splits=[fold_name(fold)]),
        custom_config=_training(title, config, info, places),
    ).with_id(title)


def _training(title: str, config: RunConfig, info: DatasetInfo, places: Places) -> dict[str, Any]:
    """What `trainer.run_fn.run_fn` is told."""
    return {
        "dataset": asdict(info),
        "preprocessing": asdict(config.preprocessing),
        "model": asdict(config.model),
        "trainer": asdict(config.trainer),
        "inference": asdict(config.inference),
        "state_root": places.state,
        "title": title,
        "fingerprint": code_fingerprint("Trainer"),
    }


def _refit(
    transform: RecordTransform,
    trainers: Sequence[tfx.components.Trainer],
    *,
    config: RunConfig,
    info: DatasetInfo,
    places: Places,
) -> list[BaseNode]:
    """Where a refit is deployed: finds its budget, and trains on all folds; else no node.

    There is nobody left to validate on, and nothing to profile that the folds did not show.
    """
    if config.gate.deploy != "refit":
        return []
    trainer = config.trainer
    budget = RefitBudget(
        [t.outputs["model_run"] for t in trainers],
        samples=trainer.samples,
        validated=trainer.validation.share > 0,
        fingerprint=code_fingerprint("RefitBudget"),
    )
    tracking = replace(trainer.tracking, profile_steps=())
    trainer = replace(trainer, validation=ValidationConfig(), tracking=tracking)
    title, splits = "Trainer-refit", [fold_name(i) for i in range(config.data.folds)]
    node = tfx.components.Trainer(
        run_fn="trainer.run_fn.run_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        hyperparameters=budget.outputs["hyperparameters"],
        train_args=tfx.proto.TrainArgs(splits=splits),
        eval_args=tfx.proto.EvalArgs(splits=splits[:1]),  # TFX asks for one; `refit` ignores it
        custom_config=_training(title, replace(config, trainer=trainer), info, places)
        | {"refit": True},
    ).with_id(title)
    return [budget, node]


def _candidate(
    evaluators: Sequence[Evaluator],
    trainers: Sequence[BaseNode],
    *,
    config: RunConfig,
    makers: Sequence[BaseNode],
) -> Candidate:
    """Makes the model to be deployed.

    Its key is the hash of the parameters of all nodes that make it: data, code and config.
    """
    gate = config.gate
    decides = [node.exec_properties for node in makers] + [gate.select, gate.deploy]
    key = hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()
    return Candidate(
        [e.outputs["evaluation"] for e in evaluators],
        [t.outputs["model"] for t in trainers],
        config=gate,
        key=key,
        fingerprint=code_fingerprint("Candidate"),
    )


def _comparison(
    cases: CaseGen, candidate: Candidate, *, config: RunConfig, info: DatasetInfo, places: Places
) -> tuple[list[BaseNode], dict[str, BaseChannel]]:
    """Where gate.max_drop is set: scores the new and the deployed model on the same cases.

    Returns:
      The nodes, and what CrossValidation gets of them.
    """
    if config.gate.max_drop is None:
        return [], {}
    key = candidate.exec_properties["key"]
    version = NEWEST if places.deployed is None else version_to_beat(places.deployed, key)
    baseline = Baseline(
        candidate.outputs["model"],
        serving=places.serving,
        version=version,
        info=info,
        fingerprint=code_fingerprint("Baseline"),
    )
    tested, deployed = (
        HeldOut(
            cases.outputs["examples"],
            node.outputs["model"],
            folds=folds,
            scoring=_scoring(config, info),
            fingerprint=code_fingerprint("HeldOut"),
        ).with_id(f"Evaluator-{name}")
        for name, node, folds in (
            ("candidate", candidate, 0),  # its scores of the folds are there
            ("baseline", baseline, config.data.folds),
        )
    )
    channels = {"tested": tested, "baseline": deployed}
    return [tested, baseline, deployed], {n: c.outputs["evaluation"] for n, c in channels.items()}


def _evaluator(
    cases: CaseGen, trainer: tfx.components.Trainer, config: RunConfig, info: DatasetInfo, fold: int
) -> Evaluator:
    """Scores `fold` with the model that has not seen it."""
    return Evaluator(
        cases.outputs["examples"],
        trainer.outputs["model"],
        split=fold_name(fold),
        scoring=_scoring(config, info),
        fingerprint=code_fingerprint("Evaluator"),
    ).with_id(f"Evaluator-fold-{fold}")


def _scoring(config: RunConfig, info: DatasetInfo) -> Scoring:
    return Scoring(info=info, config=config.evaluation, profile=config.preprocessing.profile)


def _pusher(
    candidate: Candidate, validation: CrossValidation, places: Places
) -> tfx.components.Pusher:
    """Copies the model to `serving/<timestamp>`, if it is blessed, or forced."""
    destination = tfx.proto.PushDestination.Filesystem(base_directory=places.serving)
    return tfx.components.Pusher(
        model=candidate.outputs["model"],
        model_blessing=validation.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(filesystem=destination),
    )


def _report(
    cases: CaseGen,
    trainers: list[tfx.components.Trainer],
    evaluators: list[Evaluator],
    validation: CrossValidation,
    *,
    config: RunConfig,
    info: DatasetInfo,
) -> Report:
    return Report(
        cases.outputs["examples"],
        validation.outputs["evaluation"],
        [
            (e.outputs["evaluation"], t.outputs["model_run"])
            for e, t in zip(evaluators, trainers, strict=True)
        ],
        info=info,
        texts=Texts(
            title=config.name,
            config=config_text(config),
            evaluation=to_json(config.evaluation),
            profile=config.preprocessing.profile,
            fingerprint=code_fingerprint("Report"),
        ),
    )
