"""What every test needs, and which worker runs what."""

import io
import sys
from collections.abc import Callable
from itertools import count

import pytest

import trainer  # noqa: F401  # before TensorFlow: sets how it computes

_WEIGHTS = {"e2e": 2, "slow": 1, "distributed": 1, "horovod": 1}


@pytest.hookimpl(tryfirst=True)  # before xdist looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests come first, and one worker runs those that share a fixture.

    So two workers end at nearly the same time, and no fixture is made twice.
    """
    items.sort(key=lambda item: -_weight(item))
    for item in items:
        if _shares_a_fixture(item):
            item.add_marker(pytest.mark.xdist_group(str(item.path)))


def _weight(item: pytest.Item) -> int:
    return sum(w for name, w in _WEIGHTS.items() if item.get_closest_marker(name))


def _shares_a_fixture(item: pytest.Item) -> bool:
    """Whether the test takes a fixture of scope `module`, by itself or through another."""
    known = item._fixtureinfo.name2fixturedefs.values()
    return any(definition.scope == "module" for definitions in known for definition in definitions)


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
