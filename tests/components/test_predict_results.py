"""The folder of results: who may write to it, and which cases count as done."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from beam_preprocess.datasets.dagm import DAGM
from components.predict_inputs import PredictionInput
from components.predict_results import DONE, MADE_BY, ResultFolder, take_stamps
from trainer.config import InferenceConfig

INFERENCE = InferenceConfig(window=(8, 8))


@pytest.fixture
def results(tmp_path) -> ResultFolder:
    return ResultFolder(
        labels=tmp_path / "out",
        label_suffix=".png",
        probabilities=None,
        probability_suffix=".npz",
    )


@pytest.fixture
def case(tmp_path) -> PredictionInput:
    file = tmp_path / "photo.png"
    file.write_bytes(b"pixels")
    return PredictionInput(name="photo", source=str(file), files=(file,), read=lambda: None)


def begin(results: ResultFolder, model: Path) -> None:
    results.begin(results.claim(model, INFERENCE))


def finish(results: ResultFolder, case: PredictionInput) -> None:
    for path in (results.label_of(case), results.probabilities_of(case)):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    results.add(case, take_stamps(case), 1.23456)


def test_claimed_again_by_the_same_model_wherever_it_lies(results, push, tmp_path):
    model = push(DAGM)
    begin(results, model)
    before = (results.labels / MADE_BY).read_bytes()
    moved = tmp_path / "elsewhere"
    model.rename(moved)
    begin(results, moved)
    assert (results.labels / MADE_BY).read_bytes() == before
    assert json.loads(before)["model"] == str(model)


def test_another_model_is_refused(results, push):
    model = push(DAGM)
    begin(results, model)
    (model / "saved_model.pb").write_bytes(b"another")
    message = rf"results of one model and its settings, '{results.labels}' has those of another"
    with pytest.raises(ValueError, match=message) as raised:
        results.claim(model, INFERENCE)
    assert f"'{model}'" in str(raised.value) and "predict into another folder" in str(raised.value)


def test_weights_make_another_model(results, push):
    model = push(DAGM)
    begin(results, model)
    (model / "variables").mkdir()
    (model / "variables" / "variables.index").write_bytes(b"new")
    with pytest.raises(ValueError, match="another model"):
        results.claim(model, INFERENCE)


def test_other_settings_are_refused(results, push):
    model = push(DAGM)
    begin(results, model)
    message = r"other settings: inference.mirror \[\], now \[0\]; inference.mode 'window', now 'who"
    with pytest.raises(ValueError, match=message):
        results.claim(model, replace(INFERENCE, mode="whole", mirror=(0,)))


def test_folder_with_other_files_is_refused(results, push):
    results.labels.mkdir()
    (results.labels / "truth.png").touch()
    with pytest.raises(ValueError, match="output must be a new or empty folder, or one that"):
        results.claim(push(DAGM), INFERENCE)


def test_damaged_manifest(results, push):
    model = push(DAGM)
    results.labels.mkdir()
    for content in ("", "[]", '{"model": "m"}'):
        (results.labels / MADE_BY).write_text(content)
        with pytest.raises(ValueError, match=f"{MADE_BY}' is damaged: predict into another folder"):
            results.claim(model, INFERENCE)


def test_done_cases_are_found_again(results, case):
    assert results.done() == [{}] and not results.has(case, [{}])
    finish(results, case)
    done = results.done()
    assert results.has(case, done)
    assert done[0]["photo"]["input"] == case.source and done[0]["photo"]["seconds"] == 1.235


def test_removed_result_is_not_done(results, case):
    finish(results, case)
    results.label_of(case).unlink()
    assert not results.has(case, results.done())


def test_probabilities_that_are_wanted_later_are_not_done(results, case, tmp_path):
    finish(results, case)
    wanting = replace(results, probabilities=tmp_path / "p")
    assert not wanting.has(case, wanting.done())
    finish(wanting, case)
    assert wanting.has(case, wanting.done()) and results.has(case, results.done())


def test_probabilities_of_two_kinds_do_not_mix(results, case, push, tmp_path):
    """Other label maps, the same folder of probabilities."""
    model = push(DAGM)
    wanting = replace(results, probabilities=tmp_path / "p")
    begin(wanting, model)
    finish(wanting, case)
    other = replace(wanting, labels=tmp_path / "other")
    with pytest.raises(ValueError, match=f"'{tmp_path}/p' has those of other settings"):
        other.claim(model, replace(INFERENCE, mode="whole"))
    begin(other, model)
    namesake = replace(case, source="/elsewhere/photo.png")
    message = f"'{tmp_path}/p' must be those of one case each, 'photo' is there of"
    with pytest.raises(ValueError, match=message):
        other.has(namesake, other.done())


def test_folder_of_probabilities_with_other_files_is_refused(results, push, tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "notes.txt").touch()
    wanting = replace(results, probabilities=tmp_path / "p")
    with pytest.raises(ValueError, match="^probabilities must be a new or empty folder, or one"):
        wanting.claim(push(DAGM), INFERENCE)


def test_changed_input_is_not_done(results, case):
    finish(results, case)
    case.files[0].write_bytes(b"other pixels")
    assert not results.has(case, results.done())
    finish(results, case)
    assert results.has(case, results.done())


def test_another_case_of_that_name_is_refused(results, case):
    finish(results, case)
    other = replace(case, source="/elsewhere/photo.png")
    message = f"'photo' is there of '{case.source}' and now '/elsewhere/photo.png'"
    with pytest.raises(ValueError, match=message):
        results.has(other, results.done())


def test_torn_line_is_cut(results, case):
    finish(results, case)
    with (results.labels / DONE).open("a") as file:
        file.write('{"case": "second", "inp')
    assert list(results.done()[0]) == ["photo"]
    finish(results, replace(case, name="third"))
    assert list(results.done()[0]) == ["photo", "third"]


@pytest.mark.parametrize("line", ['{"case": "second", "inp', "[]", '{"case": "second"}', "\u2028"])
def test_damaged_line_between_others_is_told(results, case, line: str):
    finish(results, case)
    with (results.labels / DONE).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    finish(results, replace(case, name="third"))
    message = (
        rf"^line 2 of {results.labels / DONE} must tell of .* remove the line, its case is then"
    )
    with pytest.raises(ValueError, match=message):
        results.done()


@pytest.mark.parametrize(
    ("output", "probabilities", "message"),
    [
        ("in", None, "output must lie outside"),
        ("in/deep/out", None, "output must lie outside"),
        ("elsewhere", None, "output must lie outside"),  # where a link leads
        ("out", "in/p", "probabilities must lie outside"),
        ("out", "out", "probabilities must be another folder than output"),
    ],
)
def test_results_among_the_inputs_are_refused(
    results, tmp_path, output: str, probabilities: str | None, message: str
):
    folder = tmp_path / "in"
    folder.mkdir()
    chosen = replace(
        results,
        labels=tmp_path / output,
        probabilities=tmp_path / probabilities if probabilities else None,
    )
    with pytest.raises(ValueError, match=message):
        chosen.require_apart(folder, [tmp_path / "elsewhere" / "a.png"])


@pytest.mark.parametrize("source", ["in", "cases.txt"])
def test_results_beside_and_below_the_folder_of_a_list(results, tmp_path, source: str):
    """A photograph in the current folder, results in a folder of it."""
    (tmp_path / "in").mkdir()
    (tmp_path / "cases.txt").touch()
    parted = replace(results, probabilities=results.labels / "probabilities")
    file = tmp_path / ("a.png" if source.endswith("txt") else "in/a.png")
    assert parted.require_apart(Path(tmp_path / source), [file]) is None
