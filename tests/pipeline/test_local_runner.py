"""What a run that is stopped early leaves of the run before it."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.recipes import RECIPES

pytestmark = pytest.mark.slow
BEFORE = {"config.yaml": "name: earlier", "summary.json": "{}", "report.html": "<html>"}


@pytest.fixture
def runner(monkeypatch):
    """The module, which imports TFX; its logging stays that of the tests."""
    from pipeline import local_runner

    monkeypatch.setattr(local_runner, "set_up_logging", lambda path: None)
    monkeypatch.setattr(local_runner, "adopt_frameworks", lambda: None)
    return local_runner


def stop(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("where", ["fingerprint_folder", "create_pipeline"])
def test_run_that_is_stopped_before_its_nodes_leaves_the_one_before(
    runner, monkeypatch, brats_root: Path, tmp_path: Path, where: str
) -> None:
    """The metadata still tell of the run before: so must the config beside them."""
    monkeypatch.setattr(runner, where, stop)
    for name, text in BEFORE.items():
        (tmp_path / name).write_text(text)
    recipe = RECIPES["brats-demo"]()
    config = replace(
        recipe, output=str(tmp_path), data=replace(recipe.data, root=str(brats_root), folds=2)
    )
    with pytest.raises(KeyboardInterrupt):
        runner.run(config)
    assert {name: (tmp_path / name).read_text() for name in BEFORE} == BEFORE
