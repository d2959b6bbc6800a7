"""Scores of the network while it trains, on patients that are kept out of the training.

They choose the best checkpoint and end a training that no longer gets better. The held-out fold has
no part in it: a score of cases that a model was chosen by is no measure of the model.
"""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.batches import Features, RecordInfo, parse_features, training_example, whole_example
from trainer.config import InferenceConfig, TrainerConfig
from trainer.inference.classes import to_classes
from trainer.inference.predict import predict_probabilities
from trainer.model_config import ModelConfig
from trainer.overlap import dice, overlap
from trainer.staging import StagedCase

Network = Callable[[tf.Tensor], tf.Tensor]
Example = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


def split_validation(
    cases: Sequence[StagedCase], share: float, *, seed: int
) -> tuple[list[StagedCase], list[StagedCase]]:
    """Cases to train on and cases to validate on; no patient is in both.

    Args:
      cases: All that may be trained on.
      share: Part of the patients to validate on, at least one; 0 for none.
      seed: Draws them: equal on every machine.

    Raises:
      ValueError: Nobody is left to train on.
    """
    groups = sorted({c.group for c in cases}, key=lambda g: _hash(f"{seed}/{g}"))
    count = max(1, round(share * len(groups))) if share else 0
    if count == len(groups):
        raise ValueError(
            f"trainer.validation.share must leave patients to train on, {share} of {len(groups)}"
            " leaves none: lower it, or 0 to train without validation"
        )
    held_out = set(groups[:count])
    training = [c for c in cases if c.group not in held_out]
    return training, [c for c in cases if c.group in held_out]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Validator:
    """Scores a network on the cases of one worker.

    Attributes:
      network: Images [1, *crop, C] -> logits [1, *o, K].
      cases: Of this worker.
      info: Of their records.
      model, config: How the network was made and is trained.
    """

    network: Network
    cases: Sequence[StagedCase]
    info: RecordInfo
    model: ModelConfig
    config: TrainerConfig

    def __call__(self) -> NDArray[np.float64]:
        """Sum of the dice of every foreground class and number of them: float64 [classes, 2].

        A class that a case has neither in truth nor in prediction does not count.
        """
        classes = range(1, max(2, self.model.classes))
        sums = np.zeros((len(classes), 2))
        for case in self.cases:
            _, truth, predicted = self.example(case)
            for index, value in enumerate(classes):
                score = dice(overlap(truth.numpy(), predicted.numpy(), [value]), empty="nan")
                sums[index] += (0, 0) if math.isnan(score) else (score, 1)
        return sums

    def example(self, case: StagedCase) -> Example:
        """What is scored of a case: image [*S, C], and classes [*S] in truth and by the network."""
        features = parse_features(tf.io.read_file(case.path), self.info)
        whole = self.config.validation.mode == "whole"
        image, label = whole_example(features, self.info) if whole else self._patch(features)
        return image, tf.cast(label, tf.uint8), self.predict(image)

    def _patch(self, features: Features) -> tuple[tf.Tensor, tf.Tensor]:
        """A crop as in training, the same at every validation, unchanged by augmentation."""
        augment = replace(self.config.augment, enabled=False)
        config = replace(self.config, augment=augment)
        return training_example(features, tf.constant(0), self.info, config)

    def predict(self, image: tf.Tensor) -> tf.Tensor:
        """Classes uint8 [*S] of an image [*S, C]."""
        inference = InferenceConfig(window=self.config.crop)
        probabilities = predict_probabilities([self.network], image, self.model, inference)
        return to_classes(probabilities, threshold=inference.threshold)


def mean_dice(sums: NDArray[np.float64], classes: Sequence[int] = ()) -> tuple[float, list[float]]:
    """Mean over the classes, and each class's mean over the cases that have it (NaN: none has).

    Args:
      sums: What `Validator` gives, added up over the workers.
      classes: Those that the mean is taken over; empty for all.
    """
    per_class = [float(total / count) if count else math.nan for total, count in sums]
    chosen = [per_class[c - 1] for c in classes] if classes else per_class
    known = [value for value in chosen if not math.isnan(value)]
    return (float(np.mean(known)) if known else math.nan), per_class


@dataclass
class BestScore:
    """The best validation so far, and how many followed it without a better one."""

    best: float = -math.inf
    since: int = 0

    def take(self, score: float) -> bool:
        """Takes note of a score. Returns whether it is the best so far."""
        better = score > self.best
        self.best, self.since = (score, 0) if better else (self.best, self.since + 1)
        return better

    def to_json(self) -> str:
        """As text, for the checkpoint."""
        return json.dumps({"best": self.best, "since": self.since})

    @staticmethod
    def from_json(text: str) -> "BestScore":
        """What `to_json` wrote."""
        return BestScore(**json.loads(text))
