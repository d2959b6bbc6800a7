"""`unet-tfx predict` over a folder and a list: results, bad cases, what is done already."""

import json
import re
import shutil
import sys
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from beam_preprocess.datasets.brats import BRATS
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.synth import brats
from pipeline.cli import main
from pipeline.usage import EXIT_DONE, EXIT_ERROR, EXIT_INTERRUPTED, EXIT_USAGE


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    root = tmp_path_factory.mktemp("brats")
    brats.write_cohort(root, cases=3, seed=0, shape=(16, 18, 20))
    return root


@pytest.fixture
def scans(cohort, tmp_path):
    """Three case folders to damage."""
    return shutil.copytree(cohort, tmp_path / "scans")


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(4):
        pixels = np.arange(16, dtype=np.uint8).reshape(4, 4) + number
        Image.fromarray(pixels).save(folder / f"p{number}.png")
    return folder


@pytest.fixture
def predict(capsys):
    """Runs the command: exit status, stdout, stderr."""

    def run(*words):
        status = main(["predict", *map(str, words)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def paths(model, source, output) -> list:
    return ["--model", model, "--input", source, "--output", output]


def test_folder_of_scans(push, scans, fake_model, predict, tmp_path):
    out = tmp_path / "out"
    status, said, told = predict(*paths(push(BRATS).parent, scans, out))
    names = sorted(p.name for p in scans.iterdir() if p.is_dir())
    assert status == EXIT_DONE and len(fake_model) == 1
    assert said == f"cases          3 predicted\nlabel maps     {out}\n"
    lines = told.splitlines()
    assert [line.split("  ")[:2] for line in lines] == [
        [f"{n} of 3", name] for n, name in enumerate(names, 1)
    ]
    for name in names:
        scan = nib.load(next(scans.glob(f"{name}/*_t1.nii.gz")))
        label = nib.load(out / f"{name}.nii.gz")
        np.testing.assert_array_equal(label.affine, scan.affine)
        expected = np.where(np.asarray(scan.dataobj) > 5, 255, 0)
        np.testing.assert_array_equal(np.asarray(label.dataobj), expected)


def test_list_of_photographs_with_probabilities(push, photographs, fake_model, predict, tmp_path):
    file, out = tmp_path / "cases.txt", tmp_path / "out"
    file.write_text(f"{photographs / 'p2.png'}\n{photographs / 'p0.png'}\n")
    probabilities = out / "probabilities"
    words = [*paths(push(DAGM), file, out), "--probabilities", probabilities]
    status, said, _ = predict(*words)
    assert status == EXIT_DONE and said.endswith(f"probabilities  {probabilities}\n")
    told = ["prediction.json", "prediction.jsonl"]
    assert sorted(p.name for p in probabilities.iterdir()) == ["p0.npz", "p2.npz", *told]
    assert {p.name for p in out.glob("*.png")} == {"p0.png", "p2.png"}
    with np.load(probabilities / "p2.npz") as found:
        expected = (np.arange(16, dtype=np.float32).reshape(4, 4, 1) + 2) / 16
        np.testing.assert_array_equal(found["probabilities"], np.minimum(expected, 1))


def test_bad_cases_are_told_at_the_end_and_stop_nothing(
    push, photographs, fake_model, predict, tmp_path
):
    (photographs / "p1.png").write_bytes(b"torn")
    out = tmp_path / "out"
    status, said, told = predict(*paths(push(DAGM), photographs, out))
    assert status == EXIT_ERROR
    assert "3 predicted, 1 could not be predicted" in said
    assert sorted(p.name for p in out.glob("*.png")) == ["p0.png", "p2.png", "p3.png"]
    lines = told.splitlines()
    assert lines[1].startswith("2 of 4  p1  could not be predicted: p1.png is no complete image")
    head = lines.index("unet-tfx predict: 1 case(s) could not be predicted:")
    assert lines[head + 1].startswith("  1. p1: p1.png is no complete image")
    assert str(photographs / "p1.png") in lines[head + 1]
    assert lines[head + 1].endswith(": repair the file") and "data.exclude" not in told
    assert "Traceback" not in told


def test_bar_on_a_terminal(push, photographs, fake_model, predict, open_terminal, tmp_path):
    """What is wrong with a case stands in a line of its own, and the bar goes on below it."""
    (photographs / "p1.png").write_bytes(b"torn")
    terminal = open_terminal()
    assert predict(*paths(push(DAGM), photographs, tmp_path / "out"))[0] == EXIT_ERROR
    bar, _, told = terminal.getvalue().partition("unet-tfx predict: 1 case(s) could not")
    assert [f"{n}/4" in bar for n in range(5)] == [True] * 5
    lines = [line for line in re.split(r"[\r\n]+", bar) if " of 4 " in line]
    assert len(lines) == 1 and lines[0].startswith("2 of 4  p1  could not be predicted: p1.png is")
    assert "  1. p1: p1.png is no complete image" in told


def test_repaired_case_alone_is_predicted_again(push, photographs, fake_model, predict, tmp_path):
    sound = (photographs / "p1.png").read_bytes()
    (photographs / "p1.png").write_bytes(b"torn")
    words = paths(push(DAGM), photographs, tmp_path / "out")
    assert predict(*words)[0] == EXIT_ERROR
    kept = (tmp_path / "out" / "p0.png").stat().st_mtime_ns
    (photographs / "p1.png").write_bytes(sound)
    status, said, told = predict(*words)
    assert status == EXIT_DONE and "1 predicted, 3 done before" in said
    assert [line.split("  ")[:2] for line in told.splitlines()] == [["4 of 4", "p1"]]
    assert (tmp_path / "out" / "p0.png").stat().st_mtime_ns == kept


def test_nothing_left_to_do_loads_no_model(push, photographs, fake_model, predict, tmp_path):
    words = paths(push(DAGM), photographs, tmp_path / "out")
    predict(*words)
    status, said, told = predict(*words)
    assert (status, told) == (EXIT_DONE, "") and "0 predicted, 4 done before" in said
    assert len(fake_model) == 1


def test_list_goes_on_where_a_folder_was_begun(push, scans, fake_model, predict, tmp_path):
    first, _, third = sorted(p for p in scans.iterdir() if p.is_dir())
    away = third.rename(tmp_path / third.name)
    model, out = push(BRATS), tmp_path / "out"
    assert predict(*paths(model, scans, out))[0] == EXIT_DONE
    away.rename(third)
    (tmp_path / "cases.txt").write_text(f"{third}\n{first}\n")
    status, said, _ = predict(*paths(model, tmp_path / "cases.txt", out))
    assert status == EXIT_DONE and "1 predicted, 1 done before" in said
    assert "0 predicted, 3 done before" in predict(*paths(model, scans, out))[1]


def test_input_that_changes_meanwhile_is_predicted_again(
    push, photographs, predict, monkeypatch, tmp_path
):
    """A case is replaced after it was read, while it is segmented."""
    other = np.full((4, 4), 77, np.uint8)

    class LoadedModel:
        def __init__(self, path):
            pass

        def predict(self, image):
            if image[0, 0, 0] == 1:
                Image.fromarray(other).save(photographs / "p1.png")
            return image[..., 0]

    monkeypatch.setitem(sys.modules, "trainer.serving", SimpleNamespace(LoadedModel=LoadedModel))
    words = paths(push(DAGM), photographs, tmp_path / "out")
    assert "4 predicted" in predict(*words)[1]
    assert "1 predicted, 3 done before" in predict(*words)[1]
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "p1.png")), other)


