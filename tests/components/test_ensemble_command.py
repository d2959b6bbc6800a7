"""`unet-tfx ensemble`: what it writes, what it says, and which models it refuses."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from beam_preprocess.datasets.dagm import DAGM
from components.ensemble_command import joined_cases, joined_origin
from components.origin import ORIGIN, make_origin, read_origin, write_origin
from components.seen_cases import read_seen, why_seen
from pipeline.cli import main
from pipeline.usage import EXIT_DONE, EXIT_ERROR, EXIT_USAGE
from trainer.config import InferenceConfig
from trainer.model_config import ModelConfig
from trainer.model_folder import (
    METADATA,
    TRAINING_CASES,
    ServingSpec,
    read_metadata,
    write_metadata,
)

SPEC = ServingSpec(
    dataset=DAGM,
    profile="corrected",
    clip_percentiles=(0.5, 99.5),
    inference=InferenceConfig(window=(8, 8)),
    model=ModelConfig(rank=2, in_channels=1, classes=2, filters=(2, 4)),
)
IMAGE = np.random.default_rng(1).integers(0, 256, (9, 14, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> list[Path]:
    """Two models, as `unet-tfx train` leaves them: DIR/model/1."""
    from trainer.serving import export
    from trainer.unet import build_unet

    folders = [tmp_path_factory.mktemp("training") / "model" / "1" for _ in range(2)]
    for seed, folder in enumerate(folders):
        export([build_unet(SPEC.model, seed=seed)], SPEC, str(folder))
    return folders


@pytest.fixture
def members(exported, tmp_path) -> list[Path]:
    """The same in folders to damage."""
    copies = [tmp_path / f"fold-{n}" / "model" / "1" for n in range(2)]
    for model, copy in zip(exported, copies, strict=True):
        shutil.copytree(model, copy)
    return copies


@pytest.fixture
def ensemble(capsys):
    """Runs the command: exit status, stdout, stderr."""

    def run(*words):
        status = main(["ensemble", *map(str, words)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def tell(model: Path, cases: list[str], groups: list[str]) -> None:
    content = json.dumps({"cases": cases, "groups": groups})
    (model.parent.parent / TRAINING_CASES).write_text(content)


def test_two_models_become_one(members, ensemble, tmp_path):
    from trainer.serving import LoadedModel

    tell(members[0], ["a", "b"], ["A", "B"])
    tell(members[1], ["b", "c"], ["B", "C"])
    output = tmp_path / "new" / "ensemble"
    status, said, told = ensemble(members[0].parent, members[1], "--output", output)
    assert (status, told) == (EXIT_DONE, "")
    assert said.splitlines() == [
        f"model     {output / 'model' / '1'}, of 2 exported ones",
        f"trained   on the cases in {output / TRAINING_CASES}",
        f"use it    unet-tfx predict --model {output / 'model'} --input CASES --output LABELS",
    ]
    written = sorted(p.relative_to(output).parts[0] for p in output.rglob("*"))
    assert set(written) == {"model", TRAINING_CASES}
    joined = json.loads((output / TRAINING_CASES).read_text())
    assert joined == {"cases": ["a", "b", "c"], "groups": ["A", "B", "C"], "contents": {}}
    origin = read_origin(output / "model" / "1")
    assert origin.mode == "ensemble" and len(origin.trained_on) == 6
    answers = [LoadedModel(m).predict_probabilities(IMAGE)[1] for m in members]
    found = LoadedModel(output / "model").predict_probabilities(IMAGE)[1]
    np.testing.assert_allclose(found, np.mean(answers, axis=0), atol=1e-6)
    assert np.abs(answers[0] - answers[1]).max() > 1e-3


def test_one_model_with_other_inference(members, ensemble, monkeypatch, tmp_path):
    def export_ensemble(models, folder, *, inference):
        assert models == members[:1]
        write_metadata(replace(SPEC, inference=inference), Path(folder))

    stub = SimpleNamespace(export_ensemble=export_ensemble)
    monkeypatch.setitem(sys.modules, "trainer.ensemble", stub)
    words = [members[0], "--output", tmp_path / "out", "--inference.mode", "whole"]
    status, said, _ = ensemble(*words)
    assert status == EXIT_DONE
    assert f"not told: {members[0]} has no {TRAINING_CASES} beside it and no {ORIGIN} in it" in said
    assert read_origin(tmp_path / "out" / "model" / "1") is None
    spec = read_metadata(tmp_path / "out" / "model" / "1")
    assert spec == replace(SPEC, inference=replace(SPEC.inference, mode="whole"))
    assert not (tmp_path / "out" / TRAINING_CASES).exists()


def test_training_cases_beside_a_model_of_the_pipeline(tmp_path):
    """Trainer's artifact: Format-Serving with the file beside it."""
    models = [tmp_path / name / "Format-Serving" for name in "ab"]
    for number, model in enumerate(models):
        model.mkdir(parents=True)
        content = json.dumps({"cases": [f"c{number}"], "groups": ["g"]})
        (model.parent / TRAINING_CASES).write_text(content)
    joined = joined_cases(models)
    assert (joined.cases, joined.groups) == (("c0", "c1"), ("g",))


