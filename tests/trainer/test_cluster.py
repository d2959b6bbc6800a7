"""Who the workers are, by the environment."""

from collections.abc import Callable

import pytest

from trainer.cluster import is_chief, is_of_horovod, tf_config_workers

WITH_CHIEF = '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": %s}}'


@pytest.mark.parametrize(
    ("variable", "value", "chief"),
    [
        ("HOROVOD_RANK", "0", True),
        ("HOROVOD_RANK", "1", False),
        ("TF_CONFIG", '{"task": {"type": "worker", "index": 0}}', True),
        ("TF_CONFIG", '{"task": {"type": "worker", "index": 2}}', False),
        ("TF_CONFIG", '{"task": {"type": "chief", "index": 0}}', True),
        ("TF_CONFIG", WITH_CHIEF % '"chief", "index": 0', True),
        ("TF_CONFIG", WITH_CHIEF % '"worker", "index": 0', False),
        ("TF_CONFIG", "", True),
    ],
)
def test_who_is_chief(variable: str, value: str, chief: bool, monkeypatch) -> None:
    monkeypatch.setenv(variable, value)
    assert is_chief() is chief


@pytest.mark.parametrize(
    ("value", "workers"),
    [
        ("", []),
        ('{"task": {"type": "worker", "index": 0}}', []),
        ('{"cluster": {"worker": ["b:1", "c:1"]}}', ["b:1", "c:1"]),
        ('{"cluster": {"worker": ["b:1"], "chief": ["a:1"], "ps": ["d:1"]}}', ["a:1", "b:1"]),
    ],
)
def test_chief_is_the_first_of_the_workers(value: str, workers: list[str], monkeypatch) -> None:
    monkeypatch.setenv("TF_CONFIG", value)
    assert tf_config_workers() == workers


@pytest.mark.parametrize("value", ["{cluster", "[1]", '{"cluster": 3}', '{"cluster": null}'])
@pytest.mark.parametrize("ask", [is_chief, tf_config_workers])
def test_tf_config_must_be_a_json_object(
    ask: Callable[[], object], value: str, monkeypatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", value)
    with pytest.raises(ValueError) as e:
        ask()
    assert str(e.value).startswith(f"TF_CONFIG must be a JSON object, got {value!r} (")


@pytest.mark.parametrize("variable", ["HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE"])
def test_horovod_tells_how_many_there_are(variable: str, monkeypatch) -> None:
    assert not is_of_horovod()
    monkeypatch.setenv(variable, "1")
    assert is_of_horovod()
