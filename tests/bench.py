"""`make bench`: how fast the parts are on this machine, on synthetic cases, as JSON.

Convert: raw folders -> checked raw records. Input, train, forward, infer: what `unet-tfx benchmark`
measures, on those records. Serve: one raw case through the exported graph.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import trainer  # noqa: F401  # before TensorFlow: sets how it computes

# isort: split

import tensorflow as tf

from beam_preprocess.case import DatasetInfo
from beam_preprocess.config import PreprocessingConfig
from beam_preprocess.convert import Destination, convert_shard
from beam_preprocess.datasets.brats import Brats
from beam_preprocess.preprocessing import preprocessing_fn
from beam_preprocess.record_files import RecordWriter, read_records
from beam_preprocess.records import encode_example, raw_feature_spec
from beam_preprocess.shards import make_shards
from beam_preprocess.synth import brats
from components.transform import transform_settings
from trainer.benchmark.plan import BenchmarkPlan
from trainer.benchmark.run import run_benchmark
from trainer.config import InferenceConfig, TrainerConfig
from trainer.hardware import hardware, versions
from trainer.model_config import ModelConfig
from trainer.presets import PRESETS
from trainer.serving import LoadedModel, ServingSpec, export
from trainer.unet import build_unet


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """Runs a function. Returns its result and the seconds it took."""
    started = time.perf_counter()
    result = run()
    return result, time.perf_counter() - started


def normalise(raw: Iterable[bytes], info: DatasetInfo, path: Path) -> None:
    """Writes normalised records of raw ones, as Transform does."""
    settings = transform_settings(PreprocessingConfig(), info)
    with RecordWriter(path) as writer:
        for record in raw:
            batch = tf.io.parse_example([record], raw_feature_spec(info.rank))
            features = {k: v[0].numpy() for k, v in preprocessing_fn(batch, settings).items()}
            plain = {k: v if isinstance(v, bytes) else v.tolist() for k, v in features.items()}
            writer.write(encode_example(plain))


def convert(options: argparse.Namespace, folder: Path) -> float:
    """Writes raw cases and their records below `folder`. Returns cases per second."""
    dataset = Brats()
    brats.write_cohort(folder / "raw", cases=options.cases, seed=0, shape=tuple(options.shape))
    cases = dataset.list_cases(folder / "raw").cases
    places = {n: str(folder / n) for n in ("examples", "statistics", "store")}
    destination = Destination(**places, code="bench")
    (shard,) = make_shards("all", cases, cases_per_shard=len(cases))
    _, seconds = timed(lambda: convert_shard(shard, dataset=dataset, destination=destination))
    records = folder / "records" / "Split-fold-0" / "normalised.gz"
    records.parent.mkdir(parents=True)
    normalise(read_records(shard.path(destination.examples)), dataset.info, records)
    return len(cases) / seconds


def make_plan(options: argparse.Namespace, folder: Path, kind: str) -> BenchmarkPlan:
    """What `unet-tfx benchmark KIND` is to measure, on the records below `folder`."""
    crop = (options.crop,) * 3
    training = TrainerConfig(
        samples=options.batch_size,
        batch_size=options.batch_size,
        crop=crop,
        precision=options.precision,
    )
    return BenchmarkPlan(
        kind=kind,
        model=PRESETS[options.preset],
        trainer=training,
        inference=InferenceConfig(window=crop),
        steps=options.steps,
        records=str(folder / "records"),
    )


def serve(model: ModelConfig, inference: InferenceConfig, folder: Path) -> float:
    """Exports a network with new weights. Returns the seconds that it takes for a raw case."""
    dataset = Brats()
    spec = ServingSpec(
        dataset=dataset.info,
        profile="corrected",
        clip_percentiles=(0.5, 99.5),
        inference=inference,
        model=model,
    )
    export([build_unet(model)], spec, str(folder / "model"))
    served = LoadedModel(folder / "model")
    image = dataset.read_case(dataset.list_cases(folder / "raw").cases[0]).image
    served.predict(image)  # warm-up
    return timed(lambda: served.predict(image))[1]


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measures the parts."""
    converted = convert(options, folder)
    plans = {kind: make_plan(options, folder, kind) for kind in ("input", "train", "infer")}
    found: dict[str, Any] = {}
    for plan in plans.values():
        found |= run_benchmark(plan)["measured"]
    return {
        "convert_cases_per_s": converted,
        "input_crops_per_s": found["input"]["samples_per_s"],
        "train_crops_per_s": found["train"]["samples_per_s"],
        "forward_crops_per_s": found["forward"]["samples_per_s"],
        "infer_s_per_case": found["whole_case"]["seconds"],
        "serve_s_per_case": serve(plans["infer"].model, plans["infer"].inference, folder),
    }


def main() -> None:
    """Prints what was measured, with what and on what."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="unet3d-tiny", choices=[*PRESETS])
    parser.add_argument("--shape", type=int, nargs=3, default=(128, 128, 96))
    parser.add_argument("--cases", type=int, default=4)
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument("--batch_size", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options, Path(folder))
    machine = {"hardware": hardware(), "versions": versions()}
    print(json.dumps({"measured": result, "options": vars(options)} | machine, indent=1))


if __name__ == "__main__":
    main()
