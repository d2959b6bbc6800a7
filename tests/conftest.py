"""What every test needs, and which worker runs what."""

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
