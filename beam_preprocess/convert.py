"""The Beam part: shards of listed cases -> record files.

Only lists of paths cross a shuffle. A shard is read, checked, converted and written inside one
call, case by case, so that memory does not grow with the cohort.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam

from beam_preprocess.atomic import atomic_path, write_text
from beam_preprocess.case import CaseFiles, Dataset, Problem, errors, source_names
from beam_preprocess.examine import Examination, Statistics, examine_case
from beam_preprocess.memory import keep_freed_memory, release_freed_memory
from beam_preprocess.record_files import RecordWriter
from beam_preprocess.records import encode_example, encode_raw
from beam_preprocess.shards import Shard, ShardResult, ShardStore, hash_file, shard_key


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where shards go.

    Attributes:
      examples, statistics: Roots of the two artifacts.
      store: Folder of finished shards, see `ShardStore`.
      code: Fingerprint of the code that converts.
    """

    examples: str
    statistics: str
    store: str
    code: str


def convert_shard(shard: Shard, *, dataset: Dataset, destination: Destination) -> ShardResult:
    """Writes the raw records and the case statistics of a shard, or finds them in the store.

    Returns:
      The problems and statistics of its cases; where there is an error, no file is written.
    """
    store = ShardStore(destination.store)
    key = shard_key(shard, dataset.info, destination.code)
    result = store.find(key) or _convert(shard, dataset, store, key)
    if not errors(result.problems):
        store.publish(key, shard, destination.examples, destination.statistics)
    return result


def _convert(shard: Shard, dataset: Dataset, store: ShardStore, key: str) -> ShardResult:
    problems: list[Problem] = []
    statistics: list[Statistics] = []
    try:
        with (
            atomic_path(store.examples(key)) as examples_path,
            atomic_path(store.statistics(key)) as statistics_path,
            RecordWriter(examples_path) as examples_file,
            RecordWriter(statistics_path) as statistics_file,
        ):
            for files in shard.cases:
                examined = examine_case(files, dataset)
                problems += [*examined.problems, *_changed(files, examined)]
                if examined.case is None or examined.statistics is None:
                    continue
                statistics.append(examined.statistics)
                examples_file.write(encode_raw(examined.case, foreground=dataset.info.foreground))
                statistics_file.write(encode_example(examined.statistics))
            if errors(problems):
                raise _ShardError
    except _ShardError:
        return ShardResult(problems=problems, statistics=statistics, hashes={})
    return store.add(key, ShardResult(problems=problems, statistics=statistics, hashes={}))


class _ShardError(Exception):
    """A case of the shard cannot be converted: its files are not written."""


def _changed(files: CaseFiles, examined: Examination) -> list[Problem]:
    """A file that changes between its hash and its reading would get a wrong name in the store."""
    if examined.case is None:
        return []
    known = {name: path for path, name in source_names(files.paths).items()}
    return [
        Problem(
            case_id=files.case_id,
            rule=f"{name} changed while it was read",
            path=str(known[name]),
            remedy="run again when nothing writes to the dataset any more",
        )
        for name, digest in examined.case.sources.items()
        if name in known and digest != hash_file(known[name])
    ]


class _ConvertShard(beam.DoFn):
    """Converts a shard and writes its result as JSON; yields the number of its errors."""

    def __init__(self, dataset: Dataset, destination: Destination, results_root: str):
        self._dataset, self._destination = dataset, destination
        self._results_root = Path(results_root)

    def setup(self) -> None:
        keep_freed_memory()

    def teardown(self) -> None:
        release_freed_memory()

    def process(self, shard: Shard) -> Iterator[int]:
        result = convert_shard(shard, dataset=self._dataset, destination=self._destination)
        write_text(self._results_root / f"{shard.name}.json", result.to_json())
        yield len(errors(result.problems))


class ConvertShards(beam.PTransform):
    """Shards -> record files, and one JSON file per shard with its result, in `results_root`."""

    def __init__(self, dataset: Dataset, destination: Destination, *, results_root: str):
        super().__init__()
        self.results_root = results_root
        self._convert = _ConvertShard(dataset, destination, results_root)

    def expand(self, shards: beam.PCollection) -> beam.PCollection:
        """Spreads the shards over the workers and converts each."""
        return shards | "Spread" >> beam.Reshuffle() | "Convert" >> beam.ParDo(self._convert)
