"""CrossValidation: joins the folds, blesses or not with reasons, and chooses the model."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import io_utils, path_utils

from beam_preprocess.atomic import write_text
from beam_preprocess.case import DatasetInfo
from beam_preprocess.cohort import fold_name
from beam_preprocess.config_io import from_json, to_json
from beam_preprocess.validation import require
from components.artifacts import COHORT, RESULT, Artifacts, fold_inputs, read_json
from components.evaluator import check_counts, read_rows
from components.gate_config import GateConfig
from trainer.scoring import Row, aggregate, score_names, summarise

Scores = Mapping[str, Mapping[str, Any]]


def join_folds(rows: Mapping[int, Sequence[Row]]) -> dict[str, Any]:
    """Scores of every fold, and of all cases together.

    Args:
      rows: Fold -> its rows.

    Returns:
      `folds`: list of {`fold`, `n`, `scores`}, and `scores`: name -> mean, std, n over all cases.
      `image_auroc` is no score of a case: its mean and std are over the folds, its n counts images.
    """
    folds: list[dict[str, Any]] = [
        {"fold": i, "n": len({r.case_id for r in fold_rows}), "scores": aggregate(fold_rows)}
        for i, fold_rows in sorted(rows.items())
    ]
    scores = aggregate([r for fold_rows in rows.values() for r in fold_rows])
    if "image_auroc" in scores:
        values = [f["scores"]["image_auroc"]["mean"] for f in folds]
        over_folds = summarise([v for v in values if v is not None])
        scores["image_auroc"] = over_folds | {"n": scores["image_auroc"]["n"]}
    return {"folds": folds, "scores": scores}


def check_gate(config: GateConfig, info: DatasetInfo) -> None:
    """Raises ValueError unless the gate asks for scores that cases of the dataset get."""
    known = score_names(info)
    allowed = f"one of {known} for dataset {info.name!r}"
    require(config.select in known, "gate.select", config.select, allowed)
    for name in config.thresholds:
        require(name in known, "gate.thresholds", name, allowed)


def bless(scores: Scores, config: GateConfig) -> tuple[bool, list[str]]:
    """Compares the scores with the thresholds.

    Returns:
      Whether all are reached, and a sentence per threshold (or one that says that there is none).
    """
    if not config.thresholds:
        return False, ["No thresholds are set (gate.thresholds), so no model can be blessed."]
    verdicts = [_judge(n, scores.get(n), b) for n, b in sorted(config.thresholds.items())]
    return all(ok for ok, _ in verdicts), [sentence for _, sentence in verdicts]


def _judge(name: str, score: Mapping[str, Any] | None, bound: float) -> tuple[bool, str]:
    if score is None:
        return False, f"{name} is no score of this dataset: correct gate.thresholds."
    if score["mean"] is None:
        return (
            False,
            f"{name} has no value (no case that it is defined for), at least {bound} is required.",
        )
    mean, ok = score["mean"], score["mean"] >= bound
    # 4 decimals, or as many as it takes to tell the two numbers apart
    d = next((d for d in range(4, 17) if f"{mean:.{d}f}" != f"{bound:.{d}f}"), 4)
    verb = "reaches" if ok else "is below"
    return ok, f"{name}: mean {mean:.{d}f} of {score['n']} {verb} the threshold {bound:.{d}f}."


def best_fold(folds: Sequence[Mapping[str, Any]], metric: str) -> int:
    """The fold with the largest mean of `metric`; the first of them, and fold 0 where none has one.

    Raises:
      ValueError: No fold knows the metric.
    """
    if not any(metric in f["scores"] for f in folds):
        known = sorted({name for f in folds for name in f["scores"]})
        raise ValueError(f"gate.select must be one of {known}, got {metric!r}")
    means = [f["scores"].get(metric, {}).get("mean") for f in folds]
    return max(range(len(folds)), key=lambda i: -1.0 if means[i] is None else means[i])


class CrossValidationSpec(ComponentSpec):
    """Inputs (one model and one evaluation per fold, by name), outputs and parameters."""

    PARAMETERS = {
        "folds": ExecutionParameter(type=int),
        "config": ExecutionParameter(type=str),
        "fingerprint": ExecutionParameter(type=str),
    }
    INPUTS = (
        {"examples": ChannelParameter(type=standard_artifacts.Examples)}
        | fold_inputs("model", standard_artifacts.Model)
        | fold_inputs("evaluation", standard_artifacts.ModelEvaluation)
    )
    OUTPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
    }


class CrossValidationExecutor(base_executor.BaseExecutor):
    """Writes `result.json`, the blessing and a copy of the chosen model."""

    def Do(  # noqa: N802
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        """Joins the folds and checks that every case was scored once."""
        config = from_json(GateConfig, exec_properties["config"])
        folds = range(int(exec_properties["folds"]))
        uris = [artifact_utils.get_single_uri(input_dict[f"evaluation_{i}"]) for i in folds]
        rows = {i: read_rows(uri) for i, uri in zip(folds, uris, strict=True)}
        cohort = read_json(artifact_utils.get_single_uri(input_dict["examples"]), COHORT)
        result = join_folds(rows) | {"cases": count_cases(cohort, rows)}
        blessed, reasons = bless(result["scores"], config)
        chosen = best_fold(result["folds"], config.select)
        result |= {"blessed": blessed, "reasons": reasons, "chosen_fold": chosen}
        result |= {"select": config.select, "thresholds": config.thresholds}
        evaluation = artifact_utils.get_single_uri(output_dict["evaluation"])
        write_text(Path(evaluation) / RESULT, json.dumps(result, indent=1))
        _write_blessing(artifact_utils.get_single_instance(output_dict["blessing"]), result)
        _copy_model(
            artifact_utils.get_single_uri(input_dict[f"model_{chosen}"]),
            artifact_utils.get_single_uri(output_dict["model"]),
        )


def count_cases(cohort: Mapping[str, Any], rows: Mapping[int, Sequence[Row]]) -> dict[str, Any]:
    """Counts listed, excluded, held-out (`test`) and scored cases.

    Raises:
      RuntimeError: A case of a fold was not scored.
    """
    for fold, fold_rows in rows.items():
        check_counts(cohort["splits"][fold_name(fold)], fold_rows)
    scored = {r.case_id for fold_rows in rows.values() for r in fold_rows}
    return {
        "listed": cohort["listed"],
        "scored": len(scored),
        "excluded": len(cohort["excluded"]),
        "test": len(cohort["splits"].get("test", [])),
        "exclusions": cohort["excluded"],
    }


def _write_blessing(blessing: types.Artifact, result: Mapping[str, Any]) -> None:
    """The file and the property that TFX's Pusher looks for."""
    name = "BLESSED" if result["blessed"] else "NOT_BLESSED"
    write_text(Path(blessing.uri) / name, "\n".join(result["reasons"]) + "\n")
    blessing.set_int_custom_property("blessed", int(result["blessed"]))


