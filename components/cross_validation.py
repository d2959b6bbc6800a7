"""CrossValidation: joins the folds, and blesses the model to be deployed or not, with reasons."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from beam_preprocess.atomic import write_text
from beam_preprocess.case import TEST
from beam_preprocess.cohort import fold_name
from beam_preprocess.config_io import from_json, to_json
from components.artifacts import Artifacts, fold_inputs
from components.evaluation_files import check_counts, read_cases
from components.file_names import BASELINE, CANDIDATE, COHORT, RESULT, read_json
from components.gate import NO_RULES, Evidence, count, judge, make_evidence
from components.gate_config import GateConfig
from components.gate_drop import Deployed, judge_drop
from components.sizes import with_size_bin
from components.split_scoring import groups_of
from trainer.config import EvaluationConfig
from trainer.metrics.case_scores import CaseScores
from trainer.metrics.cohort_scores import cohort_to_dict, score_slices

_FORCED = "Pushed all the same: --force was given."
_MADE = {
    "best-fold": "",
    "refit": "The model is trained on the cases of all folds (gate.deploy refit), and their scores"
    " are those of other networks{}.",
    "ensemble": "The model averages those of all folds (gate.deploy ensemble), and each case of"
    " them was scored by the one network that has not seen it{}.",
}
_UNSCORED = ": there is no case left to score the model itself on"


@dataclass(frozen=True, kw_only=True)
class JudgeSettings:
    """What CrossValidation judges by.

    Attributes:
      gate: The rules.
      rank: Axes of a case: 3 of volumes, 2 of photographs.
      evaluation: Statistics, slices and bins of sizes.
      threshold: Probability from which on an image is taken for defective, where the folds cannot
        choose it.
      force: Whether a model that is not blessed is pushed all the same.
    """

    gate: GateConfig
    rank: int
    evaluation: EvaluationConfig
    threshold: float
    force: bool = False


class CrossValidationSpec(ComponentSpec):
    """Inputs (one evaluation per fold, by name), outputs and parameters."""

    PARAMETERS = {
        "folds": ExecutionParameter(type=int),
        "rank": ExecutionParameter(type=int),
        "config": ExecutionParameter(type=str),
        "evaluation_config": ExecutionParameter(type=str),
        "threshold": ExecutionParameter(type=float),
        "force": ExecutionParameter(type=int),
        "fingerprint": ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "model": ChannelParameter(type=standard_artifacts.Model),
        "tested": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "baseline": ChannelParameter(type=standard_artifacts.ModelEvaluation, optional=True),
    } | fold_inputs("evaluation", standard_artifacts.ModelEvaluation)
    OUTPUTS = {
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
    }


class CrossValidationExecutor(base_executor.BaseExecutor):
    """Writes `result.json` and the blessing."""

    def Do(  # noqa: N802
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        """Joins the folds, checks that every case was scored once, and judges."""
        config = from_json(GateConfig, exec_properties["config"])
        scoring = from_json(EvaluationConfig, exec_properties["evaluation_config"])
        evidence = _read_evidence(input_dict, exec_properties, scoring)
        cases = count_cases(read_json(_uri(input_dict, "examples"), COHORT), evidence.folds)
        deploy = read_json(_uri(input_dict, "model"), CANDIDATE)
        threshold = own_threshold(deploy, float(exec_properties["threshold"]))
        tested = _read_tested(input_dict, evidence, threshold)
        compared = None
        if config.max_drop is not None:
            compared = _read_comparison(input_dict, tested or evidence)
        gate = bless(evidence, config, compared=compared)
        gate["forced"] = bool(exec_properties["force"]) and not gate["blessed"]
        gate["reasons"] += describe_model(deploy, tested)
        gate["reasons"] += [_FORCED] if gate["forced"] else []
        result = join_folds(evidence, scoring.slices) | {"test": None, "cases": cases}
        result |= {"gate": gate, "deploy": deploy} | ({"test": sum_up(tested)} if tested else {})
        target = Path(_uri(output_dict, "evaluation")) / RESULT
        write_text(target, json.dumps(result, indent=1, allow_nan=False))
        _write_blessing(artifact_utils.get_single_instance(output_dict["blessing"]), gate)


def _uri(artifacts: Artifacts, name: str) -> str:
    return artifact_utils.get_single_uri(artifacts[name])


def _read_evidence(
    inputs: Artifacts, properties: Mapping[str, Any], scoring: EvaluationConfig
) -> Evidence:
    """The cases of every fold, and which of them are of one patient."""
    rank = int(properties["rank"])
    uris = [_uri(inputs, f"evaluation_{i}") for i in range(int(properties["folds"]))]
    return make_evidence(
        [read_binned(uri, config=scoring, rank=rank) for uri in uris],
        scoring.statistics,
        threshold=float(properties["threshold"]),
        rank=rank,
        groups=groups_of(Path(_uri(inputs, "examples"))),
    )


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What the new model is compared with, and its own scores of the same held-out cases."""

    new: Evidence
    deployed: Deployed


def read_binned(folder: str, *, config: EvaluationConfig, rank: int) -> list[CaseScores]:
    """The cases of an evaluation, with the column `size`."""
    return [with_size_bin(case, config, rank=rank) for case in read_cases(folder)]


def own_threshold(deploy: Mapping[str, Any], default: float) -> float:
    """From which on the model to be deployed takes an image for defective."""
    chosen: float | None = deploy["image_threshold"]
    return default if chosen is None else chosen


def _read_tested(inputs: Artifacts, evidence: Evidence, threshold: float) -> Evidence | None:
    """The cases of `test` as the model to be deployed scores; None where there are none."""
    cases = read_cases(_uri(inputs, "tested"))
    return replace(evidence, folds=[cases], thresholds=[threshold]) if cases else None


