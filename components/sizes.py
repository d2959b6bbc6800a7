"""How much is labelled in a case, and in which bin that is: what cases are sliced by as `size`.

The Evaluator writes the number. Who reads it makes the bins, so that other bins need no new scores.
"""

from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from beam_preprocess.case import DatasetInfo
from beam_preprocess.records import RawRecord
from trainer.config import EvaluationConfig
from trainer.metrics.case_scores import CaseScores
from trainer.metrics.cases import bin_values
from trainer.metrics.voxels import millilitres

NO_FOREGROUND = "nothing labelled"
"""Takes the place of a bin of `size` in cases without a labelled voxel."""


def labelled_size(record: RawRecord, truth: NDArray[np.uint8], info: DatasetInfo) -> float:
    """What is labelled of all kinds together, in ml; of photographs in percent of their pixels.

    Args:
      record: The case.
      truth: Its label values [*crop].
      info: The dataset.
    """
    labelled = int(np.count_nonzero(truth != info.label_values[0]))
    if info.rank == 3:
        return millilitres(labelled, record.spacing)
    return 100 * labelled / prod(record.full_shape)


def with_size_bin(case: CaseScores, config: EvaluationConfig, *, rank: int) -> CaseScores:
    """The case with its bin as the column `size`, unless the case table has one of that name.

    Args:
      case: As it was scored.
      config: Edges of the bins.
      rank: Axes of the case.
    """
    if case.size is None or "size" in case.columns:
        return case
    edges, unit = (config.size_edges_ml, "ml") if rank == 3 else (config.size_edges_percent, "%")
    of_case = {case.case_id: case.size}
    name = bin_values(of_case, edges, unit=unit)[case.case_id] if case.size else NO_FOREGROUND
    return replace(case, columns=case.columns | {"size": name})
