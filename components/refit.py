"""RefitBudget: for how many samples the network is trained that learns from all folds.

A training without validation takes its whole budget, and so does the refit. With validation, each
fold kept its network from the step that was best on its own validation patients; the refit has no
such patients (it learns from them, too), and takes the mean of what the folds needed up to there.
The schedule of its learning rate ends with the shorter budget.
"""

import json
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from beam_preprocess.atomic import write_text
from components.artifacts import Artifacts, fold_inputs
from components.file_names import read_json
from trainer.progress import read_history

MANIFEST = "manifest.json"
HYPERPARAMETERS = "best_hyperparameters.txt"
"""What TFX's Tuner names it; the Trainer reads the only file of the folder."""


def samples_needed(history: Sequence[dict[str, Any]], *, per_step: int) -> int:
    """Samples up to the best validation, the first of several that are as good.

    Args:
      history: The reports of a training; without a validation it needed all of them.
      per_step: Samples of a step, all devices together.

    Raises:
      ValueError: There is no report.
    """
    if not history:
        raise ValueError(
            "a fold must have reports of its training for gate.deploy 'refit', it has none:"
            " remove its folder in state/ and train it again"
        )
    scores = [(r["validation_dice"], r["step"]) for r in history if _has_validation(r)]
    steps = max(r["step"] for r in history)
    if scores:
        steps = max(scores, key=lambda pair: (pair[0], -pair[1]))[1]
    return int(steps) * per_step


def _has_validation(report: dict[str, Any]) -> bool:
    value = report.get("validation_dice")
    return value is not None and isfinite(value)


class RefitBudgetSpec(ComponentSpec):
    """Inputs (one training per fold, by name), output and parameters."""

    PARAMETERS = {
        "folds": ExecutionParameter(type=int),
        "samples": ExecutionParameter(type=int),
        "validated": ExecutionParameter(type=int),
        "fingerprint": ExecutionParameter(type=str),
    }
    INPUTS = fold_inputs("model_run", standard_artifacts.ModelRun)
    OUTPUTS = {"hyperparameters": ChannelParameter(type=standard_artifacts.HyperParameters)}


class RefitBudgetExecutor(base_executor.BaseExecutor):
    """Writes the number of samples as a hyperparameter of TFX's Trainer."""

    def Do(  # noqa: N802
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        """Takes the mean over the folds, or the config's budget where none was validated."""
        samples = int(exec_properties["samples"])
        if int(exec_properties["validated"]):
            folds = range(int(exec_properties["folds"]))
            uris = [artifact_utils.get_single_uri(input_dict[f"model_run_{i}"]) for i in folds]
            samples = round(fmean(_samples_of(uri) for uri in uris))
        output = Path(artifact_utils.get_single_uri(output_dict["hyperparameters"]))
        write_text(output / HYPERPARAMETERS, json.dumps({"samples": samples}))


def _samples_of(model_run: str) -> int:
    manifest = read_json(model_run, MANIFEST)
    per_step = manifest["trainer"]["batch_size"] * manifest["strategy"]["replicas"]
    return samples_needed(read_history(Path(model_run)), per_step=per_step)


class RefitBudget(base_component.BaseComponent):
    """Finds the budget of the refit.

    Args:
      model_runs: One per fold.
      samples: Budget of a fold.
      validated: Whether the folds chose their best step by validation.
      fingerprint: Hash of the code behind it.
    """

    SPEC_CLASS = RefitBudgetSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(RefitBudgetExecutor)

    def __init__(
        self,
        model_runs: Sequence[types.BaseChannel],
        *,
        samples: int,
        validated: bool,
        fingerprint: str,
    ):
        super().__init__(
            RefitBudgetSpec(
                folds=len(model_runs),
                samples=samples,
                validated=int(validated),
                fingerprint=fingerprint,
                hyperparameters=types.Channel(type=standard_artifacts.HyperParameters),
                **{f"model_run_{i}": r for i, r in enumerate(model_runs)},
            )
        )
