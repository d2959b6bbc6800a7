"""One synthetic case through an exported model of the 31.2 M parameter 3D UNet, timed.

tests/bench_infer.py runs it: `export FOLDER` writes the model, `run FOLDER` times one prediction in
a process that has done nothing else and prints one JSON object.
"""

import argparse
import json
import time

import numpy as np

from beam_preprocess.datasets.brats import BRATS
from trainer.config import InferenceConfig
from trainer.hardware import hardware, peak_memory, versions
from trainer.model_folder import ServingSpec
from trainer.presets import PRESETS
from trainer.serving import LoadedModel, export
from trainer.state import POLICIES
from trainer.unet import build_unet

WARM_UP = (40, 36, 33)
"""Grid of a small case before the timed one: the first one prepares the graph."""


def write_model(options: argparse.Namespace) -> None:
    """Exports a network of initial weights."""
    spec = ServingSpec(
        dataset=BRATS,
        profile="corrected",
        clip_percentiles=(0.5, 99.5),
        inference=InferenceConfig(
            window=(options.window,) * 3, mode=options.mode, overlap=options.overlap
        ),
        model=PRESETS["unet3d"],
        precision=options.precision,
    )
    network = build_unet(spec.model, dtype_policy=POLICIES[options.precision])
    export([network], spec, options.folder)
    print(json.dumps({"parameters": network.count_params()}))


def scan(grid: tuple[int, ...], box: tuple[int, ...]) -> np.ndarray:
    """int16 [*grid, 4]: noise in a box in the middle, zeros around it."""
    image = np.zeros((*grid, 4), np.int16)
    start = [(g - b) // 2 for g, b in zip(grid, box, strict=True)]
    inside = tuple(slice(s, s + b) for s, b in zip(start, box, strict=True))
    image[inside] = np.random.default_rng(0).integers(1, 3000, (*box, 4))
    return image


def time_model(options: argparse.Namespace) -> None:
    """Predicts a small case, then the one that is timed."""
    model = LoadedModel(options.folder)
    model.predict(scan(WARM_UP, WARM_UP))
    image = scan(tuple(options.grid), tuple(options.box))
    started = time.perf_counter()
    label = model.predict(image)
    seconds = time.perf_counter() - started
    assert label.shape == tuple(options.grid)
    result = {
        "parameters": sum(v.size for v in model.states[0]),
        "seconds": seconds,
        "peak_memory_bytes": peak_memory()["peak_resident_bytes"],
        "hardware": hardware(),
        "versions": versions(),
    }
    print(json.dumps(result))


def main() -> None:
    """Runs one of the two steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["export", "run"])
    parser.add_argument("folder")
    parser.add_argument("--mode", choices=["whole", "window"], default="whole")
    parser.add_argument("--precision", choices=list(POLICIES), default="float32")
    parser.add_argument("--window", type=int, required=True)
    parser.add_argument("--overlap", type=float, required=True)
    parser.add_argument("--grid", type=int, nargs=3, required=True)
    parser.add_argument("--box", type=int, nargs=3, required=True)
    options = parser.parse_args()
    {"export": write_model, "run": time_model}[options.step](options)


if __name__ == "__main__":
    main()
