"""What a training shows beside its log, and where. The weights do not depend on it."""

import importlib.util
from dataclasses import dataclass
from urllib.parse import urlsplit

from beam_preprocess.validation import require


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """Pictures, graph and profile for TensorBoard; MLflow and Weights & Biases.

    Attributes:
      image_steps: Steps between two pictures of a prediction, each of which takes about as long as
        a validation of one case; 0 for none.
      graph: Whether TensorBoard gets the network's graph.
      profile_steps: First and last step of a profile for TensorBoard's profile plug-in; empty for
        none. A few steps are enough: they are slower, and every one takes some MB.
      mlflow: Experiment of MLflow to report to; empty does not.
      mlflow_uri: MLflow's server or store, such as `http://HOST:5000` or `sqlite:////FILE`; empty
        leaves it to MLFLOW_TRACKING_URI.
      wandb: Project of Weights & Biases to report to; empty does not. Account, server and mode are
        W&B's own variables: WANDB_API_KEY, WANDB_ENTITY, WANDB_BASE_URL, WANDB_MODE.
    """

    image_steps: int = 500
    graph: bool = False
    profile_steps: tuple[int, ...] = ()
    mlflow: str = ""
    mlflow_uri: str = ""
    wandb: str = ""

    def __post_init__(self) -> None:
        require(
            self.image_steps >= 0, "trainer.tracking.image_steps", self.image_steps, "0 or more"
        )
        steps = self.profile_steps
        fits = not steps or (len(steps) == 2 and 1 <= steps[0] <= steps[1])
        rule = "empty, or a first step of 1 or more and a last one not before it"
        require(fits, "trainer.tracking.profile_steps", steps, rule)
        named = bool(self.mlflow or not self.mlflow_uri)
        rule = "the name of an experiment where trainer.tracking.mlflow_uri is set"
        require(named, "trainer.tracking.mlflow", self.mlflow, rule)
        parts = urlsplit(self.mlflow_uri)
        if parts.username or parts.password or parts.query:  # the config is stored and shown
            raise ValueError(
                "trainer.tracking.mlflow_uri must have no password or token: set"
                " MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or the whole address as"
                " MLFLOW_TRACKING_URI"
            )


def require_libraries(config: TrackingConfig) -> None:
    """Raises ValueError where a library is missing that `config` asks for."""
    packages = {"mlflow": "mlflow-skinny", "wandb": "wandb"}
    for module, package in packages.items():
        wanted = getattr(config, module)
        if wanted and not _is_installed(module):
            raise ValueError(
                f"trainer.tracking.{module} {wanted!r} needs the Python package {package}, it is"
                " missing: pip install 'unet-tfx[tracking]', or leave that option empty"
            )


def _is_installed(module: str) -> bool:
    """A folder of that name counts as a package for Python, and W&B leaves a folder `wandb`."""
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None
