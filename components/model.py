"""What segments a case, as far as scoring and prediction need it."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.model_folder import ServingSpec


class Model(Protocol):
    """What `trainer.serving.LoadedModel` does; S is the spatial shape."""

    @property
    def spec(self) -> ServingSpec:
        """What the model was exported with."""

    def predict(self, image: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Segments one raw case: image [*S, C] -> label values [*S]."""

    def predict_probabilities(
        self, image: NDArray[np.generic]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Segments one raw case: image [*S, C] -> label values [*S], probabilities [*S, K]."""
