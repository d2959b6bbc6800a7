"""The nodes from normalised records to the model that is deployed if it is blessed."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from tfx.components.trainer.component import Trainer
from tfx.dsl.components.base.base_node import BaseNode
from tfx.proto import trainer_pb2

from components.candidate import Candidate
from components.evaluator import Evaluator
from components.refit import RefitBudget
from components.transform import RecordTransform
from pipeline.config import RunConfig
from pipeline.fingerprints import code_fingerprint
from pipeline.plan import Plan
from trainer.config import NOT_DECISIVE, ValidationConfig

_RUN_FN = "trainer.run_fn.run_fn"
_ELSEWHERE = ("state_root", "store", "title")
"""Parameters that say where something is, or what it is called."""


def make_trainer(transform: RecordTransform, plan: Plan, fold: str) -> Trainer:
    """Trains on all folds but `fold`."""
    title = f"Trainer-{fold}"
    return Trainer(
        run_fn=_RUN_FN,
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        train_args=trainer_pb2.TrainArgs(splits=[name for name in plan.folds if name != fold]),
        eval_args=trainer_pb2.EvalArgs(splits=[fold]),
        custom_config=_training(title, plan.config, plan),
    ).with_id(title)


def _training(title: str, config: RunConfig, plan: Plan) -> dict[str, Any]:
    """What `trainer.run_fn.run_fn` is told."""
    return {
        "dataset": asdict(plan.info),
        "preprocessing": asdict(config.preprocessing),
        "model": asdict(config.model),
        "trainer": asdict(config.trainer),
        "inference": asdict(config.inference),
        "state_root": plan.places.state,
        "title": title,
        "fingerprint": code_fingerprint("Trainer"),
    }


def make_refit(
    transform: RecordTransform, trainers: Sequence[Trainer], plan: Plan
) -> list[BaseNode]:
    """Where a refit is deployed: finds its budget, and trains on all folds; else no node."""
    if plan.config.gate.deploy != "refit":
        return []
    trainer = plan.config.trainer
    budget = RefitBudget(
        [t.outputs["model_run"] for t in trainers],
        samples=trainer.samples,
        validated=trainer.validation.share > 0,
        fingerprint=code_fingerprint("RefitBudget"),
    )
    title = "Trainer-refit"
    node = Trainer(
        run_fn=_RUN_FN,
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        hyperparameters=budget.outputs["hyperparameters"],
        train_args=trainer_pb2.TrainArgs(splits=plan.folds),
        eval_args=trainer_pb2.EvalArgs(splits=plan.folds[:1]),  # TFX asks for one: it is ignored
        custom_config=_training(title, _refit_config(plan.config), plan) | {"refit": True},
    ).with_id(title)
    return [budget, node]


def _refit_config(config: RunConfig) -> RunConfig:
    """There is nobody left to validate on, and nothing to profile that the folds did not show."""
    tracking = replace(config.trainer.tracking, profile_steps=())
    trainer = replace(config.trainer, validation=ValidationConfig(), tracking=tracking)
    return replace(config, trainer=trainer)


def make_candidate(
    evaluators: Sequence[Evaluator],
    trainers: Sequence[BaseNode],
    plan: Plan,
    *,
    makers: Sequence[BaseNode],
) -> Candidate:
    """Makes the model to be deployed.

    Args:
      evaluators: Of the folds.
      trainers: Of the folds, or the refit alone.
      plan: Of the run.
      makers: All nodes that have a part in the model.
    """
    return Candidate(
        [e.outputs["evaluation"] for e in evaluators],
        [t.outputs["model"] for t in trainers],
        config=plan.config.gate,
        threshold=plan.config.inference.threshold,
        key=_model_key(makers, plan.config),
        fingerprint=code_fingerprint("Candidate"),
    )


def _model_key(makers: Sequence[BaseNode], config: RunConfig) -> str:
    """Hash of all parameters of the nodes that decide the model: data, code and config."""
    decides = [_decisive(node.exec_properties) for node in makers]
    content = [*decides, config.gate.select, config.gate.deploy]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _decisive(parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a node, less those that neither weights nor scores depend on."""
    found = {name: v for name, v in parameters.items() if name not in _ELSEWHERE}
    if found.get("run_fn") != _RUN_FN:
        return found
    told = json.loads(found["custom_config"])
    told = {name: v for name, v in told.items() if name not in _ELSEWHERE}
    told["trainer"] = {n: v for n, v in told["trainer"].items() if n not in NOT_DECISIVE}
    return found | {"custom_config": told}
