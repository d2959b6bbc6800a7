"""What every test needs."""

import pytest

import trainer  # noqa: F401  # before TensorFlow: sets how it computes

_WEIGHTS = {"e2e": 2, "slow": 1, "distributed": 1, "horovod": 1}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest tests first: two workers then end at nearly the same time."""
    items.sort(key=lambda item: -_weight(item))


def _weight(item: pytest.Item) -> int:
    return sum(w for name, w in _WEIGHTS.items() if item.get_closest_marker(name))
