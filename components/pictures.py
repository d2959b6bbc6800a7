"""A picture of a scored case: image, truth and prediction side by side, in one telling slice."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from beam_preprocess.atomic import atomic_path
from beam_preprocess.records import RawRecord

COLOURS = {1: (230, 75, 60), 2: (240, 200, 40), 4: (60, 160, 240), 255: (230, 75, 60)}
"""Label value -> red, green, blue. Distinguishable with the common kinds of colour blindness."""
_OPACITY = 0.55
_GAP = 4
_HEIGHT = 320


def write_picture(record: RawRecord, prediction: NDArray[np.uint8], path: Path) -> None:
    """Writes the picture of a case as PNG.

    Args:
      record: Raw record with a label.
      prediction: Label values [*crop].
      path: Where to.
    """
    assert record.label is not None
    grey, truth, predicted = _slice(record.image[..., -1], record.label, prediction)
    plain = np.repeat(_to_8_bit(grey)[..., np.newaxis], 3, axis=-1)
    panels = [_enlarge(p) for p in (plain, overlay(plain, truth), overlay(plain, predicted))]
    gap = np.full((_HEIGHT, _GAP, 3), 255, np.uint8)
    image = np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")


def _enlarge(panel: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scales [H, W, 3] to the height of the picture; pixels stay sharp squares."""
    width = max(1, round(panel.shape[1] * _HEIGHT / panel.shape[0]))
    image = Image.fromarray(panel).resize((width, _HEIGHT), Image.Resampling.NEAREST)
    return np.asarray(image)


def _slice(
    image: NDArray[np.generic], truth: NDArray[np.uint8], prediction: NDArray[np.uint8]
) -> tuple[NDArray[np.generic], NDArray[np.uint8], NDArray[np.uint8]]:
    """The axial slice with most truth, or else most prediction, as a picture's rows and columns."""
    if image.ndim == 2:
        return image, truth, prediction
    areas = [np.count_nonzero(a, axis=(0, 1)) for a in (truth, prediction)]
    area = areas[0] if areas[0].any() else areas[1]
    z = int(area.argmax()) if area.any() else image.shape[2] // 2
    return image[..., z].T, truth[..., z].T, prediction[..., z].T


def _to_8_bit(grey: NDArray[np.generic]) -> NDArray[np.uint8]:
    values = grey.astype(np.float32)
    low, high = np.percentile(values, (0.5, 99.5))
    unit = np.clip((values - low) / max(float(high - low), 1e-6), 0, 1)
    return (255 * unit).astype(np.uint8)


def overlay(picture: NDArray[np.uint8], label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Tints the labelled pixels of a picture [H, W, 3] in the colours of their labels [H, W]."""
    tinted = picture.astype(np.float32)
    for value in np.unique(label[label > 0]).tolist():
        colour = np.asarray(COLOURS.get(value, (200, 80, 220)), np.float32)
        mask = label == value
        tinted[mask] = (1 - _OPACITY) * tinted[mask] + _OPACITY * colour
    return tinted.astype(np.uint8)
