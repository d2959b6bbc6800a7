"""One worker process of a training: `python -m trainer.worker JOB.json`. `launch` starts it."""

import logging
import sys
from pathlib import Path

from trainer.job import read_job
from trainer.loop import train


def main() -> None:
    """Trains what the job file says, with the other workers that the environment names."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    job = read_job(Path(sys.argv[1]))
    train(job.cases, job.info, job.model, job.config, job.folder)


if __name__ == "__main__":
    main()
