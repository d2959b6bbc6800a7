"""Runs a benchmark: one JSON object of what was measured, with what, and on what machine."""

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Any

import tensorflow as tf

from trainer.benchmark.cases import (
    case_size,
    image_batch,
    record_info,
    recorded_cases,
    synthetic_cases,
    whole_image,
)
from trainer.benchmark.figures import measured
from trainer.benchmark.plan import BenchmarkPlan
from trainer.benchmark.timing import time_forward, time_input, time_whole_cases
from trainer.benchmark.workers import time_workers
from trainer.cluster import is_chief
from trainer.hardware import hardware, peak_memory, settings, versions
from trainer.inference.windows import tile
from trainer.staging import StagedCase
from trainer.state import POLICIES
from trainer.unet import build_unet

SYNTHETIC_CASES, MOST_CASES = 4, 8
"""Cases that `train` and `input` make up, and that they take of a folder of records."""
Result = dict[str, Any]


def run_benchmark(plan: BenchmarkPlan) -> Result:
    """Measures what the plan says.

    Returns:
      `benchmark` (its kind), `data` (`synthetic` or `records`), `records`, `cases`;
      `measured`: `train`, `forward`, `whole_case` or `input` -> the figures of `measured`, and more
      of its own; `memory`, `parameters`, `strategy`, `workers`, `replicas`; `hardware`, `versions`,
      `environment`, `config`, `measured_at`. Empty in a worker that is not the chief.

    Raises:
      ValueError: The records do not suit the network.
      MemoryError: That of the device does not suffice.
      RuntimeError: A worker died.
    """
    with tempfile.TemporaryDirectory(prefix="unet-tfx-benchmark-") as temporary:
        cases = _cases(plan, Path(temporary))
        result = _MEASURE[plan.kind](plan, cases, Path(temporary))
    if not is_chief():
        return {}
    return {
        "benchmark": plan.kind,
        "data": "records" if plan.records else "synthetic",
        "records": plan.records or None,
        "cases": len(cases),
        **result,
        "hardware": hardware(),
        "versions": versions(),
        "environment": settings(),
        "config": _config(plan, result),
        "measured_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _config(plan: BenchmarkPlan, result: Result) -> Result:
    """All of the config; the budget is that of the steps, in place of a training's."""
    found = {name: asdict(getattr(plan, name)) for name in ("model", "trainer", "inference")}
    samples = (plan.steps + plan.warmup_steps) * plan.trainer.batch_size * result["replicas"]
    return found | {"trainer": found["trainer"] | {"samples": samples}}


def _cases(plan: BenchmarkPlan, folder: Path) -> list[StagedCase]:
    """Synthetic cases are a quarter larger than the crop; half larger than the window to infer."""
    infers = plan.kind == "infer"
    if plan.records:
        count = max(1, plan.whole_cases) if infers else MOST_CASES
        return recorded_cases(Path(plan.records), plan.model, folder, count=count)
    window, crop = plan.model.output_size(plan.inference.window), plan.trainer.crop
    shape = [math.ceil(1.5 * n) for n in window] if infers else [math.ceil(1.25 * n) for n in crop]
    count = max(1, plan.whole_cases) if infers else SYNTHETIC_CASES
    return synthetic_cases(plan.model, shape, folder, count=count)


def _train(plan: BenchmarkPlan, cases: Sequence[StagedCase], folder: Path) -> Result:
    workers = time_workers(plan, cases, folder)
    chief = workers[0]
    waited = sum(chief.waits[plan.warmup_steps :])
    names = chief.memory
    return {
        "measured": {"train": measured(chief.times) | {"waited_for_input_s": waited}},
        "memory": {n: max(w.memory[n] or 0 for w in workers) or None for n in names},
        "parameters": chief.parameters,
        "strategy": chief.strategy,
        "workers": chief.workers,
        "replicas": chief.replicas,
    }


def _infer(plan: BenchmarkPlan, cases: Sequence[StagedCase], folder: Path) -> Result:
    """Forward passes of a network with new weights, and whole cases."""
    tf.config.experimental.enable_tensor_float_32_execution(plan.trainer.tf32)
    network = build_unet(plan.model, dtype_policy=POLICIES[plan.trainer.precision])
    info = record_info(plan.model)
    size, batch_size = plan.image_size, plan.trainer.batch_size
    image = image_batch(cases[0], info, size, batch_size=batch_size)
    forward = time_forward(network, image, steps=plan.steps, warmup_steps=plan.warmup_steps)
    found = {"forward": measured(forward) | {"size": [*size]}}
    if plan.whole_cases:
        images = (whole_image(case, info) for case in cases)
        times = time_whole_cases(network, images, plan.model, plan.inference)
        found["whole_case"] = measured(times) | _windows(plan, cases)
    return {
        "measured": found,
        "memory": peak_memory(),
        "parameters": network.count_params(),
        **_ONE_PROCESS,
    }


def _windows(plan: BenchmarkPlan, cases: Sequence[StagedCase]) -> Result:
    """Spatial sizes of the cases, and how many windows each one takes."""
    sizes = [case_size(case) for case in cases]
    tilings = [tile(tf.constant(size), plan.model, plan.inference) for size in sizes]
    windows = [math.prod(len(starts) for starts in tiling.starts) for tiling in tilings]
    return {"case_sizes": [[*size] for size in sizes], "windows": windows}


def _input(plan: BenchmarkPlan, cases: Sequence[StagedCase], folder: Path) -> Result:
    times = time_input(
        cases,
        record_info(plan.model),
        plan.trainer,
        steps=plan.steps,
        warmup_steps=plan.warmup_steps,
    )
    found = {"input": measured(times) | {"size": [*plan.trainer.crop]}}
    return {"measured": found, "memory": peak_memory(), "parameters": None, **_ONE_PROCESS}


_ONE_PROCESS = {"strategy": "one-device", "workers": 1, "replicas": 1}
_MEASURE: Mapping[str, Callable[[BenchmarkPlan, Sequence[StagedCase], Path], Result]] = (
    MappingProxyType({"train": _train, "infer": _infer, "input": _input})
)