def _read_comparison(inputs: Artifacts, new: Evidence) -> Compared:
    """The scores of the deployed model, beside those of the new one."""
    folder = _uri(inputs, "baseline")
    cases = tuple(read_cases(folder))
    return Compared(new=new, deployed=Deployed(**read_json(folder, BASELINE), cases=cases))


def join_folds(evidence: Evidence, columns: Sequence[str]) -> dict[str, Any]:
    """Scores of every fold, of all cases together, and of the cases by what columns say of them.

    Returns:
      `folds`: list of {`fold`, `n`, `scores`}; `scores`; `slices`: column -> value -> scores.
    """
    slices = score_slices(
        evidence.folds, columns, evidence.statistics, thresholds=evidence.thresholds
    )
    return {
        "folds": [{"fold": i} | sum_up(evidence.fold(i)) for i in range(len(evidence.folds))],
        "scores": cohort_to_dict(evidence.sum_up()),
        "slices": {
            column: {value: cohort_to_dict(scores) for value, scores in values.items()}
            for column, values in slices.items()
        },
    }


def sum_up(evidence: Evidence) -> dict[str, Any]:
    """`n` cases, and their `scores`."""
    return {"n": sum(map(len, evidence.folds)), "scores": cohort_to_dict(evidence.sum_up())}


def describe_model(deploy: Mapping[str, Any], tested: Evidence | None) -> list[str]:
    """What the scores of the folds do not say of the model to be deployed, in sentences.

    Args:
      deploy: `candidate.json`.
      tested: Its own scores of `test`; None where there is no such case.
    """
    made = [_MADE[deploy["mode"]].format("" if tested else _UNSCORED)]
    if tested:
        select = deploy["select"]
        found = tested.find(select)
        own = "no value" if found.mean is None else f"mean {found.mean:.4f}{tested.unit(select)}"
        made.append(f"{select} of the model itself on test: {own} of {count(found.n, select)}.")
    return [sentence for sentence in made if sentence]


def bless(
    evidence: Evidence, config: GateConfig, *, compared: Compared | None = None
) -> dict[str, Any]:
    """Judges all rules.

    Args:
      evidence: The folds.
      config: The rules.
      compared: For gate.max_drop, where it is set.

    Returns:
      `gate` of `result.json`, but for `forced` and sentences on what is deployed.
    """
    blessed, verdicts = judge(evidence, config)
    baseline = None
    if compared is not None:
        verdict, baseline = judge_drop(compared.new, compared.deployed, config)
        blessed, verdicts = blessed and verdict.passed, [*verdicts, verdict]
    reasons = [NO_RULES] if not config.rules else []
    return {
        "blessed": blessed,
        "reasons": reasons + [v.sentence for v in verdicts],
        "rules": [asdict(v) for v in verdicts],
        "baseline": baseline,
    }


def count_cases(cohort: Mapping[str, Any], folds: Sequence[Sequence[CaseScores]]) -> dict[str, Any]:
    """Counts listed, excluded, held-out (`test`) and scored cases.

    Raises:
      RuntimeError: A case of a fold was not scored.
    """
    for number, cases in enumerate(folds):
        check_counts(cohort["splits"][fold_name(number)], cases)
    return {
        "listed": cohort["listed"],
        "scored": sum(map(len, folds)),
        "excluded": len(cohort["excluded"]),
        "test": len(cohort["splits"].get(TEST, [])),
        "exclusions": cohort["excluded"],
    }


def _write_blessing(blessing: types.Artifact, gate: Mapping[str, Any]) -> None:
    """The file with the reasons, and the properties.

    TFX's Pusher asks for the property `blessed` alone: a forced push sets it too, and `forced`
    tells it from a blessing.
    """
    name = "BLESSED" if gate["blessed"] else "FORCED" if gate["forced"] else "NOT_BLESSED"
    write_text(Path(blessing.uri) / name, "\n".join(gate["reasons"]) + "\n")
    blessing.set_int_custom_property("blessed", int(gate["blessed"] or gate["forced"]))
    blessing.set_int_custom_property("forced", int(gate["forced"]))


class CrossValidation(base_component.BaseComponent):
    """Joins the folds of a cross-validation.

    Args:
      examples: Of CaseGen, which knows who is in which fold.
      evaluations: One per fold.
      model: Of Candidate.
      held_out: `tested`: scores of the new model on `test`; where gate.max_drop is set `baseline`,
        too: those of the deployed model on the held-out cases.
      settings: The gate, and how cases are summed up and sliced.
      fingerprint: Hash of the code that judges.
    """

    SPEC_CLASS = CrossValidationSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(CrossValidationExecutor)

    def __init__(
        self,
        examples: types.BaseChannel,
        evaluations: Sequence[types.BaseChannel],
        *,
        model: types.BaseChannel,
        held_out: Mapping[str, types.BaseChannel],
        settings: JudgeSettings,
        fingerprint: str,
    ):
        named = {f"evaluation_{i}": e for i, e in enumerate(evaluations)}
        super().__init__(
            CrossValidationSpec(
                examples=examples,
                model=model,
                folds=len(evaluations),
                rank=settings.rank,
                config=to_json(settings.gate),
                evaluation_config=to_json(settings.evaluation),
                threshold=settings.threshold,
                force=int(settings.force),
                fingerprint=fingerprint,
                blessing=types.Channel(type=standard_artifacts.ModelBlessing),
                evaluation=types.Channel(type=standard_artifacts.ModelEvaluation),
                **named,
                **held_out,
            )
        )
