"""Conversions that are killed at random moments, and the one that comes after them."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from beam_preprocess.shards import ShardStore
from beam_preprocess.synth import brats

pytestmark = pytest.mark.slow

KILLS = 10
CASES, COPIES = 6, 10
"""Cases, and how often each is in the cohort: ten killed runs leave some for the last one."""

CONVERTER = """
import json
import os
import sys
import traceback
from pathlib import Path

import apache_beam as beam

from beam_preprocess.convert import ConvertShards, Destination
from beam_preprocess.datasets.brats import Brats
from beam_preprocess.shards import make_shards


def convert(root, out, store, options):
    shards = make_shards("fold-0", Brats().list_cases(Path(root)).cases, cases_per_shard=1)
    places = Destination(
        examples=f"{out}/examples", statistics=f"{out}/statistics", store=store, code="c0de"
    )
    with beam.Pipeline(argv=options) as pipeline:
        convert = ConvertShards(Brats(), places, results_root=f"{out}/results")
        _ = pipeline | beam.Create(shards) | convert


for line in sys.stdin:
    process = os.fork()
    if process == 0:
        status = 1
        try:
            convert(*json.loads(line))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""
"""Forks a process per line of arguments, so that ten of them do not import Beam ten times. Tells
its id, then its exit status."""


@dataclass(frozen=True)
class Moment:
    """Some time after so many new files were seen, in the store or in the artifacts.

    A shard makes five names in the store (two of them temporary), a case takes about 30 ms.
    """

    publishing: bool
    files: int
    seconds: float


def random_moments(seed: int) -> list[Moment]:
    source = random.Random(seed)
    return [
        Moment(i % 2 == 1, source.randint(1, 20), source.uniform(0, 0.02)) for i in range(KILLS)
    ]


@dataclass(frozen=True)
class Converter:
    """Converts the cohort, each time in a new process."""

    process: subprocess.Popen
    root: Path
    options: list[str]

    def start(self, out: Path, store: Path) -> int:
        """Returns the id of the process."""
        arguments = [str(self.root), str(out), str(store), self.options]
        self.process.stdin.write(json.dumps(arguments) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def wait(self) -> int:
        """Exit status of the process."""
        return int(self.process.stdout.readline())

    def run(self, out: Path, store: Path) -> None:
        self.start(out, store)
        assert self.wait() == 0

    def run_and_kill(self, out: Path, store: Path, moment: Moment) -> None:
        """Kills the process at a moment of its work."""
        folder = out if moment.publishing else store
        before, seen = names(folder), set()
        process = self.start(out, store)
        while len(seen) < moment.files:
            os.kill(process, 0)  # raises where it has ended
            seen |= names(folder) - before
            time.sleep(0.001)
        time.sleep(moment.seconds)
        os.kill(process, signal.SIGKILL)
        assert self.wait() == -signal.SIGKILL


def names(folder: Path) -> set[str]:
    """Files below a folder, while somebody else adds and renames some."""
    return {f"{parent}/{name}" for parent, _, files in os.walk(folder) for name in files}


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Sixty cases; 0 to 5, 10 to 15, ... have the same voxels."""
    folder = tmp_path_factory.mktemp("brats")
    brats.write_cohort(folder, cases=CASES, seed=0, shape=(64, 64, 48))
    for path in sorted(folder.glob("*/*.gz")):
        for copy in range(1, COPIES):
            name = path.name.replace("_0000", f"_000{copy}")
            other = folder / name.rpartition("_")[0] / name
            other.parent.mkdir(exist_ok=True)
            os.link(path, other)
    return folder


@pytest.fixture(params=[("in_memory", 1), ("multi_threading", 2)], ids=["one", "two-threads"])
def converter(request, root) -> Iterator[Converter]:
    mode, workers = request.param
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", CONVERTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        options = [f"--direct_running_mode={mode}", f"--direct_num_workers={workers}"]
        try:
            yield Converter(process, root, ["--runner=DirectRunner", *options])
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_killed_ten_times_then_finished(converter, tmp_path):
    """What was done is kept, what was not is done, and the bytes are those of one quiet run."""
    quiet, clean = tmp_path / "quiet", tmp_path / "clean-store"
    converter.run(quiet, clean)
    store = tmp_path / "store"
    for number, moment in enumerate(random_moments(seed=7)):
        out = tmp_path / f"killed-{number}"
        converter.run_and_kill(out, store, moment)
        check_store(store, clean)
        assert all(p.name.startswith("records-") for p in out.glob("*/Split-*/*"))
    assert list(store.glob(".tmp-*")), "some were killed while they wrote"
    kept = {p.stat().st_ino for p in store.glob("*.gz")}
    last = tmp_path / "last"
    converter.run(last, store)
    assert contents(last) == contents(quiet)
    assert len(contents(last)) == 3 * CASES * COPIES
    taken = [p for p in last.rglob("*.gz") if p.stat().st_ino in kept]
    assert 0 < len(taken) < 2 * CASES * COPIES, "some were in the store, some were not"


def check_store(store: Path, clean: Path) -> None:
    """Every file is whole or has a temporary name; every shard that is known can be used."""
    found, expected = contents(store), contents(clean)
    whole = {name: data for name, data in found.items() if not name.startswith(".tmp-")}
    assert whole == {name: expected[name] for name in whole}
    for path in store.glob("*.json"):
        assert ShardStore(store).find(path.stem) is not None
