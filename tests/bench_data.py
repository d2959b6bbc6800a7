"""`make bench-data`: the way from raw files to crops, on full-size synthetic scans, as JSON.

Every stage runs in a process of its own, so that peak memory is its own; times leave out the start
of the interpreter and the imports. Stages:

reference  What the preprocessor of NVIDIA UNet_3D_Medical does: one process, nibabel, cap at 85 %
           of the maximum, scale, statistics, uncompressed TFRecord, no checks.
case_gen   CaseGen's executor: all checks, hashes, statistics, raw records, on all cores.
transform  Transform's executor on those records.
input      Crops of 128^3x4 with all augmentation from the normalised records.
train      Training steps of the 31.2 M parameter network on one such crop, for comparison.
"""

import argparse
import importlib
import json
import multiprocessing
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
importlib.import_module("trainer")  # before TensorFlow: sets how it computes
CROP = (128, 128, 128)


def peak_rss_bytes() -> int:
    """Largest resident memory so far, of this process or of one child."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(w).ru_maxrss for w in who) * 1024


def timed(run: Callable[[], Any]) -> float:
    """Runs a function. Returns the seconds it took."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def reference(folder: Path) -> dict[str, float]:
    """Raw folders -> uncompressed records, four cases each, as the references write them."""
    import tensorflow as tf

    cases = sorted(p for p in (folder / "raw").iterdir() if p.is_dir())
    out = folder / "reference"
    out.mkdir()

    def run() -> None:
        for number in range(0, len(cases), 4):
            with tf.io.TFRecordWriter(str(out / f"volume-{number // 4}.tfrecord")) as writer:
                for case in cases[number : number + 4]:
                    writer.write(_reference_record(case))

    return {"seconds": timed(run)}


def _reference_record(case: Path) -> bytes:
    import nibabel as nib
    import numpy as np

    from beam_preprocess.records import encode_example

    def load(name: str) -> Any:
        volume = nib.load(case / f"{case.name}_{name}.nii.gz").get_fdata(dtype=np.float32)
        return volume.astype(np.int16).transpose(1, 0, 2)

    channels = []
    for name in ("t1", "t1ce", "t2", "flair"):
        volume = load(name).astype(np.float32)
        cap = 0.85 * volume.max()
        volume[volume > cap] = cap
        channels.append((255 * volume / volume.max()).astype(np.uint8))
    x = np.stack(channels, axis=-1)
    y = load("seg").astype(np.uint8)
    y[y == 4] = 3
    foreground = [x[..., c][x[..., c] > 0] for c in range(4)]
    return encode_example(
        {
            "X": x.tobytes(),
            "Y": y.tobytes(),
            "mean": [float(v.mean()) for v in foreground],
            "stdev": [float(v.std()) for v in foreground],
        }
    )


def case_gen(folder: Path) -> dict[str, float]:
    """CaseGen as the local runner runs it; its artifacts in `examples` and `case_statistics`."""
    from beam_preprocess.config import DataConfig
    from beam_preprocess.config_io import to_json
    from beam_preprocess.datasets.brats import BRATS
    from components.case_gen import CaseGenExecutor

    config = DataConfig(dataset="brats", root=str(folder / "raw"), folds=2, cases_per_shard=4)
    outputs = {n: [_artifact("Examples", folder / n)] for n in ("examples", "case_statistics")}
    context = CaseGenExecutor.Context(
        beam_pipeline_args=_beam_args(),
        tmp_dir=str(folder / "tmp"),
        unique_id="1",
    )
    properties = {"config": to_json(config), "info": to_json(BRATS), "code": "bench"}
    properties |= {"data_fingerprint": "", "store": str(folder / "store")}
    seconds = timed(lambda: CaseGenExecutor(context).Do({}, outputs, properties))
    shutil.rmtree(folder / "store")
    (folder / "splits.json").write_text(outputs["examples"][0].split_names)
    return {"seconds": seconds}


def transform(folder: Path) -> dict[str, float]:
    """Transform as the local runner runs it; its records in `transformed`."""
    from tfx.components.util import examples_utils
    from tfx.proto import example_gen_pb2

    from beam_preprocess.config import PreprocessingConfig
    from beam_preprocess.datasets.brats import BRATS
    from components.schemas import schema_text
    from components.transform import RecordTransformExecutor, transform_settings

    examples = _artifact("Examples", folder / "examples")
    examples.split_names = (folder / "splits.json").read_text()
    examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(examples, "tfrecords_gzip")
    schema = _artifact("Schema", folder / "schema")
    (folder / "schema").mkdir()
    (folder / "schema" / "schema.pbtxt").write_text(schema_text("records", BRATS))
    context = RecordTransformExecutor.Context(
        beam_pipeline_args=_beam_args(), tmp_dir=str(folder / "tmp"), unique_id="2"
    )
    splits = json.loads(examples.split_names)
    outputs = {
        "transform_graph": [_artifact("TransformGraph", folder / "graph")],
        "transformed_examples": [_artifact("Examples", folder / "transformed")],
    }
    properties = {
        "preprocessing_fn": "beam_preprocess.preprocessing.preprocessing_fn",
        "custom_config": json.dumps(transform_settings(PreprocessingConfig(), BRATS)),
        "splits_config": json.dumps({"analyze": splits[:1], "transform": splits}),
        "disable_statistics": 1,
        "force_tf_compat_v1": 0,
    }
    inputs = {"examples": [examples], "schema": [schema]}
    return {
        "seconds": timed(lambda: RecordTransformExecutor(context).Do(inputs, outputs, properties))
    }


