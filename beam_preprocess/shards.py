"""Shards: a few cases each, converted together into one pair of record files.

Finished shards are kept in a store, named by a hash of all that decides their bytes: the code, the
dataset, the cases and the content of their files. A run that was killed finds them there and does
only what is missing; a changed file changes the name, so that a stale shard is never found.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from beam_preprocess.atomic import atomic_path, write_text
from beam_preprocess.case import CaseFiles, DatasetInfo, Problem, source_names
from beam_preprocess.config_io import to_json
from beam_preprocess.examine import Statistics

KEPT_DAYS = 7.0
"""How long the store keeps shards that no run has used."""
_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Shard:
    """The cases of one pair of record files.

    Attributes:
      split: Name of the split, such as `fold-0`.
      index, count: Number of this shard, and of all shards of its split.
      cases: Sorted by case id.
    """

    split: str
    index: int
    count: int
    cases: tuple[CaseFiles, ...]

    @property
    def name(self) -> str:
        """Unique in a run."""
        return f"{self.split}-{self.index:05d}"

    def path(self, root: str | Path) -> Path:
        """Where the shard's records are, in an `Examples` artifact at `root`."""
        name = f"records-{self.index:05d}-of-{self.count:05d}.gz"
        return Path(root) / f"Split-{self.split}" / name


def make_shards(split: str, cases: Sequence[CaseFiles], *, cases_per_shard: int) -> list[Shard]:
    """Cuts the cases of a split, in the order of their ids, into shards."""
    ordered = sorted(cases, key=lambda c: c.case_id)
    count = -(-len(ordered) // cases_per_shard)
    return [
        Shard(
            split=split,
            index=i,
            count=count,
            cases=tuple(ordered[i * cases_per_shard : (i + 1) * cases_per_shard]),
        )
        for i in range(count)
    ]


@dataclass(frozen=True, kw_only=True)
class ShardResult:
    """What is known of a shard after it was converted.

    Attributes:
      problems: Errors and warnings of its cases.
      statistics: Of every case that could be read.
      hashes: File name in the store -> sha256; empty where there is an error.
    """

    problems: list[Problem]
    statistics: list[Statistics]
    hashes: dict[str, str]

    def to_json(self) -> str:
        """As text, for `from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ShardResult":
        """Reads `to_json`."""
        values = json.loads(text)
        problems = [Problem(**p) for p in values.pop("problems")]
        return cls(problems=problems, **values)


def shard_key(shard: Shard, info: DatasetInfo, code: str) -> str:
    """Hash of all that decides the bytes of a shard.

    Args:
      shard: Its files are read.
      info: Of the dataset.
      code: Fingerprint of the code that converts.
    """
    cases = [
        [c.case_id, c.group, c.stratum, c.split, c.index, bool(c.label)]
        + [[name, hash_file(path)] for path, name in source_names(c.paths).items()]
        for c in shard.cases
    ]
    content = json.dumps([code, to_json(info), shard.split, cases])
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()


def hash_file(path: Path) -> str:
    """sha256 of the content of a file; "missing" of one that cannot be read."""
    try:
        stat = path.stat()
        return _hash_content(path, stat.st_size, stat.st_mtime_ns)
    except OSError:
        return "missing"  # reading the case says why


@lru_cache(maxsize=64)  # files that hold many cases (pages, records) are hashed once
def _hash_content(path: Path, size: int, mtime_ns: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class ShardStore:
    """Finished shards, by key."""

    def __init__(self, folder: str | Path):
        self._folder = Path(folder)

    def examples(self, key: str) -> Path:
        """Where the raw records of a shard are."""
        return self._folder / f"{key}.records.gz"

    def statistics(self, key: str) -> Path:
        """Where the case statistics of a shard are."""
        return self._folder / f"{key}.statistics.gz"

    def add(self, key: str, result: ShardResult) -> ShardResult:
        """Makes the two files of a shard known, last of all: before, it is not in the store."""
        files = (self.examples(key), self.statistics(key))
        hashes = {p.name: hash_file(p) for p in files}
        result = ShardResult(problems=result.problems, statistics=result.statistics, hashes=hashes)
        write_text(self._result(key), result.to_json())
        return result

    def find(self, key: str) -> ShardResult | None:
        """The result of a shard that is whole and unchanged; None of any other."""
        try:
            result = ShardResult.from_json(self._result(key).read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            return None
        whole = all(hash_file(self._folder / n) == h for n, h in result.hashes.items())
        if not whole or len(result.hashes) != 2:
            return None
        os.utime(self._result(key))
        return result

    def publish(self, key: str, shard: Shard, examples_root: str, statistics_root: str) -> None:
        """Puts the two files of a shard into the artifacts, whole or not at all."""
        for source, root in (
            (self.examples(key), examples_root),
            (self.statistics(key), statistics_root),
        ):
            _link(source, shard.path(root), Path(root))

    def prune(self, *, days: float = KEPT_DAYS) -> None:
        """Removes the shards that no run has used for some days, and what killed runs left."""
        oldest = time.time() - days * 86400
        results = list(self._folder.glob("*.json"))
        kept = {path.stem for path in results if not _is_older(path, oldest)}
        others = set(self._folder.glob("*")) - set(results)
        for path in (*results, *others):  # without its result, a shard is not in the store
            if path.name.partition(".")[0] not in kept and _is_older(path, oldest):
                path.unlink(missing_ok=True)

    def _result(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def _is_older(path: Path, oldest: float) -> bool:
    try:
        return path.stat().st_mtime < oldest
    except FileNotFoundError:  # another run with the same store is done with it
        return False


def _link(source: Path, target: Path, root: Path) -> None:
    """Links `source` as `target`, or copies it where the file system of `target` is another one."""
    with atomic_path(target, folder=root) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def read_results(results_root: str, shards: Iterable[Shard]) -> list[ShardResult]:
    """Reads the results of all shards; a shard without a result is an error."""
    paths = [Path(results_root) / f"{s.name}.json" for s in shards]
    missing = [p.stem for p in paths if not p.exists()]
    if missing:
        raise RuntimeError(
            f"every shard must be converted, {len(missing)} of {len(paths)} were not: {missing[:5]}"
        )
    return [ShardResult.from_json(p.read_text(encoding="utf-8")) for p in paths]
