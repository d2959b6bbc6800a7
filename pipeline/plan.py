"""What the nodes of a run are made from: its config, its dataset, and where things are kept."""

from dataclasses import dataclass

from beam_preprocess.case import DatasetInfo
from beam_preprocess.cohort import fold_name
from components.case_scoring import Scoring
from components.origin import Deployment
from pipeline.config import RunConfig


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a runner keeps things.

    Attributes:
      pipeline_root: Parent of all artifacts.
      serving: Parent of the pushed versions.
      state: Checkpoints and staged records, which outlive a run that is killed.
      data_fingerprint: Hash of the content of the raw files; empty where they are not at hand.
      workers: How many record files CaseGen and Transform write at once, in threads.
      deployed: The pushed versions, the newest first; None where only the nodes can look at them,
        when they run.
    """

    pipeline_root: str
    serving: str
    state: str
    data_fingerprint: str = ""
    workers: int = 2
    deployed: tuple[Deployment, ...] | None = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that decides the nodes.

    Attributes:
      config: Of the run, its network made to suit the dataset.
      info: The dataset.
      places: Where things are kept.
      force: Whether a model that is not blessed is pushed all the same.
    """

    config: RunConfig
    info: DatasetInfo
    places: Places
    force: bool = False

    @property
    def folds(self) -> list[str]:
        """The names of the folds."""
        return [fold_name(i) for i in range(self.config.data.folds)]

    @property
    def scoring(self) -> Scoring:
        """How cases are scored."""
        profile = self.config.preprocessing.profile
        return Scoring(info=self.info, config=self.config.evaluation, profile=profile)
