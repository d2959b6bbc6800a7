"""The deployed model: which version, and whether it can be compared with."""

import json
from dataclasses import asdict, replace

import pytest

from beam_preprocess.config_io import to_json
from beam_preprocess.datasets.brats import BRATS
from components.origin import NEWEST, NOTHING, make_origin, write_origin
from trainer.config import InferenceConfig
from trainer.model_folder import METADATA, ServingSpec
from trainer.presets import PRESETS

pytestmark = pytest.mark.slow  # imports TFX

SPEC = ServingSpec(
    dataset=BRATS,
    profile="corrected",
    clip_percentiles=(0.5, 99.5),
    inference=InferenceConfig(window=(32, 32, 32)),
    model=PRESETS["unet3d-tiny"],
)


@pytest.fixture(scope="module")
def baseline():
    """The module; it imports TFX."""
    from components import baseline

    return baseline


def write_model(folder, weights="old", spec=SPEC, *, tells=True, image_threshold=None):
    (folder / "variables").mkdir(parents=True)
    (folder / "variables" / "variables.index").write_text(weights)
    (folder / "saved_model.pb").write_text("graph")
    (folder / METADATA).parent.mkdir()
    (folder / METADATA).write_text(json.dumps(asdict(spec)))
    if tells:
        origin = make_origin("k", "best-fold", folds=[0], names=["case-1"])
        write_origin(replace(origin, image_threshold=image_threshold), folder)
    return folder


@pytest.fixture
def run(baseline, artifact, tmp_path):
    """Runs the executor with a candidate; returns its report and the folder of its output."""

    def run_on(version: str):
        write_model(tmp_path / "candidate" / "Format-Serving", "new")
        given = {"serving": str(tmp_path / "serving"), "version": version, "info": to_json(BRATS)}
        baseline.BaselineExecutor().Do(
            {"candidate": [artifact("Model", tmp_path / "candidate")]},
            {"model": [artifact("Model", tmp_path / "out")]},
            given | {"fingerprint": "f00"},
        )
        return json.loads((tmp_path / "out" / "baseline.json").read_text())

    return run_on


@pytest.mark.parametrize("version", [NEWEST, NOTHING])
def test_nothing_is_deployed(run, tmp_path, version):
    assert run(version) == {"version": "", "reason": ""}
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["baseline.json"]


@pytest.mark.parametrize(("version", "found"), [(NEWEST, "100"), ("9", "9")])
def test_version_is_imported(run, tmp_path, version, found):
    for name in ("9", "100"):
        write_model(tmp_path / "serving" / name, f"weights of {name}")
    assert run(version) == {"version": found, "reason": "", "threshold": 0.5}
    imported = tmp_path / "out" / "Format-Serving"
    assert (imported / "variables" / "variables.index").read_text() == f"weights of {found}"
    assert (imported / "assets.extra" / "origin.json").is_file()


@pytest.mark.parametrize(("chosen", "threshold"), [(0.75, 0.75), (0.0, 0.0), (None, 0.25)])
def test_threshold_of_images_is_the_one_that_was_chosen_or_that_of_the_network(
    run, tmp_path, chosen, threshold
):
    spec = replace(SPEC, inference=InferenceConfig(window=(32, 32, 32), threshold=0.25))
    write_model(tmp_path / "serving" / "9", spec=spec, image_threshold=chosen)
    assert run(NEWEST) == {"version": "9", "reason": "", "threshold": threshold}


@pytest.mark.parametrize("version", [NEWEST, "102"])
def test_model_that_was_pushed_by_force_is_compared_with_what_was_deployed_before(
    run, tmp_path, version
):
    """Else it would be no worse than itself, and blessed in the next run without --force.

    Twice it was pushed; its graph and origin may have been written anew. Where a runner can look,
    the version comes from the key, which may have changed with a setting of no matter.
    """
    write_model(tmp_path / "serving" / "99", "older")
    write_model(tmp_path / "serving" / "100", "old")
    for name in ("101", "102"):
        same = write_model(tmp_path / "serving" / name, "new")
        (same / "saved_model.pb").write_text("graph, serialised in another order")
    assert run(version) == {"version": "100", "reason": "", "threshold": 0.5}
    copy = tmp_path / "out" / "Format-Serving" / "variables" / "variables.index"
    assert copy.read_text() == "old"


def test_candidate_is_the_only_model_that_is_deployed(run, tmp_path):
    write_model(tmp_path / "serving" / "100", "new")
    assert run(NEWEST) == {"version": "", "reason": ""}
    assert not (tmp_path / "out" / "Format-Serving").exists()


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"weights": "other"}, False),
        ({"spec": replace(SPEC, inference=InferenceConfig(window=(16, 16, 16)))}, False),
    ],
)
def test_same_model(baseline, tmp_path, change, same):
    write_model(tmp_path / "one")
    write_model(tmp_path / "other", **change)
    assert baseline.same_model(tmp_path / "one", tmp_path / "other") == same


@pytest.mark.parametrize("extra", ["one", "other"])
def test_model_with_more_files_is_another(baseline, tmp_path, extra):
    for name in ("one", "other"):
        write_model(tmp_path / name)
    (tmp_path / extra / "variables" / "more").write_text("")
    assert not baseline.same_model(tmp_path / "one", tmp_path / "other")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tells": False}, "it does not tell what it was trained on"),
        (
            {"spec": replace(SPEC, dataset=replace(BRATS, regions={"WT": (1, 2, 4)}))},
            "its regions are {'WT': (1, 2, 4)}, those of the run {",
        ),
        (
            {"spec": replace(SPEC, dataset=replace(BRATS, channels=("a", "b", "c", "d")))},
            "its channels are ('a', 'b', 'c', 'd'), those of the run (",
        ),
    ],
)
def test_model_that_cannot_be_compared(run, tmp_path, change, reason):
    write_model(tmp_path / "serving" / "100", **change)
    found = run(NEWEST)
    assert found["version"] == "100"
    assert found["reason"].startswith(reason)
    assert not (tmp_path / "out" / "Format-Serving").exists()


def test_damaged_or_vanished_model(run, tmp_path):
    (write_model(tmp_path / "serving" / "100") / METADATA).write_text("{")
    assert "is incomplete or damaged" in run(NEWEST)["reason"]


def test_version_that_has_gone(run):
    assert "must be a folder that unet-tfx pushed" in run("17")["reason"]
