"""TFX's Transform, with a bounded batch: a batch of whole volumes that Beam tunes freely eats the
memory.
"""

from typing import Any

from tfx.components import Transform
from tfx.components.transform.executor import Executor
from tfx.dsl.components.base import executor_spec

RECORDS_PER_BATCH = 2


class BoundedTransformExecutor(Executor):
    """Transform's executor, two records a batch."""

    def _GetDesiredBatchSize(self, data_format: int, schema: Any) -> int:  # noqa: N802
        return RECORDS_PER_BATCH


class BoundedTransform(Transform):
    """Transform with memory that does not grow with the cohort."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(BoundedTransformExecutor)
