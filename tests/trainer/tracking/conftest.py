"""Services without a network: a store of MLflow in a file, W&B offline."""

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that MLflow and W&B write to, and nowhere else."""
    root = tmp_path_factory.mktemp("services")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        for name, value in {"MODE": "offline", "ERROR_REPORTING": "false"}.items():
            patch.setenv(f"WANDB_{name}", value)
        for name in ("CACHE_DIR", "CONFIG_DIR", "DATA_DIR"):
            patch.setenv(f"WANDB_{name}", str(root / name))
        yield root
