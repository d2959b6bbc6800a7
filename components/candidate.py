"""Candidate: makes the model that is deployed if it is blessed, from the models of the folds."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import io_utils, path_utils

from beam_preprocess.atomic import write_text
from components.artifacts import Artifacts, fold_inputs
from components.evaluation_files import read_cases
from components.file_names import CANDIDATE
from components.gate import best_fold, make_evidence
from components.gate_config import GateConfig
from components.origin import make_origin, write_origin
from trainer.ensemble import export_ensemble
from trainer.metrics.config import StatisticsConfig
from trainer.model_folder import TRAINING_CASES
from trainer.training_cases import (
    join_training_cases,
    read_training_cases,
    training_cases_to_json,
)

_MEANS_ALONE = StatisticsConfig(resamples=2)
"""The best fold has the best mean, whatever its interval is."""


class CandidateSpec(ComponentSpec):
    """Inputs (one evaluation per fold and the models, by name), output and parameters."""

    PARAMETERS = {
        "folds": ExecutionParameter(type=int),
        "select": ExecutionParameter(type=str),
        "deploy": ExecutionParameter(type=str),
        "threshold": ExecutionParameter(type=float),
        "key": ExecutionParameter(type=str),
        "fingerprint": ExecutionParameter(type=str),
    }
    INPUTS = (
        {"refit": ChannelParameter(type=standard_artifacts.Model, optional=True)}
        | fold_inputs("model", standard_artifacts.Model)
        | fold_inputs("evaluation", standard_artifacts.ModelEvaluation)
    )
    OUTPUTS = {"model": ChannelParameter(type=standard_artifacts.Model)}


class CandidateExecutor(base_executor.BaseExecutor):
    """Writes the model, whom it was trained on, and `candidate.json`."""

    def Do(  # noqa: N802
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        """Chooses by the scores of the folds, and copies, joins or takes the refit."""
        folds = range(int(exec_properties["folds"]))
        evaluations = [_uri(input_dict, f"evaluation_{i}") for i in folds]
        evidence = make_evidence(
            [read_cases(uri) for uri in evaluations],
            _MEANS_ALONE,
            threshold=float(exec_properties["threshold"]),
        )
        best, mode = best_fold(evidence, exec_properties["select"]), exec_properties["deploy"]
        members = {"best-fold": [best], "ensemble": [*folds], "refit": []}[mode]
        sources = [_uri(input_dict, f"model_{i}") for i in members]
        sources = sources or [_uri(input_dict, "refit")]
        output = Path(_uri(output_dict, "model"))
        model = Path(path_utils.serving_model_dir(str(output)))
        _write_model([path_utils.serving_model_path(uri) for uri in sources], model)
        told = [read_training_cases(Path(uri) / TRAINING_CASES) for uri in sources]
        trained = join_training_cases(told)
        origin = make_origin(
            exec_properties["key"],
            mode,
            folds=members,
            names=[*trained.cases, *trained.groups],
            contents=trained.contents,
        )
        threshold = evidence.sum_up().threshold
        write_origin(replace(origin, image_threshold=threshold), model)
        write_text(output / TRAINING_CASES, training_cases_to_json(trained))
        deploy = {"mode": mode, "select": exec_properties["select"], "folds": members}
        deploy |= {"best_fold": best, "image_threshold": threshold}
        write_text(output / CANDIDATE, json.dumps(deploy, indent=1))


def _uri(artifacts: Artifacts, name: str) -> str:
    return artifact_utils.get_single_uri(artifacts[name])


def _write_model(sources: Sequence[str], target: Path) -> None:
    """Copies one model, or joins several to an ensemble."""
    if len(sources) == 1:
        io_utils.copy_dir(sources[0], str(target))
    else:
        export_ensemble(sources, str(target))


class Candidate(base_component.BaseComponent):
    """Makes the model to be deployed.

    Args:
      evaluations: One per fold.
      models: One per fold; of a refit only that one, on all folds.
      config: Which score tells the best fold, and what is deployed.
      threshold: Probability from which on an image is taken for defective, where the folds cannot
        choose it.
      key: Hash of all that decides the model.
      fingerprint: Hash of the code that makes it.
    """

    SPEC_CLASS = CandidateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(CandidateExecutor)

    def __init__(
        self,
        evaluations: Sequence[types.BaseChannel],
        models: Sequence[types.BaseChannel],
        *,
        config: GateConfig,
        threshold: float,
        key: str,
        fingerprint: str,
    ):
        refit = config.deploy == "refit"
        named = {"refit" if refit else f"model_{i}": m for i, m in enumerate(models)}
        named |= {f"evaluation_{i}": e for i, e in enumerate(evaluations)}
        super().__init__(
            CandidateSpec(
                folds=len(evaluations),
                select=config.select,
                deploy=config.deploy,
                threshold=threshold,
                key=key,
                fingerprint=fingerprint,
                model=types.Channel(type=standard_artifacts.Model),
                **named,
            )
        )
