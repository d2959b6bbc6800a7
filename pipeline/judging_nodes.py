"""The nodes that score, compare, judge, push and report."""

from collections.abc import Mapping, Sequence

from tfx.components.pusher.component import Pusher
from tfx.components.trainer.component import Trainer
from tfx.dsl.components.base.base_node import BaseNode
from tfx.proto import pusher_pb2
from tfx.types import BaseChannel

from beam_preprocess.config_io import to_json
from components.baseline import Baseline
from components.candidate import Candidate
from components.case_gen import CaseGen
from components.cross_validation import CrossValidation, JudgeSettings
from components.evaluator import Evaluator
from components.held_out import HeldOut
from components.origin import NEWEST, version_to_beat
from components.report.component import Report
from components.report.content import Texts
from pipeline.config_text import config_text
from pipeline.fingerprints import code_fingerprint
from pipeline.plan import Plan


def make_evaluator(cases: CaseGen, trainer: Trainer, plan: Plan, fold: str) -> Evaluator:
    """Scores `fold` with the model that has not seen it."""
    return Evaluator(
        cases.outputs["examples"],
        trainer.outputs["model"],
        split=fold,
        scoring=plan.scoring,
        fingerprint=code_fingerprint("Evaluator"),
    ).with_id(f"Evaluator-{fold}")


def make_comparison(
    cases: CaseGen, candidate: Candidate, plan: Plan
) -> tuple[list[BaseNode], dict[str, BaseChannel]]:
    """Scores the new model on `test`; where gate.max_drop is set the deployed one, too.

    Returns:
      The nodes, and what CrossValidation gets of them.
    """
    tested = _held_out(cases, candidate, plan, name="candidate", folds=0)  # others scored the folds
    channels: dict[str, BaseChannel] = {"tested": tested.outputs["evaluation"]}
    if plan.config.gate.max_drop is None:
        return [tested], channels
    deployed, key = plan.places.deployed, candidate.exec_properties["key"]
    baseline = Baseline(
        candidate.outputs["model"],
        serving=plan.places.serving,
        version=NEWEST if deployed is None else version_to_beat(deployed, key),
        info=plan.info,
        fingerprint=code_fingerprint("Baseline"),
    )
    scores = _held_out(cases, baseline, plan, name="baseline", folds=len(plan.folds))
    return [tested, baseline, scores], channels | {"baseline": scores.outputs["evaluation"]}


def _held_out(
    cases: CaseGen, source: Candidate | Baseline, plan: Plan, *, name: str, folds: int
) -> HeldOut:
    """Scores a model on `test`, or where there is none on so many folds."""
    return HeldOut(
        cases.outputs["examples"],
        source.outputs["model"],
        folds=folds,
        scoring=plan.scoring,
        fingerprint=code_fingerprint("HeldOut"),
    ).with_id(f"Evaluator-{name}")


def make_validation(
    cases: CaseGen,
    evaluators: Sequence[Evaluator],
    plan: Plan,
    *,
    candidate: Candidate,
    held_out: Mapping[str, BaseChannel],
) -> CrossValidation:
    """Joins the folds, and judges."""
    config = plan.config
    return CrossValidation(
        cases.outputs["examples"],
        [e.outputs["evaluation"] for e in evaluators],
        model=candidate.outputs["model"],
        held_out=held_out,
        settings=JudgeSettings(
            gate=config.gate,
            rank=plan.info.rank,
            evaluation=config.evaluation,
            threshold=config.inference.threshold,
            force=plan.force,
        ),
        fingerprint=code_fingerprint("CrossValidation"),
    )


def make_pusher(candidate: Candidate, validation: CrossValidation, plan: Plan) -> Pusher:
    """Copies the model to `serving/<timestamp>`, if it is blessed, or forced."""
    destination = pusher_pb2.PushDestination.Filesystem(base_directory=plan.places.serving)
    return Pusher(
        model=candidate.outputs["model"],
        model_blessing=validation.outputs["blessing"],
        push_destination=pusher_pb2.PushDestination(filesystem=destination),
    )


def make_report(
    cases: CaseGen,
    trainers: Sequence[Trainer],
    evaluators: Sequence[Evaluator],
    validation: CrossValidation,
    plan: Plan,
) -> Report:
    """Writes the page."""
    config = plan.config
    return Report(
        cases.outputs["examples"],
        validation.outputs["evaluation"],
        [
            (e.outputs["evaluation"], t.outputs["model_run"])
            for e, t in zip(evaluators, trainers, strict=True)
        ],
        info=plan.info,
        texts=Texts(
            title=config.name,
            config=config_text(config),
            evaluation=to_json(config.evaluation),
            profile=config.preprocessing.profile,
            fingerprint=code_fingerprint("Report"),
        ),
    )
