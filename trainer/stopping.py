"""Ends a training in good order when its machine is taken away: SIGTERM asks, the loop decides."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

EXIT_PREEMPTED = 128 + signal.SIGTERM
"""Exit status of a process that saved its state and ended because of SIGTERM."""


class StopRequest:
    """Whether somebody asked this process to end."""

    def __init__(self) -> None:
        self.is_set = False

    def set(self) -> None:
        """Asks for it."""
        self.is_set = True


@contextmanager
def stop_on_sigterm() -> Iterator[StopRequest]:
    """SIGTERM sets the request that is yielded, instead of ending the process at once.

    Signals reach the main thread only: in another one the request is never set.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = signal.signal(signal.SIGTERM, lambda *_: request.set())
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, before)
