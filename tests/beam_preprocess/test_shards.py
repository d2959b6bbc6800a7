"""Shards and their store: what is whole is found again, what is not is done again."""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from beam_preprocess.convert import convert_shard
from beam_preprocess.datasets.brats import BRATS, Brats
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.shards import Shard, ShardStore, make_shards, read_results, shard_key

from .conftest import make_destination


class Counting(Brats):
    """Counts the cases that were read."""

    def __init__(self):
        super().__init__()
        self.read: list[str] = []

    def read_case(self, files):
        self.read.append(files.case_id)
        return super().read_case(files)


@pytest.fixture
def shards(brats_root) -> list[Shard]:
    """Of a copy that may be damaged."""
    return make_shards("fold-0", Brats().list_cases(brats_root).cases, cases_per_shard=4)


def convert(shards, tmp_path, out: str, code: str = "c0de") -> list[str]:
    """Converts into a new artifact; the ids of the cases that had to be read."""
    dataset = Counting()
    destination = make_destination(tmp_path / out, store=tmp_path / "store", code=code)
    for shard in shards:
        convert_shard(shard, dataset=dataset, destination=destination)
    return dataset.read


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def ids(shard) -> list[str]:
    return [c.case_id for c in shard.cases]


@pytest.mark.parametrize(
    ("per_shard", "sizes"), [(1, [1] * 6), (4, [4, 2]), (5, [5, 1]), (6, [6]), (100, [6])]
)
def test_make_shards(brats_cohort, per_shard, sizes):
    cases = Brats().list_cases(brats_cohort).cases
    shards = make_shards("fold-0", cases, cases_per_shard=per_shard)
    assert [len(s.cases) for s in shards] == sizes
    assert [(s.split, s.index, s.count) for s in shards] == [
        ("fold-0", index, len(sizes)) for index in range(len(sizes))
    ]
    assert tuple(c for s in shards for c in s.cases) == cases
    shuffled = random.Random(1).sample(cases, len(cases))
    assert make_shards("fold-0", shuffled, cases_per_shard=per_shard) == shards


def test_no_cases_make_no_shards():
    assert make_shards("test", [], cases_per_shard=4) == []


def test_path_of_a_shard():
    shard = Shard(split="fold-1", index=2, count=12, cases=())
    assert shard.path("/out") == Path("/out/Split-fold-1/records-00002-of-00012.gz")


def test_second_conversion_reads_no_case(shards, tmp_path):
    assert convert(shards, tmp_path, "one") == [*ids(shards[0]), *ids(shards[1])]
    assert convert(shards, tmp_path, "two") == []
    assert contents(tmp_path / "one") == contents(tmp_path / "two") != {}


def test_changed_file_makes_its_shard_anew(shards, tmp_path, brats_root):
    convert(shards, tmp_path, "one")
    path = shards[1].cases[0].images[0]
    other = shards[1].cases[1].images[0]
    path.write_bytes(other.read_bytes())
    assert convert(shards, tmp_path, "two") == ids(shards[1])
    name = str(shards[1].path("records"))
    assert contents(tmp_path / "one")[name] != contents(tmp_path / "two")[name]


def test_changed_code_makes_all_anew(shards, tmp_path):
    convert(shards, tmp_path, "one")
    assert len(convert(shards, tmp_path, "two", code="other")) == 6


@pytest.mark.parametrize("what", ["records", "statistics", "json"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "empty"])
def test_damaged_shard_in_the_store_is_made_anew(shards, tmp_path, what, damage):
    convert(shards, tmp_path, "one")
    key = shard_key(shards[0], BRATS, "c0de")
    suffix = "json" if what == "json" else f"{what}.gz"
    path = tmp_path / "store" / f"{key}.{suffix}"
    content = path.read_bytes()
    path.unlink()  # published files are links to it
    if damage != "gone":
        half = len(content) // 2
        flipped = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
        path.write_bytes({"cut": content[:-1], "flipped": flipped, "empty": b""}[damage])
    read = convert(shards, tmp_path, "two")
    if (what, damage) != ("json", "flipped"):  # a flipped letter of a number may leave it whole
        assert read == ids(shards[0])
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_shard_with_an_error_is_not_stored(shards, tmp_path):
    path = shards[0].cases[1].images[0]
    content = path.read_bytes()
    path.write_bytes(b"damaged")
    assert len(convert(shards, tmp_path, "one")) == 6
    path.write_bytes(content)
    assert convert(shards, tmp_path, "two") == ids(shards[0])