def test_interrupted_run_goes_on_where_it_was(push, photographs, predict, monkeypatch, tmp_path):
    """Killed in the third case: two are there, whole, and are not predicted again."""
    seen = []

    class LoadedModel:
        def __init__(self, path):
            pass

        def predict(self, image):
            seen.append(int(image[0, 0, 0]))
            if len(seen) == 3:
                raise KeyboardInterrupt
            return image[..., 0]

    monkeypatch.setitem(sys.modules, "trainer.serving", SimpleNamespace(LoadedModel=LoadedModel))
    out = tmp_path / "out"
    words = paths(push(DAGM), photographs, out)
    status, _, told = predict(*words)
    assert status == EXIT_INTERRUPTED and told.endswith("interrupted\n")
    assert sorted(p.name for p in out.glob("*.png")) == ["p0.png", "p1.png"]
    status, said, _ = predict(*words)
    assert status == EXIT_DONE and "2 predicted, 2 done before" in said
    assert seen == [0, 1, 2, 2, 3]
    assert not list(out.glob(".tmp*"))


def test_model_that_cannot_segment_a_case_goes_on(
    push, photographs, predict, monkeypatch, tmp_path
):
    class LoadedModel:
        def __init__(self, path):
            pass

        def predict(self, image):
            if image[0, 0, 0] == 1:
                raise RuntimeError("inference must fit in the device's memory")
            return image[..., 0]

    monkeypatch.setitem(sys.modules, "trainer.serving", SimpleNamespace(LoadedModel=LoadedModel))
    status, said, told = predict(*paths(push(DAGM), photographs, tmp_path / "out"))
    assert status == EXIT_ERROR and "3 predicted, 1 could not" in said
    assert "  1. p1: inference must fit in the device's memory\n" in told


