"""The DAG. `create_pipeline` reads from top to bottom as the design draws it; runners import it."""

from collections.abc import Sequence
from typing import Any

from tfx.dsl.components.base.base_node import BaseNode

from beam_preprocess.case import DatasetInfo
from beam_preprocess.datasets import get_dataset
from components.case_scoring import check_slices
from components.gate import check_gate
from pipeline.config import BEAM_NODES, RunConfig
from pipeline.data_nodes import make_cases, make_data_checks, make_schema, make_transform
from pipeline.judging_nodes import (
    make_comparison,
    make_evaluator,
    make_pusher,
    make_report,
    make_validation,
)
from pipeline.model_nodes import make_candidate, make_refit, make_trainer
from pipeline.network import check_network, fit_network
from pipeline.plan import Places, Plan

BEAM_ARGS = ("--runner=DirectRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1")
NO_PACKING = "--sdk_container_image=none"
"""DirectRunner has no use for an image. Without one, TFX packs itself for every node: seconds."""


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
    plan = Plan(config=fit_network(config, info), info=info, places=places, force=force)
    nodes = _create_nodes(plan)
    _set_beam_args(nodes, plan)
    return nodes


def _create_nodes(plan: Plan) -> list[BaseNode]:
    cases = make_cases(plan)
    checks = make_data_checks(cases, plan.info)
    schema = make_schema("records", plan.info).with_id("RecordSchema")
    transform = make_transform(cases, schema, plan)
    transform.add_upstream_node(checks[-1])

    trainers = [make_trainer(transform, plan, fold) for fold in plan.folds]
    evaluators = [
        make_evaluator(cases, trainer, plan, fold)
        for trainer, fold in zip(trainers, plan.folds, strict=True)
    ]
    per_fold = [node for pair in zip(trainers, evaluators, strict=True) for node in pair]
    refit = make_refit(transform, trainers, plan)
    makers = [cases, transform, *per_fold, *refit]
    candidate = make_candidate(evaluators, refit[-1:] or trainers, plan, makers=makers)

    compared, held_out = make_comparison(cases, candidate, plan)
    validation = make_validation(cases, evaluators, plan, candidate=candidate, held_out=held_out)
    pusher = make_pusher(candidate, validation, plan)
    report = make_report(cases, trainers, evaluators, validation, plan)
    nodes = [cases, *checks, schema, transform, *per_fold, *refit, candidate]
    return [*nodes, *compared, validation, pusher, report]


def _set_beam_args(nodes: Sequence[Any], plan: Plan) -> None:
    """Gives the nodes that run on Beam their options: the user's, or ours."""
    workers = plan.places.workers
    threads = ("--direct_running_mode=multi_threading", f"--direct_num_workers={workers}")
    parallel = ["--runner=DirectRunner", *threads, NO_PACKING]
    single = [*BEAM_ARGS, NO_PACKING]
    ours = {n: parallel if n in ("CaseGen", "Transform") else single for n in BEAM_NODES}
    args = ours | plan.config.pipeline.beam_args
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
