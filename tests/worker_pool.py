"""Beam's own job server and worker pool, started as the processes that a cluster runs."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = 240
"""Seconds that a server may take to listen. Most go into importing Beam."""
_PYTHON = (sys.executable, "-W", "ignore")
_JOBS, _POOL = "portability.local_job_service_main", "worker.worker_pool_main"


@dataclass(frozen=True)
class WorkerPool:
    """A job server and a worker pool, both running.

    Attributes:
      options: Of Beam, for a pipeline that is to run there.
      log: What the worker pool writes.
    """

    options: list[str]
    log: Path

    @property
    def workers(self) -> int:
        """How many worker processes were started so far."""
        return self.log.read_text().count("Starting worker with command")


@contextmanager
def worker_pool(folder: Path) -> Iterator[WorkerPool]:
    """Runs both servers; their logs go to `folder`."""
    with _server(_JOBS, "--port", folder) as jobs, _server(_POOL, "--service_port", folder) as pool:
        options = [
            *("--runner=PortableRunner", f"--job_endpoint=localhost:{jobs}"),
            "--job_server_timeout=3600",  # s; see docs/runners.md
            *("--environment_type=EXTERNAL", f"--environment_config=localhost:{pool}"),
            "--sdk_container_image=unused",  # keeps TFX from packing itself for the workers
        ]
        yield WorkerPool(options, folder / _POOL)


@contextmanager
def _server(module: str, option: str, folder: Path) -> Iterator[int]:
    """Runs a server; yields its port. Ends it and all processes that it started."""
    port = _free_port()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (folder / module).open("wb") as log:
        process = subprocess.Popen(
            [*_PYTHON, "-m", f"apache_beam.runners.{module}", f"{option}={port}"],
            cwd=folder,
            env={**os.environ, "PATH": path},  # the worker pool starts `python`
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _wait_for(port, process)
            yield port
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("localhost", 0))
        return server.getsockname()[1]


def _wait_for(port: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        with suppress(OSError), socket.create_connection(("localhost", port), timeout=1):
            return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port} after {TIMEOUT} s")
