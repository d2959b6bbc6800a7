"""A picture of a scored case: image, truth and prediction side by side, in one telling slice."""

import colorsys
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from beam_preprocess.atomic import atomic_path
from beam_preprocess.case import DatasetInfo, canonical_label
from beam_preprocess.records import RawRecord

Colour = tuple[int, int, int]
"""Red, green, blue: 0 to 255."""

COLOURS = {1: (230, 75, 60), 2: (240, 200, 40), 4: (60, 160, 240), 255: (230, 75, 60)}
"""Colours of the label values of brain scans and defects."""
_PALETTE = (
    *((204, 121, 167), (0, 114, 178), (0, 158, 115), (152, 223, 138), (140, 86, 75)),
    *((213, 94, 0), (197, 176, 213), (230, 159, 0), (158, 218, 229), (188, 189, 34)),
    *((247, 182, 210), (148, 103, 189), (23, 190, 207), (44, 160, 44), (174, 199, 232)),
)
"""Colours of other values, of Okabe and Ito's set and of Tableau's, in an order in which each is as
far as can be from those before it, with the common kinds of colour blindness too."""
_GOLDEN = 0.618034
_RGB = (("red", "green", "blue"), ("r", "g", "b"))
_OPACITY = 0.55
_GAP = 4
_HEIGHT = 320


def label_colours(info: DatasetInfo) -> dict[int, Colour]:
    """A colour for every foreground label value, no two alike; always the same for a dataset.

    Values of `COLOURS` have theirs, others the next of the palette; so has 255 beside a label 1.
    """
    colours: dict[int, Colour] = {}
    values = sorted(info.label_values[1:])
    for value in values:
        if value in COLOURS and COLOURS[value] not in colours.values():
            colours[value] = COLOURS[value]
    free = (c for c in _all_colours() if c not in colours.values())
    colours |= {value: next(free) for value in values if value not in colours}
    return dict(sorted(colours.items()))


def _all_colours() -> Iterator[Colour]:
    """The palette, and then hues that never come back to where they were."""
    yield from _PALETTE
    for n in itertools.count():
        saturation, brightness = (1.0, 0.55)[n % 2], (1.0, 0.75)[n // 2 % 2]
        red, green, blue = colorsys.hsv_to_rgb(n * _GOLDEN % 1, saturation, brightness)
        yield round(255 * red), round(255 * green), round(255 * blue)


def write_picture(
    record: RawRecord, prediction: NDArray[np.uint8], *, info: DatasetInfo, path: Path
) -> None:
    """Writes the picture of a case as PNG.

    Args:
      record: Raw record with a label.
      prediction: Label values [*crop].
      info: The dataset. Photographs of red, green and blue are shown in colour, of other images the
        last channel is.
      path: Where to.
    """
    assert record.label is not None
    colours = label_colours(info)
    label = canonical_label(record.label, info)
    shown, truth, predicted = _slice(shown_channels(record.image, info), label, prediction)
    plain = np.broadcast_to(to_8_bit(shown), (*shown.shape[:2], 3))
    overlays = (overlay(plain, truth, colours), overlay(plain, predicted, colours))
    panels = [_enlarge(p) for p in (plain, *overlays)]
    gap = np.full((_HEIGHT, _GAP, 3), 255, np.uint8)
    image = np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")


def shown_channels(image: NDArray[np.generic], info: DatasetInfo) -> NDArray[np.generic]:
    """What is shown of an image [*S, C]: its three colours, or its last channel: [*S, 3 or 1]."""
    names = tuple(c.lower() for c in info.channels)
    return image if info.rank == 2 and names in _RGB else image[..., -1:]


def _enlarge(panel: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scales [H, W, 3] to the height of the picture; pixels stay sharp squares."""
    width = max(1, round(panel.shape[1] * _HEIGHT / panel.shape[0]))
    image = Image.fromarray(panel).resize((width, _HEIGHT), Image.Resampling.NEAREST)
    return np.asarray(image)


def _slice(
    image: NDArray[np.generic], truth: NDArray[np.uint8], prediction: NDArray[np.uint8]
) -> tuple[NDArray[np.generic], NDArray[np.uint8], NDArray[np.uint8]]:
    """The axial slice with most truth, or else most prediction, as a picture's rows and columns."""
    if truth.ndim == 2:
        return image, truth, prediction
    areas = [np.count_nonzero(a, axis=(0, 1)) for a in (truth, prediction)]
    area = areas[0] if areas[0].any() else areas[1]
    z = int(area.argmax()) if area.any() else truth.shape[2] // 2
    return image[:, :, z].swapaxes(0, 1), truth[..., z].T, prediction[..., z].T


def to_8_bit(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Stretches the contrast of [*S, C] between percentiles 0.5 and 99.5, all channels alike."""
    values = image.astype(np.float32)
    low, high = np.percentile(values, (0.5, 99.5))
    unit = np.clip((values - low) / max(float(high - low), 1e-6), 0, 1)
    return (255 * unit).astype(np.uint8)


def overlay(
    picture: NDArray[np.uint8], label: NDArray[np.uint8], colours: Mapping[int, Colour]
) -> NDArray[np.uint8]:
    """Tints the labelled pixels of a picture [H, W, 3] in the colours of their labels [H, W]."""
    tinted = picture.astype(np.float32)
    for value in sorted(colours.keys() & set(np.unique(label).tolist())):
        mask = label == value
        colour = np.asarray(colours[value], np.float32)
        tinted[mask] = (1 - _OPACITY) * tinted[mask] + _OPACITY * colour
    return tinted.astype(np.uint8)
