"""The records that an earlier run made, found through ML Metadata, for a training of their own.

What they hold is read from the run's metadata too: the raw files need not be at hand, and the run
folder may have been moved.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from beam_preprocess.case import DatasetInfo
from beam_preprocess.config import PreprocessingConfig
from beam_preprocess.config_io import from_dict, from_json
from pipeline.lineage import (
    open_metadata,
    place,
    read_last_run,
    read_parameter,
    require_finished,
)
from pipeline.run_folder import ARTIFACTS

_RECORDS = "transformed_examples"


@dataclass(frozen=True, kw_only=True)
class RunRecords:
    """What a run has made of its cohort.

    Attributes:
      info: The dataset.
      preprocessing: How the intensities were normalised.
      folds: Name of a fold -> folder of its normalised record files, in order of their numbers.
      examples: CaseGen's artifact: the raw records, and who is in which fold.
    """

    info: DatasetInfo
    preprocessing: PreprocessingConfig
    folds: dict[str, Path]
    examples: Path


def find_records(run: Path) -> RunRecords:
    """Finds the records of the last run in a run folder.

    Raises:
      ValueError: Its Transform has not finished, its records are gone, or the metadata are damaged.
    """
    with open_metadata(run) as store:
        nodes = read_last_run(store)
        require_finished(nodes, ["CaseGen", "RecordSchema", "Transform"], run)
        settings = json.loads(
            read_parameter(store, nodes["Transform"].outputs[_RECORDS], "custom_config")
        )
        info = read_parameter(store, nodes["RecordSchema"].outputs["schema"], "info")
    names = PreprocessingConfig.__dataclass_fields__
    return RunRecords(
        info=from_json(DatasetInfo, info),
        preprocessing=from_dict(PreprocessingConfig, {n: settings[n] for n in names}),
        folds=_folds(place(nodes["Transform"].outputs[_RECORDS], run / ARTIFACTS)),
        examples=place(nodes["CaseGen"].outputs["examples"], run / ARTIFACTS),
    )


def _folds(records: Path) -> dict[str, Path]:
    """The folds in a folder of records.

    Raises:
      ValueError: There are none.
    """
    prefix = "Split-fold-"
    numbers = sorted(
        int(p.name.removeprefix(prefix)) for p in records.glob(f"{prefix}*") if any(p.glob("*.gz"))
    )
    if not numbers:
        raise ValueError(
            f"the run's normalised records must be in {str(records)!r}, none are there: copy them"
            " back, or run `unet-tfx run` again with another --output"
        )
    return {f"fold-{n}": records / f"{prefix}{n}" for n in numbers}
