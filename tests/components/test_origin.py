"""What a pushed model tells of itself, and which version a run is compared with."""

import hashlib
import json
from dataclasses import replace

import pytest

from components.origin import (
    NOTHING,
    ORIGIN,
    Deployment,
    list_deployments,
    make_origin,
    read_origin,
    version_to_beat,
    write_origin,
)


def origin(key: str = "k", names=("case-1", "patient-1")):
    return make_origin(key, "best-fold", folds=[2], names=names)


def test_is_read_back(tmp_path):
    made = origin()
    write_origin(made, tmp_path)
    assert read_origin(tmp_path) == made
    assert (made.key, made.mode, made.folds) == ("k", "best-fold", (2,))


def test_holds_no_id(tmp_path):
    write_origin(origin(), tmp_path)
    text = (tmp_path / ORIGIN).read_text()
    assert "case-1" not in text and "patient-1" not in text
    values = json.loads(text)
    expected = hashlib.sha256(f"{values['salt']}/case-1".encode()).hexdigest()
    assert expected in values["trained_on"] and len(values["trained_on"]) == 2


def test_contents_are_hashed_again_and_read_back(tmp_path):
    made = make_origin("k", "refit", folds=[], names=["case-1"], contents={"abc": "case-1"})
    write_origin(made, tmp_path)
    assert read_origin(tmp_path) == made
    assert made.contents == {made.hide("abc"): made.hide("case-1")}
    assert made.hide("case-1") in made.trained_on and "abc" not in (tmp_path / ORIGIN).read_text()


def test_members_are_read_back(tmp_path):
    joined = replace(origin(names=["own"]), members=(origin(), origin(names=["case-9"])))
    write_origin(joined, tmp_path)
    assert read_origin(tmp_path) == joined


def test_hashes_of_two_models_cannot_be_matched():
    one, other = origin(), origin()
    assert one.salt != other.salt
    assert not {*one.trained_on} & {*other.trained_on}


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"key": "k"}'])
def test_damaged_origin_tells_nothing(tmp_path, text):
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / ORIGIN).write_text(text)
    assert read_origin(tmp_path) is None


def test_deployments_are_listed_from_the_newest_on(tmp_path):
    for version, key in (("9", "a"), ("100", "b")):
        write_origin(origin(key), tmp_path / version)
    (tmp_path / "20").mkdir()
    (tmp_path / ".tmp-101").mkdir()
    (tmp_path / "102").write_text("no folder")
    assert list_deployments(tmp_path) == (
        Deployment(version="100", key="b"),
        Deployment(version="20", key=""),
        Deployment(version="9", key="a"),
    )
    assert list_deployments(tmp_path / "none") == ()


@pytest.mark.parametrize(
    ("keys", "version"),
    [
        ("", NOTHING),
        ("b", "1"),
        ("a", NOTHING),  # its own model, and nothing before it
        ("ba", "1"),
        ("ab", "2"),  # its own model, pushed after that of b
        ("aab", "3"),
        ("bab", "1"),
    ],
)
def test_version_to_beat_is_the_newest_of_another_model(keys, version):
    """Of the run with key `a`; keys from the newest version on, which are numbered 1, 2 ..."""
    deployments = [Deployment(version=str(i), key=k) for i, k in enumerate(keys, 1)]
    assert version_to_beat(deployments, "a") == version
