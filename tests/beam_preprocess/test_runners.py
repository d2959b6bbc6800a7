"""The same cohort on every way to run Beam that this machine has: the same bytes.

The external worker pool is what Flink and Spark use: a job server takes the pipeline, and workers
in processes of their own are reached through gRPC alone (Beam's Fn API).
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from beam_preprocess.datasets.brats import Brats
from beam_preprocess.record_files import read_records
from beam_preprocess.records import decode_raw
from beam_preprocess.shards import Shard, make_shards, read_results
from beam_preprocess.synth import brats

from ..worker_pool import TIMEOUT, WorkerPool, worker_pool

pytestmark = pytest.mark.slow

CONVERT = """
import sys
from pathlib import Path

import apache_beam as beam

from beam_preprocess.convert import ConvertShards, Destination
from beam_preprocess.datasets.brats import Brats
from beam_preprocess.shards import make_shards

root, out, store, *options = sys.argv[1:]
cases = Brats().list_cases(Path(root)).cases
shards = make_shards("fold-0", cases, cases_per_shard=2)
places = Destination(
    examples=f"{out}/examples", statistics=f"{out}/statistics", store=store, code="c0de"
)
with beam.Pipeline(argv=options) as pipeline:
    convert = ConvertShards(Brats(), places, results_root=f"{out}/results")
    _ = pipeline | beam.Create(shards) | convert
"""
"""In a process of its own per pipeline: a runner starts servers and threads that stay."""

DIRECT = {
    name: [
        "--runner=DirectRunner",
        f"--direct_running_mode={mode}",
        f"--direct_num_workers={workers}",
    ]
    for name, mode, workers in (
        ("in-memory", "in_memory", 1),
        ("threads", "multi_threading", 2),
        ("processes", "multi_processing", 2),
    )
}


@pytest.fixture(scope="module")
def pool(tmp_path_factory) -> Iterator[WorkerPool]:
    with worker_pool(tmp_path_factory.mktemp("servers")) as running:
        yield running


def convert(root: Path, out: Path, options: list[str]) -> subprocess.CompletedProcess:
    """Converts a cohort in a process whose folder is not the repository."""
    out.mkdir()
    places = [str(root), str(out), str(out.with_name(f"{out.name}-store"))]
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CONVERT, *places, *options],
        cwd=out.parent,
        timeout=TIMEOUT,
        capture_output=True,
        text=True,
        check=False,
    )


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Seven cases: three shards of two, one of one. The third shard cannot be converted."""
    folder = tmp_path_factory.mktemp("brats")
    brats.write_cohort(folder, cases=7, seed=0, shape=(20, 24, 18), unequal=True)
    for number, modality in ((4, "t1"), (5, "seg")):
        case = f"BraTS2021_{number:05d}"
        (folder / case / f"{case}_{modality}.nii.gz").write_bytes(b"damaged")
    return folder


@pytest.fixture(scope="module")
def shards(root) -> list[Shard]:
    return make_shards("fold-0", Brats().list_cases(root).cases, cases_per_shard=2)


@pytest.fixture(scope="module")
def in_memory(root, tmp_path_factory) -> Path:
    """What DirectRunner makes in memory, with one worker."""
    out = tmp_path_factory.mktemp("runners") / "in-memory"
    done = convert(root, out, DIRECT["in-memory"])
    assert done.returncode == 0, done.stderr
    return out


def test_every_good_shard_is_there_and_every_problem_is_told(in_memory, shards):
    good = [shards[i] for i in (0, 1, 3)]
    assert set(contents(in_memory)) == {
        *(str(s.path(kind)) for kind in ("examples", "statistics") for s in good),
        *(f"results/{s.name}.json" for s in shards),
    }
    for shard in good:
        found = [decode_raw(s).case_id for s in read_records(shard.path(in_memory / "examples"))]
        assert found == [c.case_id for c in shard.cases]
    results = read_results(str(in_memory / "results"), shards)
    told = [[p.rule.partition(" is ")[0] for p in r.problems] for r in results]
    assert told == [[], [], ["BraTS2021_00004_t1.nii.gz", "BraTS2021_00005_seg.nii.gz"], []]


def check_equal(out: Path, expected: Path) -> None:
    """Records, statistics, results with their problems, and the stores."""
    assert contents(out) == contents(expected)
    stores = [contents(p.with_name(f"{p.name}-store")) for p in (out, expected)]
    assert stores[0] == stores[1] and len(stores[0]) == 3 * 3


@pytest.mark.parametrize("runner", ["threads", "processes"])
def test_several_workers_on_this_machine(root, in_memory, runner, tmp_path):
    out = tmp_path / runner
    done = convert(root, out, DIRECT[runner])
    assert done.returncode == 0, done.stderr
    check_equal(out, in_memory)


def test_external_worker_pool(root, in_memory, pool, tmp_path):
    """What Flink and Spark do: no code of ours in the job server, none shared with the workers."""
    out = tmp_path / "external"
    before = pool.workers
    done = convert(root, out, pool.options)
    assert done.returncode == 0, done.stderr
    assert pool.workers > before
    check_equal(out, in_memory)


def test_failure_of_an_external_worker(root, pool, tmp_path):
    """A store that cannot be written: the pipeline fails, with the worker's own message."""
    out = tmp_path / "out"
    (tmp_path / "out-store").write_text("a file where a folder should be")
    done = convert(root, out, pool.options)
    assert done.returncode == 1
    assert f"FileExistsError: [Errno 17] File exists: '{tmp_path / 'out-store'}'" in done.stderr
    assert contents(out) == {}
