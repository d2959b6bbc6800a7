"""Whole runs on tiny synthetic cohorts, through the command that users call."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pipeline.cli import main
from pipeline.config import BEAM_NODES
from pipeline.usage import EXIT_ERROR, EXIT_NOT_BLESSED

from ..worker_pool import worker_pool

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
ROOT = Path(__file__).parent.parent.parent
REAL_CASE = ROOT.parent / "shared" / "data" / "brats" / "BraTS2021_00006"


def _summary(output):
    return json.loads((output / "summary.json").read_text())


def _wt(summary):
    return summary["scores"]["regions"]["WT"]["scores"]


def _states(output):
    return {node: run["state"] for node, run in _summary(output)["nodes"].items()}


@pytest.fixture(scope="module")
def own_root(brats_root, tmp_path_factory):
    """A copy of the cohort, for the run that the tests share: one of them changes a file."""
    return shutil.copytree(brats_root, tmp_path_factory.mktemp("undisturbed") / "cohort")


@pytest.fixture(scope="module")
def own_options(own_root, brats_options):
    return [*brats_options, "--data.root", str(own_root)]


@pytest.fixture(scope="module")
def undisturbed(own_options, tmp_path_factory):
    output = tmp_path_factory.mktemp("undisturbed") / "run"
    assert main(["run", *own_options, "--output", str(output)]) == 0
    return output


def test_run_leaves_summary_model_report_and_logs(undisturbed):
    summary = _summary(undisturbed)
    assert summary["blessed"] is True
    wt = _wt(summary)["dice"]
    assert summary["reasons"] == [
        f"WT/dice: mean {wt['mean']:.4f} of 6 cases reaches the bound 0.0000."
    ]
    regions = {"ET", "TC", "WT", "TumorCore", "WholeTumor", "mean"}
    assert regions <= set(summary["scores"]["regions"])
    assert wt["low"] <= wt["mean"] <= wt["high"]
    assert {"dice", "hd95", "lesion_dice"} <= set(_wt(summary))
    assert set(summary["slices"]) == {"stratum", "size"}
    assert summary["gate"]["rules"][0]["value"] == wt["mean"]
    assert (summary["forced"], summary["gate"]["baseline"]) == (False, None)
    assert summary["deploy"]["mode"] == "best-fold"
    assert summary["deploy"]["folds"] == [summary["deploy"]["best_fold"]]
    assert [f["n"] for f in summary["folds"]] == [3, 3]
    assert (summary["cases"]["listed"], summary["cases"]["scored"]) == (6, 6)
    assert (Path(summary["model"]) / "saved_model.pb").is_file()
    assert "<html" in Path(summary["report"]).read_text()
    assert list(Path(summary["logs"]).glob("Trainer-fold-*/logs/events*"))
    assert summary["seconds"] > 0
    assert summary["peak_rss_bytes"] > 2**20


def test_scores_of_all_cases_are_the_mean_of_the_cases(undisturbed):
    cases = [
        case
        for path in undisturbed.glob("artifacts/Evaluator-fold-*/evaluation/*/cases.json")
        for case in json.loads(path.read_text())
    ]
    assert len({case["case_id"] for case in cases}) == len(cases) == 6
    mean = np.mean([case["regions"]["WT"]["values"]["dice"] for case in cases])
    assert _wt(_summary(undisturbed))["dice"]["mean"] == pytest.approx(mean)


LABELS = {"TumorCore": [1], "PeritumoralEdema": [2], "EnhancingTumor": [4]}
REGIONS = LABELS | {"ET": [4], "TC": [1, 4], "WT": [1, 2, 4], "WholeTumor": [1, 2, 4]}


SHARES = ("dice", "iou", "precision", "recall", "volume_difference")
"""Scores of which there is a mean over the labels: a mean of volumes says nothing."""


def _recompute(truth, found, voxel_ml):
    """All that follows from counts of voxels; where both are empty as BraTS has it."""
    shared, t, p = (int(np.sum(mask)) for mask in (truth & found, truth, found))
    none = t + p == 0
    return {
        "dice": 1.0 if none else 2 * shared / (t + p),
        "iou": 1.0 if none else shared / (t + p - shared),
        "precision": 1.0 if none else shared / p if p else 0.0,
        "recall": 1.0 if none else shared / t if t else 0.0,
        "volume_difference": (p - t) / t if t else np.nan,
        "volume_difference_ml": (p - t) * voxel_ml,
        "truth_ml": t * voxel_ml,
    }


def _recompute_case(truth_path, prediction_path):
    """Region -> score -> value, from two NIfTI files of one grid."""
    truth, found = nib.load(truth_path), nib.load(prediction_path)
    assert truth.shape == found.shape
    np.testing.assert_array_equal(truth.affine, found.affine)
    voxel_ml = abs(np.linalg.det(truth.affine[:3, :3])) / 1000
    t, p = np.asarray(truth.dataobj), np.asarray(found.dataobj)
    scores = {
        region: _recompute(np.isin(t, values), np.isin(p, values), voxel_ml)
        for region, values in REGIONS.items()
    }
    mean = {
        name: np.nanmean([scores[label][name] for label in LABELS])
        for name in SHARES
        if not all(np.isnan(scores[label][name]) for label in LABELS)
    }
    return scores | {"mean": mean}


def test_scores_recomputed_from_the_written_masks_are_those_of_the_run(undisturbed, brats_root):
    """With nibabel and NumPy alone: of every case, and the means of all of them."""
    recomputed = {
        path.name.removesuffix(".nii.gz"): _recompute_case(
            next(brats_root.glob(f"*/*/{path.name.removesuffix('.nii.gz')}_seg.nii.gz")), path
        )
        for path in undisturbed.glob("artifacts/Evaluator-fold-*/evaluation/*/predictions/*")
    }
    assert len(recomputed) == 6
    for path in undisturbed.glob("artifacts/Evaluator-fold-*/evaluation/*/cases.json"):
        for case in json.loads(path.read_text()):
            for region, expected in recomputed[case["case_id"]].items():
                values = case["regions"][region]["values"]
                for name, value in expected.items():
                    given = np.nan if values[name] is None else values[name]
                    place = (case["case_id"], region, name)
                    assert given == pytest.approx(value, nan_ok=True), place
    for region, summary in _summary(undisturbed)["scores"]["regions"].items():
        for name in SHARES if region == "mean" else recomputed[min(recomputed)]["WT"]:
            values = [
                scores[region][name] for scores in recomputed.values() if name in scores[region]
            ]
            known = [value for value in values if not np.isnan(value)]
            assert summary["scores"][name]["n"] == len(known), (region, name)
            assert summary["scores"][name]["mean"] == pytest.approx(np.mean(known)), (region, name)


def test_predict_keeps_grid_affine_and_label_values(undisturbed, brats_root, tmp_path):
    case = sorted((brats_root / "HGG").iterdir())[0]
    out = tmp_path / "label.nii.gz"
    arguments = ["--model", str(undisturbed / "serving"), "--input", str(case)]
    assert main(["predict", *arguments, "--output", str(out)]) == 0
    truth = nib.load(case / f"{case.name}_seg.nii.gz")
    label = nib.load(out)
    assert label.shape == truth.shape
    np.testing.assert_array_equal(label.affine, truth.affine)
    assert set(np.unique(label.dataobj)) <= {0, 1, 2, 4}


def test_predict_never_overwrites_its_input(undisturbed, brats_root, capsys):
    case = sorted((brats_root / "HGG").iterdir())[0]
    scan = case / f"{case.name}_t1.nii.gz"
    before = scan.read_bytes()
    arguments = ["--model", str(undisturbed / "serving"), "--input", str(case)]
    assert main(["predict", *arguments, "--output", str(scan)]) == EXIT_ERROR
    assert "output must not be a file of the input" in capsys.readouterr().err
    assert scan.read_bytes() == before


@pytest.mark.realdata
@pytest.mark.skipif(not REAL_CASE.is_dir(), reason=f"{REAL_CASE} is absent")
def test_predict_on_the_real_case(undisturbed, tmp_path):
    out = tmp_path / "label.nii.gz"
    arguments = ["--model", str(undisturbed / "serving"), "--input", str(REAL_CASE)]
    large = ["--inference.window", "[64,64,64]"]  # or there would be thousands of windows
    assert main(["predict", *arguments, *large, "--output", str(out)]) == 0
    label = nib.load(out)
    assert label.shape == (240, 240, 155)
    np.testing.assert_array_equal(
        label.affine, nib.load(REAL_CASE / "BraTS2021_00006_seg.nii.gz").affine
    )
    assert set(np.unique(label.dataobj)) <= {0, 1, 2, 4}


def test_second_run_is_all_cache_and_changes_rerun_what_follows(undisturbed, own_options):
    options = [*own_options, "--output", str(undisturbed)]
    assert main(["run", *options]) == 0
    assert set(_states(undisturbed).values()) == {"cached"}

    assert main(["run", *options, "--trainer.learning_rate", "0.003"]) == 0
    states = _states(undisturbed)
    before = {"CaseGen", "StatisticsGen", "StatisticsSchema", "ExampleValidator"}
    before |= {"DataGate", "RecordSchema", "Transform"}
    assert {node for node, state in states.items() if state == "cached"} == before
    other = _summary(undisturbed)

    assert main(["run", *options]) == 0  # back again: all cache, and the first model is served
    assert set(_states(undisturbed).values()) == {"cached"}
    first = _summary(undisturbed)
    assert first["scores"] != other["scores"]
    versions = sorted(int(p.name) for p in (undisturbed / "serving").iterdir())
    assert first["model"] == str(undisturbed / "serving" / str(versions[-1]))
    assert first["model"] != other["model"]


def test_changed_raw_file_reruns_case_gen_and_what_follows(undisturbed, own_root, own_options):
    options = [*own_options, "--output", str(undisturbed)]
    path = next(own_root.glob("HGG/*/*_t1.nii.gz"))
    before, image = path.read_bytes(), nib.load(path)
    try:
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj) * 2, image.affine), path)
        assert main(["run", *options]) == 0
        cached = {node for node, state in _states(undisturbed).items() if state == "cached"}
        assert cached == {"StatisticsSchema", "RecordSchema"}
    finally:
        path.write_bytes(before)
    assert main(["run", *options]) == 0  # back again, for the tests that follow
    assert set(_states(undisturbed).values()) == {"cached"}


def test_not_blessed_pushes_nothing_and_says_so(dagm_options, tmp_path, capsys):
    output = tmp_path / "run"
    assert main(["run", *dagm_options, "--output", str(output)]) == EXIT_NOT_BLESSED
    summary = _summary(output)
    assert (summary["blessed"], summary["model"]) == (False, None)
    assert not list((output / "serving").glob("*"))
    assert set(summary["scores"]["regions"]) == {"defect"}
    assert {"auroc", "average_precision", "tpr", "tnr"} == set(summary["scores"]["images"])
    assert summary["cases"]["test"] == 1
    printed = capsys.readouterr().out
    assert "NOT BLESSED" in printed
    assert "is below the bound 1.0000" in printed


def test_bad_cases_stop_the_run_before_training_all_at_once(
    brats_root, brats_options, tmp_path, capsys
):
    root, output = tmp_path / "cohort", tmp_path / "run"
    shutil.copytree(brats_root, root)
    first, second = sorted((root / "HGG").iterdir())[:2]
    (first / f"{first.name}_t2.nii.gz").unlink()
    broken = second / f"{second.name}_flair.nii.gz"
    broken.write_bytes(broken.read_bytes()[:500])
    code = main(["run", *brats_options, "--data.root", str(root), "--output", str(output)])
    assert code == EXIT_ERROR
    printed = capsys.readouterr().err
    assert "2 problem(s)" in printed
    assert f"{first.name}: every case needs one file of modality 't2', found 0" in printed
    assert f"{second.name}: {broken.name} is no complete NIfTI file" in printed
    assert not list(output.glob("state/Trainer-*"))


def test_anomaly_stops_the_run_in_words(brats_root, brats_options, tmp_path, capsys):
    root, output = tmp_path / "cohort", tmp_path / "run"
    shutil.copytree(brats_root, root)
    case = sorted((root / "HGG").iterdir())[0]
    for path in case.glob("*.nii.gz"):
        image = nib.load(path)
        coarse = image.affine @ np.diag([9, 9, 9, 1])
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), coarse), path)
    code = main(["run", *brats_options, "--data.root", str(root), "--output", str(output)])
    assert code == EXIT_ERROR
    printed = capsys.readouterr().err
    assert "anomalies in the case statistics" in printed
    assert "spacing_x" in printed
    assert not list(output.glob("state/Trainer-*"))


def _start(options):
    command = [sys.executable, "-m", "pipeline.cli", "run", *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _kill_when(process, output, pattern):
    """Kills the process as soon as a file matches `pattern` under `output`."""
    deadline = time.monotonic() + 300
    while not list(output.glob(pattern)):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, f"no {pattern} appeared"
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _records(output, artifact="CaseGen/examples", *, choose=max):
    """File name -> bytes of the newest examples artifact; `choose=min` is the first one."""
    chosen = choose(output.glob(f"artifacts/{artifact}/*"), key=lambda p: int(p.name))
    return {p.relative_to(chosen): p.read_bytes() for p in chosen.rglob("*.gz")}


def _weights(output):
    import tensorflow as tf

    model = tf.saved_model.load(_summary(output)["model"])
    return [v.numpy() for state in model.states for v in state]


def test_killed_run_ends_in_the_same_records_and_weights(undisturbed, brats_options, tmp_path):
    output = tmp_path / "run"
    options = [*brats_options, "--output", str(output)]
    _kill_when(_start(options), output, "artifacts/CaseGen/examples/*/Split-*/records-*.gz")
    _kill_when(_start(options), output, "state/Trainer-fold-1-*/checkpoints/samples-*.npz")
    assert main(["run", *options]) == 0
    assert "Trainer-fold-1: resumes at step" in (output / "logs" / "run.log").read_text()
    assert _records(output) == _records(undisturbed, choose=min)
    assert _summary(output)["scores"] == _summary(undisturbed)["scores"]
    for one, other in zip(_weights(output), _weights(undisturbed), strict=True):
        np.testing.assert_array_equal(one, other)


def test_external_worker_pool_gives_the_same_records_and_scores(
    undisturbed, brats_options, tmp_path
):
    """Every node that runs on Beam, as on Flink or Spark: through a job server, elsewhere."""
    output = tmp_path / "run"
    with worker_pool(tmp_path) as pool:
        options = [f"--pipeline.beam_args.{n}={json.dumps(pool.options)}" for n in BEAM_NODES]
        assert main(["run", *brats_options, *options, "--output", str(output)]) == 0
        assert pool.workers >= 5, "CaseGen, StatisticsGen, Transform, two Evaluators"
    for artifact in (
        "CaseGen/examples",
        "CaseGen/case_statistics",
        "Transform/transformed_examples",
    ):
        expected = _records(undisturbed, artifact, choose=min)
        assert _records(output, artifact) == expected != {}
    assert _summary(output)["scores"] == _summary(undisturbed)["scores"]