def test_key_tells_all_that_decides_the_bytes(shards):
    key = shard_key(shards[0], BRATS, "c0de")
    case, *others = shards[0].cases
    for changed in (
        replace(case, stratum="HGG"),
        replace(case, group="other patient"),
        replace(case, split="test"),
        replace(case, index=1),
        replace(case, label=None),
        replace(case, images=case.images[::-1]),
    ):
        assert shard_key(replace(shards[0], cases=(changed, *others)), BRATS, "c0de") != key
    assert shard_key(replace(shards[0], split="fold-1"), BRATS, "c0de") != key
    assert shard_key(shards[0], DAGM, "c0de") != key
    assert shard_key(shards[0], BRATS, "other") != key


def test_file_that_changes_while_it_is_read(shards, tmp_path):
    """Under the hash of the old content, the new one would be found by a later run."""
    victim = shards[0].cases[0].images[0]

    class Racing(Brats):
        def read_case(self, files):
            if victim in files.images:
                victim.write_bytes(shards[0].cases[1].images[0].read_bytes())
                os.utime(victim, ns=(1, 1))
            case = super().read_case(files)
            victim.write_bytes(b"and once more")
            return case

    destination = make_destination(tmp_path / "out", store=tmp_path / "store")
    result = convert_shard(shards[0], dataset=Racing(), destination=destination)
    (problem,) = [p for p in result.problems if "changed" in p.rule]
    assert problem.rule == f"{victim.name} changed while it was read"
    assert contents(tmp_path / "out") == {} and not list((tmp_path / "store").glob("*.gz"))


def test_prune_removes_what_was_not_used_for_days(shards, tmp_path):
    convert(shards, tmp_path, "one")
    store = tmp_path / "store"
    (store / ".tmp-killed-run").write_bytes(b"half a shard")
    old = time.time() - 8 * 86400
    keep, lose = (shard_key(s, BRATS, "c0de") for s in shards)
    for path in (*store.glob(f"{lose}.*"), store / ".tmp-killed-run"):
        os.utime(path, (old, old))
    ShardStore(store).prune()
    assert {p.name.partition(".")[0] for p in store.iterdir()} == {keep}
    assert len(contents(tmp_path / "one")) == 4, "artifacts keep their files"


def test_copies_where_links_are_not_possible(shards, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("cross-device link")

    convert(shards, tmp_path, "linked")
    monkeypatch.setattr(os, "link", refuse)
    convert(shards, tmp_path, "copied")
    assert contents(tmp_path / "copied") == contents(tmp_path / "linked")


def test_shard_without_result_is_an_error(shards, tmp_path):
    (tmp_path / "fold-0-00000.json").write_text('{"problems": []}')
    with pytest.raises(RuntimeError, match=r"1 of 2 were not: \['fold-0-00001'\]"):
        read_results(str(tmp_path), shards)


def test_prune_removes_records_that_no_result_tells_of(shards, tmp_path):
    """A run that was killed between the two leaves them; those of a moment ago may be wanted."""
    convert(shards, tmp_path, "one")
    store = tmp_path / "store"
    old = time.time() - 8 * 86400
    lose, keep = (shard_key(s, BRATS, "c0de") for s in shards)
    for key in (lose, keep):
        (store / f"{key}.json").unlink()
    for suffix in ("records", "statistics"):
        os.utime(store / f"{lose}.{suffix}.gz", (old, old))
    ShardStore(store).prune()
    assert {p.name for p in store.iterdir()} == {f"{keep}.records.gz", f"{keep}.statistics.gz"}


def test_repeated_shard_leaves_the_same_files(shards, tmp_path):
    """Runners repeat work that they take for lost, in the same artifact."""
    convert(shards, tmp_path, "one")
    expected = contents(tmp_path / "one")
    convert(shards, tmp_path, "one")
    assert contents(tmp_path / "one") == expected


def test_shard_that_is_published_several_times_at_once(shards, tmp_path):
    """As by a worker that was given up, and by the one in its place."""
    convert(shards, tmp_path, "one")
    store, key = ShardStore(tmp_path / "store"), shard_key(shards[0], BRATS, "c0de")
    roots = [str(tmp_path / "two" / name) for name in ("records", "statistics")]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: store.publish(key, shards[0], *roots), range(400)))
    written = contents(tmp_path / "two")
    assert len(written) == 2
    assert written == {name: contents(tmp_path / "one")[name] for name in written}