def _beam_args() -> list[str]:
    """As the local runner has them for CaseGen and Transform."""
    from pipeline.pipeline import NO_PACKING

    threads = ["--direct_running_mode=multi_threading", f"--direct_num_workers={os.cpu_count()}"]
    return ["--runner=DirectRunner", *threads, NO_PACKING]


def _artifact(kind: str, folder: Path) -> Any:
    from tfx.types import standard_artifacts

    artifact = getattr(standard_artifacts, kind)()
    artifact.uri = str(folder)
    return artifact


def training(folder: Path, kind: str, *, steps: int) -> dict[str, float]:
    """What `unet-tfx benchmark KIND` measures, on Transform's records and crops of 128^3."""
    from trainer.benchmark.plan import BenchmarkPlan
    from trainer.benchmark.run import run_benchmark
    from trainer.config import InferenceConfig, TrainerConfig
    from trainer.presets import PRESETS

    plan = BenchmarkPlan(
        kind=kind,
        model=PRESETS["unet3d"],
        trainer=TrainerConfig(samples=1, batch_size=1, crop=CROP),
        inference=InferenceConfig(window=CROP),
        steps=steps,
        warmup_steps=2,
        records=str(folder / "transformed"),
    )
    found = run_benchmark(plan)["measured"][kind]
    return {"seconds": found["seconds"], "crops": found["samples"]}


def in_process(stage: str, folder: Path) -> dict[str, float]:
    """Runs a stage in a process of its own."""
    command = [sys.executable, "-W", "ignore", __file__, "--stage", stage, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def run_stage(stage: str, folder: Path) -> None:
    """What the process of a stage does."""
    stages: dict[str, Callable[[Path], dict[str, float]]] = {
        "reference": reference,
        "case_gen": case_gen,
        "transform": transform,
        "input": lambda f: training(f, "input", steps=24),
        "train": lambda f: training(f, "train", steps=1),
    }
    print(json.dumps(stages[stage](folder) | {"peak_rss_bytes": peak_rss_bytes()}))


def make_case(job: tuple[str, int, tuple[int, ...]]) -> None:
    """Writes one synthetic case of its own seed into the cohort."""
    from beam_preprocess.synth import brats

    root, number, shape = job
    part = Path(root).parent / f"part-{number}"
    brats.write_cohort(part, cases=1, seed=number, shape=shape)
    (case,) = part.iterdir()
    name = f"BraTS2021_{number:05d}"
    for path in case.iterdir():
        path.rename(path.with_name(path.name.replace(case.name, name)))
    case.rename(Path(root) / name)
    part.rmdir()


def measure_cohort(folder: Path, raw: Path, cases: int) -> dict[str, Any]:
    """Reference, CaseGen and Transform on the first cases of `raw`."""
    (folder / "raw").mkdir(parents=True)
    for case in sorted(raw.iterdir())[:cases]:
        (folder / "raw" / case.name).symlink_to(case)
    size = sum(p.stat().st_size for p in (folder / "raw").glob("*/*"))
    found = {s: in_process(s, folder) for s in ("reference", "case_gen", "transform")}
    reference_s, gen_s = found["reference"]["seconds"], found["case_gen"]["seconds"]
    both_s = gen_s + found["transform"]["seconds"]
    for stage in found.values():
        stage["cases_per_s"] = cases / stage["seconds"]
        stage["raw_mb_per_s"] = size / 1e6 / stage["seconds"]
    return {
        "cases": cases,
        "stages": found,
        "case_gen_over_reference": reference_s / gen_s,
        "case_gen_and_transform_over_reference": reference_s / both_s,
    }


def main() -> None:
    """Prints what was measured, with what and on what."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cases", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--shape", type=int, nargs=3, default=(240, 240, 155))
    parser.add_argument("--skip-training", action="store_true", help="leave out input and train")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        run_stage(options.stage, options.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raw = folder / "raw"
        raw.mkdir()
        jobs = [(str(raw), n, tuple(options.shape)) for n in range(max(options.cases))]
        with multiprocessing.get_context("spawn").Pool() as pool:
            pool.map(make_case, jobs, chunksize=1)
        cohorts = [measure_cohort(folder / str(n), raw, n) for n in options.cases]
        result: dict[str, Any] = {"cohorts": cohorts}
        if not options.skip_training:
            last = folder / str(options.cases[0])
            found = {s: in_process(s, last) for s in ("input", "train")}
            rates = {s: f["crops"] / f["seconds"] for s, f in found.items()}
            result |= {
                "input": found["input"] | {"crops_per_s": rates["input"]},
                "train": found["train"] | {"crops_per_s": rates["train"]},
                "input_over_train": rates["input"] / rates["train"],
            }
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    print(json.dumps(result | {"shape": list(options.shape), "machine": machine}, indent=1))


if __name__ == "__main__":
    main()
