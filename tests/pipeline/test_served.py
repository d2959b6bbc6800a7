"""`serving/` follows the run: its newest version is the chosen model."""

import pytest

from pipeline.served import ensure_served


@pytest.fixture
def chosen(tmp_path):
    folder = tmp_path / "chosen"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.data").write_bytes(b"weights")
    return folder


def _push(serving, version, content=b"weights"):
    folder = serving / version
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.data").write_bytes(content)
    return folder


def test_newest_version_stays_where_it_is_the_chosen_model(chosen, tmp_path):
    _push(tmp_path / "serving", "100", b"older")
    newest = _push(tmp_path / "serving", "200")
    assert ensure_served(chosen, tmp_path / "serving") == newest
    assert sorted(p.name for p in (tmp_path / "serving").iterdir()) == ["100", "200"]


def test_removed_version_is_pushed_again(chosen, tmp_path):
    (tmp_path / "serving").mkdir()
    model = ensure_served(chosen, tmp_path / "serving")
    assert (model / "variables" / "variables.data").read_bytes() == b"weights"
    assert [p.name for p in (tmp_path / "serving").iterdir()] == [model.name]


def test_chosen_model_becomes_the_newest_again(chosen, tmp_path):
    _push(tmp_path / "serving", "100")
    _push(tmp_path / "serving", "99999999999", b"of another run")
    model = ensure_served(chosen, tmp_path / "serving")
    assert model.name == "100000000000"
    assert (model / "variables" / "variables.data").read_bytes() == b"weights"