def test_training_cases_of_some_models_are_not_those_of_all(members):
    tell(members[0], ["a"], ["A"])
    assert joined_cases(members) is None and joined_origin(members) is None


def seen_by(model: Path) -> set[str]:
    """Of three cases, those that a model was trained on."""
    groups = {"a": "x", "second-scan": "B", "c": "C"}
    told = read_seen(model)
    return {c for c, group in groups.items() if why_seen(told, c, group=group, content="")}


def test_pushed_members_are_known_by_their_hashes(members, ensemble, monkeypatch, tmp_path):
    """One model of a training and one that was pushed: what each has seen, the new one has."""

    def export_ensemble(models, folder, *, inference):
        write_metadata(SPEC, Path(folder))
        (Path(folder) / "saved_model.pb").write_bytes(b"graph")

    stub = SimpleNamespace(export_ensemble=export_ensemble)
    monkeypatch.setitem(sys.modules, "trainer.ensemble", stub)
    tell(members[0], ["a"], ["A"])
    write_origin(make_origin("k", "refit", folds=[], names=["b", "B"]), members[1])
    status, said, _ = ensemble(*members, "--output", tmp_path / "out")
    assert status == EXIT_DONE
    assert "trained   on the cases of the models, which it knows by hashes\n" in said
    assert not (tmp_path / "out" / TRAINING_CASES).exists()
    assert seen_by(tmp_path / "out" / "model" / "1") == {"a", "second-scan"}
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    again = joined_origin([tmp_path / "copy" / "model" / "1", members[0]])
    write_origin(again, tmp_path / "again")
    assert seen_by(tmp_path / "again") == {"a", "second-scan"}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("profile", {"profile": "reference"}),
        ("model.filters", {"model": replace(SPEC.model, filters=(4, 8))}),
        ("dataset.label_values", {"dataset": replace(DAGM, label_values=(0, 7))}),
    ],
)
def test_models_that_do_not_fit(members, ensemble, tmp_path, name, change):
    write_metadata(replace(SPEC, **change), members[1])
    status, said, told = ensemble(*members, "--output", tmp_path / "out")
    assert (status, said) == (EXIT_ERROR, "") and not (tmp_path / "out").exists()
    assert told.startswith(f"unet-tfx ensemble: models of an ensemble must have the same {name}, ")
    assert all(f"'{member}'" in told for member in members) and len(told) < 600


def test_model_named_twice(members, ensemble, tmp_path):
    status, _, told = ensemble(members[0], members[0].parent, "--output", tmp_path / "out")
    assert status == EXIT_ERROR
    assert f"models must be different, '{members[0]}' is named twice" in told


def test_model_that_is_none(members, ensemble, tmp_path):
    status, _, told = ensemble(members[0], tmp_path / "nowhere", "--output", tmp_path / "out")
    assert status == EXIT_ERROR and "model must be a folder that unet-tfx pushed" in told


def test_damaged_member_leaves_nothing(members, ensemble, tmp_path):
    (members[1] / "saved_model.pb").write_bytes(b"torn")
    status, _, told = ensemble(*members, "--output", tmp_path / "out")
    assert status == EXIT_ERROR and f"'{members[1]}' is incomplete or damaged" in told
    assert not list((tmp_path / "out").rglob("*"))


def test_output_that_holds_something(members, ensemble, tmp_path):
    status, _, told = ensemble(*members, "--output", members[0])
    assert status == EXIT_ERROR and "output must be a new or empty folder" in told
    assert (members[0] / METADATA).is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "usage: unet-tfx ensemble"),
        (["m"], "--output"),
        (["--output", "o"], "models"),
        (["m", "--output", "o", "--inference.mode", "all"], "inference.mode"),
    ],
)
def test_wrong_usage(words, message, capsys):
    with pytest.raises(SystemExit) as raised:
        main(["ensemble", *words])
    assert raised.value.code == EXIT_USAGE and message in capsys.readouterr().err


def test_inference_that_does_not_suit(members, capsys, tmp_path):
    words = [str(members[0]), "--output", str(tmp_path / "out"), "--inference.window", "[9, 8]"]
    with pytest.raises(SystemExit) as raised:
        main(["ensemble", *words])
    assert raised.value.code == EXIT_USAGE
    assert "input size[0] must be a multiple of 2" in capsys.readouterr().err


def test_errors_and_help_import_no_framework(tmp_path):
    code = (
        "import sys\n"
        "from pipeline.cli import main\n"
        f"assert main(['ensemble', {str(tmp_path)!r}, '--output', 'o']) == 1\n"
        "try:\n"
        "    main(['ensemble', '--help'])\n"
        "except SystemExit as e:\n"
        "    assert e.code == 0\n"
        "heavy = {'tensorflow', 'tfx', 'keras', 'apache_beam'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "without training" in done.stdout
