"""`make bench`: how fast the parts are on this machine, on synthetic cases, as JSON.

Convert: raw folders -> checked raw records. Input: staged cases -> augmented crops. Train: one
update on a batch of crops. Infer: one whole case through the exported graph.
"""

import argparse
import json
import os
import platform
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
from trainer.batches import RecordInfo, training_batches
from trainer.config import InferenceConfig, TrainerConfig
from trainer.loop import RunFolder, train
from trainer.presets import PRESETS
from trainer.progress import read_history
from trainer.serving import LoadedModel, ServingSpec, export
from trainer.staging import stage


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


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measures the four parts."""
    dataset, model = Brats(), PRESETS[options.preset]
    crop = (options.crop,) * 3
    brats.write_cohort(folder / "raw", cases=options.cases, seed=0, shape=tuple(options.shape))
    cases = dataset.list_cases(folder / "raw").cases
    places = {n: str(folder / n) for n in ("examples", "statistics", "store")}
    destination = Destination(**places, code="bench")
    (shard,) = make_shards("all", cases, cases_per_shard=len(cases))
    _, convert_s = timed(lambda: convert_shard(shard, dataset=dataset, destination=destination))
    records = folder / "normalised.gz"
    normalise(read_records(shard.path(destination.examples)), dataset.info, records)
    staged = stage([str(records)], folder / "staged")
    config = TrainerConfig(
        samples=options.steps * options.batch_size,
        batch_size=options.batch_size,
        crop=crop,
        precision=options.precision,
        log_steps=max(1, options.steps // 2),
    )
    info = RecordInfo(rank=3, channels=4, foreground=dataset.info.foreground)
    batches = training_batches(staged, info, config, start_step=0)
    read, input_s = timed(lambda: sum(1 for _ in batches))
    network = train(staged, info, model, config, RunFolder(path=folder / "run"))
    rate = read_history(folder / "run" / "logs")[-1]["steps_per_second"]
    spec = ServingSpec(
        dataset=dataset.info,
        profile="corrected",
        clip_percentiles=(0.5, 99.5),
        inference=InferenceConfig(window=crop),
    )
    export(network, model, spec, str(folder / "model"))
    served = LoadedModel(folder / "model")
    image = dataset.read_case(cases[0]).image
    served.predict(image)  # warm-up
    _, infer_s = timed(lambda: served.predict(image))
    return {
        "convert_cases_per_s": len(cases) / convert_s,
        "input_crops_per_s": read * options.batch_size / input_s,
        "train_crops_per_s": rate * options.batch_size,
        "infer_s_per_case": infer_s,
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
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "gpus": len(tf.config.list_physical_devices("GPU")),
        "tensorflow": tf.__version__,
    }
    print(json.dumps({"measured": result, "options": vars(options), "machine": machine}, indent=1))


if __name__ == "__main__":
    main()
