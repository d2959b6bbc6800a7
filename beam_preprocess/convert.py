"""The Beam part: shards of listed cases -> record files.

Only lists of paths cross a shuffle. A shard is read, checked, converted and written inside one
call, case by case, so that memory does not grow with the cohort.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import apache_beam as beam
import tensorflow as tf

from beam_preprocess.atomic import atomic_path, write_text
from beam_preprocess.case import Case, CaseFiles, DataError, Dataset, Problem
from beam_preprocess.records import encode_example, encode_raw
from beam_preprocess.statistics import case_statistics

_GZIP = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)
"""Level 6 makes the files no smaller, and takes three times as long."""


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

    def path(self, root: str) -> Path:
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


def convert_shard(
    shard: Shard, *, dataset: Dataset, examples_root: str, statistics_root: str
) -> list[Problem]:
    """Writes the raw records and the case statistics of a shard.

    Returns:
      The problems of the shard's cases; where there are any, no file is written.
    """
    problems: list[Problem] = []
    with (
        atomic_path(shard.path(examples_root)) as examples_path,
        atomic_path(shard.path(statistics_root)) as statistics_path,
        tf.io.TFRecordWriter(str(examples_path), _GZIP) as examples,
        tf.io.TFRecordWriter(str(statistics_path), _GZIP) as statistics,
    ):
        for case in _readable(shard.cases, dataset, problems):
            examples.write(encode_raw(case, foreground=dataset.info.foreground))
            statistics.write(encode_example(case_statistics(case, dataset.info)))
    if problems:
        shard.path(examples_root).unlink()
        shard.path(statistics_root).unlink()
    return problems


def _readable(
    cases: Iterable[CaseFiles], dataset: Dataset, problems: list[Problem]
) -> Iterator[Case]:
    """Reads case after case; what cannot be read is added to `problems`."""
    for files in cases:
        try:
            yield dataset.read_case(files)
        except DataError as e:
            problems.extend(e.problems)


class _ConvertShard(beam.DoFn):
    """Converts a shard and writes its problems as JSON; yields the number of problems."""

    def __init__(self, dataset: Dataset, roots: dict[str, str], results_root: str):
        self._dataset, self._roots, self._results_root = dataset, roots, Path(results_root)

    def process(self, shard: Shard) -> Iterator[int]:
        problems = convert_shard(shard, dataset=self._dataset, **self._roots)
        path = self._results_root / f"{shard.split}-{shard.index:05d}.json"
        write_text(path, json.dumps({"problems": [asdict(p) for p in problems]}))
        yield len(problems)


class ConvertShards(beam.PTransform):
    """Shards -> record files, and one JSON file per shard with its problems, in `results_root`."""

    def __init__(
        self, dataset: Dataset, *, examples_root: str, statistics_root: str, results_root: str
    ):
        super().__init__()
        roots = {"examples_root": examples_root, "statistics_root": statistics_root}
        self._convert = _ConvertShard(dataset, roots, results_root)

    def expand(self, shards: beam.PCollection) -> beam.PCollection:
        """Spreads the shards over the workers and converts each."""
        return shards | "Spread" >> beam.Reshuffle() | "Convert" >> beam.ParDo(self._convert)


def read_results(results_root: str, shards: Sequence[Shard]) -> list[Problem]:
    """Reads the problems of all shards; a shard without a result is an error."""
    paths = [Path(results_root) / f"{s.split}-{s.index:05d}.json" for s in shards]
    missing = [p.stem for p in paths if not p.exists()]
    if missing:
        raise RuntimeError(
            f"every shard must be converted, {len(missing)} of {len(shards)} were not:"
            f" {missing[:5]}"
        )
    results = [json.loads(p.read_text(encoding="utf-8")) for p in paths]
    return [Problem(**p) for r in results for p in r["problems"]]