def _copy_model(source: str, target: str) -> None:
    io_utils.copy_dir(path_utils.serving_model_dir(source), path_utils.serving_model_dir(target))


class CrossValidation(base_component.BaseComponent):
    """Joins the folds of a cross-validation.

    Args:
      examples: Of CaseGen, which knows who is in which fold.
      models: One per fold.
      evaluations: One per fold.
      config: Thresholds, and the score that chooses the model.
      fingerprint: Hash of the code that scores.
    """

    SPEC_CLASS = CrossValidationSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(CrossValidationExecutor)

    def __init__(
        self,
        examples: types.BaseChannel,
        models: Sequence[types.BaseChannel],
        evaluations: Sequence[types.BaseChannel],
        *,
        config: GateConfig,
        fingerprint: str,
    ):
        named = {f"model_{i}": m for i, m in enumerate(models)}
        named |= {f"evaluation_{i}": e for i, e in enumerate(evaluations)}
        super().__init__(
            CrossValidationSpec(
                examples=examples,
                folds=len(models),
                config=to_json(config),
                fingerprint=fingerprint,
                model=types.Channel(type=standard_artifacts.Model),
                blessing=types.Channel(type=standard_artifacts.ModelBlessing),
                evaluation=types.Channel(type=standard_artifacts.ModelEvaluation),
                **named,
            )
        )
