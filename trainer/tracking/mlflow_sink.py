"""The sink of MLflow: a training is a run, and a resumed one goes on in it."""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from trainer.progress import Scalars
from trainer.run_folder import RunFolder
from trainer.tracking.run_ids import read_run_id, write_run_id
from trainer.tracking_config import TrackingConfig

_PARAMS_PER_CALL = 100
"""MLflow takes no more at once."""
_LONGEST_PARAM = 500
"""Of every version since 1.0."""
Item = TypeVar("Item")


class MlflowSink:
    """One run of MLflow's: the config as parameters, the manifest as an artifact, the scalars.

    Args:
      config: Experiment and server; without a server that which MLFLOW_TRACKING_URI names.
      folder: Of the training: its title names the run, its manifest is stored with it.
      manifest: What the manifest says.
      resumed: Whether the training goes on from a checkpoint.
    """

    def __init__(
        self,
        config: TrackingConfig,
        folder: RunFolder,
        manifest: Mapping[str, Any],
        *,
        resumed: bool,
    ):
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient(tracking_uri=config.mlflow_uri or None)
        address = self._client.tracking_uri.encode()  # hashed, as it may hold a password
        key = f"mlflow {config.mlflow} {hashlib.sha256(address).hexdigest()[:12]}"
        known = read_run_id(folder, key) if resumed else None
        self._run_id = self._reopened(known) or self._created(config, folder.title, manifest)
        write_run_id(folder, key, self._run_id)
        self._client.log_artifact(self._run_id, str(folder.manifest))

    def _reopened(self, run_id: str | None) -> str | None:
        """The run, open again; None where there is none, or somebody deleted it."""
        from mlflow.exceptions import MlflowException

        if run_id is None:
            return None
        try:
            found = self._client.get_run(run_id)
        except MlflowException as e:
            if e.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        if found.info.lifecycle_stage != "active":
            return None
        self._client.update_run(run_id, status="RUNNING")
        return run_id

    def _created(self, config: TrackingConfig, title: str, manifest: Mapping[str, Any]) -> str:
        from mlflow.entities import Param

        number = self._experiment(config.mlflow)
        revision = manifest["code"].get("revision")
        tags = {"mlflow.source.git.commit": revision} if revision else {}
        run_id = self._client.create_run(number, run_name=title, tags=tags).info.run_id
        settings = {name: manifest[name] for name in ("model", "trainer", "data", "strategy")}
        params = [Param(name, value[:_LONGEST_PARAM]) for name, value in flat(settings).items()]
        for part in _parts(params, _PARAMS_PER_CALL):
            self._client.log_batch(run_id, params=part)
        return run_id

    def _experiment(self, name: str) -> str:
        """The number of an experiment, which is made where it is not there."""
        from mlflow.exceptions import MlflowException

        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            try:
                return str(self._client.create_experiment(name))
            except MlflowException:  # another fold, side by side with this one, was faster
                experiment = self._client.get_experiment_by_name(name)
                if experiment is None:
                    raise
        return str(experiment.experiment_id)

    def write(self, number: int, scalars: Scalars) -> None:
        from mlflow.entities import Metric

        now_ms = int(1000 * time.time())
        metrics = [Metric(name, value, now_ms, number) for name, value in scalars.items()]
        self._client.log_batch(self._run_id, metrics=metrics)

    def close(self, error: BaseException | None) -> None:
        stopped = "FAILED" if isinstance(error, Exception) else "KILLED"
        self._client.set_terminated(self._run_id, "FINISHED" if error is None else stopped)


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested dicts as one: {"loss": {"name": "dice"}} -> {"loss.name": "dice"}, values as text."""
    found: dict[str, str] = {}
    for name, value in config.items():
        below = isinstance(value, Mapping)
        found |= flat(value, f"{prefix}{name}.") if below else {f"{prefix}{name}": str(value)}
    return found


def _parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
