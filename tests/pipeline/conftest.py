"""Tiny cohorts and settings that take a whole run in seconds."""

import json
import logging

import pytest

from beam_preprocess.synth import brats, dagm


def rules(score: str, bound: float) -> str:
    """A single rule of the gate, as one types it."""
    return json.dumps([{"score": score, "bound": bound}])


TINY_BRATS = [
    *("--recipe", "brats-demo", "--data.folds", "2", "--data.cases_per_shard", "1"),
    *("--model.filters", "[4,8]", "--trainer.samples", "24", "--trainer.crop", "[16,16,16]"),
    *("--trainer.checkpoint_steps", "4", "--trainer.log_steps", "4"),
    *("--inference.window", "[16,16,16]", "--gate.rules", rules("WT/dice", 0.0)),
    *("--trainer.tracking.image_steps", "0"),
]
TINY_DAGM = [
    *("--recipe", "dagm-demo", "--data.folds", "2", "--model.filters", "[4,8]"),
    *("--trainer.samples", "16", "--trainer.crop", "[32,32]", "--inference.window", "[64,64]"),
    *("--gate.rules", rules("defect/dice", 1.0), "--trainer.tracking.image_steps", "0"),
]


@pytest.fixture(scope="module", autouse=True)
def logging_as_before():
    """Commands set up logging for a process of their own, with handlers that outlive a test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers, root.level = handlers, level


@pytest.fixture(scope="session")
def brats_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("brats")
    brats.write_cohort(root, cases=6, seed=0, shape=(20, 20, 18), unequal=True, graded=True)
    return root


@pytest.fixture(scope="session")
def dagm_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("dagm")
    dagm.write_cohort(root, cases=6, seed=0, size=64)
    return root


@pytest.fixture(scope="session")
def brats_options(brats_root):
    return [*TINY_BRATS, "--data.root", str(brats_root)]


@pytest.fixture(scope="session")
def dagm_options(dagm_root):
    return [*TINY_DAGM, "--data.root", str(dagm_root)]
