"""The case statistics record: what TFDV sees of a case. A few numbers, never voxels."""

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from beam_preprocess.case import Case, DatasetInfo

PERCENTILES = (1, 50, 99)
_COUNTABLE = 1 << 20
"""Range of integers that are counted; 12-bit and 16-bit scans are far below it."""


def case_statistics(case: Case, info: DatasetInfo) -> dict[str, object]:
    """Describes a case.

    Returns:
      Feature name -> text, int or float: shape and spacing (mm) per axis, orientation, dtype,
      foreground fraction of the grid, per channel the mean and percentiles of its foreground
      (stored units), and the voxels of every label.
    """
    statistics: dict[str, object] = {
        "case_id": case.files.case_id,
        "group": case.files.group,
        "stratum": case.files.stratum,
        "dtype": case.image.dtype.name,
        "orientation": "".join(nib.aff2axcodes(case.affine)) if info.rank == 3 else "image",
        "channels": case.image.shape[-1],
        "labelled": int(case.label is not None),
    }
    for axis, n, s in zip("xyz", case.image.shape[:-1], case.spacing, strict=False):
        statistics |= {f"size_{axis}": n, f"spacing_{axis}": float(s)}
    for index, name in enumerate(info.channels):
        statistics |= _channel_statistics(name, case.image[..., index], info.foreground)
    return statistics | _label_statistics(case.label, info)


def _channel_statistics(
    name: str, channel: NDArray[np.generic], foreground: str
) -> dict[str, object]:
    values = channel.T[channel.T != 0] if foreground == "nonzero" else np.ravel(channel, order="K")
    mean, stdev, percentiles = _describe(values)
    return {
        f"{name}_foreground": values.size / channel.size,
        f"{name}_mean": mean,
        f"{name}_stdev": stdev,
    } | {f"{name}_p{p:02d}": v for p, v in zip(PERCENTILES, percentiles, strict=True)}


def _describe(values: NDArray[np.generic]) -> tuple[float, float, list[float]]:
    """Mean, population standard deviation and percentiles of values [N].

    Integers of a small range are counted instead of sorted: the same result, ten times as fast.
    """
    if values.dtype.kind not in "iu" or (low := int(values.min())) + _COUNTABLE <= values.max():
        exact = values.astype(np.float64)
        return float(exact.mean()), float(exact.std()), np.percentile(exact, PERCENTILES).tolist()
    counts = np.bincount(values.astype(np.int64) - low)
    levels = np.arange(low, low + counts.size, dtype=np.float64)
    mean = float(counts @ levels / values.size)
    stdev = float(np.sqrt(counts @ (levels - mean) ** 2 / values.size))
    return mean, stdev, _counted_percentiles(levels, counts)


def _counted_percentiles(levels: NDArray[np.float64], counts: NDArray[np.int64]) -> list[float]:
    """Percentiles as `numpy.percentile` gives them (linear), of levels that occur `counts` times.

    Worked example: levels 1 2 3 with counts 2 0 2 are the values 1 1 3 3; the median lies at
    position 0.5 * 3 = 1.5, half way from the value 1 (position 1) to the value 3 (position 2).
    """
    last = np.cumsum(counts)
    positions = np.asarray(PERCENTILES) / 100 * (last[-1] - 1)
    below = levels[np.searchsorted(last, np.floor(positions), side="right")]
    above = levels[np.searchsorted(last, np.ceil(positions), side="right")]
    return (below + (positions - np.floor(positions)) * (above - below)).tolist()


def _label_statistics(label: NDArray[np.uint8] | None, info: DatasetInfo) -> dict[str, object]:
    if label is None:
        return {}
    labelled = label.T[label.T != 0]  # few voxels are
    counts = np.bincount(labelled, minlength=256)
    counts[0] = label.size - labelled.size
    for alias, value in info.label_aliases.items():
        counts[value] += counts[alias]
    return {f"label_{v}_voxels": int(counts[v]) for v in info.label_values}
