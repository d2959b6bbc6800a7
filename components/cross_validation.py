"""CrossValidation: joins the folds, and blesses the model to be deployed or not, with reasons."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
from components.gate import NO_RULES, Evidence, judge, make_evidence
from components.gate_config import GateConfig
from components.gate_drop import Deployed, judge_drop
from trainer.config import EvaluationConfig
from trainer.metrics.case_scores import CaseScores
from trainer.metrics.cohort_scores import (
    CohortScores,
    cohort_to_dict,
    score_cohort,
    score_slices,
)

_FORCED = "Pushed all the same: --force was given."
_REFIT = (
    "The model is trained on all cases (gate.deploy refit): there is no case left to score it on,"
    " and the scores of the folds stand for it."
)
_ENSEMBLE = (
    "The model averages those of all folds (gate.deploy ensemble): each case was scored by the one"
    " that has not seen it, and the ensemble as a whole by none of them."
)


@dataclass(frozen=True, kw_only=True)
class JudgeSettings:
    """What CrossValidation judges by.

    Attributes:
      gate: The rules.
      evaluation: Statistics and slices.
      force: Whether a model that is not blessed is pushed all the same.
    """

    gate: GateConfig
    evaluation: EvaluationConfig
    force: bool = False


class CrossValidationSpec(ComponentSpec):
    """Inputs (one evaluation per fold, by name), outputs and parameters."""

    PARAMETERS = {
        "folds": ExecutionParameter(type=int),
        "config": ExecutionParameter(type=str),
        "evaluation_config": ExecutionParameter(type=str),
        "force": ExecutionParameter(type=int),
        "fingerprint": ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "model": ChannelParameter(type=standard_artifacts.Model),
        "tested": ChannelParameter(type=standard_artifacts.ModelEvaluation, optional=True),
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
        folds = [
            read_cases(_uri(input_dict, f"evaluation_{i}"))
            for i in range(int(exec_properties["folds"]))
        ]
        cases = count_cases(read_json(_uri(input_dict, "examples"), COHORT), folds)
        evidence = make_evidence(folds, scoring.statistics)
        result = join_folds(evidence, scoring.slices) | {"cases": cases}
        deploy = read_json(_uri(input_dict, "model"), CANDIDATE)
        compared = None
        if config.max_drop is not None:
            compared = _read_comparison(input_dict, evidence, result)
        gate = bless(evidence, config, deploy["mode"], compared=compared)
        gate["forced"] = bool(exec_properties["force"]) and not gate["blessed"]
        gate["reasons"] += [_FORCED] if gate["forced"] else []
        result |= {"gate": gate, "deploy": deploy}
        target = Path(_uri(output_dict, "evaluation")) / RESULT
        write_text(target, json.dumps(result, indent=1, allow_nan=False))
        _write_blessing(artifact_utils.get_single_instance(output_dict["blessing"]), gate)


def _uri(artifacts: Artifacts, name: str) -> str:
    return artifact_utils.get_single_uri(artifacts[name])


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What the new model is compared with, and its own scores of the same held-out cases."""

    new: Evidence
    deployed: Deployed


def _read_comparison(inputs: Artifacts, evidence: Evidence, result: Mapping[str, Any]) -> Compared:
    """The scores of the deployed model, and of the new one on `test` where there is that split."""
    folder = _uri(inputs, "baseline")
    deployed = Deployed(**read_json(folder, BASELINE), cases=tuple(read_cases(folder)))
    if deployed.split != TEST:
        return Compared(new=evidence, deployed=deployed)
    threshold = result["scores"]["threshold"]
    new = Evidence(
        folds=[read_cases(_uri(inputs, "tested"))],
        thresholds=[0.5 if threshold is None else threshold],
        statistics=evidence.statistics,
    )
    return Compared(new=new, deployed=deployed)


def join_folds(evidence: Evidence, columns: Sequence[str]) -> dict[str, Any]:
    """Scores of every fold, of all cases together, and of the cases by what columns say of them.

    Returns:
      `folds`: list of {`fold`, `n`, `scores`}; `scores`; `slices`: column -> value -> scores.
    """
    folds = [_score(evidence.fold(i)) for i in range(len(evidence.folds))]
    slices = score_slices(evidence.folds, columns, evidence.statistics)
    return {
        "folds": [
            {"fold": i, "n": scores.n, "scores": cohort_to_dict(scores)}
            for i, scores in enumerate(folds)
        ],
        "scores": cohort_to_dict(_score(evidence)),
        "slices": {
            column: {value: cohort_to_dict(scores) for value, scores in values.items()}
            for column, values in slices.items()
        },
    }


def _score(evidence: Evidence) -> CohortScores:
    return score_cohort(evidence.folds, evidence.statistics, thresholds=evidence.thresholds)


def bless(
    evidence: Evidence, config: GateConfig, mode: str, *, compared: Compared | None = None
) -> dict[str, Any]:
    """Judges all rules.

    Args:
      evidence: The folds.
      config: The rules.
      mode: How the model to be deployed was made.
      compared: For gate.max_drop, where it is set.

    Returns:
      `gate` of `result.json`, but for `forced`.
    """
    blessed, verdicts = judge(evidence, config)
    baseline = None
    if compared is not None:
        verdict, baseline = judge_drop(compared.new, compared.deployed, config)
        blessed, verdicts = blessed and verdict.passed, [*verdicts, verdict]
    reasons = [NO_RULES] if not config.rules else []
    reasons += [v.sentence for v in verdicts]
    notes = {"refit": [_REFIT], "ensemble": [_ENSEMBLE], "best-fold": []}[mode]
    return {
        "blessed": blessed,
        "reasons": reasons + notes,
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
      compared: `tested` and `baseline`: scores of the new and of the deployed model on the held-out
        cases, where gate.max_drop is set; else empty.
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
        compared: Mapping[str, types.BaseChannel],
        settings: JudgeSettings,
        fingerprint: str,
    ):
        named = {f"evaluation_{i}": e for i, e in enumerate(evaluations)}
        super().__init__(
            CrossValidationSpec(
                examples=examples,
                model=model,
                folds=len(evaluations),
                config=to_json(settings.gate),
                evaluation_config=to_json(settings.evaluation),
                force=int(settings.force),
                fingerprint=fingerprint,
                blessing=types.Channel(type=standard_artifacts.ModelBlessing),
                evaluation=types.Channel(type=standard_artifacts.ModelEvaluation),
                **named,
                **compared,
            )
        )
