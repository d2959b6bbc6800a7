"""The case statistics record: what TFDV sees of a case. A few numbers, never voxels."""

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from beam_preprocess.case import Case, DatasetInfo

PERCENTILES = (1, 50, 99)


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
    values = channel[channel != 0] if foreground == "nonzero" else channel.ravel()
    percentiles = np.percentile(values.astype(np.float64), PERCENTILES)
    return {
        f"{name}_foreground": values.size / channel.size,
        f"{name}_mean": float(values.mean(dtype=np.float64)),
        f"{name}_stdev": float(values.std(dtype=np.float64)),
    } | {f"{name}_p{p:02d}": float(v) for p, v in zip(PERCENTILES, percentiles, strict=True)}


def _label_statistics(label: NDArray[np.uint8] | None, info: DatasetInfo) -> dict[str, object]:
    if label is None:
        return {}
    counts = np.bincount(label.ravel(), minlength=256)
    return {f"label_{v}_voxels": int(counts[v]) for v in info.label_values}
