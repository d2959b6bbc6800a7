"""A training that is timed, in this process or in several workers of this machine.

`python -m trainer.benchmark.workers JOB.json STEPS WARMUP` is one of those workers.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from beam_preprocess.atomic import write_text
from trainer.benchmark.cases import record_info
from trainer.benchmark.figures import Times
from trainer.benchmark.plan import BenchmarkPlan
from trainer.benchmark.timing import TrainingTimes, time_training
from trainer.job import TrainingJob, read_job
from trainer.launch import launch
from trainer.run_folder import RunFolder
from trainer.staging import StagedCase


def time_workers(
    plan: BenchmarkPlan, cases: Sequence[StagedCase], folder: Path
) -> list[TrainingTimes]:
    """Times the training of a plan with as many workers as its config says.

    Args:
      plan: Of kind `train`.
      cases: To train on.
      folder: For what the processes tell each other.

    Returns:
      What every worker measured, the chief first. Workers that other programs started (horovodrun)
      know of their own times only.

    Raises:
      MemoryError: That of the device does not suffice, in this process.
      RuntimeError: A worker died.
    """
    steps = {"steps": plan.steps, "warmup_steps": plan.warmup_steps}
    info = record_info(plan.model)
    if plan.trainer.workers == 1:
        return [time_training(cases, info, plan.model, plan.trainer, **steps)]
    job = TrainingJob(
        cases=tuple(cases),
        info=info,
        model=plan.model,
        config=plan.trainer,
        folder=RunFolder(path=folder, title="benchmark"),
    )
    path = folder / "job.json"
    job.write(path)
    numbers = [str(plan.steps), str(plan.warmup_steps)]
    launch([sys.executable, "-m", "trainer.benchmark.workers", str(path), *numbers], job)
    return [_read(folder, rank) for rank in range(plan.trainer.workers)]


def main(argv: Sequence[str]) -> None:
    """Trains with the other workers that the environment names; writes what it measured."""
    path, steps, warmup_steps = Path(argv[0]), int(argv[1]), int(argv[2])
    job = read_job(path)
    found = time_training(
        job.cases, job.info, job.model, job.config, steps=steps, warmup_steps=warmup_steps
    )
    write_text(_place(path.parent, found.rank), json.dumps(asdict(found)))


def _read(folder: Path, rank: int) -> TrainingTimes:
    given: dict[str, Any] = json.loads(_place(folder, rank).read_text(encoding="utf-8"))
    return TrainingTimes(**given | {"times": Times(**given["times"])})


def _place(folder: Path, rank: int) -> Path:
    return folder / f"worker-{rank}.json"


if __name__ == "__main__":
    main(sys.argv[1:])