def test_damaged_model_stops_at_once(push, photographs, predict, tmp_path):
    """There is no graph in it: no case is tried."""
    status, said, told = predict(*paths(push(DAGM), photographs, tmp_path / "out"))
    assert (status, said) == (EXIT_ERROR, "")
    assert "incomplete or damaged: copy it again" in told and len(told.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_another_model_is_refused(push, photographs, fake_model, predict, tmp_path):
    model = push(DAGM)
    words = paths(model, photographs, tmp_path / "out")
    predict(*words)
    (model / "saved_model.pb").write_bytes(b"another")
    status, said, told = predict(*words)
    assert (status, said) == (EXIT_ERROR, "") and "has those of another model" in told


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("photographs", "output must lie outside of the folders of the input"),
        ("photographs/out", "output must lie outside of the folders of the input"),
        ("out.nii.gz", "output must end in .png or .PNG, got '"),
        ("results.2026", "make it first if its name has an ending"),
    ],
)
def test_output_that_cannot_be_used(push, photographs, predict, tmp_path, output, message):
    status, _, told = predict(*paths(push(DAGM), photographs, tmp_path / output))
    assert status == EXIT_ERROR and message in told
    assert len(list(photographs.iterdir())) == 4


def test_folder_whose_name_has_an_ending_may_be_there(
    push, photographs, fake_model, predict, tmp_path
):
    out = tmp_path / "results.2026"
    out.mkdir()
    assert predict(*paths(push(DAGM), photographs, out))[0] == EXIT_DONE
    assert len(list(out.glob("*.png"))) == 4


def test_file_as_output_of_a_list(push, predict, tmp_path):
    (tmp_path / "cases.txt").write_text("a.png\n")
    words = paths(push(DAGM), tmp_path / "cases.txt", tmp_path / "out.png")
    assert "output must be a folder for a list of cases" in predict(*words)[2]


def test_file_for_probabilities_of_many_cases(push, photographs, predict, tmp_path):
    words = [*paths(push(DAGM), photographs, tmp_path / "out"), "--probabilities"]
    status, _, told = predict(*words, tmp_path / "p.npz")
    assert status == EXIT_ERROR and "probabilities must be a folder for many cases" in told
    assert not (tmp_path / "out").exists()


def test_layout_of_another_dataset(push, photographs, predict, tmp_path):
    status, _, told = predict(*paths(push(BRATS), photographs, tmp_path / "out"))
    assert status == EXIT_ERROR and "input must hold cases of dataset 'brats'" in told
    assert not (tmp_path / "out").exists()


def test_other_inference_builds_the_model_anew(push, photographs, predict, monkeypatch, tmp_path):
    made = []

    class RebuiltModel:
        def __init__(self, path, inference):
            made.append((path, inference))

        def predict(self, image):
            return image[..., 0]

    monkeypatch.setitem(sys.modules, "trainer.ensemble", SimpleNamespace(RebuiltModel=RebuiltModel))
    model, out = push(DAGM), tmp_path / "out"
    words = [*paths(model, photographs, out), "--inference.mode", "whole", "--inference.mirror"]
    assert predict(*words, "[0, 1]")[0] == EXIT_DONE
    [(path, inference)] = made
    assert path == model and (inference.mode, inference.mirror) == ("whole", (0, 1))
    assert inference.window == (8, 8)
    written = json.loads((out / "prediction.json").read_text())["inference"]
    assert written["mode"] == "whole" and written["mirror"] == [0, 1]
    status, _, told = predict(*paths(model, photographs, out))
    assert status == EXIT_ERROR and "inference.mode 'whole', now 'window'" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--inference.overlap", "1.5"],
            "inference.overlap must be at least 0 and below 1, got 1.5",
        ),
        (["--inference.window", "[9, 8]"], "input size[0] must be a multiple of 2"),
        (["--inference.window", "[8, 8, 8]"], "input size must be 2 sizes"),
        (["--inference.keep_largest", "[[7]]"], "groups of the dataset's label values 255"),
        (["--inference.mode", "all"], "inference.mode"),
        (["--inference.colour", "red"], "--inference.colour"),
    ],
)
def test_inference_that_does_not_suit_the_model(
    push, photographs, capsys, tmp_path, words, message
):
    argv = [*map(str, paths(push(DAGM), photographs, tmp_path / "out")), *words]
    with pytest.raises(SystemExit) as raised:
        main(["predict", *argv])
    assert raised.value.code == EXIT_USAGE and message in capsys.readouterr().err
