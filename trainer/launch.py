"""Runs a training: in this process, or in several worker processes of this machine.

Every line that a worker prints is passed on with the worker's number before it. When one worker
dies the others wait for it for ever: they are ended, and the error names the one that died.
"""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import keras

from trainer.distribution import require_horovod
from trainer.job import TrainingJob
from trainer.loop import train, trained_network
from trainer.stopping import EXIT_PREEMPTED, stop_on_sigterm

SHOWN_LINES = 15
"""Last lines of a worker that died, in the error."""
_GRACE_S = 30.0
_log = logging.getLogger(__name__)


def run_job(job: TrainingJob) -> keras.Model:
    """Trains, with as many workers as the job's config says. Returns the trained network.

    Raises:
      FloatingPointError, MemoryError: See `trainer.loop.train`; in one process.
      RuntimeError: A worker died.
      SystemExit: SIGTERM came: the state is saved, the same job goes on from there.
    """
    if job.config.workers == 1:
        return train(job.cases, job.info, job.model, job.config, job.folder)
    path = job.folder.path / "job.json"
    job.write(path)
    launch([sys.executable, "-m", "trainer.worker", str(path)], job)
    return trained_network(job.model, job.config, job.folder)


def launch(command: Sequence[str], job: TrainingJob) -> None:
    """Starts the workers of a job, each with `command`, and waits for all of them."""
    count, title = job.config.workers, job.folder.title
    if job.config.strategy == "horovod":
        require_horovod()
        runner = [sys.executable, "-m", "horovod.runner.launch", "--gloo", "-np", str(count)]
        commands = [[*runner, *command]]
        environments: list[Mapping[str, str]] = [{}]
    else:
        commands = [[*command]] * count
        ports = _free_ports(count)
        environments = [_tf_config(rank, ports) for rank in range(count)]
    with ExitStack() as stack:
        request = stack.enter_context(stop_on_sigterm())
        workers = [
            stack.enter_context(_worker(c, e, name))
            for c, e, name in zip(commands, environments, _names(title, commands), strict=True)
        ]
        while any(w.is_running for w in workers):
            time.sleep(0.1)
            if request.is_set:
                _end(workers)
                raise SystemExit(EXIT_PREEMPTED)
            for worker in workers:
                worker.require_alive()
        for worker in workers:
            worker.require_alive()


def _names(title: str, commands: Sequence[Sequence[str]]) -> list[str]:
    if len(commands) == 1:  # horovodrun numbers the lines itself
        return [title]
    return [f"{title} worker {rank}" for rank in range(len(commands))]


class _Worker:
    """A started process whose lines are passed on."""

    def __init__(self, process: subprocess.Popen, name: str):
        self.process, self._name = process, name
        self._last: deque[str] = deque(maxlen=SHOWN_LINES)
        self._reader = threading.Thread(target=self._pass_on, daemon=True)
        self._reader.start()

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def require_alive(self) -> None:
        """Raises RuntimeError where it ended with an error, SystemExit where it was asked to."""
        status = self.process.poll()
        if status in (None, 0):
            return
        if status == EXIT_PREEMPTED:
            raise SystemExit(EXIT_PREEMPTED)
        self._reader.join(timeout=5)
        what = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        last = "\n".join(f"  {line}" for line in self._last)
        raise RuntimeError(
            f"{self._name} died ({what}), all workers were ended; the same command goes on from the"
            f" last checkpoint. Its last lines:\n{last}"
        )

    def _pass_on(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._last.append(line.rstrip())
            _log.info("%s: %s", self._name, line.rstrip())


@contextmanager
def _worker(command: Sequence[str], environment: Mapping[str, str], name: str) -> Iterator[_Worker]:
    """Starts a process, in a group of its own, and ends it where it still runs afterwards."""
    with subprocess.Popen(
        command,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        worker = _Worker(process, name)
        try:
            yield worker
        finally:
            _end([worker])


def _end(workers: Sequence[_Worker]) -> None:
    """Asks processes to end, and kills those that do not within half a minute."""
    running = [w for w in workers if w.is_running]
    for worker in running:
        os.killpg(worker.process.pid, signal.SIGTERM)
    limit = time.monotonic() + _GRACE_S
    while any(w.is_running for w in running) and time.monotonic() < limit:
        time.sleep(0.1)
    for worker in running:
        if worker.is_running:
            os.killpg(worker.process.pid, signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    """Ports of the loopback device that nobody uses now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


def _tf_config(rank: int, ports: Sequence[int]) -> dict[str, str]:
    """The environment of a worker of MultiWorkerMirroredStrategy."""
    addresses = [f"127.0.0.1:{port}" for port in ports]
    task = {"type": "worker", "index": rank}
    return {"TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": task})}
