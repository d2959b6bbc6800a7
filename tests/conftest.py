"""What every test needs, and which worker runs what."""

import io
import sys
from collections.abc import Callable
from itertools import count

import pytest
from xdist.scheduler import LoadScopeScheduling

import trainer  # noqa: F401  # before TensorFlow: sets how it computes

_WEIGHTS = {"e2e": 2, "slow": 1, "distributed": 1, "horovod": 1}
_WHOLE = (
    *("pipeline/test_end_to_end.py", "pipeline/test_train_command.py", "pipeline/test_pipeline.py"),
    *("kubeflow/test_compile.py", "components/test_ensemble_command.py"),
    *("trainer/test_ensemble.py", "trainer/test_loop.py", "trainer/test_run_fn.py"),
    *("trainer/test_serving.py", "trainer/tracking/test_watch.py"),
)
"""Files whose tests share what took ten seconds and more to make: one worker runs all of a file."""


class _FilesOrTests(LoadScopeScheduling):
    """Gives a worker one test after the other, but files of `_WHOLE` as they are."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file.endswith(_WHOLE) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log) -> _FilesOrTests:
    return _FilesOrTests(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest tests first: two workers then end at nearly the same time."""
    items.sort(key=lambda item: -_weight(item))


def _weight(item: pytest.Item) -> int:
    return sum(w for name, w in _WEIGHTS.items() if item.get_closest_marker(name))


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], io.StringIO]:
    """A function: from its call on stderr is a terminal, which it gives; a bar shows every step.

    A bar's clock goes on by a second whenever it is looked at: steps in quick succession would not
    be shown. It is a function because pytest puts a stderr of its own in place after the fixtures.
    """
    seconds = count()

    def make() -> io.StringIO:
        shown = _Terminal()
        monkeypatch.setattr(sys, "stderr", shown)
        monkeypatch.setattr("tqdm.std.time", lambda: float(next(seconds)))
        return shown

    return make
