"""A picture of a prediction: image, truth and prediction side by side, in one telling slice.

Shapes: S spatial, [H, W] or [X, Y, Z]; C channels.
"""

import colorsys

import numpy as np
from numpy.typing import NDArray

LEGEND = (
    "Left the image, in the middle the truth, right what the network says."
    " Class 1 is red, 2 yellow, 3 blue, then purple, green, orange."
)
_COLOURS = (
    *((230, 75, 60), (240, 200, 40), (60, 160, 240)),
    *((204, 121, 167), (0, 158, 115), (230, 159, 0)),
)
_OPACITY = 0.55
_GAP = 4
_LEAST_HEIGHT = 256


def picture(
    image: NDArray[np.float32], truth: NDArray[np.uint8], predicted: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Draws one slice: of photographs in red, green and blue all channels, else the last one.

    Args:
      image: [*S, C], standardised; 0 in all channels is background.
      truth, predicted: Classes [*S].

    Returns:
      uint8 [H, W, 3]: three panels with white gaps, of sharp squares where pixels are enlarged.
    """
    shown = image if truth.ndim == 2 and image.shape[-1] == 3 else image[..., -1:]
    low = shown.min()  # standardised, the background would be as bright as the mean of the rest
    shown = np.where(np.all(image == 0, axis=-1, keepdims=True), low, shown)
    plain, truth, predicted = _slice(_to_8_bit(shown), truth, predicted)
    panels = [plain, overlay(plain, truth), overlay(plain, predicted)]
    factor = -(-_LEAST_HEIGHT // plain.shape[0])
    panels = [p.repeat(factor, axis=0).repeat(factor, axis=1) for p in panels]
    gap = np.full((len(panels[0]), _GAP, 3), 255, np.uint8)
    return np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)


def _slice(
    image: NDArray[np.uint8], truth: NDArray[np.uint8], predicted: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """The axial slice with most truth, or else most prediction, as rows Y and columns X."""
    if truth.ndim == 2:
        return image, truth, predicted
    areas = [np.count_nonzero(a, axis=(0, 1)) for a in (truth, predicted)]
    area = areas[0] if areas[0].any() else areas[1]
    z = int(area.argmax()) if area.any() else truth.shape[2] // 2
    return image[:, :, z].swapaxes(0, 1), truth[..., z].T, predicted[..., z].T


def _to_8_bit(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Stretches the contrast of [*S, 3 or 1], all channels alike: uint8 [*S, 3]."""
    low, high = np.percentile(image, (0.5, 99.5))
    unit = np.clip((image - low) / max(float(high - low), 1e-6), 0, 1)
    return np.broadcast_to((255 * unit).astype(np.uint8), (*image.shape[:-1], 3))


def overlay(plain: NDArray[np.uint8], classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Tints the foreground of [H, W, 3] in the colours of its classes [H, W]."""
    colours = np.array([class_colour(c) for c in range(int(classes.max()) + 1)], np.float32)
    tinted = (1 - _OPACITY) * plain + _OPACITY * colours[classes]
    return np.where((classes > 0)[..., np.newaxis], np.rint(tinted), plain).astype(np.uint8)


def class_colour(index: int) -> tuple[int, int, int]:
    """Red, green and blue of a class: no two alike; class 0, the background, has none (black)."""
    if index <= len(_COLOURS):
        return ((0, 0, 0), *_COLOURS)[index]
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1, 1.0, 0.8)
    return round(255 * red), round(255 * green), round(255 * blue)
